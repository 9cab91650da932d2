package bundle

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
)

// Whatever is decoded from hostile text encodes to that very text: there is
// one text for one manifest.
func FuzzDecodeManifest(f *testing.F) {
	f.Add(golden(f, "manifest.txt", nil))
	f.Add(manifestText(fileLine("a"), fileLine("b/c")))
	f.Add(manifestText("file 644 -0 " + digestOf("x").String() + " merge 1:a\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := DecodeManifest(text)
		if err != nil {
			return
		}
		if !bytes.Equal(m.Encode(), text) {
			t.Errorf("%q encodes as %q", text, m.Encode())
		}
		if err := m.Check(); err != nil {
			t.Error(err)
		}
	})
}

func FuzzDecodeHistory(f *testing.F) {
	f.Add(golden(f, "history.txt", nil))
	f.Add([]byte("satchel-history 1\nwas " + digestOf("x").String() + " " + Digest{}.String() + " 1:a\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if h, err := DecodeHistory(text); err == nil && !bytes.Equal(h.Encode(), text) {
			t.Errorf("%q encodes as %q", text, h.Encode())
		}
	})
}

func FuzzReadIndex(f *testing.F) {
	f.Add(golden(f, "full.bundle", nil), false)
	f.Add(golden(f, "every-kind.bundle", nil), false)
	f.Add(golden(f, "index.json", nil), true)
	f.Fuzz(func(t *testing.T, data []byte, bare bool) {
		if bare {
			data = packIndex(t, string(data))
		}
		x, err := ReadIndex(bytes.NewReader(data))
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrFormat) {
				t.Errorf("an error of no kind: %v", err)
			}
			return
		}
		_, _ = Compose(nil, x)
		for _, fr := range x.Frames {
			if fr.Offset < 0 || fr.Length < 0 {
				t.Errorf("frame at %d of %d bytes", fr.Offset, fr.Length)
			}
		}
	})
}

func FuzzReadFrame(f *testing.F) {
	fr, data := wholeFrame(f, "one", "two")
	f.Add(must(json.Marshal(fr)), data, "")
	fr, data = patchFrame(f, "one and two", "one and three")
	f.Add(must(json.Marshal(fr)), data, "one and three")
	fr, data = deltaFrame(f, strings.Repeat("one and two ", 9), strings.Repeat("one and three ", 9))
	f.Add(must(json.Marshal(fr)), data, strings.Repeat("one and three ", 9))
	f.Fuzz(func(t *testing.T, frame, data []byte, base string) {
		var fr Frame
		if json.Unmarshal(frame, &fr) != nil || fr.Size > 1<<20 {
			return
		}
		placed := int64(0)
		err := ReadFrame(fr, bytes.NewReader(data), func(Digest) (Base, error) { return BaseBytes([]byte(base)), nil },
			func(it Item, r *Verifier) error {
				n, err := io.Copy(io.Discard, r)
				placed += n
				return err
			})
		if placed > fr.Size {
			t.Errorf("%d bytes from a frame of %d", placed, fr.Size)
		}
		if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrKind) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("an error of no kind: %v", err)
		}
	})
}

func FuzzEnvelope(f *testing.F) {
	trusted := []PublicKey{keyOf(1).Public()}
	honest := golden(f, "head.json", nil)
	f.Add(golden(f, "envelope.json", nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		e := &Envelope{}
		if DecodeStrict(data, MaxHeadSize, e) != nil {
			return
		}
		_, _ = e.Peek()
		if h, err := e.Open(trusted); err == nil && !bytes.Equal(e.Payload, honest) {
			t.Errorf("a head that nobody signed: %+v", h)
		}
	})
}

func FuzzParsePublicKeys(f *testing.F) {
	f.Add(string(golden(f, "keys.pub", nil)))
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := ParsePublicKeys(text)
		if err != nil {
			return
		}
		again := ""
		for _, k := range keys {
			again += k.String() + "\n"
		}
		if back, err := ParsePublicKeys(again); err != nil || len(back) != len(keys) {
			t.Errorf("%q gives %q: %v", text, again, err)
		}
	})
}

func FuzzCheckPath(f *testing.F) {
	for _, p := range []string{"a/b", "../x", ".git", ".g\u200cit", "a\x00", ".satchel ."} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p string) {
		if CheckPath(p) != nil {
			return
		}
		m := &Manifest{Files: []File{{Path: p, Mode: 0o644, Digest: digestOf("x"), Policy: Merge}}}
		if back, err := DecodeManifest(m.Encode()); err != nil || back.Files[0].Path != p {
			t.Errorf("%q does not survive a manifest: %v", p, err)
		}
	})
}
