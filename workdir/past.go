package workdir

import (
	"slices"

	"satchel/bundle"
)

// pastKept is how many former contents of a path are remembered, so that
// restore can bring one back.
const pastKept = 4

// follows notes since which version e's content is here, and what was before.
func (e *Entry) follows(was *Entry, v bundle.Version) {
	switch {
	case was != nil && was.Digest == e.Digest && was.Since != 0:
		return
	case was != nil && was.Digest != e.Digest && was.Since != 0:
		e.Past = append(slices.Clone(e.Past), Past{Version: was.Since, Digest: was.Digest, Size: was.Size})
		if len(e.Past) > pastKept {
			e.Past = e.Past[1:]
		}
	}
	e.Since = v
}

// backTo makes e what it was while d was the course's content here.
func (e *Entry) backTo(d bundle.Digest) {
	at := slices.IndexFunc(e.Past, func(p Past) bool { return p.Digest == d })
	switch {
	case at >= 0:
		e.Since, e.Size, e.Past = e.Past[at].Version, e.Past[at].Size, slices.Clone(e.Past[:at])
	case e.Digest != d:
		e.Since = 0
	}
	e.Digest = d
}

// knew says whether a content is, or was, the course's at this path.
func (e *Entry) knew(d bundle.Digest) bool {
	return e != nil && (e.Digest == d || slices.ContainsFunc(e.Past, func(p Past) bool { return p.Digest == d }))
}

// at gives the content that the path had at a version, as far as this home
// knows: the newest that is not newer.
func (e *Entry) at(v bundle.Version) (Past, bool) {
	all := append(slices.Clone(e.Past), Past{Version: e.Since, Digest: e.Digest, Size: e.Size})
	for _, p := range slices.Backward(all) {
		if p.Version != 0 && p.Version <= v {
			return p, true
		}
	}
	return Past{}, false
}
