//go:build unix

package main

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"satchel/bundle"
	"satchel/internal/config"
)

// A signing key of which students' servers know nothing is not taken up: they
// would refuse all that it signs.
func TestAKeyThatNobodyTrustsIsNotTakenUp(t *testing.T) {
	dir := t.TempDir()
	pair := func(name string) string {
		key, err := bundle.NewSigningKey()
		if err != nil {
			t.Fatal(err)
		}
		text, err := key.PEM()
		for file, data := range map[string][]byte{".pem": text, ".pub": []byte(key.Public().String() + "\n")} {
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, name+file), data, 0o600)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		return filepath.Join(dir, name)
	}
	one, two := pair("one"), pair("two")
	cfg := func(private, public string) *config.Config {
		return &config.Config{Secrets: config.Secrets{SigningKeys: []string{private + ".pem"}, PublicKeys: public + ".pub"}}
	}
	l, err := newLive(cfg(one, one), halves{syncer: true})
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	lg := slog.New(slog.NewTextHandler(&log, nil))
	if l.take(lg, cfg(two, one)); !strings.Contains(log.String(), "signing key") || !strings.Contains(log.String(), "not taken up") {
		t.Errorf("log: %s", log.String())
	}
	log.Reset()
	if l.take(lg, cfg(two, two)); !strings.Contains(log.String(), "taken up") || strings.Contains(log.String(), "not taken up") {
		t.Errorf("log: %s", log.String())
	}
	log.Reset()
	if l.take(lg, cfg(one, filepath.Join(dir, "absent"))); strings.Contains(log.String(), "not taken up") {
		t.Errorf("where it cannot be read: %s", log.String())
	}
}

// A webhook is passed on to the syncer of the configuration that holds when it
// comes, also while another is taken up.
func TestAHintGoesToTodaysSyncer(t *testing.T) {
	var asked [2]atomic.Int32
	var at [2]string
	for i := range at {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked[i].Add(1)
			w.WriteHeader(http.StatusNoContent)
		}))
		defer s.Close()
		at[i] = s.URL
	}
	l, err := newLive(&config.Config{SyncerURL: at[0]}, halves{})
	must(t, err)
	lg := slog.New(slog.DiscardHandler)
	hint := passOn(lg, l)
	var wg sync.WaitGroup
	done := make(chan struct{})
	wg.Go(func() {
		defer close(done)
		for range 20 {
			hint("scala101", "git.example")
		}
	})
	for on := true; on; { // -race sees a read without the lock
		select {
		case <-done:
			on = false
		default:
		}
		l.take(lg, &config.Config{SyncerURL: at[1]})
	}
	wg.Wait()
	before := asked[1].Load()
	if hint("scala101", "git.example"); asked[1].Load() != before+1 || asked[0].Load()+before != 20 {
		t.Errorf("%d and %d hints", asked[0].Load(), asked[1].Load())
	}
}
