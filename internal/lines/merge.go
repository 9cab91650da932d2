package lines

import "slices"

// job merges sides with one pair of base and theirs, for one line ending.
type job struct {
	ending        ending
	index         index
	base          []int // the numbers of its lines
	theirs        []string
	theirsNumbers []int
	pairs         []pair // of base and theirs
	fits          bool   // both are short enough
}

func newJob(base, theirs []byte, e ending) *job {
	j := &job{ending: e, index: index{}, fits: !tooLong(base) && !tooLong(theirs)}
	if j.fits {
		j.base = j.index.numbers(splitWith(base, e))
		j.theirs = splitWith(theirs, e)
		j.theirsNumbers = j.index.numbers(j.theirs)
		j.pairs, _ = align(j.base, j.theirsNumbers)
	}
	return j
}

// merge is the merge itself; mine must have the job's ending. Mine is read as
// made from base, but for one case: as made from theirs it has all that theirs
// changed, and that reading is as short, or mine is nearer to theirs by more
// than half of what theirs changed. Such a text is the result of this very
// merge, or might as well be, and nothing of it comes in twice.
func (j *job) merge(mine []byte) Merged {
	lines := split(mine)
	numbers := j.index.numbers(lines)
	fromBase, _ := align(j.base, numbers)
	fromTheirs, _ := align(j.theirsNumbers, numbers)
	out := j.put(lines, numbers, fromBase)
	way := through(j.pairs, fromTheirs)
	had := j.put(lines, numbers, way)
	short := len(way) >= len(fromBase)
	nearer := changes(j.base, numbers, fromBase) - changes(j.theirsNumbers, numbers, fromTheirs)
	switch {
	case had.Taken > 0:
	case had.Clash == 0 && (short || 2*nearer > changes(j.base, j.theirsNumbers, j.pairs)):
		return had
	case out.Clash > 0 && short:
		return had
	}
	return out
}

// changes is how many lines of a went and of b came.
func changes(a, b []int, pairs []pair) int { return len(a) + len(b) - 2*len(pairs) }

// put merges where pairs are those of base and mine.
func (j *job) put(lines []string, numbers []int, pairs []pair) Merged {
	out := Merged{}
	done := 0
	write := func(lines []string) {
		for _, l := range lines {
			out.Text = append(out.Text, l...)
		}
	}
	mine := hunks(pairs, len(j.base), len(lines))
	for _, p := range places(mine, hunks(j.pairs, len(j.base), len(j.theirs))) {
		switch {
		case !p.byTheirs:
		case !p.byMine:
			write(lines[done:p.mine.from])
			write(j.theirs[p.theirs.from:p.theirs.to])
			done = p.mine.to
			out.Taken++
		case !slices.Equal(numbers[p.mine.from:p.mine.to], j.theirsNumbers[p.theirs.from:p.theirs.to]):
			out.Clash++
		}
	}
	write(lines[done:])
	return out
}

// through pairs a with c by way of b.
func through(ab, bc []pair) []pair {
	var out []pair
	for _, p := range ab {
		for len(bc) > 0 && bc[0].a < p.b {
			bc = bc[1:]
		}
		if len(bc) > 0 && bc[0].a == p.b {
			out = append(out, pair{p.a, bc[0].b})
		}
	}
	return out
}

// span is a run of lines, to not included.
type span struct{ from, to int }

// hunk says that the lines old became the lines new. Between two hunks of one
// diff lies at least one line that stayed.
type hunk struct{ old, new span }

// place is a stretch of base that at least one side changed, and what it is in
// both.
type place struct {
	base, mine, theirs span
	byMine, byTheirs   bool
}

// places lays two diffs of one base over each other. Hunks that overlap or
// touch fall together: nothing says in which order their lines belong.
func places(mine, theirs []hunk) []place {
	var out []place
	m, t := side{hunks: mine}, side{hunks: theirs}
	for len(m.hunks) > 0 || len(t.hunks) > 0 {
		at := min(m.next(), t.next())
		p := place{base: span{at, at}, mine: span{from: at + m.shift}, theirs: span{from: at + t.shift}}
		for grown := true; grown; {
			byMine, byTheirs := m.take(&p.base), t.take(&p.base)
			p.byMine, p.byTheirs = p.byMine || byMine, p.byTheirs || byTheirs
			grown = byMine || byTheirs
		}
		p.mine.to, p.theirs.to = p.base.to+m.shift, p.base.to+t.shift
		out = append(out, p)
	}
	return out
}

// side is the rest of a diff while places walks it; shift leads from a line of
// base that stayed to the same line of the side.
type side struct {
	hunks []hunk
	shift int
}

// next is where the next hunk begins in base.
func (s *side) next() int {
	if len(s.hunks) == 0 {
		return int(^uint(0) >> 1)
	}
	return s.hunks[0].old.from
}

// take takes the next hunk if it touches base, which it widens.
func (s *side) take(base *span) bool {
	if s.next() > base.to {
		return false
	}
	h := s.hunks[0]
	s.hunks = s.hunks[1:]
	s.shift = h.new.to - h.old.to
	base.to = max(base.to, h.old.to)
	return true
}
