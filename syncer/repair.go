package syncer

import (
	"context"
	"errors"

	"satchel/bundle"
	"satchel/course"
	"satchel/store"
)

// Repair publishes what the repository has now as a version above all that are
// known, with full bundles alone. It is for a store that lost something, or
// went backwards: students keep what they have, and get what differs. The
// history of former contents is lost with the bundles that held it, so files
// that a student has of before Satchel's own record in the home count as the
// student's. What was taken back stays so.
func (s *Syncer) Repair(ctx context.Context, c *course.Course, cmd Command) (Outcome, error) {
	return s.Sync(ctx, c, Request{Course: cmd.Course, Who: cmd.Who, Why: cmd.Why, Repair: true, Above: cmd.Version})
}

// readBroken takes a record that cannot be read for none, but for its etag and
// for what was taken back.
func (p *pass) readBroken(ctx context.Context, why error) error {
	if errors.Is(why, bundle.ErrFormat) {
		return why // of a newer Satchel: it is whole
	}
	o, err := p.st.Head(ctx, store.RecordKey(string(p.c.Name)))
	if err != nil {
		return err
	}
	p.rec, p.etag, p.head = nil, o.ETag, nil
	p.lost, err = p.owed(ctx)
	return err
}

// newestKnown is the highest version that anything tells of. Where the log
// cannot be listed it is what the rest tells, beside the error.
func (p *pass) newestKnown(ctx context.Context) (bundle.Version, error) {
	newest, err := store.NewestLogged(ctx, p.st, string(p.c.Name))
	newest = max(newest, p.r.Above)
	// What this syncer's own keys signed; check --repair names what others did.
	if h, err := store.ReadProven(ctx, p.st, string(p.c.Name), publicHalves(p.o.Keys())); err == nil {
		newest = max(newest, h.Version)
	}
	return newest, err
}

func publicHalves(keys []bundle.SigningKey) (out []bundle.PublicKey) {
	for _, k := range keys {
		out = append(out, k.Public())
	}
	return out
}
