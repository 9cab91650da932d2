package students

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"satchel/bundle"
)

func TestSummary(t *testing.T) {
	st := newMemory()
	var lines []Line
	for i := range 10 {
		user := fmt.Sprint("u", i)
		lines = append(lines, login(user, "", noon))
		if i < 3 {
			continue // the agent did not run
		}
		r := receipt(user, "", "scala101", noon.Add(time.Second))
		r.Version = bundle.Version(10 + i%2)
		r.Agent = []string{"1.10.0", "1.9.0", "v1.10.0-rc1"}[i%3]
		r.Keys = []string{"00000000000000ff"}
		if i == 9 {
			r.Keys = []string{"00000000000000ff", "not a key", "00000000000000aa"}
			r.Failed, r.Waiting = []string{"a.txt"}, 2
		}
		lines = append(lines, r, receipt(user, "", "algebra", noon.Add(time.Second)))
	}
	write(t, st, names, noon, lines...)
	fold(t, st, names, noon.Add(time.Minute))
	got, err := Summarize(t.Context(), st, "scala101", noon.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	want := &Summary{
		Course: "scala101", Servers: 7, Versions: []VersionCount{{11, 4}, {10, 3}},
		Agents:   []AgentCount{{"1.9.0", 2}, {"v1.10.0-rc1", 2}, {"1.10.0", 3}},
		Troubled: 1, Waiting: 1, DidNotRun: 3, Images: []ImageCount{{"scala:1", 3}}, Counts: []Count{},
		Keys: []KeysCount{{"00000000000000ff", 6}, {"00000000000000aa,00000000000000ff", 1}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestSummaryInModeCounts(t *testing.T) {
	st := newMemory()
	write(t, st, count, noon, login("a", "", noon), receipt("a", "", "scala101", noon), receipt("a", "", "algebra", noon))
	fold(t, st, count, noon.Add(time.Minute))
	got, err := Summarize(t.Context(), st, "scala101", noon)
	if err != nil || got.Servers != 0 || len(got.Counts) != 2 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestAgentsAreOrderedByTheirNumbers(t *testing.T) {
	want := []string{"", "dev", "v0.9", "1.2.0", "1.10.0-rc1", "1.10.0", "2"}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, compareAgents)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
