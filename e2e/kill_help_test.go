//go:build e2e

package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

const timeToPublish = 30 * time.Second

func sumOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// newest is what the status says of the course: by the syncer, or where none
// runs by the record.
func newest(t *testing.T, s *site, v *service) (version int, commit string) {
	t.Helper()
	var st struct {
		Courses []struct {
			Version int    `json:"version"`
			Commit  string `json:"commit"`
		} `json:"courses"`
	}
	out := s.satchel("status", "--json", "--config", v.config)
	if err := json.Unmarshal([]byte(out), &st); err != nil || len(st.Courses) != 1 {
		t.Fatalf("status: %v\n%s", err, out)
	}
	return st.Courses[0].Version, st.Courses[0].Commit
}

// newestIs tells whether the newest version is of that commit.
func newestIs(t *testing.T, s *site, v *service, commit string) error {
	t.Helper()
	if n, c := newest(t, s, v); c != commit {
		return fmt.Errorf("version %d is of %s", n, c)
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
