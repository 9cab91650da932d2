package students

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"satchel/store"
)

var (
	noon  = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	key   = bytes.Repeat([]byte{7}, 32)
	names = Privacy{Mode: Names, Key: key}
	pseud = Privacy{Mode: Pseudonyms, Key: key}
	count = Privacy{Mode: Counts}
)

type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSuffix(string(p), "\n"))
	return len(p), nil
}

func logger(t *testing.T) *slog.Logger { return slog.New(slog.NewTextHandler(testLog{t}, nil)) }

func login(user, server string, at time.Time) Line {
	return Line{Kind: KindLogin, Time: at, User: user, Server: server, Image: "scala:1"}
}

func request(user, server string, at time.Time, login int64) Line {
	return Line{Kind: KindRequest, Time: at, User: user, Server: server, Login: login}
}

func receipt(user, server, course string, at time.Time) Line {
	return Line{Kind: KindReceipt, Time: at, User: user, Server: server, Course: course, Version: 15,
		Agent: "1.2.0", Image: "scala:1", Added: 3, Kept: []string{"hw1.ipynb"}}
}

// write puts lines as a batch, as a Writer with p would.
func write(t *testing.T, st store.Store, p Privacy, at time.Time, lines ...Line) batchID {
	t.Helper()
	w := newWriter(logger(t), st, p, "hook1", len(lines))
	for _, l := range lines {
		w.Add(l)
	}
	s := w.seal(at)
	if s == nil {
		t.Fatal("no line was taken")
	}
	if err := w.put(context.Background(), s); err != nil {
		t.Fatal(err)
	}
	return s.id
}

func fold(t *testing.T, st store.Store, p Privacy, now time.Time) FoldResult {
	t.Helper()
	r, err := Fold(context.Background(), logger(t), st, p, now)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func all(t *testing.T, st store.Store) (out []Student) {
	t.Helper()
	for s, err := range All(context.Background(), st) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b Student) int { return strings.Compare(a.User, b.User) })
	return out
}

func findOne(t *testing.T, st store.Store, p Privacy, user string) Student {
	t.Helper()
	list, err := Find(context.Background(), st, p, user)
	if err != nil || len(list) != 1 {
		t.Fatalf("Find(%q) = %d students, %v; want one", user, len(list), err)
	}
	return list[0]
}

func TestOneCurrentRecord(t *testing.T) {
	for _, p := range []Privacy{names, pseud} {
		t.Run(p.Mode, func(t *testing.T) {
			st := newMemory()
			write(t, st, p, noon,
				login("ana", "", noon.Add(-time.Hour)), login("ana", "", noon), login("ana", "lab", noon),
				request("ana", "", noon.Add(4*time.Second), noon.Unix()),
				request("ana", "", noon.Add(9*time.Second), noon.Unix()), // another replica's first
				receipt("ana", "", "scala101", noon.Add(10*time.Second)),
				receipt("ana", "", "algebra", noon.Add(10*time.Second)))
			fold(t, st, p, noon.Add(time.Minute))
			s := findOne(t, st, p, "ana")
			if p.Mode == Pseudonyms && (s.User != p.Pseudonym("ana") || len(st.contains("ana")) > 0) {
				t.Errorf("user is %q; the name stands in %v", s.User, st.contains("ana"))
			}
			if len(s.Servers) != 2 || len(s.Servers[0].Courses) != 2 || s.Servers[0].Server != "" {
				t.Fatalf("servers: %+v", s.Servers)
			}
			v := s.Servers[0]
			if !v.Login.Time.Equal(noon) || !v.FirstRequest().Equal(noon.Add(4*time.Second)) || v.Courses[1].Version != 15 {
				t.Errorf("server: %+v", v)
			}
			if got := s.Servers[1].State(noon.Add(Silence)); got != DidNotRun {
				t.Errorf("server lab: %s", got)
			}
		})
	}
}

func TestStateIsJoinedByUserAndServer(t *testing.T) {
	at := func(d time.Duration) time.Time { return noon.Add(d) }
	for _, c := range []struct {
		name  string
		lines []Line
		now   time.Duration
		want  State
		first time.Duration // -1 for none
	}{
		{"just logged in", []Line{login("u", "", noon)}, time.Minute, Starting, -1},
		{"14 minutes of silence", []Line{login("u", "", noon)}, Silence - 1, Starting, -1},
		{"15 minutes of silence", []Line{login("u", "", noon)}, Silence, DidNotRun, -1},
		{"a request", []Line{login("u", "", noon), request("u", "", at(9), noon.Unix())}, time.Hour, Ran, 0},
		{"a late request", []Line{login("u", "", noon), request("u", "", at(time.Hour), 0)}, 2 * time.Hour, Ran, time.Hour},
		{"only a receipt", []Line{login("u", "", noon), receipt("u", "", "c", at(time.Second))}, time.Hour, Ran, time.Second},
		{"a request before the login", []Line{request("u", "", at(-time.Hour), 1), login("u", "", noon)}, time.Hour, DidNotRun, -1},
		{"the other replica's clock", []Line{login("u", "", noon), request("u", "", at(-3*time.Second), 1)}, time.Hour, Ran, -3 * time.Second},
		{"a resumed container's old ticket", []Line{request("u", "", at(-time.Hour), 1), login("u", "", noon), request("u", "", at(5*time.Second), 1)}, time.Hour, Ran, 5 * time.Second},
		{"another server's request", []Line{login("u", "", noon), request("u", "b", at(9), 1)}, time.Hour, DidNotRun, -1},
		{"no login known", []Line{request("u", "", noon, 1)}, time.Hour, Ran, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := Student{}
			for _, l := range c.lines {
				l, err := l.clean()
				if err != nil {
					t.Fatal(err)
				}
				s.take(l)
			}
			v := s.Servers[0]
			if got := v.State(at(c.now)); got != c.want {
				t.Errorf("state %q, want %q", got, c.want)
			}
			switch first := v.FirstRequest(); {
			case c.first == -1:
				if !first.IsZero() {
					t.Errorf("first request at %s, want none", first)
				}
			case !first.Equal(at(c.first)):
				t.Errorf("first request at %s, want %s", first, at(c.first))
			}
		})
	}
}

// randomLines are lines of few users, servers, courses and moments, so that
// many meet.
func randomLines(r *rand.Rand, n int) (out []Line) {
	for range n {
		user, server := fmt.Sprint("u", r.IntN(4)), []string{"", "lab"}[r.IntN(2)]
		at := noon.Add(time.Duration(r.IntN(20)) * time.Second)
		switch r.IntN(3) {
		case 0:
			l := login(user, server, at)
			l.Image = fmt.Sprint("image", r.IntN(3))
			out = append(out, l)
		case 1:
			out = append(out, request(user, server, at, int64(r.IntN(3))))
		case 2:
			l := receipt(user, server, fmt.Sprint("c", r.IntN(2)), at)
			l.Added = r.IntN(3)
			l.Keys = []string{fmt.Sprintf("%016x", r.IntN(3))}
			out = append(out, l)
		}
	}
	return out
}

// Whatever the order, the batches, repeats and syncers: the same records.
func TestAnyOrderAnyBatchesTwiceIsTheSame(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 0))
		lines := randomLines(r, 40)
		one, two := newMemory(), newMemory()
		write(t, one, names, noon, lines...)
		fold(t, one, names, noon.Add(time.Minute))

		r.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
		for chunk := range slices.Chunk(lines, 7) {
			write(t, two, names, noon, chunk...)
			fold(t, two, names, noon.Add(time.Minute))
		}
		if d := cmp.Diff(all(t, one), all(t, two)); d != "" {
			t.Fatalf("seed %d: %s", seed, d)
		}
		before := two.snapshot(studentsPrefix)
		delete(before, ledgerKey)
		two.Delete(t.Context(), ledgerKey) // a lost note: everything is folded again
		fold(t, two, names, noon.Add(time.Minute))
		after := two.snapshot(studentsPrefix)
		delete(after, ledgerKey)
		if d := cmp.Diff(before, after); d != "" {
			t.Fatalf("seed %d, folded twice: %s", seed, d)
		}
	}
}

// Names made to collide when joined, cut, folded in case, normalised or taken
// for paths: each tuple has its own record.
func TestDistinctTuplesNeverShareARecord(t *testing.T) {
	alphabet := []string{"a", "b", "A", "-", "--", "-2d", "/", "..", ".", ":", "\x00", "\n", "é", "e\u0301", " ", "s-", "p-", "%2F", "\u202e"}
	for _, p := range []Privacy{names, pseud} {
		t.Run(p.Mode, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			st := newMemory()
			w := NewWriter(logger(t), st, p, "hook1")
			at := map[[2]string]time.Time{}
			for len(at) < 12_000 {
				var parts [2]string
				for i := range parts {
					for range r.IntN(5) {
						parts[i] += alphabet[r.IntN(len(alphabet))]
					}
				}
				if _, done := at[parts]; done || parts[0] == "" {
					continue
				}
				at[parts] = noon.Add(time.Duration(len(at)) * time.Millisecond)
				w.Add(login(parts[0], parts[1], at[parts]))
			}
			if w.Refused()+w.Dropped() > 0 {
				t.Fatalf("%d refused, %d dropped", w.Refused(), w.Dropped())
			}
			if s := w.flush(t.Context(), nil); s != nil {
				t.Fatal("not flushed")
			}
			fold(t, st, p, noon.Add(time.Minute))
			found := map[[2]string]time.Time{}
			for _, s := range all(t, st) {
				for _, v := range s.Servers {
					found[[2]string{s.User, v.Server}] = v.Login.Time
				}
			}
			perUser := map[string]int{}
			for parts, when := range at {
				id := [2]string{p.nameOf(parts[0]), parts[1]}
				if p.Mode == Pseudonyms {
					id[1] = p.serverPseudonym(parts[0], parts[1])
				}
				perUser[parts[0]]++
				if got, ok := found[id]; ok && !got.Equal(when) {
					t.Fatalf("%q has the login of another", parts)
				} else if !ok && perUser[parts[0]] < MaxServers && countOf(at, parts[0]) <= MaxServers {
					t.Fatalf("%q has no record", parts)
				}
			}
		})
	}
}

func (p Privacy) nameOf(user string) string {
	name, _ := p.name(p.scheme(), user)
	return name
}

func TestPartsAreLengthPrefixed(t *testing.T) {
	a, b := pseud.serverPseudonym("ab", "c"), pseud.serverPseudonym("a", "bc")
	if a == b || pseud.mac("t", 32, "a", "") == pseud.mac("t", 32, "", "a") || pseud.mac("t", 32, "a") == pseud.mac("ta", 32) {
		t.Error("joined strings")
	}
}

func countOf(at map[[2]string]time.Time, user string) (n int) {
	for k := range at {
		if k[0] == user {
			n++
		}
	}
	return n
}

func TestCleanRefusesAndCuts(t *testing.T) {
	long := strings.Repeat("x", MaxIdentity+1)
	for name, l := range map[string]Line{
		"a name too long":      login(long, "", noon),
		"a name not UTF-8":     login("a\xff", "", noon),
		"a server not UTF-8":   login("a", "\xff", noon),
		"unknown kind":         {Kind: "logout", Time: noon, User: "a"},
		"no time":              {Kind: KindLogin, User: "a"},
		"the year 20000":       login("a", "", noon.AddDate(18000, 0, 0)),
		"no course":            receipt("a", "", "", noon),
		"a version below zero": {Kind: KindReceipt, Time: noon, User: "a", Course: "c", Version: -1},
	} {
		if _, err := l.clean(); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	l := receipt("a", "", "c", noon)
	l.Agent, l.Added, l.Removed = strings.Repeat("é", 200), -5, 1<<40
	l.Failed = slices.Repeat([]string{strings.Repeat("p", 900)}, 30)
	l, err := l.clean()
	if err != nil || len(l.Agent) > MaxWord || l.Added != 0 || l.Removed > 50_000 || len(l.Failed) != 4 || l.Cut != 26 {
		t.Errorf("cut to %d, %d, %d, %d paths and %d cut, %v", len(l.Agent), l.Added, l.Removed, len(l.Failed), l.Cut, err)
	}
	data, err := json.Marshal(l)
	if err != nil || len(data) > MaxLine {
		t.Errorf("%d bytes, %v", len(data), err)
	}
}

func TestManyServersAndCoursesAreBounded(t *testing.T) {
	s := Student{}
	for i := range 100 {
		s.take(receipt("a", fmt.Sprint("s", i), "c", noon.Add(time.Duration(i)*time.Second)))
		s.take(receipt("a", "s99", fmt.Sprint("c", i), noon.Add(time.Duration(i+100)*time.Second)))
	}
	s.forgetBefore(noon.Add(-time.Hour))
	if len(s.Servers) != MaxServers {
		t.Fatalf("%d servers", len(s.Servers))
	}
	last := s.Servers[len(s.Servers)-1]
	if last.Server != "s99" || len(last.Courses) != MaxCourses {
		t.Errorf("%s with %d courses", last.Server, len(last.Courses))
	}
}
