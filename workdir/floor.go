package workdir

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"satchel/bundle"
)

// What was seen counts as far as a key signed it that is trusted now. So the
// journal keeps, of what was planned from, the newest head that each key
// signed: whoever stole a key names versions as high as they like, and these
// are nothing once the key is dropped; what another key signed meanwhile, or
// signed too, counts on.

// maxUntrusted is how many heads are kept that no key signed which is trusted
// here: of another server of the same home, or of keys that may come back.
const maxUntrusted = 4

// at is a version that may not be gone below; of the same number only the one
// with this fingerprint is it.
type at struct {
	version bundle.Version
	print   string
}

// Floor gives what counts of all that was seen here: a head below that
// version, or another one of the same number, is a step back. No keys: all
// counts.
func (c *Course) Floor(keys []bundle.PublicKey) (bundle.Version, string) {
	var top at
	for _, f := range c.rec.counts(c.name, keys) {
		if f.version > top.version || f.version == top.version && top.print == "" {
			top = f
		}
	}
	return top.version, top.print
}

// Disowned says that none of these keys signed the head that is applied here.
func (c *Course) Disowned(keys []bundle.PublicKey) bool {
	return c.rec.applied != nil && dropped(c.rec.applied.Envelope, keys)
}

// counts gives the versions that count, the latest that was accepted first.
func (r *record) counts(course string, keys []bundle.PublicKey) (out []at) {
	top := at{r.highest.Version, r.highest.Fingerprint}
	if !r.disowned(top, keys) {
		out = append(out, top)
	}
	for _, e := range r.highest.Heads {
		if h, err := e.Open(keys); err == nil && h.Course == course {
			out = append(out, at{h.Version, h.Fingerprint()})
		}
	}
	for _, a := range []*applied{r.applied, r.begun} {
		if a != nil && !dropped(a.Envelope, keys) {
			out = append(out, at{a.Version, a.Fingerprint})
		}
	}
	return out
}

// disowned says that heads are at hand of this version, and none of these keys
// signed one of them. A journal of a former Satchel holds none of a version of
// which nothing was placed: that counts.
func (r *record) disowned(v at, keys []bundle.PublicKey) bool {
	known := false
	for _, e := range r.heads(v) {
		if !dropped(e, keys) {
			return false
		}
		known = true
	}
	return known
}

// heads gives the signed heads at hand of one version.
func (r *record) heads(v at) (out []*bundle.Envelope) {
	for _, e := range r.highest.Heads {
		if h, err := e.Peek(); err == nil && (at{h.Version, h.Fingerprint()}) == v {
			out = append(out, e)
		}
	}
	for _, a := range []*applied{r.applied, r.begun} {
		if a != nil && a.Envelope != nil && (at{a.Version, a.Fingerprint}) == v {
			out = append(out, a.Envelope)
		}
	}
	return out
}

// dropped says that a head is at hand, and that none of the keys signed it.
// What is damaged, or of a newer format, says nothing about keys.
func dropped(e *bundle.Envelope, keys []bundle.PublicKey) bool {
	if e == nil || len(keys) == 0 {
		return false
	}
	_, err := e.Open(keys)
	return errors.Is(err, bundle.ErrSignature)
}

// rise refuses a head that is older than what counts, and remembers it.
func (c *Course) rise(n Newest) error {
	now := at{n.Head.Version, n.Head.Fingerprint()}
	v, print := c.Floor(n.Keys)
	if now.version < v || now.version == v && now.print != print {
		return fmt.Errorf("version %d, where %d was seen: %w", now.version, v, ErrOlder)
	}
	h := c.rec.highest
	next := highest{now.version, now.print, newestOfEach(h.Heads, n.Envelope, n.Keys)}
	if h.Version != next.Version || h.Fingerprint != next.Fingerprint || !slices.EqualFunc(h.Heads, next.Heads, sameEnvelope) {
		if err := c.note(line{Highest: &next}); err != nil {
			return err
		}
	}
	return c.tick(n.Head.Checked)
}

// newestOfEach keeps of some heads, and one more, the newest that each key
// signed; the rest only where none of the keys did, and not many. Signatures
// alone count, for anybody can write a key's id.
func newestOfEach(had []*bundle.Envelope, more *bundle.Envelope, keys []bundle.PublicKey) (out []*bundle.Envelope) {
	all := slices.Clone(had)
	if more != nil && len(keys) > 0 {
		all = append(all, more)
	}
	stays := make([]bool, len(all))
	others := 0
	for i := len(all) - 1; i >= 0; i-- {
		if dropped(all[i], keys) && others < maxUntrusted {
			stays[i], others = true, others+1
		}
	}
	for _, k := range keys {
		if i := newestBy(all, k); i >= 0 {
			stays[i] = true
		}
	}
	for i, e := range all {
		if stays[i] || len(keys) == 0 {
			out = append(out, e)
		}
	}
	return out
}

// newestBy gives the place of the newest head that a key signed, -1 for none.
// Of one that was signed anew without a change the first stays, so that a
// quiet day writes nothing.
func newestBy(all []*bundle.Envelope, k bundle.PublicKey) int {
	best, version := -1, bundle.Version(0)
	for i, e := range all {
		if h, err := e.Open([]bundle.PublicKey{k}); err == nil && (best < 0 || h.Version > version) {
			best, version = i, h.Version
		}
	}
	return best
}

func sameEnvelope(a, b *bundle.Envelope) bool {
	return a == b || a != nil && b != nil && bytes.Equal(a.Payload, b.Payload) && slices.EqualFunc(a.Signatures, b.Signatures,
		func(x, y bundle.Signature) bool { return x.KeyID == y.KeyID && bytes.Equal(x.Sig, y.Sig) })
}
