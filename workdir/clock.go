package workdir

import "time"

// maxTick is the most that counts between two ticks: nothing grows old in one
// leap, even if both clocks leap together.
const maxTick = 7 * 24 * time.Hour

// counted is a clock for promises in days. It counts only what two clocks
// agree on: the machine's, and the one of the service, of which each signed
// head tells the time. Neither a machine that started without its time nor a
// head that was old makes it run; at worst it is slow, and things are kept
// longer.
type counted struct {
	Passed time.Duration `json:"passed"`
	Local  time.Time     `json:"local"`  // of the last tick, by the machine
	Signed time.Time     `json:"signed"` // of the last tick, by the signed head
}

func (t counted) tick(local, signed time.Time) counted {
	if !t.Signed.IsZero() {
		t.Passed += max(0, min(local.Sub(t.Local), signed.Sub(t.Signed), maxTick))
	}
	t.Local, t.Signed = local, signed
	return t
}

// maxCounted is more than any home will see; it keeps the sums from overflow.
const maxCounted = 200 * 365 * 24 * time.Hour

func (t counted) valid() bool { return t.Passed >= 0 && t.Passed < maxCounted }

// tick lets the course's clock go on by what a signed head tells.
func (c *Course) tick(signed time.Time) error {
	c.home.signed = later(c.home.signed, signed)
	if signed.IsZero() || signed.Equal(c.rec.clock.Signed) {
		return nil
	}
	c.shelf = ""
	next := c.rec.clock.tick(c.home.now, signed)
	return c.note(line{Clock: &next})
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
