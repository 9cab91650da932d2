//go:build e2e

package store_test

import (
	"testing"

	"satchel/internal/s3server"
	"satchel/store"
	"satchel/store/storetest"
)

func TestVersitygwContract(t *testing.T) {
	endpoint, access, secret := s3server.Start(t)
	storetest.Contract(t, func(t *testing.T) store.Store {
		return newS3(t, s3server.Bucket(t, endpoint, access, secret))
	})
}
