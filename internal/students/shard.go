package students

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"satchel/bundle"
	"satchel/store"
)

const studentsPrefix = "students/"

// swaps is how often a lost compare-and-swap is tried again.
const swaps = 50

// tombstoneFor is how long a tombstone stays: longer than any line waits in a
// Writer.
const tombstoneFor = 48 * time.Hour

// shardKey is where the records of this user (name or pseudonym) lie.
func shardKey(user string) string {
	h := sha256.New()
	writeParts(h, "satchel students: shard", user)
	return studentsPrefix + hex.EncodeToString(h.Sum(nil)[:1])
}

func isShardKey(key string) bool {
	rest, ok := strings.CutPrefix(key, studentsPrefix)
	return ok && isHex(rest, 2)
}

// shard is one object of records, sorted by user.
type shard struct {
	Format int `json:"format"`
	scheme
	Students  []Student   `json:"students,omitempty"`
	Forgotten []tombstone `json:"forgotten,omitempty"`

	damaged error // why the one in the store could not be read; this one is empty
}

// tombstone stands in the shard of a student who was forgotten at Time: lines
// up to then are not folded again, by whomever. ID is keyed and salted.
type tombstone struct {
	Salt string    `json:"salt"`
	ID   string    `json:"id"`
	Time time.Time `json:"time"`
}

func (p Privacy) tombstone(user string, now time.Time) tombstone {
	salt := make([]byte, 16)
	rand.Read(salt) // never returns an error
	t := tombstone{Salt: hex.EncodeToString(salt), Time: now.UTC()}
	t.ID = p.tombstoneID(t.Salt, user)
	return t
}

func (p Privacy) tombstoneID(salt, user string) string {
	return p.mac("satchel students: forgotten", 32, salt, user)
}

// buried is until when lines of user are not folded, zero for none.
func (sh *shard) buried(p Privacy, user string) (until time.Time) {
	for _, t := range sh.Forgotten {
		if t.Time.After(until) && p.tombstoneID(t.Salt, user) == t.ID {
			until = t.Time
		}
	}
	return until
}

func (sh *shard) find(user string) (int, bool) {
	return slices.BinarySearchFunc(sh.Students, user, func(s Student, u string) int { return cmp.Compare(s.User, u) })
}

func (sh *shard) take(l Line) {
	i, found := sh.find(l.User)
	if !found {
		sh.Students = slices.Insert(sh.Students, i, Student{User: l.User})
	}
	sh.Students[i].take(l)
}

// age forgets what is older than the privacy settings allow.
func (sh *shard) age(p Privacy, now time.Time) (forgotten int) {
	cutoff := p.cutoff(now)
	before := len(sh.Students)
	for i := range sh.Students {
		sh.Students[i].forgetBefore(cutoff)
	}
	sh.Students = slices.DeleteFunc(sh.Students, func(s Student) bool { return len(s.Servers) == 0 })
	sh.Forgotten = slices.DeleteFunc(sh.Forgotten, func(t tombstone) bool { return now.Sub(t.Time) > tombstoneFor })
	return before - len(sh.Students)
}

// under makes sh a shard of this scheme: records of another are dropped.
func (sh *shard) under(s scheme) (removed int) {
	if sh.scheme == s {
		return 0
	}
	removed = len(sh.Students)
	*sh = shard{Format: Format, scheme: s, damaged: sh.damaged}
	return removed
}

func decodeShard(data []byte) (*shard, error) {
	if bundle.FormatOf(data) > Format {
		return nil, bundle.ErrFormat
	}
	sh := &shard{}
	if err := bundle.DecodeStrict(data, MaxShard, sh); err != nil {
		return nil, err
	}
	if sh.Format != Format {
		return nil, fmt.Errorf("%w: shard format %d", bundle.ErrCorrupt, sh.Format)
	}
	if err := sh.scheme.check(); err != nil {
		return nil, err
	}
	ordered := ascending(sh.Students, func(s Student) string { return s.User })
	for _, s := range sh.Students {
		ordered = ordered && s.User != "" && len(s.Servers) <= MaxServers &&
			ascending(s.Servers, func(v Server) string { return v.Server })
		for _, v := range s.Servers {
			ordered = ordered && len(v.Courses) <= MaxCourses &&
				ascending(v.Courses, func(c CourseReceipt) string { return c.Course })
		}
	}
	if !ordered {
		return nil, fmt.Errorf("%w: shard out of order, doubled or too long", bundle.ErrCorrupt)
	}
	return sh, nil
}

func ascending[T any](list []T, name func(T) string) bool {
	for i := 1; i < len(list); i++ {
		if name(list[i-1]) >= name(list[i]) {
			return false
		}
	}
	return true
}

// readShard gives the shard at key; an absent one is empty, with etag "". The
// etag is there also with ErrCorrupt.
func readShard(ctx context.Context, st store.Store, key string) (*shard, string, error) {
	data, o, err := read(ctx, st, key, MaxShard)
	if errors.Is(err, store.ErrNotFound) {
		return &shard{}, "", nil
	}
	if err != nil {
		return nil, o.ETag, err
	}
	sh, err := decodeShard(data)
	if err != nil {
		return nil, o.ETag, fmt.Errorf("%s: %w", key, err)
	}
	return sh, o.ETag, nil
}

// updateShard moves a shard by compare-and-swap. change may run several times,
// each time on what lies there now; where it changes nothing nothing is
// written. A damaged shard is begun anew (shard.damaged tells change): the
// next logins bring its records back, while an error would stop all others.
func updateShard(ctx context.Context, st store.Store, key string, change func(*shard)) (written bool, err error) {
	for range swaps {
		sh, etag, err := readShard(ctx, st, key)
		if errors.Is(err, bundle.ErrCorrupt) {
			sh, err = &shard{damaged: err}, nil
		}
		if err != nil {
			return false, err
		}
		before, err := json.Marshal(sh)
		if err != nil {
			return false, err
		}
		change(sh)
		after, err := json.Marshal(sh)
		if err != nil || bytes.Equal(before, after) {
			return false, err
		}
		if len(after) > MaxShard {
			return false, fmt.Errorf("%s: %w", key, errFull)
		}
		if _, err = st.CompareAndSwap(ctx, key, etag, after); err == nil {
			return true, nil
		}
		if !errors.Is(err, store.ErrChanged) {
			return false, fmt.Errorf("%s: %w", key, err)
		}
	}
	return false, fmt.Errorf("%s: changed %d times meanwhile; it will be tried again", key, swaps)
}

// errFull means that a shard would be larger than MaxShard.
var errFull = fmt.Errorf("records of more than %d bytes; a shorter privacy.keep makes room", MaxShard)
