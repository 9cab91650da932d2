package hookserver

import (
	"maps"
	"slices"
	"testing"
	"testing/fstest"

	"satchel/bundle"
	"satchel/store"
)

// TestRenamesOverSeveralSteps: whatever version an agent has, the offer names
// for each path the one that the agent has it under, also where no content
// shows it any more.
func TestRenamesOverSeveralSteps(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", all)
	type hints = map[string]string
	versions := []struct {
		files, renamed map[string]string
	}{
		{files: map[string]string{"a": "one", "x": "ex", "m": "em"}},
		{map[string]string{"b": "one!", "x": "ex", "m": "em"}, hints{"b": "a"}},                 // renamed, a little changed
		{map[string]string{"b": "one!!", "y": "ex", "m": "em"}, nil},                            // changed; another moved
		{map[string]string{"c": "one!!!", "y": "ex?", "m": "em"}, hints{"c": "b"}},              // renamed again; the other changed
		{map[string]string{"c": "one!!!", "b": "new", "y": "ex?"}, nil},                         // the middle name is taken; one goes
		{map[string]string{"c": "one!!!", "d": "new!", "y": "ex?", "m": "mm"}, hints{"d": "b"}}, // and comes again, as another
	}
	var agents []*student
	for i, v := range versions {
		w.publish("scala", map[string]audienceOf{"all": {files: v.files, renamed: v.renamed}})
		agents = append(agents, w.student(string(rune('a'+i))))
		agents[i].sync()
	}
	for i, want := range []hints{
		{"c": "a", "y": "x"},
		{"c": "b", "y": "x"},
		{"c": "b"},
		{},
		{"d": "b"},
		{},
	} {
		offer := agents[i].sync()
		got := hints{}
		for _, ch := range offer.Courses[0].Channels[0].Changes.Set {
			if ch.RenamedFrom != "" {
				got[ch.Path] = ch.RenamedFrom
			}
		}
		if !maps.Equal(got, want) {
			t.Errorf("from version %d: %v, not %v", i+1, got, want)
		}
		agents[i].wantTree("scala", versions[len(versions)-1].files)
	}
}

// TestARenewedFullBundleKeepsWhatStudentsHave: beside the way to the newest
// version a new full bundle is named; who has an older version is still
// answered with the changes, and with the hints, and sent nothing twice.
func TestARenewedFullBundleKeepsWhatStudentsHave(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", all)
	w.publish("scala", everyone(map[string]string{"a": "one", "same": "same"}))
	ana := w.student("ana")
	ana.sync()
	now := audienceOf{files: map[string]string{"b": "one!", "same": "same"}, renamed: map[string]string{"b": "a"}}
	w.publish("scala", map[string]audienceOf{"all": now})
	w.renewFull("scala", now)
	bundles := w.srv.lib.peek("scala").edition.channels[0].Bundles
	if len(bundles) != 3 {
		t.Fatalf("%d bundles", len(bundles))
	}
	offer := ana.sync()
	set := offer.Courses[0].Channels[0].Changes.Set
	if len(set) != 1 || set[0].Path != "b" || set[0].RenamedFrom != "a" || len(offer.Courses[0].Frames) != 1 {
		t.Errorf("offered: %+v in %d frames", set, len(offer.Courses[0].Frames))
	}
	ana.wantTree("scala", now.files)
	ch := w.srv.lib.peek("scala").edition.channels[0]
	for _, places := range ch.places {
		for _, p := range places {
			if p.bundle == bundles[0].Digest {
				t.Error("a former full bundle is read for a content")
			}
		}
	}
}

// renewFull names a full bundle of the version that there is.
func (w *world) renewFull(name string, a audienceOf) {
	w.t.Helper()
	p := w.state[name]
	r := *p.record
	c := r.Channels[0]
	all := p.histories[c.ID]
	b, err := bundle.Build(w.t.Context(), w.t.TempDir(), bundle.Spec{
		Course: name, Channel: c.ID, To: c.Since, Manifest: p.manifests[c.ID], Former: all}, contentsOf(a))
	if err != nil {
		w.t.Fatal(err)
	}
	defer b.Discard()
	if err := w.dir.Put(w.t.Context(), store.BundleKey(name, b.Digest), b.File); err != nil {
		w.t.Fatal(err)
	}
	c.Bundles = append(slices.Clone(c.Bundles), store.BundleRef{To: c.Since, Digest: b.Digest, Size: b.Size})
	r.Channels = []store.Channel{c}
	w.swap(p, &r)
	w.srv.Refresh(w.t.Context())
}

func contentsOf(a audienceOf) fstest.MapFS {
	_, fsys := manifestOf(a)
	return fsys
}
