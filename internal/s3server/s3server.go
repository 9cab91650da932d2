// Package s3server starts a real S3 server, versitygw, for end-to-end tests:
// one that checks signatures and conditional writes. It is found by the
// variable VERSITYGW or in PATH;
//
//	go install github.com/versity/versitygw/cmd/versitygw@v1.8.0
//
// makes it. A test that needs it fails where it is missing: it belongs behind
// the build tag e2e.
package s3server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"satchel/internal/listen"
	"satchel/store"
)

// startTime is how long the server may take to answer first.
const startTime = 20 * time.Second

// Start starts a server with a folder of its own on a free port of loopback,
// and stops it when the test ends. It gives what a client needs.
func Start(t testing.TB) (endpoint, access, secret string) {
	t.Helper()
	return start(t, nil)
}

// StartVersioned is Start with buckets that can keep versions.
func StartVersioned(t testing.TB) (endpoint, access, secret string) {
	t.Helper()
	return start(t, nil, "--versioning-dir", t.TempDir())
}

// Bucket makes a bucket on such a server and gives the configuration of a
// store in it. The credentials go into the test's environment, where the
// SDK's chain finds them; so such a test cannot be parallel.
func Bucket(t testing.TB, endpoint, access, secret string) store.S3Config {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", access)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secret)
	c := store.S3Config{Bucket: fmt.Sprintf("bundles-%d", time.Now().UnixNano()), Endpoint: endpoint}
	s, err := store.NewS3(t.Context(), c)
	if err == nil {
		err = s.MakeBucket(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// start starts the server with options of its own, and of its folder.
func start(t testing.TB, options []string, backend ...string) (endpoint, access, secret string) {
	t.Helper()
	access, secret = "s3server-access", "s3server-secret"
	for try := 0; ; try++ {
		addr := freePort(t)
		said, err := run(t, addr, access, secret, options, backend)
		if err == nil {
			return "http://" + addr, access, secret
		}
		if try == 2 { // somebody else took the port each time, or it does not start at all
			t.Fatalf("versitygw on %s: %v\n%s", addr, err, said)
		}
	}
}

// run starts the server and waits until it answers.
func run(t testing.TB, addr, access, secret string, options, backend []string) (said string, err error) {
	t.Helper()
	args := slices.Concat([]string{"--quiet", "--keep-alive", "--port", addr}, options, []string{"posix"}, backend, []string{t.TempDir()})
	cmd := exec.Command(binary(t), args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+access, "ROOT_SECRET_KEY="+secret)
	if err := cmd.Start(); err != nil {
		return "", err
	}
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	stop := func() {
		cmd.Process.Kill()
		<-ended
	}
	if err := answers(addr, ended); err != nil {
		stop()
		return out.String(), err
	}
	t.Cleanup(stop)
	return "", nil
}

// answers waits until anything speaks HTTP there, or the server ends.
func answers(addr string, ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr, nil)
		if err != nil {
			return err
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			return res.Body.Close()
		}
		select {
		case <-ended:
			return errors.New("it ended")
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func binary(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("VERSITYGW"); path != "" {
		return path
	}
	path, err := exec.LookPath("versitygw")
	if err != nil {
		t.Fatal("versitygw is neither named by VERSITYGW nor in PATH; see the comment of package s3server")
	}
	path, err = filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := listen.Here()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
