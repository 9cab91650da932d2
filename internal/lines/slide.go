package lines

// slide moves runs that could stand higher or lower in their sequence: a run
// that begins with the line which follows it is as well said one line further
// down. All go down as far as they can, or to the lowest place at which the
// other sequence has a run too, as in git: people mean the whole paragraph
// they wrote, and equal choices on both sides of a merge are what makes equal
// changes equal. It gives the steps that it took.
func slide(a, b []int, pairs []pair) int {
	s := slider{left: 16 * (len(a) + len(b))}
	all := s.left
	colA, colB := []int{-1}, []int{-1}
	for _, p := range pairs {
		colA, colB = append(colA, p.a), append(colB, p.b)
	}
	colA, colB = append(colA, len(a)), append(colB, len(b))
	s.side(a, colA, colB)
	s.side(b, colB, colA)
	for i := range pairs {
		pairs[i] = pair{colA[i+1], colB[i+1]}
	}
	return all - s.left
}

// slider moves the runs of seq. own[g] is where pair g stands in it, other[g]
// where in the other sequence; before the first and after the last pair stand
// the ends. A gap g lies between pair g and the next, and may hold a run.
type slider struct {
	seq        []int
	own, other []int
	left       int // steps
}

func (s *slider) side(seq, own, other []int) {
	s.seq, s.own, s.other = seq, own, other
	for g := 0; g < len(own)-1; g++ {
		if held(own, g) > 0 {
			g = s.settle(g)
		}
	}
}

// held is how many lines gap g of a side has.
func held(side []int, g int) int { return side[g+1] - side[g] - 1 }

// settle moves the run in gap g, and gives the gap that it came to. On the way
// it may take in other runs, which may let it go further.
func (s *slider) settle(g int) int {
	match, top := -1, g
	for size := 0; size != held(s.own, g); {
		size, match = held(s.own, g), -1
		for s.up(g) {
			g--
		}
		top = g
		for {
			if held(s.other, g) > 0 {
				match = g
			}
			if !s.down(g) {
				break
			}
			g++
		}
	}
	for match >= top && g > match && s.up(g) {
		g--
	}
	return g
}

// up moves the run in gap g to gap g-1, if the line above it equals its last.
func (s *slider) up(g int) bool {
	last := s.own[g+1] - 1
	if g == 0 || s.seq[s.own[g]] != s.seq[last] || s.left <= 0 {
		return false
	}
	s.left--
	s.own[g] = last
	return true
}

// down moves the run in gap g to gap g+1, if the line below it equals its
// first.
func (s *slider) down(g int) bool {
	first := s.own[g] + 1
	if g+2 == len(s.own) || s.seq[s.own[g+1]] != s.seq[first] || s.left <= 0 {
		return false
	}
	s.left--
	s.own[g+1] = first
	return true
}
