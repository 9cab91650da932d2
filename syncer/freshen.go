package syncer

import (
	"context"
	"errors"
	"time"

	"satchel/bundle"
	"satchel/store"
)

// freshen signs the head anew when a day has passed, or when other keys sign
// now. It follows a look at the repository, so it says "checked" truly, also
// where what was seen is refused.
func (p *pass) freshen(ctx context.Context) error {
	if p.head == nil || !p.signIsDue() {
		return nil
	}
	now, err := publishTime(p.o.Now(), p.head.Published)
	if err != nil {
		return err
	}
	if err := p.lookUp(ctx, &shelf{}); err != nil {
		return err
	}
	h := *p.head
	h.Checked = now
	if err := p.swap(ctx, p.same(), &h); err != nil {
		return err
	}
	p.out.Signed = true
	return nil
}

func (p *pass) signIsDue() bool {
	return p.o.Now().Sub(p.head.Checked) >= signEvery || !signedBy(p.rec.Head, p.o.Keys())
}

// ours refuses a head in the record that none of today's keys signed: neither
// it nor what goes on from it is signed. Whoever has the store, or a key that
// was stolen and dropped, could have put anything there. A repair takes nothing
// of it but who sees which channel, and what was taken back.
func (p *pass) ours() error {
	if p.head == nil || p.r.Repair {
		return nil
	}
	if _, err := p.rec.Head.Open(publicHalves(p.o.Keys())); err == nil {
		return nil
	}
	return refuse(Unsigned, "version %d in the store is signed by none of this syncer's keys, so nothing is signed that goes on from it, and students get nothing new. If a key was replaced at once, because it was stolen or lost, `satchel check %s --repair` publishes what the repository has; else see who writes to the store", p.rec.Version, p.c.Name)
}

// signedBy says whether exactly these keys signed.
func signedBy(e *bundle.Envelope, keys []bundle.SigningKey) bool {
	if len(e.Signatures) != len(keys) {
		return false
	}
	for i, k := range keys {
		if e.Signatures[i].KeyID != k.Public().ID() {
			return false
		}
	}
	return true
}

// same is a copy of the record, for a swap that changes no version.
func (p *pass) same() *store.Record {
	rec := *p.rec
	rec.Publish = p.newID()
	return &rec
}

// remembered is the last refusal, so that the same commit is neither read nor
// logged again and again.
type remembered struct {
	*Refusal
	config bundle.Digest
	etag   string
	until  time.Time
}

// refusedBefore gives the refusal of just this commit, for the loop; a person
// who asks is answered from a new look.
func (p *pass) refusedBefore() error {
	r := p.k.refused
	if r.Refusal == nil || p.r.Who != "" || r.Commit != p.tip || r.config != p.config || r.etag != p.etag || p.o.Now().After(r.until) {
		return nil
	}
	return r.Refusal
}

// remember keeps r, if the commit alone is its cause.
func (p *pass) remember(r *Refusal) {
	if r == nil || r.Commit == "" || r.passing {
		p.k.refused = remembered{}
		return
	}
	if p.k.refused.Refusal != r {
		p.k.refused = remembered{r, p.config, p.etag, p.o.Now().Add(time.Hour)}
	}
}

// isRefusal gives the refusal in err.
func isRefusal(err error) *Refusal {
	var r *Refusal
	if errors.As(err, &r) {
		return r
	}
	return nil
}
