package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"testing"

	"satchel/store"
)

const writers = 12

// all runs f in that many goroutines at once and gives their errors.
func all(f func(i int) error) []error {
	errs := make([]error, writers)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			<-start
			errs[i] = f(i)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

// winner gives the one whose error is nil; the others must have lost.
func winner(t *testing.T, errs []error, lost error) int {
	t.Helper()
	won := -1
	for i, err := range errs {
		switch {
		case err == nil && won >= 0:
			t.Fatalf("two winners: %d and %d", won, i)
		case err == nil:
			won = i
		case !errors.Is(err, lost):
			t.Fatalf("writer %d: %v", i, err)
		}
	}
	if won < 0 {
		t.Fatal("no winner")
	}
	return won
}

func testRacePut(t *testing.T, s store.Store) {
	for round := range 5 {
		key := fmt.Sprintf("race/%d", round)
		errs := all(func(i int) error {
			return s.PutIfAbsent(t.Context(), key, strings.NewReader(strconv.Itoa(i)))
		})
		if won := winner(t, errs, store.ErrExists); get(t, s, key) != strconv.Itoa(won) {
			t.Fatalf("round %d: %d won, but the object is another's", round, won)
		}
	}
}

func testRaceSwap(t *testing.T, s store.Store) {
	tag, err := s.CompareAndSwap(t.Context(), "race/record", "", []byte("start"))
	if err != nil {
		t.Fatal(err)
	}
	for round := range 8 {
		tags := make([]string, writers)
		content := func(i int) string { return fmt.Sprintf("round %d writer %d", round, i) }
		errs := all(func(i int) (err error) {
			tags[i], err = s.CompareAndSwap(t.Context(), "race/record", tag, []byte(content(i)))
			return err
		})
		won := winner(t, errs, store.ErrChanged)
		if got := get(t, s, "race/record"); got != content(won) {
			t.Fatalf("%d won, but the object is %q", won, got)
		}
		tag = tags[won]
	}
}

// testRaceRead reads while one writer swaps contents of different sizes: what
// is read is one of them, whole, and fits its description.
func testRaceRead(t *testing.T, s store.Store) {
	content := func(i int) []byte { return bytes.Repeat([]byte{byte('a' + i%26)}, 1+i%7*20_000) }
	put(t, s, "race/read", string(content(0)))
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := readWhole(t, s); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 25 {
		put(t, s, "race/read", string(content(i)))
	}
	close(done)
	wg.Wait()
}

func readWhole(t *testing.T, s store.Store) error {
	r, o, err := s.Get(t.Context(), "race/read")
	if err != nil {
		return err
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if int64(len(data)) != o.Size || len(bytes.Trim(data, string(data[:1]))) != 0 {
		return fmt.Errorf("read %d bytes of %d, or of two contents", len(data), o.Size)
	}
	return nil
}
