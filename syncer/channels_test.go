package syncer

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"satchel/bundle"
	"satchel/course"
	"satchel/store"
)

func file(path, content string) bundle.File {
	return bundle.File{Path: path, Mode: 0o644, Size: int64(len(content)), Digest: bundle.Sum([]byte(content)), Policy: bundle.Merge}
}

func to(groups ...string) audience { return audience{groups: groups} }

func (a audience) with(fs ...bundle.File) audience {
	a.files = fs
	return a
}

// ids gives a, b, c, …
func ids() func() string {
	n := 0
	return func() string { n++; return string(rune('a' + n - 1)) }
}

// after is what a next publish finds.
func after(chs []channel, v bundle.Version) (out []former) {
	for _, c := range chs {
		c.next.version = v
		out = append(out, former{store.Channel{ID: c.id, Groups: c.groups, Users: c.users, Since: v}, c.next})
	}
	return out
}

func TestChannelStaysWithItsAudience(t *testing.T) {
	newID := ids()
	one := nextChannels(nil, []audience{to().with(file("a", "1")), to("lab-b", "lab-a").with(file("lab", "1"))}, facts{}, newID)
	if len(one) != 2 || one[0].id != "a" || one[1].id != "d" || !one[0].changed || !one[1].changed {
		t.Fatalf("first: %+v", one)
	}
	if one[0].next.manifest.History == (bundle.History{{Path: "a", Digest: file("a", "1").Digest}}).Digest() {
		t.Error("who guesses a channel's files can try the guess: its history has no salt")
	}
	// Another order, of audiences and of groups, is the same audience.
	two := nextChannels(after(one, 1), []audience{to("lab-a", "lab-b").with(file("lab", "2")), to().with(file("a", "1"))}, facts{}, newID)
	if len(two) != 2 || two[0].id != "a" || two[0].changed || two[1].id != "d" || !two[1].changed {
		t.Errorf("second: %+v", two)
	}
	// One that has nothing any more is empty, so that its files go away, and
	// keeps its id for when it has something again.
	three := nextChannels(after(two, 2), []audience{to().with(file("a", "1"))}, facts{}, newID)
	if len(three) != 2 || len(three[1].next.manifest.Files) != 0 || !three[1].changed {
		t.Errorf("third: %+v", three)
	}
	four := nextChannels(after(three, 3), []audience{to("lab-a", "lab-b").with(file("lab", "3")), to("lab-c").with(file("c", "1")), to()}, facts{}, newID)
	if len(four) != 3 || four[1].id != "d" || four[2].id != "g" {
		t.Errorf("fourth: %+v", four)
	}
	if n := len(four[1].next.history.At("lab")); n != 3 {
		t.Errorf("lab has %d former contents; want 3", n)
	}
	if n := len(four[2].next.history); n != 2 {
		t.Errorf("a new audience knows %d former contents; want only its own, and the salt", n)
	}
}

// A path that moves to a wider audience is in the new channel's history, and
// stays in the old one's.
func TestPathThatMovesToAWiderChannel(t *testing.T) {
	newID := ids()
	one := nextChannels(nil, []audience{to().with(file("a", "1")), to("x").with(file("lab", "1"))}, facts{}, newID)
	two := nextChannels(after(one, 1), []audience{to().with(file("a", "1"), file("lab", "1")), to("x")}, facts{}, newID)
	if len(two[0].next.manifest.Files) != 2 || len(two[1].next.manifest.Files) != 0 {
		t.Errorf("%+v", two)
	}
	if a, c, r := counts(two); a+c+r != 0 {
		t.Errorf("counted as %d added, %d changed, %d removed; to the students it is unchanged", a, c, r)
	}
	if r := shrinks(two, "c", "tip"); r != nil {
		t.Errorf("taken for shrinking: %v", r)
	}
}

func TestShrinkingIsFoundForTheStudentsOfAnyGroup(t *testing.T) {
	newID := ids()
	many := []bundle.File{}
	for i := range 20 {
		many = append(many, file(fmt.Sprintf("f%02d", i), fmt.Sprint(i)))
	}
	groupFiles := []bundle.File{}
	for i := range 30 {
		groupFiles = append(groupFiles, file(fmt.Sprintf("g%02d", i), fmt.Sprint("g", i)))
	}
	one := after(nextChannels(nil, []audience{to().with(many...), to("x").with(groupFiles...), to("y").with(file("y", "1"))}, facts{}, newID), 1)
	for name, c := range map[string]struct {
		now  []audience
		want bool
	}{
		"group y loses its one file of 21":    {[]audience{to().with(many...), to("x").with(groupFiles...), to("y")}, false},
		"group x loses 30 of 50":              {[]audience{to().with(many...), to("x"), to("y").with(file("y", "1"))}, true},
		"everybody loses 11 of 20":            {[]audience{to().with(many[11:]...), to("x").with(groupFiles...), to("y").with(file("y", "1"))}, true},
		"everybody loses 10 of 20":            {[]audience{to().with(many[10:]...), to("x").with(groupFiles...), to("y").with(file("y", "1"))}, false},
		"everybody's files go to a new group": {[]audience{to("z").with(many...), to("x").with(groupFiles...), to("y").with(file("y", "1"))}, true},
	} {
		if got := shrinks(nextChannels(one, c.now, facts{}, newID), "c", "tip"); (got != nil) != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestNextIsAFunctionOfItsArguments: the same decision whatever else happens,
// and nothing it was given is changed.
func TestNextIsAFunctionOfItsArguments(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		newID := ids()
		var state []former
		for v := range 6 {
			now := drawAudiences(t)
			var gone []bundle.Pair
			for p := range maps.All(map[string]string{"f1": "0", "f2": "1"}) {
				if rapid.Bool().Draw(t, "withdrawn") {
					gone = append(gone, bundle.Pair{Path: p, Digest: bundle.Sum([]byte(fmt.Sprint(len(p) - 2)))})
				}
			}
			text := describe(state)
			chs := nextChannels(state, now, facts{withdrawn: gone}, newID)
			if again := nextChannels(state, now, facts{withdrawn: gone}, func() string { return "z" }); describe(after(again, 1)) != describe(after(chs, 1)) && len(again) == len(state) {
				t.Fatal("another decision from the same arguments")
			}
			if describe(state) != text {
				t.Fatal("the former state was changed")
			}
			checkNext(t, state, chs, gone)
			state = after(chs, bundle.Version(v+1))
		}
	})
}

func drawAudiences(t *rapid.T) []audience {
	out := []audience{to(), to("x"), to("y")}
	for i := range 6 {
		at := rapid.IntRange(0, 3).Draw(t, "audience")
		if at < 3 {
			out[at].files = append(out[at].files, file(fmt.Sprint("f", i), rapid.SampledFrom([]string{"0", "1", "2"}).Draw(t, "content")))
		}
	}
	return out
}

func checkNext(t *rapid.T, state []former, chs []channel, gone []bundle.Pair) {
	if !slices.IsSortedFunc(chs, func(a, b channel) int { return slices.Compare([]byte(a.id), []byte(b.id)) }) {
		t.Fatal("not sorted by id")
	}
	for _, c := range chs {
		if err := c.next.manifest.Check(); err != nil {
			t.Fatal(err)
		}
		if c.next.manifest.History != c.next.history.Digest() {
			t.Fatal("the manifest names another history")
		}
		if sum, _ := c.former.history.Add(c.added...); sum.Digest() != c.next.history.Digest() {
			t.Fatal("what is added does not lead to the history")
		}
		for _, f := range c.next.manifest.Files {
			if slices.Contains(gone, bundle.Pair{Path: f.Path, Digest: f.Digest}) {
				t.Fatalf("%s was withdrawn and is delivered", f.Path)
			}
		}
	}
	for _, f := range state {
		if !slices.ContainsFunc(chs, func(c channel) bool { return c.id == f.ID }) {
			t.Fatal("a channel went away")
		}
	}
}

func describe(fs []former) (out string) {
	for _, f := range fs {
		out += fmt.Sprintf("%s %v %s\n", f.ID, f.Groups, f.manifest.Encode())
	}
	return out
}

// TestPublishOfSeveralChannels drives the whole code path with several
// channels: a syncer that has one audience today must cope with more.
func TestPublishOfSeveralChannels(t *testing.T) {
	s := newSite(t)
	y := s.syncer()
	s.repo.commit(files{"a": "1", "b": "1"})
	s.sync(y)
	// A channel as a later Satchel makes it: its audience has nothing by
	// today's rules, so it becomes empty and stays.
	m := &bundle.Manifest{Files: []bundle.File{file("lab", "1")}}
	h, _ := bundle.History(nil).Add(bundle.Former{Path: "lab", Digest: m.Files[0].Digest})
	m.History = h.Digest()
	p := &pass{Syncer: y, st: metered{s.st, &Stats{}, new(bool)}, k: y.known["scala101"], c: &s.c, config: s.c.Digest(), began: s.clock.Now()}
	if err := p.read(t.Context()); err != nil {
		t.Fatal(err)
	}
	on, err := y.newShelf()
	if err != nil {
		t.Fatal(err)
	}
	defer on.discard()
	other := channel{id: "00other", groups: []string{"lab-a"}, next: composed{2, m, h}, added: h, changed: true}
	sel := &course.Selection{Files: m.Files, Rules: &course.Rules{}}
	b, err := bundle.Build(t.Context(), on.dir, bundle.Spec{Course: "scala101", Channel: other.id, To: 2, Manifest: m, Former: h}, mapFS{"lab": "1"})
	if err != nil {
		t.Fatal(err)
	}
	on.built = append(on.built, b)
	if err := store.PutBundle(t.Context(), s.st, "scala101", b.Digest, b.File); err != nil {
		t.Fatal(err)
	}
	other.step = store.BundleRef{To: 2, Digest: b.Digest, Size: b.Size}
	before, err := p.compose(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	same := nextChannels(before, []audience{{files: before[0].manifest.Files}}, facts{}, nil)
	chs := append([]channel{other}, same...)
	for i := range chs {
		if !chs[i].changed {
			chs[i].next.version = chs[i].former.version
		}
	}
	if err := p.swap(t.Context(), p.nextRecord(2, chs), p.nextHead(2, chs, sel, s.clock.Now())); err != nil {
		t.Fatal(err)
	}
	s.want(2, files{"a": "1", "b": "1", "lab": "1"})
	s.repo.commit(files{"a": "2", "b": "1"})
	s.sync(s.syncer())
	v := s.want(3, files{"a": "2", "b": "1"})
	if len(v.record.Channels) != 2 || v.record.Channels[0].ID != "00other" || v.record.Channels[0].Since != 3 {
		t.Errorf("channels %+v", v.record.Channels)
	}
	s.repo.commit(files{"a": "3", "b": "1"})
	s.sync(s.syncer())
	if v := s.want(4, files{"a": "3", "b": "1"}); v.record.Channels[0].Since != 3 || v.record.Channels[1].Since != 4 {
		t.Errorf("channels %+v; want a step for the changed one only", v.record.Channels)
	}
}
