package syncer

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"satchel/bundle"
	"satchel/internal/race"
)

// The model test has two syncers, people's commands and pushes race on one
// real store. A scheduler says at each operation on the store, and at each look
// at the repository, who goes next, by a seed alone; it also has operations
// fail, and kills processes. Afterwards each swap of the record is held against
// what its command may do, and each answer against what happened.
//
//	model_test.go         seeds, workers, the report
//	model_play_test.go    the scheduler: one interleaving
//	model_calls_test.go   who takes part, and what each does
//	model_store_test.go   the gates before store and repository
//	model_course_test.go  the commits
//	model_check_test.go   what must hold of swaps
//	model_rest_test.go    what must hold of log and store
//	model_answer_test.go  what must hold of answers
var (
	modelSeed          = flag.Uint64("model.seed", 0, "play this one interleaving")
	modelFrom          = flag.Uint64("model.from", 1, "the first seed of random interleavings")
	modelInterleavings = flag.Int("model.interleavings", 200, "how many random interleavings are played")
)

// modelWorkers is how many interleavings are played at once.
const modelWorkers = 2

// mostFailures is after how many bad ones the test ends.
const mostFailures = 5

func TestModelOfRaces(t *testing.T) {
	key, err := bundle.NewSigningKey()
	if err != nil {
		t.Fatal(err)
	}
	began, c, seeds := time.Now(), newModelCourse(t), modelSeeds()
	var mu sync.Mutex
	var failed atomic.Int64
	total := map[string]int{}
	var workers sync.WaitGroup
	for w := range modelWorkers {
		workers.Go(func() {
			for seed := range seeds {
				if failed.Load() > mostFailures {
					continue
				}
				m, bad := playInterleaving(t, c, fmt.Sprint("worker", w), key, seed)
				if bad != "" {
					failed.Add(1)
					t.Errorf("interleaving %d: %s\n%s\nagain: go test ./syncer -run TestModelOfRaces -model.seed %d", seed, bad, strings.Join(m.steps, "\n"), seed)
				} else if *modelSeed != 0 {
					t.Log(strings.Join(m.steps, "\n"))
				}
				mu.Lock()
				m.addTo(total)
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	var report []string
	for _, k := range slices.Sorted(maps.Keys(total)) {
		report = append(report, fmt.Sprint(total[k], " ", k))
	}
	t.Logf("%.0f s: %s", time.Since(began).Seconds(), strings.Join(report, ", "))
}

// modelSeeds gives the seeds that are to be played. The race detector sees as
// much in a few.
func modelSeeds() <-chan uint64 {
	seeds := make(chan uint64)
	go func() {
		defer close(seeds)
		if *modelSeed != 0 {
			seeds <- *modelSeed
			return
		}
		n := *modelInterleavings
		if race.Enabled {
			n = min(n, 40)
		}
		for i := range n {
			seeds <- *modelFrom + uint64(i)
		}
	}()
	return seeds
}

// addTo counts what happened.
func (m *model) addTo(total map[string]int) {
	total["interleavings"]++
	total["operations"] += m.seq
	total["swaps"] += len(m.journal)
	for k, n := range m.tally {
		total[k] += n
	}
	for _, c := range m.calls {
		if isRefusal(c.err) != nil {
			total["refusals"]++
		}
		total["lost swaps"] += max(0, c.out.Stats.Tries-1)
	}
	if n := len(m.journal); n > 0 {
		total["versions"] += int(m.journal[n-1].rec.Version)
	}
}

// A seed alone says what happens, to the last operation.
func TestModelOfRacesIsRepeatable(t *testing.T) {
	key, err := bundle.NewSigningKey()
	if err != nil {
		t.Fatal(err)
	}
	c := newModelCourse(t)
	for seed := range uint64(10) {
		one, _ := playInterleaving(t, c, "worker0", key, seed)
		two, _ := playInterleaving(t, c, "worker1", key, seed)
		if !slices.Equal(one.steps, two.steps) {
			t.Errorf("interleaving %d went in two ways:\n%s\n\n%s", seed, strings.Join(one.steps, "\n"), strings.Join(two.steps, "\n"))
		}
	}
}
