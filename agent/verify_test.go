package agent

import (
	"errors"
	"maps"
	"testing"
	"time"

	"satchel/bundle"
	"satchel/hook"
	"satchel/workdir"
)

// TestVerify has one row for each thing that an offer must be.
func TestVerify(t *testing.T) {
	ours, theirs := newKey(t), newKey(t)
	keys := []bundle.PublicKey{newKey(t).Public(), ours.Public()}
	one, _, _ := manifestOf(map[string]string{"a": "1"})
	two, _, _ := manifestOf(map[string]string{"a": "2", "b": "2"})
	headOf := func(v bundle.Version, m *bundle.Manifest) *bundle.Head {
		return &bundle.Head{
			Format: bundle.HeadFormat, Course: "c", Version: v, Published: time.Now(), Checked: time.Now(),
			Settings: bundle.Settings{Folder: "c"}, Channels: []bundle.ChannelAt{{ID: "all", Manifest: m.Digest()}},
		}
	}
	had := workdir.State{
		Known:   workdir.Known{Version: 7, Fingerprint: headOf(7, one).Fingerprint(), Manifests: map[string]*bundle.Manifest{"all": one}},
		Highest: 8, HighestFingerprint: headOf(8, two).Fingerprint(),
	}
	step := hook.ChannelOffer{ID: "all", Base: one.Digest(), Changes: bundle.Diff(one, two)}
	whole := hook.ChannelOffer{ID: "all", Changes: bundle.Diff(nil, two)}
	for name, c := range map[string]struct {
		head    *bundle.Head
		key     bundle.SigningKey
		course  string
		offers  []hook.ChannelOffer
		want    error
		nothing bool // no channel is to come of it
	}{
		"a step":                           {headOf(9, two), ours, "c", []hook.ChannelOffer{step}, nil, false},
		"whole":                            {headOf(9, two), ours, "c", []hook.ChannelOffer{whole}, nil, false},
		"the same again":                   {headOf(8, two), ours, "c", []hook.ChannelOffer{whole}, nil, false},
		"kept: the channel did not change": {headOf(9, one), ours, "c", nil, nil, false},
		"gone: the channel did change":     {headOf(9, two), ours, "c", nil, nil, true},
		"as far ahead as any":              {headOf(8+maxLeap, two), ours, "c", []hook.ChannelOffer{whole}, nil, false},
		"further ahead":                    {headOf(9+maxLeap, two), ours, "c", []hook.ChannelOffer{whole}, errLeap, false},
		"the last version there is":        {headOf(bundle.MaxVersion, two), ours, "c", []hook.ChannelOffer{whole}, errLeap, false},
		"a foreign key":                    {headOf(9, two), theirs, "c", []hook.ChannelOffer{whole}, bundle.ErrSignature, false},
		"another course":                   {headOf(9, two), ours, "d", []hook.ChannelOffer{whole}, errOther, false},
		"below what was applied":           {headOf(6, two), ours, "c", []hook.ChannelOffer{whole}, errLower, false},
		"below what was seen":              {headOf(7, one), ours, "c", []hook.ChannelOffer{whole}, errLower, false},
		"the same number, other content":   {headOf(8, one), ours, "c", nil, errLower, false},
		"a manifest of another head":       {headOf(9, one), ours, "c", []hook.ChannelOffer{whole}, bundle.ErrCorrupt, false},
		"a step to another manifest":       {headOf(9, one), ours, "c", []hook.ChannelOffer{step}, errUnkept, false},
		"a step on what is not here":       {headOf(9, two), ours, "c", []hook.ChannelOffer{{ID: "all", Base: two.Digest()}}, errUnkept, false},
		"a channel of no head":             {headOf(9, two), ours, "c", []hook.ChannelOffer{{ID: "more"}}, errMixed, false},
		"a channel twice":                  {headOf(9, two), ours, "c", []hook.ChannelOffer{whole, whole}, errMixed, false},
	} {
		e, err := bundle.Sign(c.head, c.key)
		if err != nil {
			t.Fatal(err)
		}
		o := hook.CourseOffer{Course: c.course, Head: e, Channels: c.offers}
		head, err := signed(o, keys)
		var n workdir.Newest
		if err == nil {
			n, err = verify(o, head, had, floor{had.Highest, had.HighestFingerprint})
		}
		if !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: %v, not %v", name, err, c.want)
		}
		if err == nil && (n.Manifests["all"] == nil) != c.nothing {
			t.Errorf("%s: %v", name, n.Manifests)
		}
	}
}

func newKey(t *testing.T) bundle.SigningKey {
	t.Helper()
	k, err := bundle.NewSigningKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestVerifyPassesRenamesOn: the hints of all channels, to where workdir looks.
func TestVerifyPassesRenamesOn(t *testing.T) {
	one, _, _ := manifestOf(map[string]string{"a": "1", "b": "2"})
	two, _, _ := manifestOf(map[string]string{"c": "1", "d": "3"})
	changes := bundle.Diff(one, two)
	changes.Hint(one, map[string]string{"d": "b"})
	more, _, _ := manifestOf(map[string]string{"x": "1"})
	moved, _, _ := manifestOf(map[string]string{"y": "1"})
	key := newKey(t)
	head := &bundle.Head{
		Format: bundle.HeadFormat, Course: "c", Version: 2, Published: time.Now(), Checked: time.Now(), Settings: bundle.Settings{Folder: "c"},
		Channels: []bundle.ChannelAt{{ID: "all", Manifest: two.Digest()}, {ID: "more", Manifest: moved.Digest()}},
	}
	e, err := bundle.Sign(head, key)
	if err != nil {
		t.Fatal(err)
	}
	o := hook.CourseOffer{Course: "c", Head: e, Channels: []hook.ChannelOffer{
		{ID: "all", Base: one.Digest(), Changes: changes}, {ID: "more", Base: more.Digest(), Changes: bundle.Diff(more, moved)},
	}}
	n, err := verify(o, head, workdir.State{Known: workdir.Known{Manifests: map[string]*bundle.Manifest{"all": one, "more": more}}}, floor{})
	if want := map[string]string{"c": "a", "d": "b", "y": "x"}; err != nil || !maps.Equal(n.Renamed, want) {
		t.Errorf("%v, %v", n.Renamed, err)
	}
}
