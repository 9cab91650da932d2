//go:build unix

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"satchel/internal/config"
	"satchel/internal/roots"
)

// students asks the address that students' servers are given.
func (c *checks) students(ctx context.Context, cfg *config.Config) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, cfg.URL+"/v1/sync", nil)
	if err != nil {
		c.not("url", "correct `url` in "+cfg.File, "%v", err)
		return
	}
	trusted, err := roots.Read(cfg.CAFile)
	if err != nil {
		c.not("url", "see ca_file", "%v", err)
		return
	}
	web := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := web.Do(req)
	var cert *tls.CertificateVerificationError
	if errors.As(err, &cert) {
		do := "name the authority's certificate (PEM) in `ca_file`; students' servers need it too (SATCHEL_CA_FILE)"
		if roots.Missing(err) {
			do = "this machine has no certificates of authorities: install ca-certificates, or " + do
		}
		c.not("url", do, "the certificate of %s is not trusted here: %v", cfg.URL, cert.Err)
		return
	}
	if err != nil {
		c.not("url", "where students' servers reach it and this machine does not, that may be meant; `satchel-agent doctor` in a student's container tells", "%s does not answer here: %v", cfg.URL, err)
		return
	}
	if resp.TLS != nil {
		c.certificate(resp.TLS.PeerCertificates[0], time.Now())
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		c.not("url", "correct `url` in "+cfg.File+", or what stands before the service", "%s answers with status %d, and is not this service", cfg.URL, resp.StatusCode)
		return
	}
	c.well("url", "%s answers", cfg.URL)
}

// certificateSoon is when the end of a certificate is near, unless it lives for
// days only.
const certificateSoon = 14 * 24 * time.Hour

// certificate says how long the one lives that students' servers are shown.
func (c *checks) certificate(cert *x509.Certificate, now time.Time) {
	left := cert.NotAfter.Sub(now)
	note := fmt.Sprintf("number %x, by %q, good until %s", cert.SerialNumber.Bytes(), cert.Issuer.CommonName, cert.NotAfter.Local().Format("2 January 2006 15:04"))
	if left < certificateSoon && left < cert.NotAfter.Sub(cert.NotBefore)/4 {
		c.not("certificate", "renew it; docs/rotation.md has the steps", "%s", note)
		return
	}
	c.well("certificate", "%s", note)
}
