package lines

import (
	"fmt"
	"strings"
)

// Unified writes old -> new as a unified diff for a person to read, with n
// lines of context round each change; "" if they are equal. It is what `git
// apply` takes. The lines are as they are, control characters too.
func Unified(oldName, newName string, old, new []byte, n int) string {
	x := index{}
	u := unified{old: split(old), new: split(new)}
	pairs, _ := align(x.numbers(u.old), x.numbers(u.new))
	hunks := hunks(pairs, len(u.old), len(u.new))
	if len(hunks) == 0 {
		return ""
	}
	fmt.Fprintf(&u.out, "--- %s\n+++ %s\n", oldName, newName)
	n = max(n, 0)
	for len(hunks) > 0 {
		near := 1
		for near < len(hunks) && hunks[near].old.from-hunks[near-1].old.to <= 2*n {
			near++
		}
		u.group(hunks[:near], n)
		hunks = hunks[near:]
	}
	return u.out.String()
}

type unified struct {
	old, new []string
	out      strings.Builder
}

// group writes hunks that share their context.
func (u *unified) group(hunks []hunk, n int) {
	first, last := hunks[0], hunks[len(hunks)-1]
	above := min(n, first.old.from)
	below := min(n, len(u.old)-last.old.to)
	from, to := first.old.from-above, last.old.to+below
	fmt.Fprintf(&u.out, "@@ -%s +%s @@\n", where(from, to), where(first.new.from-above, last.new.to+below))
	for _, h := range hunks {
		u.write(' ', u.old[from:h.old.from])
		u.write('-', u.old[h.old.from:h.old.to])
		u.write('+', u.new[h.new.from:h.new.to])
		from = h.old.to
	}
	u.write(' ', u.old[from:to])
}

// where writes where lines stand, counted from 1. Of none it is the line
// before them, as diff(1) has it.
func where(from, to int) string {
	switch to - from {
	case 0:
		return fmt.Sprintf("%d,0", from)
	case 1:
		return fmt.Sprint(from + 1)
	}
	return fmt.Sprintf("%d,%d", from+1, to-from)
}

func (u *unified) write(mark byte, lines []string) {
	for _, l := range lines {
		u.out.WriteByte(mark)
		u.out.WriteString(l)
		if !strings.HasSuffix(l, "\n") {
			u.out.WriteString("\n\\ No newline at end of file\n")
		}
	}
}
