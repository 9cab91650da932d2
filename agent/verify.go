package agent

import (
	"errors"
	"fmt"

	"satchel/bundle"
	"satchel/hook"
	"satchel/workdir"
)

// Errors of what was offered. Each is told to the student as "could not be
// verified", and to the log by name.
var (
	errLower   = errors.New("a lower version than was seen before")
	errOther   = errors.New("another course's head")
	errMixed   = errors.New("a channel that the head does not name so")
	errForeign = errors.New("none of the keys known here is named as the signer")
	errMany    = errors.New("more courses than one answer may name")
	errLeap    = errors.New("a version further ahead than any course gets")
	errUnkept  = errors.New("changes on a manifest that is not held here") // to be asked anew, not a fault
)

// signed gives an offer's head, if one of the keys signed it for this course.
// Before that nothing is opened or made on disk for the offer's sake.
func signed(o hook.CourseOffer, keys []bundle.PublicKey) (*bundle.Head, error) {
	head, err := o.Head.Open(keys)
	if err == nil && head.Course != o.Course {
		err = fmt.Errorf("%w: %s for %s", errOther, head.Course, o.Course)
	}
	return head, err
}

// foreign says whether e names none of the keys as its signer: then the keys
// here are of another time, or it is of another place. A key that is named and
// did not sign is a forgery.
func foreign(e *bundle.Envelope, keys []bundle.PublicKey) bool {
	for _, s := range e.Signatures {
		for _, k := range keys {
			if s.KeyID == k.ID() {
				return false
			}
		}
	}
	return len(e.Signatures) > 0
}

// maxLeap is by how much a version may be above the highest seen: a new one in
// each second takes longer than a century to get so far. Whoever holds a stolen
// key could name the last version there is, and nothing that is published after
// would be above it; so there is always room.
const maxLeap bundle.Version = 1 << 32

// floor is what counts of what was seen (workdir.Course.Floor).
type floor struct {
	version bundle.Version
	print   string
}

// verify makes of an offer, whose head signed gave, what workdir may be given:
// the head is not below what was seen and counts, nor far above all that was
// seen; each channel's manifest is the one whose digest the head names.
func verify(o hook.CourseOffer, head *bundle.Head, st workdir.State, seen floor) (workdir.Newest, error) {
	if err := notLower(head, seen); err != nil {
		return workdir.Newest{}, err
	}
	if most := max(st.Highest, st.Version) + maxLeap; head.Version > most {
		return workdir.Newest{}, fmt.Errorf("%w: version %d, where %d is the most", errLeap, head.Version, most)
	}
	manifests, err := compose(o, head, st.Manifests)
	if err != nil {
		return workdir.Newest{}, err
	}
	return workdir.Newest{Head: head, Envelope: o.Head, Manifests: manifests, Left: o.Left, Renamed: renamed(o)}, nil
}

// renamed collects the publisher's hints. They only ever say where to look
// first, so they need no check.
func renamed(o hook.CourseOffer) map[string]string {
	out := map[string]string{}
	for _, c := range o.Channels {
		for _, ch := range c.Changes.Set {
			if ch.RenamedFrom != "" {
				out[ch.Path] = ch.RenamedFrom
			}
		}
	}
	return out
}

// notLower refuses a head from before what was seen. The same version with
// another fingerprint counts as lower.
func notLower(head *bundle.Head, seen floor) error {
	if head.Version < seen.version {
		return fmt.Errorf("%w: version %d after %d", errLower, head.Version, seen.version)
	}
	if head.Version == seen.version && seen.print != "" && head.Fingerprint() != seen.print {
		return fmt.Errorf("%w: another version %d", errLower, head.Version)
	}
	return nil
}

// overtaken gives the version seen here that no longer counts beside this head,
// for only a key signed it that was dropped; 0 where the head is above all.
func overtaken(head *bundle.Head, st workdir.State) bundle.Version {
	if head.Version < st.Highest || head.Version == st.Highest && head.Fingerprint() != st.HighestFingerprint {
		return st.Highest
	}
	return 0
}

// compose gives the manifest of each channel that is offered, and of those
// that are held already and still stand so in the head.
func compose(o hook.CourseOffer, head *bundle.Head, had map[string]*bundle.Manifest) (map[string]*bundle.Manifest, error) {
	out := map[string]*bundle.Manifest{}
	for _, c := range o.Channels {
		want, ok := head.Channel(c.ID)
		if _, twice := out[c.ID]; !ok || twice {
			return nil, fmt.Errorf("%w: %.64q", errMixed, c.ID)
		}
		m, err := step(c, want, had[c.ID])
		if err != nil {
			return nil, fmt.Errorf("channel %.64q: %w", c.ID, err)
		}
		out[c.ID] = m
	}
	left := map[string]bool{}
	for _, id := range o.Left {
		left[id] = true
	}
	for id, m := range had {
		if want, ok := head.Channel(id); ok && out[id] == nil && !left[id] && m != nil && m.Digest() == want {
			out[id] = m
		}
	}
	return out, nil
}

// step applies one channel's changes and checks the result.
func step(c hook.ChannelOffer, want bundle.Digest, had *bundle.Manifest) (*bundle.Manifest, error) {
	if c.Base.IsZero() {
		had = nil
	} else if had == nil || had.Digest() != c.Base {
		return nil, errUnkept
	}
	m, err := had.Apply(c.Changes)
	if err == nil && m.Digest() != want {
		err = fmt.Errorf("%w: the changes give another manifest than the head names", bundle.ErrCorrupt)
	}
	if err != nil && had != nil {
		return nil, fmt.Errorf("%w: %w", errUnkept, err)
	}
	return m, err
}

// refusal says whether err means that what came is not what a trusted key
// signed for this home (or not what this agent can read).
func refusal(err error) bool {
	for _, e := range []error{errLower, errLeap, errOther, errMixed, bundle.ErrSignature, bundle.ErrCorrupt, bundle.ErrFormat, workdir.ErrOlder, workdir.ErrMismatch} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
