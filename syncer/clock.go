package syncer

import (
	"time"

	"satchel/store"
)

const (
	// maxSkew is how far a former publish may lie ahead, and how far this
	// machine's clock may be from the store's.
	maxSkew = time.Minute
	// abandonAfter is how old a publish may become: prune would take its
	// bundles away one day.
	abandonAfter = store.PublishTime
	// signEvery is how often a head is signed anew, so that a week without
	// means staleness, not silence.
	signEvery = 24 * time.Hour
)

// publishTime is when the next version is published: now, or the former
// version's time while that is up to a minute ahead.
func publishTime(now, before time.Time) (time.Time, error) {
	now = now.UTC()
	if ahead := before.Sub(now); ahead > maxSkew {
		return time.Time{}, refuse(Clock, "the version before this one was published at %s, which is %s ahead of this machine's clock (%s). Nothing is published until the clock is right: see to it that time is kept (chrony, ntpd) here and where the other was published",
			stamp(before), ahead.Round(time.Second), stamp(now))
	}
	if before.After(now) {
		return before.UTC(), nil
	}
	return now, nil
}

// sameClock compares this machine's clock with the store's, where the store
// tells it.
func sameClock(now time.Time, o store.Object) error {
	if o.Now.IsZero() {
		return nil
	}
	if off := now.Sub(o.Now); off > maxSkew || off < -maxSkew {
		return refuse(Clock, "this machine's clock (%s) and the store's (%s) differ by %s. Nothing is published until they agree: see to it that time is kept (chrony, ntpd) on this machine",
			stamp(now), stamp(o.Now), off.Abs().Round(time.Second))
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format("2 January 2006 15:04:05 UTC") }
