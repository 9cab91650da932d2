package store

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"satchel/bundle"
)

// A hookserver that fell silent is known for a day, with the time of its last
// word; one that said that it stops is not.
func TestWhoFellSilentIsKnownForADay(t *testing.T) {
	root := t.TempDir()
	st, err := NewDir(root)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	now := time.Now()
	for id, ago := range map[string]time.Duration{"here": time.Minute, "silent": 4 * time.Minute, "since-yesterday": 23 * time.Hour, "gone": 25 * time.Hour, "stopped": time.Hour} {
		if err := WritePresence(t.Context(), st, Presence{ID: id, Courses: map[string]bundle.Version{"scala101": 3}}); err != nil {
			t.Fatal(err)
		}
		then := now.Add(-ago)
		if err := os.Chtimes(filepath.Join(root, "receipts", "servers", id), then, then); err != nil {
			t.Fatal(err)
		}
	}
	if err := WritePresence(t.Context(), st, Presence{ID: "stopped", Stopped: true}); err != nil {
		t.Fatal(err)
	}
	here, silent, err := PresencesAndSilent(t.Context(), st, now)
	if err != nil || len(here) != 1 || here[0].ID != "here" || here[0].Courses["scala101"] != 3 {
		t.Errorf("%+v, %v", here, err)
	}
	if len(silent) != 2 || silent[0].ID != "silent" || silent[1].ID != "since-yesterday" ||
		!silent[0].Heard.Equal(now.Add(-4*time.Minute)) {
		t.Errorf("%+v", silent)
	}
	if all, err := Presences(t.Context(), st, now); err != nil || len(all) != 1 {
		t.Errorf("%+v, %v", all, err)
	}
}
