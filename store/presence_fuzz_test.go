package store

import (
	"encoding/json"
	"errors"
	"testing"

	"satchel/bundle"
)

// FuzzDecodePresence: what a hookserver, or whoever writes in its place, says
// is read as it stands, or not at all.
func FuzzDecodePresence(f *testing.F) {
	f.Add([]byte(`{"format":1,"id":"host-1","time":"2026-09-01T09:00:00Z","courses":{"scala101":3}}`))
	f.Add([]byte(`{"format":2}`))
	f.Add([]byte(`{"format":1,"courses":{"a":-1,"":9007199254740993},"more":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := DecodePresence(data)
		if err != nil {
			if !errors.Is(err, bundle.ErrFormat) && !errors.Is(err, bundle.ErrCorrupt) {
				t.Errorf("%v", err)
			}
			return
		}
		again, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		if q, err := DecodePresence(again); err != nil || q.Format > PresenceFormat || len(q.Courses) != len(p.Courses) || !q.Time.Equal(p.Time) {
			t.Errorf("%s was written as %s: %v", data, again, err)
		}
	})
}
