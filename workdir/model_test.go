package workdir

import (
	"bufio"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"satchel/bundle"
	"satchel/internal/race"
)

// The model test plays random histories of a course and a student against the
// real package on a real filesystem (in memory), and looks after each sync
// whether docs/work-folder.md holds. What happens in a history follows from
// its seed alone.
//
//	model_test.go          seeds, workers, the report
//	model_history_test.go  one history: rounds, syncs, undo, restore, accidents
//	model_plots_test.go    how each cell of the table is brought about
//	model_cells_test.go    which cell each path is in, and what is to come of it
//	model_hands_test.go    what a student does
//	model_race_test.go     an editor in the middle of a sync
//	model_texts_test.go    contents: every line that somebody writes is one of a kind
//	model_checks_test.go   what must hold
var (
	modelSeed      = flag.Uint64("model.seed", 0, "play this one history")
	modelFrom      = flag.Uint64("model.from", 1, "the first seed of random histories")
	modelHistories = flag.Int("model.histories", someHistories, "how many random histories are played")
)

// modelWorkers is how many histories are played at once.
const modelWorkers = 2

// mostFailures is after how many broken histories the test ends.
const mostFailures = 5

// Of manyHistories and more each cell must be reached manyTimes; of
// someHistories all cells but one in mayMiss must be reached.
const (
	manyHistories = 10_000
	manyTimes     = 50
	someHistories = 300
	mayMiss       = 30
)

func TestModel(t *testing.T) {
	var seeds []uint64
	if *modelSeed != 0 {
		seeds = []uint64{*modelSeed}
	} else {
		seeds = keptSeeds(t)
		for i := range howMany() {
			seeds = append(seeds, *modelFrom+uint64(i))
		}
	}
	var mu sync.Mutex
	total, failed := newTally(), atomic.Int64{}
	each(modelWorkers, seeds, func(seed uint64) {
		if failed.Load() > mostFailures {
			return
		}
		m, bad := playHistory(t, seed)
		mu.Lock()
		defer mu.Unlock()
		total.add(m.tally)
		if bad != "" {
			failed.Add(1)
			t.Errorf("history %d: %s\n%s\nagain: go test ./workdir -run TestModel -model.seed %d", seed, bad, strings.Join(m.steps, "\n"), seed)
		} else if *modelSeed != 0 {
			t.Log(strings.Join(m.steps, "\n"))
		}
	})
	total.judge(t)
	if *modelSeed == 0 && !t.Failed() && !race.Enabled {
		total.report(t, len(seeds))
	}
}

// A seed alone says what happens, to the last step.
func TestModelIsRepeatable(t *testing.T) {
	for _, seed := range []uint64{6, 144, 210} { // an editor in the middle of what settles
		one, _ := playHistory(t, seed)
		two, _ := playHistory(t, seed)
		if !slices.Equal(one.steps, two.steps) {
			t.Errorf("history %d went in two ways:\n%s\n\n%s", seed, strings.Join(one.steps, "\n"), strings.Join(two.steps, "\n"))
		}
	}
}

// howMany is how many histories are played. The race detector sees as much in a few:
// which cells they reach is not asked there.
func howMany() int {
	if race.Enabled {
		return min(*modelHistories, 40)
	}
	return *modelHistories
}

// keptSeeds are those of histories that once failed; each line of the file
// says what was wrong.
func keptSeeds(t *testing.T) (seeds []uint64) {
	f, err := os.Open(filepath.Join("testdata", "model-seeds.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for in := bufio.NewScanner(f); in.Scan(); {
		word, _, _ := strings.Cut(in.Text(), " ")
		if word == "" || word[0] == '#' {
			continue
		}
		seed, err := strconv.ParseUint(word, 10, 64)
		if err != nil {
			t.Fatalf("model-seeds.txt: %v", err)
		}
		seeds = append(seeds, seed)
	}
	return seeds
}

// playHistory plays one. bad says what does not hold; "" is nothing.
func playHistory(t testing.TB, seed uint64) (m *model, bad string) {
	root, err := os.MkdirTemp(quick, "model-*")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(root)
	m = newModel(playing{t}, filepath.Join(root, "home"), seed)
	defer func() {
		switch p := recover().(type) {
		case nil:
		case broken:
			bad = string(p)
		default:
			panic(fmt.Sprintf("history %d: %v\n%s", seed, p, strings.Join(m.steps, "\n")))
		}
	}()
	m.play()
	return m, ""
}

// broken is the panic that ends a history in which something does not hold.
type broken string

// playing makes of each Fatal the end of one history, and keeps thousands of
// syncs out of the log, but for one that is looked at.
type playing struct{ testing.TB }

func (playing) Helper()                   {}
func (playing) Fatal(args ...any)         { panic(broken(fmt.Sprint(args...))) }
func (playing) Fatalf(f string, a ...any) { panic(broken(fmt.Sprintf(f, a...))) }

func (p playing) Log(args ...any) {
	if *modelSeed != 0 {
		p.TB.Log(args...)
	}
}

// silent keeps thousands of syncs out of the log.
type silent struct{ testing.TB }

func (silent) Log(...any) {}

var quick = func() string {
	if s, err := os.Stat("/dev/shm"); err == nil && s.IsDir() {
		return "/dev/shm"
	}
	return ""
}()

// tally counts how often each cell of the table was reached, and what else
// happened.
type tally struct {
	cells map[tableCell]int
	acts  map[string]int
	made  map[bundle.Digest]string // notebooks that came out of merges, for nbformat
}

func newTally() *tally {
	return &tally{map[tableCell]int{}, map[string]int{}, map[bundle.Digest]string{}}
}

// judge has nbformat look at notebooks; nil where it is not at hand (but with
// -tags e2e).
var judge func(t *testing.T, notebooks map[string][]byte)

// maxJudged is how many notebooks it looks at.
const maxJudged = 20_000

func (n *tally) judge(t *testing.T) {
	if judge == nil || t.Failed() {
		return
	}
	all := map[string][]byte{}
	for d, text := range n.made {
		all[d.String()] = []byte(text)
	}
	judge(t, all)
}

func (n *tally) add(o *tally) {
	for c, k := range o.cells {
		n.cells[c] += k
	}
	for a, k := range o.acts {
		n.acts[a] += k
	}
	for d, text := range o.made {
		if len(n.made) < maxJudged {
			n.made[d] = text
		}
	}
}

// report prints the counts, and fails where cells were not reached often
// enough for what was asked. Which cells some histories reach follows from
// their seeds, but also from what Satchel does in them: so a few hundred may
// miss a few cells, and ten thousand none.
func (n *tally) report(t *testing.T, histories int) {
	least := 1
	if *modelHistories >= manyHistories {
		least = manyTimes
	} else if *modelHistories < someHistories {
		least = 0
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d histories\n%-16s %-14s %8s %8s %8s %8s\n", histories, "course", "student", "merge", "once", "replace", "readonly")
	fewest, most := 1<<60, 0
	var missed []string
	for _, rc := range tableRows() {
		fmt.Fprintf(&b, "%-16s %-14s", rc[0], rc[1])
		for _, p := range policies {
			c := tableCell{rc[0], rc[1], p}
			k := n.cells[c]
			if !slices.Contains(tableCells, c) {
				fmt.Fprintf(&b, " %8s", fmt.Sprintf("(%d)", k))
				continue
			}
			fmt.Fprintf(&b, " %8d", k)
			fewest, most = min(fewest, k), max(most, k)
			if k < least {
				missed = append(missed, fmt.Sprintf("%v was reached %d times; at least %d are needed", c, k, least))
			}
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "%d cells, reached %d to %d times; (n): not aimed at\n", len(tableCells), fewest, most)
	for _, a := range sortedKeys(n.acts) {
		fmt.Fprintf(&b, "%-24s %d\n", a, n.acts[a])
	}
	t.Log(b.String())
	if len(missed) > 0 && (least > 1 || len(missed) > len(tableCells)/mayMiss) {
		t.Error(strings.Join(missed, "\n"))
	}
}

// rng gives the source of one history.
func rng(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x5a7c4e1)) }

// modelDay is when a history begins: the filesystem's times are real ones.
func modelDay() time.Time { return time.Now().UTC().Truncate(time.Second) }
