package students

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"satchel/store"
)

// memory is a store in memory, for the tests that fold thousands of times.
// fail, where set, is asked before each call ("" op: nothing happened) and,
// with done true, after it: a fault there means "failed, yet it happened".
type memory struct {
	mu      sync.Mutex
	objects map[string][]byte
	etags   map[string]string
	n       int
	calls   map[string]int
	fail    func(op, key string, done bool) error
}

func newMemory() *memory {
	return &memory{objects: map[string][]byte{}, etags: map[string]string{}, calls: map[string]int{}}
}

func (m *memory) do(op, key string, act func() error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls[op]++
	if m.fail != nil {
		if err := m.fail(op, key, false); err != nil {
			return err
		}
	}
	if err := act(); err != nil {
		return err
	}
	if m.fail != nil {
		return m.fail(op, key, true)
	}
	return nil
}

func (m *memory) set(key string, data []byte) string {
	m.n++
	m.objects[key], m.etags[key] = data, strconv.Itoa(m.n)
	return m.etags[key]
}

func (m *memory) Get(_ context.Context, key string) (r io.ReadCloser, o store.Object, err error) {
	err = m.do("get", key, func() error {
		data, ok := m.objects[key]
		if !ok {
			return store.ErrNotFound
		}
		r, o = io.NopCloser(bytes.NewReader(data)), store.Object{Key: key, Size: int64(len(data)), ETag: m.etags[key]}
		return nil
	})
	return r, o, err
}

func (m *memory) Put(_ context.Context, key string, body io.ReadSeeker) error {
	return m.do("put", key, func() error {
		data, err := io.ReadAll(body)
		m.set(key, data)
		return err
	})
}

func (m *memory) PutIfAbsent(_ context.Context, key string, body io.ReadSeeker) error {
	return m.do("put", key, func() error {
		if _, ok := m.objects[key]; ok {
			return store.ErrExists
		}
		data, err := io.ReadAll(body)
		m.set(key, data)
		return err
	})
}

func (m *memory) CompareAndSwap(_ context.Context, key, etag string, data []byte) (tag string, err error) {
	err = m.do("swap", key, func() error {
		if m.etags[key] != etag {
			return store.ErrChanged
		}
		tag = m.set(key, slices.Clone(data))
		return nil
	})
	return tag, err
}

func (m *memory) List(_ context.Context, prefix, after string) iter.Seq2[store.Object, error] {
	return func(yield func(store.Object, error) bool) {
		var list []store.Object
		err := m.do("list", prefix, func() error {
			for k, data := range m.objects {
				if strings.HasPrefix(k, prefix) && k > after {
					list = append(list, store.Object{Key: k, Size: int64(len(data)), ETag: m.etags[k]})
				}
			}
			return nil
		})
		if err != nil {
			yield(store.Object{}, err)
			return
		}
		slices.SortFunc(list, func(a, b store.Object) int { return strings.Compare(a.Key, b.Key) })
		m.mu.Lock()
		m.calls["listed"] += len(list)
		m.mu.Unlock()
		for _, o := range list {
			if !yield(o, nil) {
				return
			}
		}
	}
}

func (m *memory) Delete(_ context.Context, key string) error {
	return m.do("delete", key, func() error {
		delete(m.objects, key)
		delete(m.etags, key)
		return nil
	})
}

func (m *memory) Head(context.Context, string) (store.Object, error) {
	return store.Object{}, errors.ErrUnsupported
}

func (m *memory) GetRange(context.Context, string, int64, int64) (io.ReadCloser, store.Object, error) {
	return nil, store.Object{}, errors.ErrUnsupported
}

func (m *memory) Covered(context.Context, string) iter.Seq2[store.Covered, error] {
	return func(func(store.Covered, error) bool) {}
}

func (m *memory) SignedURL(context.Context, string, store.Section, time.Duration) (string, error) {
	return "", store.ErrUnsupported
}

// snapshot is every object below prefix.
func (m *memory) snapshot(prefix string) map[string]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[string]string{}
	for k, v := range m.objects {
		if strings.HasPrefix(k, prefix) {
			out[k] = string(v)
		}
	}
	return out
}

// contains says under which keys any object (or the key itself) holds s.
func (m *memory) contains(s string) (keys []string) {
	for k, v := range m.snapshot("") {
		if strings.Contains(k, s) || strings.Contains(v, s) {
			keys = append(keys, k)
		}
	}
	return keys
}
