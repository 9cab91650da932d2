package hookserver

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"satchel/bundle"
	"satchel/store"
)

func TestStoredTextIsZstd(t *testing.T) {
	const block = 64 << 10
	for _, n := range []int{0, 1, 255, 256, block - 1, block, block + 1, 2*block - 1, 2 * block, 2*block + 1, 3*block + 7} {
		text := strings.Repeat("päckchen\n", n/10+1)[:n]
		packed := append(bundle.Store(text), bundle.Store("!")...) // one stream with what follows
		err := bundle.Decompress(bytes.NewReader(packed), 1<<20, func(r io.Reader) error {
			got, err := io.ReadAll(r)
			if string(got) != text+"!" {
				t.Errorf("%d bytes came back as %d", n, len(got))
			}
			return err
		})
		if err != nil {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// during is a response that does something when the first file is on its way.
type during struct {
	*httptest.ResponseRecorder
	do func()
}

func (d *during) Write(p []byte) (int, error) {
	if d.Body.Len() > 100_000 {
		d.do()
	}
	return d.ResponseRecorder.Write(p)
}

// A bundle that is taken out of the store while an answer goes on is sent no
// further: a withdrawal does not wait for slow readers.
func TestAnswerEndsWithItsBundle(t *testing.T) {
	for _, taken := range []bool{false, true} {
		w := newWorld(t, nil)
		w.course("scala", all)
		files := map[string]string{}
		for i := range 4 {
			files[fmt.Sprintf("%d.bin", i)] = noise(400_000, uint64(i))
		}
		w.publish("scala", everyone(files))
		key := store.BundleKey("scala", w.state["scala"].record.Channels[0].Bundles[0].Digest)
		req := httptest.NewRequest("GET", "/v1/sync", nil)
		req.Header.Set("Authorization", "Bearer "+w.student("ana").ticket)
		rec := httptest.NewRecorder()
		func() {
			defer func() {
				if p := recover(); taken != (p != nil) || p != nil && p != any(http.ErrAbortHandler) {
					t.Errorf("taken out %t: ended with %v", taken, p)
				}
			}()
			w.srv.Student().ServeHTTP(&during{rec, sync.OnceFunc(func() {
				if taken {
					if err := w.dir.Delete(t.Context(), key); err != nil {
						t.Error(err)
					}
				}
			})}, req)
		}()
		if whole := rec.Body.Len() > 4*400_000; whole == taken {
			t.Errorf("taken out %t: %d bytes were sent", taken, rec.Body.Len())
		}
	}
}

// A class asks for the same step at once: it is made once.
func TestOneStepIsMadeOnce(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", all)
	w.publish("scala", everyone(map[string]string{"gone.md": noise(2000, 1), "stays.md": "1"}))
	w.publish("scala", everyone(map[string]string{"stays.md": "1"})) // lies in a frame that mixes
	release := w.holdSlots()                                         // for which what is put together waits
	const class = 30
	var wg sync.WaitGroup
	for i := range class {
		s := w.student(fmt.Sprint("student", i))
		wg.Go(func() {
			if a, err := s.client.Sync(t.Context(), nil, nil, ""); err != nil {
				t.Error(err)
			} else {
				a.Close()
			}
		})
	}
	w.waitFor(func() bool {
		f := w.srv.preparing
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, one := range f.at {
			return len(f.at) == 1 && one.waiting == class
		}
		return false
	})
	release()
	wg.Wait()
}

// What most students have when something new comes is not composed again.
func TestTheManifestBeforeIsKept(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", all)
	w.publish("scala", everyone(map[string]string{"a": "a", "b": "b"}))
	ana := w.student("ana")
	ana.sync()
	had := w.srv.lib.peek("scala").edition.channels[0]
	w.publish("scala", everyone(map[string]string{"a": "a", "b": "changed"}))
	w.srv.lib.refresh(t.Context(), "scala")
	if m, ok := w.srv.lib.past.get(had.digest); !ok || m != had.manifest {
		t.Error("it is composed again")
	}
	ana.sync()
}
