package students

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"satchel/bundle"
	"satchel/store"
)

// All gives every student that there is a record of, shard by shard. A shard
// that cannot be read is one error, after which the others still come.
func All(ctx context.Context, st store.Store) iter.Seq2[Student, error] {
	return func(yield func(Student, error) bool) {
		for o, err := range st.List(ctx, studentsPrefix, "") {
			if err != nil {
				yield(Student{}, fmt.Errorf("list students: %w", err))
				return
			}
			if isShardKey(o.Key) && !yieldShard(ctx, st, o.Key, yield) {
				return
			}
		}
	}
}

func yieldShard(ctx context.Context, st store.Store, key string, yield func(Student, error) bool) bool {
	sh, _, err := readShard(ctx, st, key)
	if err != nil {
		return yield(Student{}, fmt.Errorf("read students: %w", err))
	}
	for _, s := range sh.Students {
		if !yield(s, nil) {
			return false
		}
	}
	return true
}

// Find gives the records of the hub's user of this name, whether they are kept
// under the name or under its pseudonym. None is no error.
func Find(ctx context.Context, st store.Store, p Privacy, user string) ([]Student, error) {
	var out []Student
	err := eachOf(ctx, st, p, user, func(sh *shard, name string) {
		if i, found := sh.find(name); found {
			out = append(out, sh.Students[i])
		}
	})
	return out, err
}

// eachOf shows the shards in which a record of user can lie, with the name
// that it has there.
func eachOf(ctx context.Context, st store.Store, p Privacy, user string, show func(*shard, string)) error {
	for _, name := range p.names(user) {
		sh, _, err := readShard(ctx, st, shardKey(name))
		if err != nil {
			return fmt.Errorf("find student: %w", err)
		}
		if here, ok := p.name(sh.scheme, user); ok && here == name {
			show(sh, name)
		}
	}
	return nil
}

// names are what user may be called in the store.
func (p Privacy) names(user string) []string {
	if len(p.Key) < MinKey {
		return []string{user}
	}
	return []string{user, p.Pseudonym(user)}
}

// Held is all that is held on one name: records, lines in batches that are not
// deleted yet (folded or not), and when it was forgotten within two days.
type Held struct {
	Format    int         `json:"format"`
	User      string      `json:"user"`
	Records   []Student   `json:"records"`
	Lines     []Line      `json:"lines"`
	Forgotten []time.Time `json:"forgotten"`
}

// Show gathers all that is held on a name. Its JSON is the export.
func Show(ctx context.Context, st store.Store, p Privacy, user string) (*Held, error) {
	h := &Held{Format: Format, User: user, Records: []Student{}, Lines: []Line{}, Forgotten: []time.Time{}}
	err := eachOf(ctx, st, p, user, func(sh *shard, name string) {
		if i, found := sh.find(name); found {
			h.Records = append(h.Records, sh.Students[i])
		}
		if t := sh.buried(p, name); !t.IsZero() {
			h.Forgotten = append(h.Forgotten, t)
		}
	})
	if err != nil {
		return nil, err
	}
	err = eachBatch(ctx, st, func(key string) error {
		b, _, err := readBatch(ctx, st, key)
		if err != nil {
			return err
		}
		for _, l := range b.Lines {
			if name, ok := p.name(b.scheme, user); ok && l.User == name {
				h.Lines = append(h.Lines, l)
			}
		}
		return nil
	})
	return h, err
}

// Export writes all that is held on a name as indented JSON.
func Export(ctx context.Context, st store.Store, p Privacy, user string, w io.Writer) error {
	h, err := Show(ctx, st, p, user)
	if err != nil {
		return err
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(h)
}

// Forget removes all that is held on a name: the records, and the lines in
// batches that wait. A tombstone keeps lines up to now, which a hookserver may
// still hold, from being folded; it is removed after two days. Forget may be
// broken off and repeated. What it could not look into is in the error; the
// rest is forgotten all the same.
func Forget(ctx context.Context, st store.Store, p Privacy, user string, now time.Time) error {
	if err := p.Check(); err != nil {
		return err
	}
	var bad []error
	for _, name := range p.names(user) {
		bad = append(bad, p.forgetRecord(ctx, st, user, name, now))
	}
	// After the tombstone: a line that is folded from here on meets it.
	bad = append(bad, eachBatch(ctx, st, func(key string) error { return p.scrub(ctx, st, key, user) }))
	if err := errors.Join(bad...); err != nil {
		return fmt.Errorf("forget a student: %w", err)
	}
	return nil
}

// forgetRecord removes the record under name, and leaves a tombstone where
// present lines would bring it back.
func (p Privacy) forgetRecord(ctx context.Context, st store.Store, user, name string, now time.Time) error {
	present, ok := p.name(p.scheme(), user)
	current := ok && present == name
	_, err := updateShard(ctx, st, shardKey(name), func(sh *shard) {
		if current || sh.damaged != nil {
			sh.under(p.scheme()) // as the next Fold would do
		}
		if here, ok := p.name(sh.scheme, user); !ok || here != name {
			return
		}
		if i, found := sh.find(name); found {
			sh.Students = slices.Delete(sh.Students, i, i+1)
		}
		if current {
			sh.Forgotten = slices.DeleteFunc(sh.Forgotten, func(t tombstone) bool { return p.tombstoneID(t.Salt, name) == t.ID })
			sh.Forgotten = append(sh.Forgotten, p.tombstone(name, now))
		}
	})
	return err
}

// scrub takes a student's lines out of a batch.
func (p Privacy) scrub(ctx context.Context, st store.Store, key, user string) error {
	for range swaps {
		b, etag, err := readBatch(ctx, st, key)
		if errors.Is(err, bundle.ErrCorrupt) {
			return st.Delete(ctx, key) // whose lines it has, nobody can tell
		}
		if err != nil {
			return err
		}
		before := len(b.Lines)
		b.Lines = slices.DeleteFunc(b.Lines, func(l Line) bool {
			name, ok := p.name(b.scheme, user)
			return ok && l.User == name
		})
		if len(b.Lines) == before && b.Bad == 0 {
			return nil
		}
		data, err := b.encode()
		if err != nil {
			return err
		}
		if _, err = st.CompareAndSwap(ctx, key, etag, data); !errors.Is(err, store.ErrChanged) {
			return err
		}
	}
	return fmt.Errorf("%s: changed %d times meanwhile; try again", key, swaps)
}

// eachBatch visits every batch. One that vanished meanwhile is no error; after
// any other error the rest is visited all the same.
func eachBatch(ctx context.Context, st store.Store, visit func(key string) error) error {
	var bad []error
	for o, err := range st.List(ctx, receiptsPrefix, "") {
		if err != nil {
			return errors.Join(append(bad, fmt.Errorf("list %s: %w", receiptsPrefix, err))...)
		}
		if _, ok := parseBatchKey(o.Key); !ok {
			continue
		}
		if err := visit(o.Key); err != nil && !errors.Is(err, store.ErrNotFound) {
			bad = append(bad, err)
		}
	}
	return errors.Join(bad...)
}
