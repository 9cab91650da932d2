package workdir

import "slices"

// lasting are the events that tell of something done once. If the agent dies
// before anybody read them, the next one tells them. The others come again by
// themselves while there is reason to.
var lasting = []EventKind{
	Merged, SameLines, Kept, InTheWay, Blocked, MovedAside, Saved, Stays, Moved, Returned, Withdrawn,
	LeftChannel, FolderRenamed, FolderStays, Recovered,
}

// maxUntold bounds how many events are remembered.
const maxUntold = 1000

// remembered are the lines that remember the lasting ones of some events.
func remembered(events ...Event) (out []line) {
	for _, e := range events {
		if slices.Contains(lasting, e.Kind) {
			out = append(out, line{Event: &e})
		}
	}
	return out
}

// Untold says whether something that was done by an agent that died was never
// told. The next Plan tells it.
func (c *Course) Untold() bool { return len(c.untold) > 0 }

// Told forgets the events of all passes until now: the student can read them.
func (c *Course) Told() error {
	if len(c.rec.untold) == 0 {
		return nil
	}
	return c.note(line{Told: true})
}

// takeUntold gives the events of passes before this Home, once.
func (c *Course) takeUntold() []Event {
	events := c.untold
	c.untold = nil
	return slices.Clone(events)
}
