package syncer

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"satchel/store"
)

func get(t testing.TB, st store.Store, key string) []byte {
	t.Helper()
	body, _, err := st.Get(context.Background(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	data, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// timed is a store that tells the time, as S3 does.
type timed struct {
	store.Store
	now func() time.Time
}

func (s *timed) Head(ctx context.Context, key string) (store.Object, error) {
	o, err := s.Store.Head(ctx, key)
	o.Now = s.now()
	return o, err
}

var errDead = errors.New("the process is dead")

// mortal dies at its nth operation: before it is done, or after (done, yet
// the answer is lost). From then on nothing gets through, as after kill -9.
// With once it only stumbles: the next operation works again.
type mortal struct {
	store.Store
	after, once bool

	mu   sync.Mutex
	left int
	dead bool
}

// step counts one operation. It says whether the operation is to be done, and
// whether its answer gets back.
func (m *mortal) step() (do, answer bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return false, false
	}
	m.left--
	if m.left != 0 {
		return true, true
	}
	m.dead = !m.once
	return m.after, false
}

// reached says whether the nth operation came.
func (m *mortal) reached() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.left <= 0
}

func through(m *mortal, op func() error) error {
	do, answer := m.step()
	var err error
	if do {
		err = op()
	}
	if !answer {
		return errDead
	}
	return err
}

func (m *mortal) Get(ctx context.Context, key string) (body io.ReadCloser, o store.Object, err error) {
	err = through(m, func() (err error) { body, o, err = m.Store.Get(ctx, key); return err })
	if err != nil && body != nil {
		body.Close()
	}
	return body, o, err
}

func (m *mortal) Head(ctx context.Context, key string) (o store.Object, err error) {
	err = through(m, func() (err error) { o, err = m.Store.Head(ctx, key); return err })
	return o, err
}

func (m *mortal) Put(ctx context.Context, key string, body io.ReadSeeker) error {
	return through(m, func() error { return m.Store.Put(ctx, key, body) })
}

func (m *mortal) PutIfAbsent(ctx context.Context, key string, body io.ReadSeeker) error {
	return through(m, func() error { return m.Store.PutIfAbsent(ctx, key, body) })
}

func (m *mortal) CompareAndSwap(ctx context.Context, key, etag string, data []byte) (tag string, err error) {
	err = through(m, func() (err error) { tag, err = m.Store.CompareAndSwap(ctx, key, etag, data); return err })
	return tag, err
}

func (m *mortal) Delete(ctx context.Context, key string) error {
	return through(m, func() error { return m.Store.Delete(ctx, key) })
}

// putCounter counts the puts over what is there.
type putCounter struct {
	store.Store
	n *int
}

func (p *putCounter) Put(ctx context.Context, key string, body io.ReadSeeker) error {
	if strings.Contains(key, "/bundles/") {
		*p.n++
	}
	return p.Store.Put(ctx, key, body)
}

// mapFS holds texts by path.
type mapFS map[string]string

func (m mapFS) Open(name string) (fs.File, error) {
	f := fstest.MapFS{name: {Data: []byte(m[name])}}
	return f.Open(name)
}
