package hookserver

import (
	"fmt"

	"satchel/bundle"
	"satchel/store"
)

// remember keeps a manifest for whoever has an older version.
func (l *library) remember(d bundle.Digest, m *bundle.Manifest) {
	l.past.put(d, m, int64(len(m.Files))*200+1000)
}

// rememberAll keeps the manifests of an edition that is replaced: most students
// have that one.
func (l *library) rememberAll(ed *edition) {
	if ed == nil {
		return
	}
	for _, ch := range ed.channels {
		l.remember(ch.digest, ch.manifest)
	}
}

// manifestAt gives the manifest that a channel had at version v.
func (l *library) manifestAt(ch *channel, v bundle.Version) (*bundle.Manifest, error) {
	want, ok := ch.digestAt(v)
	if !ok {
		return nil, fmt.Errorf("%w: no bundle as old as version %d", store.ErrNotFound, v)
	}
	if want == ch.digest {
		return ch.manifest, nil
	}
	if m, ok := l.past.get(want); ok {
		return m, nil
	}
	m, err, _ := l.flight.Do("manifest "+want.String(), func() (any, error) {
		m, err := ch.compose(ch.at(v))
		if err != nil {
			return nil, err
		}
		if m.Digest() != want {
			return nil, fmt.Errorf("%w: bundles to version %d give two manifests", bundle.ErrCorrupt, v)
		}
		l.remember(want, m)
		return m, nil
	})
	if err != nil {
		return nil, err
	}
	return m.(*bundle.Manifest), nil
}
