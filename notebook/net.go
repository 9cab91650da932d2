package notebook

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"strings"
)

var errUnstable = errors.New("merging twice gives another result than once")

// net checks the result before it may stand in mine's place, from its bytes,
// as if the merge could not be trusted: it opens (and validates where mine
// did), each line and cell that mine added is in it, no cell that mine deleted
// came back, and merging again changes nothing.
func (m *merger) net() error {
	said, mine := m.said, m.mine
	if m.baseOf == nil || bytes.Equal(said.Data, mine.raw) {
		return nil
	}
	result, err := open(said.Data)
	if err != nil {
		return fmt.Errorf("the result: %w", err)
	}
	if err := cmp.Or(m.keepsCells(result), m.keepsLines(result), m.staysDeleted(result)); err != nil {
		return err
	}
	if err := validate(said.Data); err != nil && validate(mine.raw) == nil {
		return fmt.Errorf("the result: %w", err)
	}
	m.with(result)
	if !bytes.Equal(m.said.Data, said.Data) {
		return errUnstable
	}
	m.said = said
	return nil
}

// keepsCells looks for each cell that mine added.
func (m *merger) keepsCells(result *book) error {
	have := count(result.cells)
	for i := range m.mine.cells {
		w := m.mine.cells[i].content()
		if m.baseOf[i] >= 0 {
			continue
		}
		if have[w]--; have[w] < 0 {
			return fmt.Errorf("cell %d of the version here is not in the result", i+1)
		}
	}
	return nil
}

// staysDeleted says whether no cell that mine deleted came back: of its
// content there is no more than mine has and theirs has elsewhere.
func (m *merger) staysDeleted(result *book) error {
	may := count(m.mine.cells)
	for w, n := range count(m.theirs.cells) {
		may[w] += n
	}
	deleted := map[content]int{} // and its number, for the message
	for b, i := range m.mineOfBase {
		if t := m.inTheirs.ab[b]; i < 0 && t >= 0 {
			w := m.theirs.cells[t].content()
			may[w]--
			deleted[w], deleted[m.base.cells[b].content()] = b+1, b+1
		}
	}
	have := count(result.cells)
	for w, number := range deleted {
		if have[w] > max(0, may[w]) {
			return fmt.Errorf("cell %d of the version before came back", number)
		}
	}
	return nil
}

func count(cells []slice) map[content]int {
	n := make(map[content]int, len(cells))
	for i := range cells {
		n[cells[i].content()]++
	}
	return n
}

// keepsLines looks for each line that mine added, in the cells that are not
// base's own.
func (m *merger) keepsLines(result *book) error {
	inBase, inMine := count(m.base.cells), count(m.mine.cells)
	need := map[string]int{}
	eachLine(m.mine.cells, inBase, func(line string) { need[line]++ })
	eachLine(m.base.cells, inMine, func(line string) {
		if need[line] > 0 {
			need[line]--
		}
	})
	eachLine(result.cells, inBase, func(line string) {
		if need[line] > 0 {
			need[line]--
		}
	})
	for _, n := range need {
		if n > 0 {
			return errors.New("a line of the version here is not in the result")
		}
	}
	return nil
}

// eachLine gives the lines of all cells that are not among others.
func eachLine(cells []slice, others map[content]int, one func(line string)) {
	for i := range cells {
		if others[cells[i].content()] > 0 {
			continue
		}
		for line := range strings.Lines(cells[i].source) {
			one(strings.TrimRight(line, "\n"))
		}
	}
}
