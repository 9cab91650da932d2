//go:build e2e

package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"testing"
	"time"
)

const timeToPublish = 30 * time.Second

func sumOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// newestIs tells whether the newest publish is of that commit.
func newestIs(t *testing.T, s *site, v *service, commit string) error {
	if e := logEntries(t, s, v); len(e) == 0 || e[0].Commit != commit {
		return fmt.Errorf("not published yet")
	}
	return nil
}

// publishedOrDead waits until the syncer has published the commit (true) or
// was killed (false).
func publishedOrDead(t *testing.T, s *site, v *service, commit string) bool {
	t.Helper()
	deadline := time.Now().Add(timeToPublish)
	for time.Now().Before(deadline) {
		if v.ended() {
			return false
		}
		if newestIs(t, s, v, commit) == nil {
			return true
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("neither published nor killed:\n%s", tail(v.output(), 3000))
	return false
}
