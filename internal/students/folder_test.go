package students

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"satchel/store"
)

// The whole way on the store that ships: two hookservers write, two syncers
// fold at once through handles of their own, one student is forgotten.
func TestWholeWayOnTheFolderStore(t *testing.T) {
	for _, p := range []Privacy{names, pseud, count} {
		t.Run(p.Mode, func(t *testing.T) {
			dir := t.TempDir()
			open := func() store.Store {
				st, err := store.NewDir(dir)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { st.Close() })
				return st
			}
			one, two := open(), open()
			now := runWriters(t, p, one, two)
			var wg sync.WaitGroup
			for _, st := range []store.Store{one, two} {
				wg.Go(func() {
					if _, err := Fold(t.Context(), logger(t), st, p, now); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if err := Forget(t.Context(), two, p, "student-7", now); err != nil {
				t.Fatal(err)
			}
			fold(t, one, p, now.Add(time.Minute))
			if p.Mode == Counts {
				if n := counted(t, one, KindLogin); n != 40 {
					t.Errorf("%d logins", n)
				}
			} else if n := len(all(t, two)); n != 39 {
				t.Errorf("%d students", n)
			}
			for _, trace := range []string{`"student-7"`, p.Pseudonym("student-7")} {
				if key := grep(t, one, trace); key != "" {
					t.Errorf("%s stands in %s", trace, key)
				}
			}
			if key := grep(t, one, `"student-8"`); (key != "") != (p.Mode == Names) {
				t.Errorf("student-8 stands in %q", key)
			}
			fold(t, one, p, now.AddDate(0, 0, 2))
			for o, err := range one.List(t.Context(), receiptsPrefix, "") {
				t.Errorf("%s is left, %v", o.Key, err)
			}
		})
	}
}

// runWriters lets a Writer for each store write 20 students' logins.
func runWriters(t *testing.T, p Privacy, stores ...store.Store) (now time.Time) {
	lg := logger(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for i, st := range stores {
			w := NewWriter(lg, st, p, fmt.Sprint("hook", i))
			wg.Go(func() {
				if err := w.Run(ctx); err != nil {
					t.Error(err)
				}
			})
			for n := range 20 {
				user := fmt.Sprint("student-", 20*i+n)
				w.Add(login(user, "", time.Now()))
				w.Add(receipt(user, "", "scala101", time.Now()))
			}
		}
		time.Sleep(4 * time.Second)
		stop()
		wg.Wait()
		now = time.Now()
	})
	return now
}

// grep gives a key under which s stands.
func grep(t *testing.T, st store.Store, s string) string {
	t.Helper()
	for o, err := range st.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		body, _, err := st.Get(t.Context(), o.Key)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(body)
		body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(data), s) {
			return o.Key
		}
	}
	return ""
}
