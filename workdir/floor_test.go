package workdir

import (
	"testing"

	"satchel/bundle"
)

// TestWhatCountsWithWhichKeys: of the heads that were seen, with the keys that
// are trusted now.
func TestWhatCountsWithWhichKeys(t *testing.T) {
	key := func() bundle.SigningKey {
		k, err := bundle.NewSigningKey()
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	old, next, thief := key(), key(), key()
	public := func(keys ...bundle.SigningKey) (out []bundle.PublicKey) {
		for _, k := range keys {
			out = append(out, k.Public())
		}
		return out
	}
	head := func(v bundle.Version) *bundle.Head {
		return &bundle.Head{Format: bundle.HeadFormat, Course: "c", Version: v, Published: day, Checked: day,
			Settings: bundle.Settings{Folder: "c"}, Channels: []bundle.ChannelAt{{ID: "all", Manifest: bundle.Sum([]byte{byte(v)})}}}
	}
	sign := func(v bundle.Version, keys ...bundle.SigningKey) *bundle.Envelope {
		e, err := bundle.Sign(head(v), keys...)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	at := func(v bundle.Version, heads ...*bundle.Envelope) highest {
		return highest{Version: v, Fingerprint: head(v).Fingerprint(), Heads: heads}
	}
	place := func(v bundle.Version, e *bundle.Envelope) *applied {
		return &applied{Version: v, Fingerprint: head(v).Fingerprint(), Envelope: e}
	}
	for name, c := range map[string]struct {
		rec  record
		keys []bundle.PublicKey
		want bundle.Version
	}{
		"the key is trusted":                       {record{highest: at(9, sign(9, old))}, public(old), 9},
		"it was dropped":                           {record{highest: at(9, sign(9, old)), applied: place(9, sign(9, old))}, public(next), 0},
		"two signed, one is left":                  {record{highest: at(9, sign(9, old, next))}, public(next), 9},
		"one of before, of the key that is left":   {record{highest: at(9, sign(5, old, next), sign(9, old))}, public(next), 5},
		"applied, of the key that is left":         {record{highest: at(9, sign(9, old)), applied: place(4, sign(4, next))}, public(next), 4},
		"begun, of the key that is left":           {record{highest: at(9, sign(9, old)), begun: place(6, sign(6, next))}, public(next), 6},
		"no keys at all":                           {record{highest: at(9, sign(9, old))}, nil, 9},
		"an older journal, nothing placed":         {record{highest: at(9)}, public(next), 9},
		"an older journal, applied":                {record{highest: at(9), applied: place(9, sign(9, old))}, public(next), 0},
		"an older journal, applied below":          {record{highest: at(9), applied: place(8, sign(8, old))}, public(next), 9},
		"an older journal, applied without a head": {record{highest: at(9), applied: place(9, nil)}, public(next), 9},
		"a damaged head":                           {record{highest: at(9), applied: place(9, &bundle.Envelope{Payload: []byte("x")})}, public(next), 9},
		"nothing":                                  {record{}, public(next), 0},
	} {
		got, print := (&Course{name: "c", rec: &c.rec}).Floor(c.keys)
		if got != c.want || got > 0 && print != head(got).Fingerprint() {
			t.Errorf("%s: version %d %q, not %d", name, got, print, c.want)
		}
	}
	for name, c := range map[string]struct {
		had  []*bundle.Envelope
		more *bundle.Envelope
		keys []bundle.PublicKey
		want []bundle.Version
	}{
		"the newer one takes the place":        {[]*bundle.Envelope{sign(1, old)}, sign(2, old), public(old, next), []bundle.Version{2}},
		"but not that of another key's":        {[]*bundle.Envelope{sign(1, old, next)}, sign(2, old), public(old, next), []bundle.Version{1, 2}},
		"the same without a signature":         {[]*bundle.Envelope{sign(2, old, next)}, sign(2, old), public(old, next), []bundle.Version{2}},
		"one of a dropped key stays":           {[]*bundle.Envelope{sign(9, thief)}, sign(2, next), public(next), []bundle.Version{9, 2}},
		"a few of keys that nobody knows here": {[]*bundle.Envelope{sign(1, old), sign(2, thief), sign(3, old), sign(4, old), sign(5, old)}, sign(6, next), public(next), []bundle.Version{2, 3, 4, 5, 6}},
	} {
		var got []bundle.Version
		for _, e := range newestOfEach(c.had, c.more, c.keys) {
			h, _ := e.Peek()
			got = append(got, h.Version)
		}
		if len(got) != len(c.want) {
			t.Errorf("%s: %v, not %v", name, got, c.want)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%s: %v, not %v", name, got, c.want)
			}
		}
	}
}
