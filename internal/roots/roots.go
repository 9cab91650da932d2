// Package roots reads the certificates of the authorities that the service
// trusts when it calls out: those of the system and, where `ca_file` names
// some, those too.
package roots

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
)

const maxFile = 4 << 20

// Missing says that a certificate was refused because this machine has no
// authorities of its own, as in an image without ca-certificates: then none is
// trusted but by a file.
func Missing(err error) bool {
	var unknown x509.UnknownAuthorityError
	var unread x509.SystemRootsError
	if !errors.As(err, &unknown) && !errors.As(err, &unread) {
		return false
	}
	pool, err := x509.SystemCertPool()
	return err != nil || pool.Equal(x509.NewCertPool())
}

// Read gives the system's authorities and those in file (PEM). nil, which is
// the system's own, where file is "". A machine without any of its own (an
// image without ca-certificates) has those of the file alone.
func Read(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w", err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("ca_file: %s is larger than %d bytes", file, maxFile)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(data) {
		return nil, errors.New("ca_file: " + file + " holds no certificate; it should begin with -----BEGIN CERTIFICATE-----")
	}
	return pool, nil
}
