package hookserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"satchel/bundle"
	"satchel/course"
	"satchel/store"
)

// library keeps the newest edition of each course that could be read and
// checked. A failed look changes nothing but what is said about it.
type library struct {
	lg      *slog.Logger
	store   store.Store
	courses func() []course.Course
	keys    func() []bundle.PublicKey
	blobs   *blobs
	now     func() time.Time
	changed func() // told after an edition was replaced
	taken   func(course string) []bundle.Pair

	pulse  pulse
	past   *lru[bundle.Digest, *bundle.Manifest] // former manifests
	flight singleflight.Group
	fetch  chan *edition // for prefetch
	// takenBack has a word when a first edition came, or one in which more is
	// withdrawn: whoever withdrew waits to hear that.
	takenBack chan struct{}

	mu      sync.Mutex
	shelves map[string]*shelf
}

// shelf is what is known of one course.
type shelf struct {
	edition *edition // nil before the first good one
	owing   string   // the etag of a record that lacks what was taken back
	known   bool     // the store was asked, and answered, at least once
	err     error    // of the last look; nil when it was good
	since   time.Time
	looked  time.Time
	from    time.Time                 // when the last look that ended began
	begun   uint64                    // how many looks were begun
	good    uint64                    // which of them was the last that told what the record is
	proven  bundle.Version            // a version that an agent proved and the record lacks
	untold  *bundle.Envelope          // its head, while the store does not know it
	keys    []string                  // ids of those with which that was proven
	foreign time.Time                 // when a head was last shown that none of today's keys signed
	seen    map[string]bundle.Version // fingerprints of the heads that were served here
}

// errBackwards means: the record is older than what it was.
var errBackwards = errors.New("the store went backwards: run satchel check --repair; until then the newer version stays")

// errOwed means: the record is from before a withdrawal.
var errOwed = errors.New("the store was brought back from before a withdrawal; the course is given out again when the syncer has taken that back (it does so when it starts)")

const maxSeen = 512

func newLibrary(lg *slog.Logger, o Options, b *blobs, changed func()) *library {
	return &library{
		lg: lg, store: o.Store, courses: o.Courses, keys: o.PublicKeys, blobs: b, now: o.Now, changed: changed, taken: o.TakenBack,
		past: newLRU[bundle.Digest, *bundle.Manifest](o.Limits.Memory), shelves: map[string]*shelf{},
		fetch: make(chan *edition, 64), takenBack: make(chan struct{}, 1),
	}
}

// lookTime is how long a request waits for the first look at a course.
const lookTime = 3 * time.Second

// look gives a copy of what is known of a course, asking the store when it
// was never asked, or not since this process was stopped and goes on.
func (l *library) look(ctx context.Context, name string) shelf {
	s := l.peek(name)
	if woke := l.pulse.mark(false); s.edition != nil && s.from.Before(woke) {
		l.lookAnew(ctx, name)
		return l.peek(name)
	}
	if s.known || s.edition != nil || s.err != nil && l.now().Sub(s.looked) < time.Second {
		return s
	}
	l.refresh(ctx, name)
	return l.peek(name)
}

func (l *library) peek(name string) shelf {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.shelves[name]; s != nil {
		return *s
	}
	return shelf{}
}

// refreshAll looks at all configured courses, a few at once, and forgets
// those that are no longer configured.
func (l *library) refreshAll(ctx context.Context) {
	names := map[string]bool{}
	var wg sync.WaitGroup
	slots := make(chan struct{}, 8)
	for _, c := range l.courses() {
		names[string(c.Name)] = true
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			l.refresh(ctx, string(c.Name))
		})
	}
	wg.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	for name := range l.shelves {
		if !names[name] {
			delete(l.shelves, name)
		}
	}
}

// refresh looks once at a course's record. Several at once are one; it goes
// on when the request that began it is gone.
func (l *library) refresh(ctx context.Context, name string) {
	done := l.flight.DoChan(name, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		l.step(ctx, name)
		return nil, nil
	})
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// refreshSoon is refresh, at most once a second: for claims of students.
func (l *library) refreshSoon(ctx context.Context, name string) {
	if l.now().Sub(l.peek(name).looked) >= time.Second {
		l.refresh(ctx, name)
	}
}

// lookAnew looks at a course's record and says whether a look that began after
// this call went well. Two, for the first may join one that runs already.
func (l *library) lookAnew(ctx context.Context, name string) bool {
	before := l.peek(name).begun
	for range 2 {
		l.refresh(ctx, name)
		if ctx.Err() == nil && l.peek(name).good > before {
			return true
		}
	}
	return false
}

func (l *library) step(ctx context.Context, name string) {
	l.otherKeys(ctx, name)
	old, from := l.begin(name), time.Now()
	defer l.ended(name, from)
	var ed *edition
	err := safely(func() (err error) { ed, err = l.newer(ctx, name, old.edition); return err })
	switch {
	case err != nil:
		l.note(name, err)
		if old.edition == nil && errors.Is(err, store.ErrUnavailable) {
			l.installKept(ctx, name)
		}
	case ed == nil:
		l.note(name, nil)
	default:
		l.note(name, nil)
		l.install(name, ed)
		l.keep(ed.record)
		if old.edition.isFirst() {
			l.recall(ctx, name, ed)
		}
	}
}

// ended writes down when a look began that is over, whatever came of it.
func (l *library) ended(name string, from time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shelf(name).from = from
}

// newer gives the edition that takes old's place, nil when nothing does.
func (l *library) newer(ctx context.Context, name string, old *edition) (*edition, error) {
	o, err := l.store.Head(ctx, store.RecordKey(name))
	switch {
	case errors.Is(err, store.ErrNotFound) && old == nil:
		return nil, nil
	case errors.Is(err, store.ErrNotFound):
		return nil, fmt.Errorf("the record is gone: %w", errBackwards)
	case err != nil:
		return nil, err
	case old != nil && o.ETag == old.etag:
		return nil, nil
	}
	if old != nil && !l.vouched(old) {
		old = nil // whoever has the key that was dropped could have made it up
	}
	r, etag, err := store.ReadRecord(ctx, l.store, name)
	if err != nil {
		return nil, err
	}
	if r.Version == 0 && old == nil {
		return nil, nil // decisions only, nothing published yet
	}
	ed, err := l.openEdition(ctx, r, etag, old)
	if err == nil && old.isFirst() {
		err = l.owesNothing(ctx, r, etag)
	}
	if err != nil {
		return nil, fmt.Errorf("version %d: %w", r.Version, err)
	}
	if old != nil && ed.forgot(old) {
		return nil, fmt.Errorf("version %d in the record, version %d here: %w", r.Version, old.record.Version, errOwed)
	}
	if old != nil && ed.before(old) {
		return nil, fmt.Errorf("version %d in the record, version %d here: %w", r.Version, old.record.Version, errBackwards)
	}
	return ed, nil
}

// vouched says that one of today's keys signed what is served.
func (l *library) vouched(ed *edition) bool {
	_, err := ed.record.Head.Open(l.keys())
	return !errors.Is(err, bundle.ErrSignature)
}

// owesNothing refuses a record from before a withdrawal, which the log, the
// kept record or a syncer of this process knows: the store was brought back from a backup, and the syncer
// takes that back again, in another record. It is asked before a course's first
// edition of the store alone.
func (l *library) owesNothing(ctx context.Context, r *store.Record, etag string) (err error) {
	l.mu.Lock()
	again := l.shelf(r.Course).owing == etag
	l.mu.Unlock()
	if again {
		return errOwed
	}
	defer func() {
		if errors.Is(err, errOwed) {
			l.mu.Lock()
			l.shelf(r.Course).owing = etag
			l.mu.Unlock()
		}
	}()
	var all []bundle.Pair
	entries, err := store.EntriesNamed(ctx, l.store, r.Course, store.WithdrawID)
	if err != nil {
		return err
	}
	for _, e := range entries {
		all = append(all, e.Withdrawn...)
	}
	if l.taken != nil {
		all = append(all, l.taken(r.Course)...)
	}
	if l.blobs.cache != nil {
		if kept, err := readKept(l.keptPath(r.Course)); err == nil {
			all = append(all, kept.Withdrawn...)
		}
	}
	return lacksNone(r, all)
}

// lacksNone refuses a record in which one of these is not taken back.
func lacksNone(r *store.Record, all []bundle.Pair) error {
	has := map[bundle.Pair]bool{}
	for _, w := range r.Withdrawn {
		has[w] = true
	}
	for _, w := range all {
		if !has[w] {
			return fmt.Errorf("%q was taken back: %w", w.Path, errOwed)
		}
	}
	return nil
}

// isFirst says that the store has given no edition yet: there is none, or only
// the kept one.
func (ed *edition) isFirst() bool { return ed == nil || ed.etag == "" }

// before says whether ed must not take old's place: a lower version, or the
// same with another content.
func (ed *edition) before(old *edition) bool {
	a, b := ed.head, old.head
	if a.Version != b.Version {
		return a.Version < b.Version
	}
	return a.Fingerprint() != b.Fingerprint() || a.Settings != b.Settings || a.Message != b.Message
}

// shelf gives the course's shelf for writing; l.mu is held.
func (l *library) shelf(name string) *shelf {
	s := l.shelves[name]
	if s == nil {
		s = &shelf{seen: map[string]bundle.Version{}}
		l.shelves[name] = s
	}
	return s
}

func (s *shelf) version() bundle.Version {
	if s.edition == nil {
		return 0
	}
	return s.edition.record.Version
}

func (l *library) install(name string, ed *edition) {
	l.mu.Lock()
	s := l.shelf(name)
	if s.version() != ed.record.Version {
		l.lg.Info("course has a new version", "course", name, "version", ed.record.Version)
	}
	l.rememberAll(s.edition)
	former := s.edition
	s.edition = ed
	if s.proven <= ed.record.Version {
		s.proven, s.untold = 0, nil
	}
	if len(s.seen) >= maxSeen {
		s.seen = nil // copies of the shelf read it
	}
	s.seen = cloneWith(s.seen, ed.head.Fingerprint(), ed.record.Version)
	l.mu.Unlock()
	if l.blobs.cache != nil {
		l.blobs.cache.forbid(name, ed.gone)
	}
	if former == nil || len(ed.record.Withdrawn) > len(former.record.Withdrawn) {
		select {
		case l.takenBack <- struct{}{}: // it is told that this is done
		default:
		}
	}
	select {
	case l.fetch <- ed:
	default: // prefetch is only a kindness
	}
	l.changed()
}

// cloneWith leaves the map alone that copies of the shelf hold.
func cloneWith(m map[string]bundle.Version, k string, v bundle.Version) map[string]bundle.Version {
	out := make(map[string]bundle.Version, len(m)+1)
	for k, v := range m {
		out[k] = v
	}
	out[k] = v
	return out
}

// prefetch fills the disk cache with what new editions name, so that logins
// go on while the store is away.
func (l *library) prefetch(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case ed := <-l.fetch:
			for _, ch := range ed.channels {
				refs := ch.sources()
				slices.Reverse(refs)
				for _, ref := range refs {
					l.blobs.prefetch(ctx, ed.record.Course, ref)
				}
			}
		}
	}
}
