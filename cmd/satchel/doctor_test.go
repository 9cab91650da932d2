//go:build unix

package main

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"
)

func TestDoctorWarnsBeforeACertificateEnds(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	for _, c := range []struct {
		life, left time.Duration
		well       bool
	}{
		{90 * day, 60 * day, true}, {90 * day, 15 * day, true}, {90 * day, 13 * day, false}, {90 * day, -day, false},
		{7 * day, 5 * day, true}, {7 * day, day, false}, // one that lives for days only
	} {
		k := &checks{}
		end := now.Add(c.left)
		k.certificate(&x509.Certificate{SerialNumber: big.NewInt(7), Issuer: pkix.Name{CommonName: "a"}, NotBefore: end.Add(-c.life), NotAfter: end}, now)
		if len(k.all) != 1 || k.all[0].OK != c.well || k.all[0].Stop == c.well {
			t.Errorf("%v of %v left: %+v", c.left, c.life, k.all)
		}
	}
}
