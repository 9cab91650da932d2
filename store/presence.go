package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"satchel/bundle"
)

// PresenceFormat is the format number of Presence.
const PresenceFormat = 1

const (
	presencePrefix = "receipts/servers/" // below what a hookserver may write
	maxPresence    = 4 << 20
	// PresenceEvery is how often a hookserver says that it is there, and
	// PresenceLife how long after its last word it counts as there. What it said
	// stays for presenceKept, unless it takes it away when it stops.
	PresenceEvery = time.Minute
	PresenceLife  = 3 * time.Minute
	presenceKept  = 24 * time.Hour
)

// Presence is what a hookserver says of itself: that it is there, and which
// version of each course it gives out. Whoever takes something back waits for
// all that are there to say that they give out a version without it.
type Presence struct {
	Format  int                       `json:"format"`
	ID      string                    `json:"id"` // host and process
	Time    time.Time                 `json:"time"`
	Courses map[string]bundle.Version `json:"courses"`
	Stopped bool                      `json:"stopped,omitempty"` // it gives out nothing any more
	Heard   time.Time                 `json:"-"`                 // when this was written, by the store's clock
}

// WritePresence puts p in the place of what that hookserver said before.
func WritePresence(ctx context.Context, s Store, p Presence) error {
	p.Format = PresenceFormat
	data, err := json.Marshal(p)
	if err == nil {
		err = s.Put(ctx, presencePrefix+p.ID, bytes.NewReader(data))
	}
	if err != nil {
		return fmt.Errorf("presence of %s: %w", p.ID, err)
	}
	return nil
}

// Presences gives all hookservers that spoke within PresenceLife before now.
func Presences(ctx context.Context, s Store, now time.Time) (out []Presence, err error) {
	out, _, err = PresencesAndSilent(ctx, s, now)
	return out, err
}

// PresencesAndSilent also gives those that spoke within a day, though not within
// PresenceLife, and did not say that they stop. They may have ended badly, or be
// cut off from the store, and go on with what they have. One that cannot be read
// counts, with nothing: its word is awaited.
func PresencesAndSilent(ctx context.Context, s Store, now time.Time) (here, silent []Presence, err error) {
	for o, err := range s.List(ctx, presencePrefix, "") {
		if err != nil {
			return nil, nil, fmt.Errorf("hookservers: %w", err)
		}
		ago := earlier(now, o.Now).Sub(o.Modified)
		if ago > presenceKept {
			continue
		}
		p, err := readPresence(ctx, s, o.Key)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			p = &Presence{}
		}
		if p.Stopped {
			continue
		}
		p.ID, p.Heard = strings.TrimPrefix(o.Key, presencePrefix), o.Modified
		if ago > PresenceLife {
			silent = append(silent, *p)
		} else {
			here = append(here, *p)
		}
	}
	return here, silent, nil
}

func readPresence(ctx context.Context, s Store, key string) (*Presence, error) {
	data, _, err := getSmall(ctx, s, key, maxPresence)
	if err != nil {
		return nil, err
	}
	return DecodePresence(data)
}

// DecodePresence reads a Presence's JSON.
func DecodePresence(data []byte) (*Presence, error) {
	if bundle.FormatOf(data) > PresenceFormat {
		return nil, bundle.ErrFormat
	}
	p := &Presence{}
	if err := bundle.DecodeLenient(data, maxPresence, p); err != nil {
		return nil, err
	}
	return p, nil
}

// SweepPresences removes those of hookservers that are long gone.
func SweepPresences(ctx context.Context, s Store, now time.Time) error {
	for o, err := range s.List(ctx, presencePrefix, "") {
		if err != nil {
			return err
		}
		if earlier(now, o.Now).Sub(o.Modified) > presenceKept {
			if err := s.Delete(ctx, o.Key); err != nil {
				return err
			}
		}
	}
	return nil
}
