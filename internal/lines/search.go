package lines

// The search is Eugene W. Myers, "An O(ND) Difference Algorithm and Its
// Variations" (1986), the variant in linear space: from both corners of a box
// at once, one change more each round, until the two fronts meet in the middle
// of a shortest way. Ties go as in git, for the results to be the same.

// maxReach is how many changes a front may go through.
const maxReach = 1 << 13

// front is how far a search has come: the furthest point on each diagonal
// (a's index less b's) that so many changes reach. It holds a's index.
type front struct {
	far    []int
	off    int // far[k+off] belongs to diagonal k
	lo, hi int
}

// begin sets the front to one point x on diagonal k.
func (f *front) begin(k, x, reach int) {
	if len(f.far) < 2*reach+3 {
		f.far = make([]int, 2*reach+3)
	}
	f.off = reach + 1 - k
	f.lo, f.hi = k, k
	f.far[k+f.off] = x
}

// grow lets the front have one diagonal more at either side, within a box of n
// by m; beyond stands for "nothing there".
func (f *front) grow(n, m, beyond int) {
	if f.lo > -m {
		f.lo--
		f.far[f.lo-1+f.off] = beyond
	} else {
		f.lo++
	}
	if f.hi < n {
		f.hi++
		f.far[f.hi+1+f.off] = beyond
	} else {
		f.hi--
	}
}

// has is whether the front has come to diagonal k in this round.
func (f *front) has(k int) bool { return f.lo <= k && k <= f.hi }

// middle finds a point on a shortest way through a box whose corners do not
// match. It is false where that takes more than half of the steps left.
func (d *differ) middle(a, b []int) (x, y int, ok bool) {
	n, m := len(a), len(b)
	reach, limit := min(n+m, maxReach), d.left/2
	d.fore.begin(0, 0, reach)
	d.aft.begin(n-m, n, reach)
	for round := 0; round < reach && d.left > limit; round++ {
		if k, ok := d.forward(a, b, limit); ok {
			x := d.fore.far[k+d.fore.off]
			return x, x - k, true
		}
		if k, ok := d.backward(a, b, limit); ok {
			x := d.aft.far[k+d.aft.off]
			return x, x - k, true
		}
	}
	return 0, 0, false
}

// forward goes one change on from the start, and gives the diagonal on which
// it met the other front.
func (d *differ) forward(a, b []int, limit int) (int, bool) {
	n, m := len(a), len(b)
	f := &d.fore
	f.grow(n, m, -1)
	odd := (n-m)%2 != 0
	for k := f.hi; k >= f.lo && d.left > limit; k -= 2 {
		x := max(f.far[k-1+f.off]+1, f.far[k+1+f.off])
		from := x
		for x < n && x-k < m && a[x] == b[x-k] {
			x++
		}
		d.left -= x - from + 1
		f.far[k+f.off] = x
		if odd && d.aft.has(k) && d.aft.far[k+d.aft.off] <= x {
			return k, true
		}
	}
	return 0, false
}

// backward goes one change back from the end.
func (d *differ) backward(a, b []int, limit int) (int, bool) {
	n, m := len(a), len(b)
	f := &d.aft
	f.grow(n, m, n+m+1)
	even := (n-m)%2 == 0
	for k := f.hi; k >= f.lo && d.left > limit; k -= 2 {
		x := min(f.far[k-1+f.off], f.far[k+1+f.off]-1)
		from := x
		for x > 0 && x-k > 0 && a[x-1] == b[x-k-1] {
			x--
		}
		d.left -= from - x + 1
		f.far[k+f.off] = x
		if even && d.fore.has(k) && x <= d.fore.far[k+d.fore.off] {
			return k, true
		}
	}
	return 0, false
}
