package students

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"satchel/bundle"
)

func encode(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestForgetLeavesNothing(t *testing.T) {
	for _, p := range []Privacy{names, pseud} {
		t.Run(p.Mode, func(t *testing.T) {
			st := newMemory()
			write(t, st, p, noon, login("ana-maria", "lab", noon), login("bob", "", noon))
			fold(t, st, p, noon.Add(time.Minute))
			write(t, st, p, noon.Add(time.Minute), receipt("ana-maria", "lab", "c", noon), receipt("bob", "", "c", noon))
			if err := Forget(t.Context(), st, p, "ana-maria", noon.Add(2*time.Minute)); err != nil {
				t.Fatal(err)
			}
			for _, trace := range []string{"ana-maria", p.Pseudonym("ana-maria"), "lab"} {
				if keys := st.contains(trace); len(keys) > 0 {
					t.Errorf("%q stands in %v", trace, keys)
				}
			}
			fold(t, st, p, noon.Add(3*time.Minute))
			if got := all(t, st); len(got) != 1 || len(got[0].Servers[0].Courses) != 1 {
				t.Errorf("left: %+v", got)
			}
		})
	}
}

// A hookserver still holds lines of before, or another syncer has read them:
// they do not come back. Lines of after are folded.
func TestForgottenDoesNotComeBack(t *testing.T) {
	for _, p := range []Privacy{names, pseud} {
		t.Run(p.Mode, func(t *testing.T) {
			st := newMemory()
			forgotten := noon.Add(time.Minute)
			if err := Forget(t.Context(), st, p, "ana", forgotten); err != nil {
				t.Fatal(err)
			}
			write(t, st, p, noon.Add(2*time.Minute), login("ana", "", noon), login("bob", "", noon))
			r := fold(t, st, p, noon.Add(3*time.Minute))
			if got := all(t, st); len(got) != 1 {
				t.Fatalf("came back: %+v", got)
			}
			if r.Deleted != 1 {
				t.Errorf("a batch with lines of somebody forgotten stays: %+v", r)
			}
			write(t, st, p, noon.Add(4*time.Minute), login("ana", "", noon.Add(4*time.Minute)))
			fold(t, st, p, noon.Add(5*time.Minute))
			findOne(t, st, p, "ana")
			h, err := Show(t.Context(), st, p, "ana")
			if err != nil || len(h.Forgotten) != 1 || !h.Forgotten[0].Equal(forgotten) {
				t.Errorf("tombstones shown: %+v, %v", h, err)
			}
			fold(t, st, p, noon.AddDate(0, 0, 3))
			if keys := st.contains(`"forgotten"`); len(keys) > 0 {
				t.Errorf("tombstones stay for ever in %v", keys)
			}
		})
	}
}

// The other syncer has read the batch and is about to swap the shard when
// Forget runs.
func TestForgetBetweenReadAndSwapOfAFold(t *testing.T) {
	st := newMemory()
	write(t, st, names, noon, login("ana", "", noon))
	raced := false
	st.fail = func(op, key string, done bool) error {
		if op == "swap" && key == shardKey("ana") && !raced {
			raced = true
			st.mu.Unlock()
			defer st.mu.Lock()
			return Forget(t.Context(), st, names, "ana", noon.Add(time.Minute))
		}
		return nil
	}
	fold(t, st, names, noon.Add(time.Minute))
	if got := all(t, st); !raced || len(got) != 0 {
		t.Errorf("raced %v; left %+v", raced, got)
	}
	if keys := st.contains(`"ana"`); len(keys) > 0 {
		t.Errorf("the name stands in %v", keys)
	}
}

// Forgetting one student never touches another whose name looks alike.
func TestForgetTouchesNobodyElse(t *testing.T) {
	st := newMemory()
	twins := []string{"ana", "Ana", "ana ", "an", "ana/", names.Pseudonym("ana")}
	for _, u := range twins {
		write(t, st, names, noon, login(u, "", noon))
	}
	fold(t, st, names, noon.Add(time.Minute))
	if err := Forget(t.Context(), st, names, "ana", noon.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if got := all(t, st); len(got) != len(twins)-1 {
		t.Errorf("left: %+v", got)
	}
	for _, u := range twins[1:] {
		findOne(t, st, names, u)
	}
}

func TestForgetRightAfterTheModeChanged(t *testing.T) {
	st := newMemory()
	write(t, st, names, noon, login("ana-maria", "", noon))
	fold(t, st, names, noon.Add(time.Minute))
	for _, p := range []Privacy{pseud, count} {
		if err := Forget(t.Context(), st, p, "ana-maria", noon.Add(2*time.Minute)); err != nil {
			t.Fatal(err)
		}
		if keys := st.contains("ana-maria"); len(keys) > 0 {
			t.Errorf("%s: the name stands in %v", p.Mode, keys)
		}
	}
}

func TestForgetSaysWhatItCouldNotLookInto(t *testing.T) {
	st := newMemory()
	newer := batchID{noon, "0123456789abcdef", 1}
	st.set(newer.key(), []byte(`{"format":2}`))
	damaged := batchID{noon, "0123456789abcdef", 2}
	st.set(damaged.key(), []byte(`{"format":1,"mode":"names"}`+"\n"+`{"user":"ana-maria","kind":"login"`))
	write(t, st, names, noon.Add(time.Second), login("ana-maria", "", noon))
	err := Forget(t.Context(), st, names, "ana-maria", noon.Add(time.Minute))
	if !errors.Is(err, bundle.ErrFormat) || !strings.Contains(err.Error(), newer.key()) {
		t.Errorf("error %v", err)
	}
	if keys := st.contains("ana-maria"); len(keys) > 0 {
		t.Errorf("the name stands in %v", keys)
	}
}

func TestShowAndExportGiveAllThatIsHeld(t *testing.T) {
	for _, p := range []Privacy{names, pseud} {
		st := newMemory()
		write(t, st, p, noon, login("ana", "", noon), login("bob", "", noon))
		fold(t, st, p, noon.Add(time.Minute))
		write(t, st, p, noon.Add(time.Minute), receipt("ana", "", "c", noon))
		var out bytes.Buffer
		if err := Export(t.Context(), st, p, "ana", &out); err != nil {
			t.Fatal(err)
		}
		h := &Held{}
		if err := bundle.DecodeStrict(out.Bytes(), MaxShard, h); err != nil {
			t.Fatal(err)
		}
		if len(h.Records) != 1 || len(h.Lines) != 2 || strings.Contains(out.String(), "bob") {
			t.Errorf("%s: %s", p.Mode, out.String())
		}
	}
}

func TestKeyIsNeverPrinted(t *testing.T) {
	p := Privacy{Mode: Pseudonyms, Key: []byte("canary-canary-canary-canary-canary")}
	st := newMemory()
	w := NewWriter(logger(t), st, p, "h")
	w.Add(login("ana", "", noon))
	w.flush(t.Context(), nil)
	fold(t, st, p, noon)
	if keys := st.contains("canary"); len(keys) > 0 {
		t.Errorf("the key stands in %v", keys)
	}
	if s := p.String() + p.GoString(); strings.Contains(s, "canary") {
		t.Error("the key is printed")
	}
	if err := (Privacy{Mode: Pseudonyms, Key: []byte("short")}).Check(); err == nil || strings.Contains(err.Error(), "short") {
		t.Errorf("a short key: %v", err)
	}
}
