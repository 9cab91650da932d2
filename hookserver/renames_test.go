package hookserver

import (
	"maps"
	"testing"
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
