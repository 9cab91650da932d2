package hookserver

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"slices"
	"strings"

	"satchel/bundle"
	"satchel/store"
)

// handFrame is a frame that bundle.Build would not write.
type handFrame struct {
	kind  bundle.Kind
	base  string
	items []string
	data  []byte // nil: zstd of the items
}

// publishFrames publishes a step of the channel "all" whose frames a test
// wrote by hand.
func (w *world) publishFrames(name string, channels map[string]audienceOf, frames []handFrame, change ...func(*bundle.Index)) {
	w.t.Helper()
	p := w.state[name]
	from, base := p.record.Channels[0].Since, p.manifests["all"]
	w.write(name, channels) // for the manifest, the history and the head
	r := *p.record
	c := &r.Channels[0]
	last := &c.Bundles[len(c.Bundles)-1]
	x := *indexOf(w.t, w, name, last.Digest)
	x.Base, x.From, x.Changes = base.Digest(), from, bundle.Diff(base, p.manifests["all"])
	for _, f := range change {
		f(&x)
	}
	data := w.handMade(&x, frames)
	*last = store.BundleRef{From: from, To: x.To, Digest: bundle.Sum(data), Size: int64(len(data))}
	if err := w.dir.Put(context.Background(), store.BundleKey(name, last.Digest), bytes.NewReader(data)); err != nil {
		w.t.Fatal(err)
	}
	w.swap(p, &r)
	w.srv.Refresh(w.t.Context())
}

// handMade writes a bundle as bundle's package comment says.
func (w *world) handMade(x *bundle.Index, frames []handFrame) []byte {
	w.t.Helper()
	var body bytes.Buffer
	x.Frames = nil
	for _, f := range frames {
		if f.data == nil {
			f.data = w.pack([]byte(strings.Join(f.items, "")))
		}
		fr := bundle.Frame{Kind: f.kind, Offset: int64(body.Len()), Length: int64(len(f.data))}
		if f.base != "" {
			fr.Base = bundle.Sum([]byte(f.base))
		}
		for _, it := range f.items {
			fr.Items = append(fr.Items, bundle.Item{Digest: bundle.Sum([]byte(it)), Size: int64(len(it))})
			fr.Size += int64(len(it))
		}
		body.Write(f.data)
		x.Frames = append(x.Frames, fr)
	}
	text, err := json.Marshal(x)
	if err != nil {
		w.t.Fatal(err)
	}
	index, former := w.pack(text), w.pack(x.Former.Encode())
	out := binary.BigEndian.AppendUint32([]byte("satchel\x01"), uint32(len(index)))
	out = binary.BigEndian.AppendUint32(out, uint32(len(former)))
	return slices.Concat(out, index, former, body.Bytes())
}

func (w *world) pack(data []byte) []byte {
	w.t.Helper()
	var packed bytes.Buffer
	if err := bundle.Compress(&packed, bytes.NewReader(data)); err != nil {
		w.t.Fatal(err)
	}
	return packed.Bytes()
}
