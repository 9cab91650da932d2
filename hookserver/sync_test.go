package hookserver

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"satchel/bundle"
	"satchel/course"
	"satchel/hook"
	"satchel/internal/students"
)

var all = course.Audience{Everyone: true}

func TestFirstLoginAndUpdates(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", all)
	one := map[string]string{"a.ipynb": "{a}", "data/x.csv": "1,2", "big.bin": noise(400_000, 1)}
	w.publish("scala", everyone(one))
	ana := w.student("ana")
	ana.sync()
	ana.wantTree("scala", one)
	if last := ana.got[len(ana.got)-1]; len(ana.got) != 2 || last.Items[0].Size != 400_000 {
		t.Errorf("the large file must come last: %v", ana.got)
	}

	two := map[string]string{"a.ipynb": "{a2}", "data/x.csv": "1,2", "big.bin": one["big.bin"], "new.txt": "new"}
	v := w.publish("scala", everyone(two))
	ana.sync()
	ana.wantTree("scala", two)
	if n := frameBytes(ana.got); n > 200 {
		t.Errorf("an update of two small files sent %d bytes", n)
	}
	if ana.have["scala"].Version != v {
		t.Errorf("version %d, want %d", ana.have["scala"].Version, v)
	}
	bob := w.student("bob") // from nothing, over two bundles
	bob.sync()
	bob.wantTree("scala", two)
	bob.never("{a}")
	if got := len(w.lines.of(students.KindRequest)); got != 2 {
		t.Errorf("%d first requests were written, want one for each student", got)
	}
}

func noise(n int, seed uint64) string {
	rnd := rand.New(rand.NewPCG(seed, 0))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return string(b)
}

func frameBytes(list []hook.Offered) (n int64) {
	for _, f := range list {
		n += f.Length
	}
	return n
}

func TestNothingNew(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", all)
	w.publish("scala", everyone(map[string]string{"a": "a"}))
	ana := w.student("ana")
	ana.sync()
	a, err := ana.client.Sync(t.Context(), ana.haves(), nil, ana.etag)
	if err != nil || !a.NotModified || a.ETag != ana.etag {
		t.Fatalf("%+v, %v", a, err)
	}
	a.Close()
	offer := ana.sync() // without ETag: heads, no bytes
	if len(ana.got) != 0 || offer.Courses[0].Head == nil || len(offer.Courses[0].Channels[0].Changes.Set) != 0 {
		t.Errorf("%+v", offer)
	}
	old := ana.etag
	w.publish("scala", everyone(map[string]string{"a": "b"}))
	if a, err := ana.client.Sync(t.Context(), ana.haves(), nil, old); err != nil || a.NotModified {
		t.Errorf("a change was answered by 304: %v", err)
	} else {
		a.Close()
	}
}

// The head is signed anew each day: that alone is no news.
func TestETagIgnoresSigningAnew(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", all)
	w.publish("scala", everyone(map[string]string{"a": "a"}))
	ana := w.student("ana")
	ana.sync()
	p := w.state["scala"]
	h, _ := p.record.Head.Peek()
	h.Checked = h.Checked.AddDate(0, 0, 1)
	r := *p.record
	w.sign(&r, h)
	w.swap(p, &r)
	w.srv.Refresh(t.Context())
	a, err := ana.client.Sync(t.Context(), ana.haves(), nil, ana.etag)
	if err != nil || !a.NotModified {
		t.Fatalf("%+v, %v", a, err)
	}
	a.Close()
	if head, _ := ana.sync().Courses[0].Head.Peek(); !head.Checked.Equal(h.Checked) {
		t.Error("the head that was signed anew is not served")
	}
	h.Message = "read chapter 3"
	h.Version++
	r.Version++
	w.sign(&r, h)
	w.swap(p, &r)
	w.srv.Refresh(t.Context())
	if a, _ := ana.client.Sync(t.Context(), ana.haves(), nil, ana.etag); a.NotModified {
		t.Error("a new message is news")
	} else {
		a.Close()
	}
}

// A channel of others changes the version, and nothing else for this student.
func TestETagIgnoresChannelsOfOthers(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", all)
	channels := func(secret string) map[string]audienceOf {
		return map[string]audienceOf{"all": {files: map[string]string{"a": "a"}}, "tutors": {groups: []string{"tutors"}, files: map[string]string{"s": secret}}}
	}
	w.publish("scala", channels("solution 1"))
	ana, tim := w.student("ana"), w.student("tim", "tutors")
	ana.sync()
	tim.sync()
	w.publish("scala", channels("solution 2"))
	a, err := ana.client.Sync(t.Context(), ana.haves(), nil, ana.etag)
	if err != nil || !a.NotModified {
		t.Errorf("%+v, %v", a, err)
	}
	a.Close()
	a, err = tim.client.Sync(t.Context(), tim.haves(), nil, tim.etag)
	if err != nil || a.NotModified {
		t.Errorf("%+v, %v", a, err)
	}
	a.Close()
	ana.sync()
	tim.sync()
	ana.wantTree("scala", map[string]string{"a": "a"})
	tim.wantTree("scala", map[string]string{"a": "a", "s": "solution 2"})
	ana.never("solution 1", "solution 2")
}

// The history of this course has every kind of thing that lies in a group
// frame beside what may be sent: superseded, deleted, withdrawn, moved to a
// narrower channel. None of it ever reaches anybody who may not have it.
func TestMixedFramesAreNeverSent(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", all)
	w.publish("scala", map[string]audienceOf{
		"all": {files: map[string]string{"keep": "kept text", "change": "superseded text", "gone": "deleted text", "oops": "withdrawn text", "move": "moved text"}},
		"b":   {groups: []string{"b"}, files: map[string]string{"b/x": "only for b"}},
	})
	oops := []bundle.Pair{{Path: "oops", Digest: bundle.Sum([]byte("withdrawn text"))}}
	w.publish("scala", map[string]audienceOf{
		"all": {files: map[string]string{"keep": "kept text", "change": "newer text"}, withdrawn: oops},
		"b":   {groups: []string{"b"}, files: map[string]string{"b/x": "only for b", "move": "moved text"}},
	})
	ana, ben := w.student("ana"), w.student("ben", "b")
	ana.sync()
	ana.wantTree("scala", map[string]string{"keep": "kept text", "change": "newer text"})
	ana.never("superseded text", "deleted text", "withdrawn text", "moved text", "only for b")
	ben.sync()
	ben.wantTree("scala", map[string]string{"keep": "kept text", "change": "newer text", "b/x": "only for b", "move": "moved text"})
	ben.never("superseded text", "deleted text", "withdrawn text")

	// The same by every other way to bytes.
	for _, text := range []string{"superseded text", "deleted text", "withdrawn text", "moved text", "only for b"} {
		_, err := ana.client.Files(t.Context(), "scala", []bundle.Digest{bundle.Sum([]byte(text))})
		wantError(t, err, http.StatusNotFound, hook.CodeNotFound)
	}
	for _, ch := range w.state["scala"].record.Channels {
		for _, ref := range ch.Bundles {
			x := indexOf(t, w, "scala", ref.Digest)
			for _, f := range x.Frames {
				_, err := ana.client.Range(t.Context(), "scala", ref.Digest, f.Offset, f.Length)
				mixed := false
				for _, it := range f.Items {
					_, has := ana.disk[it.Digest]
					mixed = mixed || !has
				}
				if mixed {
					wantError(t, err, http.StatusNotFound, hook.CodeNotFound)
				} else if err != nil {
					t.Error(err)
				}
			}
			if _, err := ana.client.Range(t.Context(), "scala", ref.Digest, 0, 12); err == nil {
				t.Error("a stored index was handed out")
			}
		}
	}
}

func TestPathMovesToAWiderChannel(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", all)
	text := noise(50_000, 7)
	w.publish("scala", map[string]audienceOf{"all": {files: map[string]string{"a": "a"}}, "early": {groups: []string{"early"}, files: map[string]string{"week2": text, "rest": "the rest"}}})
	eve, ana := w.student("eve", "early"), w.student("ana")
	eve.sync()
	ana.sync()
	ana.never(text)
	w.publish("scala", map[string]audienceOf{"all": {files: map[string]string{"a": "a", "week2": text}}, "early": {groups: []string{"early"}, files: map[string]string{"rest": "the rest"}}})
	eve.sync()
	if n := frameBytes(eve.got); n != 0 {
		t.Errorf("%d bytes were sent to somebody who has the file", n)
	}
	ana.sync()
	ana.wantTree("scala", map[string]string{"a": "a", "week2": text})
	ana.never("the rest")
}

func TestLeft(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", all)
	w.publish("scala", map[string]audienceOf{"all": {files: map[string]string{"a": "a"}}, "g": {groups: []string{"g"}, files: map[string]string{"b": "b"}}})
	ana := w.student("ana", "g")
	ana.sync()
	now := w.student("ana") // the same, without the group
	now.have, now.trees, now.disk = ana.have, ana.trees, ana.disk
	h := now.have["scala"]
	h.Channels = append(h.Channels, "neverwas")
	now.have["scala"] = h
	if left := fmt.Sprint(now.sync().Courses[0].Left); left != "[g neverwas]" {
		t.Errorf("left %s: a foreign channel and an absent one must look the same", left)
	}
	now.wantTree("scala", map[string]string{"a": "a"})
}

func TestStates(t *testing.T) {
	w := newWorld(t, nil)
	w.course("empty", all)
	w.course("narrow", all)
	w.course("others", course.Audience{Groups: []string{"others"}})
	w.publish("narrow", map[string]audienceOf{"g": {groups: []string{"g"}, files: map[string]string{"b": "b"}}})
	w.publish("others", everyone(map[string]string{"o": "o"}))
	o := w.student("ana", "x").sync()
	if len(o.Courses) != 2 || o.Courses[0].State != hook.StateEmpty || o.Courses[1].State != hook.StateEmpty || o.Courses[1].Head != nil {
		t.Errorf("%+v", o.Courses)
	}
	if fmt.Sprint(o.Groups) != "[x]" {
		t.Errorf("groups %v", o.Groups)
	}
}

// Longer lists go by POST, with the same meaning.
func TestSyncByPost(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", all)
	w.publish("scala", everyone(map[string]string{"a": "a"}))
	ana := w.student("ana")
	for i := range 150 {
		ana.have[fmt.Sprint(i)] = hook.Have{Course: fmt.Sprintf("course-%d", i), Version: 1, Fingerprint: strings.Repeat("0", 32), Channels: []string{"0123456789abcdef"}}
	}
	ana.sync()
	ana.wantTree("scala", map[string]string{"a": "a"})
}

// Any two versions, any channels: the answer leads from one to the other.
func TestEveryStepFromEveryVersion(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", all)
	rnd := rand.New(rand.NewPCG(5, 6))
	groups := []string{"", "g", "h"}
	var agents []*student
	for n := range 14 {
		want := map[string]map[string]string{"": {}, "g": {}, "h": {}}
		channels := map[string]audienceOf{}
		for _, g := range groups {
			files := map[string]string{}
			for i := range 6 {
				if rnd.IntN(3) > 0 {
					files[fmt.Sprintf("%s-%d", g, i)] = fmt.Sprintf("text %d of %s-%d", rnd.IntN(4), g, i)
				}
			}
			want[g] = files
			a := audienceOf{files: files, full: rnd.IntN(4) == 0}
			if g != "" {
				a.groups = []string{g}
			}
			channels["ch"+g] = a
		}
		w.publish("scala", channels)
		agents = append(agents, w.student(fmt.Sprint("old", n), groups[rnd.IntN(3)]))
		for i, a := range agents {
			if i < n && rnd.IntN(2) == 0 {
				continue // stays behind
			}
			a.sync()
			a.wantUnion("scala", want)
		}
	}
}

func (s *student) wantUnion(course string, want map[string]map[string]string) {
	s.w.t.Helper()
	tk, _ := s.w.tickets.Verify("satchel", s.ticket, s.w.clock())
	union := map[string]string{}
	for _, g := range append([]string{""}, tk.Groups...) {
		for p, text := range want[g] {
			union[p] = text
		}
	}
	s.wantTree(course, union)
}

func indexOf(t testing.TB, w *world, course string, d bundle.Digest) *bundle.Index {
	t.Helper()
	r, _, err := w.dir.Get(t.Context(), "courses/"+course+"/bundles/"+d.String())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	x, err := bundle.ReadIndex(r)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// A channel that is dropped makes nobody fetch the others anew.
func TestChannelIsDropped(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", all)
	text := noise(50_000, 7)
	w.publish("scala", map[string]audienceOf{"all": {files: map[string]string{"a": text}}, "early": {groups: []string{"early"}, files: map[string]string{"week2": "w"}}})
	eve := w.student("eve", "early")
	eve.sync()
	w.publish("scala", everyone(map[string]string{"a": text, "week2": "w"}))
	c := eve.sync().Courses[0]
	if fmt.Sprint(c.Left) != "[early]" || c.Channels[0].Base.IsZero() || frameBytes(eve.got) > 100 {
		t.Errorf("%+v", c)
	}
	eve.wantTree("scala", map[string]string{"a": text, "week2": "w"})
}

// TestWhoIsAheadGetsNoTag: the tag stands for what the service has. Whoever
// holds more would be told "nothing new" when that is published again, above.
func TestWhoIsAheadGetsNoTag(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala101", course.Audience{Everyone: true})
	w.publish("scala101", everyone(map[string]string{"a": "1"}))
	s := w.student("ana")
	s.sync()
	have := s.have["scala101"]
	have.Version, have.Fingerprint = 7, "of-a-store-that-went-backwards"
	a, err := s.client.Sync(t.Context(), []hook.Have{have}, nil, s.etag)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if a.NotModified || a.ETag != "" || !a.Offer.Courses[0].Prove {
		t.Errorf("%v, ETag %q, %+v", a.NotModified, a.ETag, a.Offer)
	}
}
