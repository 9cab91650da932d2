package agent

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"satchel/bundle"
	"satchel/hook"
)

// unsignedKinds are made without the signing key: by somebody between service
// and agent, or in the service's place, or who can write into the store.
var unsignedKinds = []kind{
	{"a flipped byte in the packed offer", 30, flippedOffer},
	{"a flipped byte in the frames", 20, flippedFrames},
	{"cut off", 16, cutOff},
	{"a wrong digest", 12, wrongDigest},
	{"a wrong length", 12, wrongLength},
	{"a huge announced length", 12, hugeLength},
	{"ranges over each other", 12, overlapping},
	{"a bomb", 12, bomb},
	{"a delta on a wrong base", 12, wrongBase},
	{"copies out of range", 12, outOfRange},
	{"something doubled", 12, doubled},
	{"an unknown kind or format", 12, unknown},
	{"another manifest than the head names", 18, otherManifest},
	{"a path, not signed", 16, unsignedPath},
	{"a broken signature", 16, brokenSignature},
}

// meaning is all of an answer that an agent goes by; the rest are hints. A length
// is none of it: with a longer one the bytes may still be right.
func meaning(o *hook.Offer) string {
	var b strings.Builder
	fmt.Fprintln(&b, o.Format, len(o.Courses))
	for _, c := range o.Courses {
		fmt.Fprintf(&b, "%q %q %q %+v %d\n", c.Course, c.State, c.Left, c.URLs, len(c.Frames))
		if c.Head != nil {
			fmt.Fprintf(&b, "%q %x %d\n", c.Head.PayloadType, c.Head.Payload, len(c.Head.Signatures))
			for _, s := range c.Head.Signatures {
				fmt.Fprintf(&b, "%x\n", s.Sig)
			}
		}
		for _, ch := range c.Channels {
			changes := slices.Clone(ch.Changes.Set)
			for i := range changes {
				changes[i].RenamedFrom = ""
			}
			fmt.Fprintln(&b, ch.ID, ch.Base, changes, ch.Changes.Removed, ch.Changes.Withdrawn, ch.Changes.History)
		}
		for _, f := range c.Frames {
			fmt.Fprintln(&b, f.Kind, f.Size, f.Base, f.Items)
		}
	}
	return b.String()
}

// leavesOut says that an answer names less of the course, and nothing else: see
// TestAttackLeavingOut.
func leavesOut(o *hook.Offer) bool {
	return len(o.Courses) == 0 || o.Courses[0].Head == nil || len(o.Courses[0].Channels) == 0
}

// flippedOffer draws until the flip changes what the answer means.
func flippedOffer(m *maker, _ int) *hostile {
	x := m.answer()
	was := meaning(x.offer)
	for {
		raw := bytes.Clone(m.honest)
		raw[m.IntN(len(raw)-len(x.frames))] ^= 1 << m.IntN(8)
		o, err := hook.ReadOffer(bytes.NewReader(raw))
		if err != nil || meaning(o) != was && !leavesOut(o) {
			x.raw = raw
			return x
		}
	}
}

// flippedFrames draws until the frame is not what it was.
func flippedFrames(m *maker, _ int) *hostile {
	x := m.answer()
	for {
		x.frames = bytes.Clone(m.answer().frames)
		for range 1 + m.IntN(3) {
			x.frames[m.IntN(len(x.frames))] ^= 1 << m.IntN(8)
		}
		if !sound(x) {
			return x
		}
	}
}

// sound says whether all contents of the frames are right.
func sound(x *hostile) bool {
	rest := x.frames
	for _, f := range x.course().Frames {
		n := min(int(f.Length), len(rest))
		err := bundle.ReadFrame(f.Frame, bytes.NewReader(rest[:n]), nil, func(_ bundle.Item, v *bundle.Verifier) error {
			_, err := io.Copy(io.Discard, v)
			return err
		})
		if err != nil {
			return false
		}
		rest = rest[n:]
	}
	return true
}

// cutOff cuts before the first content is whole: one that is whole counts.
func cutOff(m *maker, i int) *hostile {
	x := m.answer()
	n := m.IntN(len(m.honest) - len(x.frames) + 10)
	if i < 4 {
		n = i // within the length
	}
	x.raw, x.cut = m.honest[:n:n], i%2 == 0
	return x
}

func (m *maker) digest() bundle.Digest { return bundle.Sum(fmt.Appendf(nil, "%d", m.Uint64())) }

func wrongDigest(m *maker, i int) *hostile {
	x := m.answer()
	c := x.course()
	f, set := &c.Frames[0], c.Channels[0].Changes.Set
	switch i % 4 {
	case 0:
		f.Items[m.IntN(len(f.Items))].Digest = m.digest()
	case 1:
		set[m.IntN(len(set))].Digest = m.digest()
	case 2:
		f.Items[0].Digest, f.Items[1].Digest = f.Items[1].Digest, f.Items[0].Digest
	case 3: // a content that the course does have, at another's place
		set[0].Digest = bundle.Sum([]byte(m.were["README.md"]))
	}
	return x
}

func wrongLength(m *maker, i int) *hostile {
	x := m.answer()
	f := &x.course().Frames[0]
	switch k := int64(1 + m.IntN(40)); i % 4 {
	case 0:
		f.Length -= k
	case 1:
		f.Items[0].Size += k
		f.Size += k
	case 2:
		f.Items[0].Size += k
		f.Items[1].Size -= min(k, f.Items[1].Size)
	case 3:
		x.course().Channels[0].Changes.Set[0].Size += k
	}
	return x
}

func hugeLength(m *maker, i int) *hostile {
	x := m.answer()
	f := &x.course().Frames[0]
	switch i % 6 {
	case 0:
		f.Length = bundle.MaxBundleSize
	case 1:
		f.Length = math.MaxInt64
	case 2:
		f.Items[0].Size, f.Size = bundle.MaxFileSize, f.Size-f.Items[0].Size+bundle.MaxFileSize
	case 3:
		f.Items, f.Size = slices.Repeat(f.Items[:1], 1000), 1000*bundle.MaxFileSize
		for j := range f.Items {
			f.Items[j].Size = bundle.MaxFileSize
		}
	case 4: // of the offer, within its limit
		x.raw = append(binary.BigEndian.AppendUint32(nil, uint32(hook.MaxPackedOffer-m.IntN(1000))), m.honest[4:]...)
	case 5:
		x.raw = append(binary.BigEndian.AppendUint32(nil, math.MaxUint32-uint32(m.IntN(1000))), m.honest[4:]...)
	}
	return x
}

// doubled are things twice, of which one contradicts the other.
func doubled(m *maker, i int) *hostile {
	x := m.answer()
	c := x.course()
	set := &c.Channels[0].Changes.Set
	switch i % 6 {
	case 0: // a course
		evil := *m.answer().course()
		evil.Channels[0].Changes.Set[0].Digest = m.digest()
		x.offer.Courses = append(x.offer.Courses, evil)
	case 1: // a course, the other way round
		evil := *m.answer().course()
		evil.Channels[0].Changes.Set[0].Digest = m.digest()
		x.offer.Courses = append([]hook.CourseOffer{evil}, *c)
	case 2: // a channel
		c.Channels = append(c.Channels, c.Channels[0])
	case 3: // a path
		twin := (*set)[m.IntN(len(*set))]
		twin.Digest = m.digest()
		*set = append(*set, twin)
	case 4: // a frame, whose bytes came once and were others
		f := c.Frames[0]
		c.Frames = append(c.Frames, f)
		x.frames = slices.Concat(bytes.Repeat([]byte{0x28}, int(f.Length)), x.frames[1:])
	case 5: // a course a thousand times
		x.offer.Courses = slices.Repeat(x.offer.Courses, 1000+m.IntN(9))
	}
	return x
}

func unknown(m *maker, i int) *hostile {
	x := m.answer()
	c := x.course()
	switch i % 6 {
	case 0:
		c.Frames[0].Kind = bundle.Kind(fmt.Sprintf("teleport%d", m.IntN(100)))
	case 1:
		c.Frames[0].Kind = ""
	case 2:
		x.offer.Format = hook.Format + 1 + m.IntN(1000)
	case 3:
		x.offer.Format = -m.IntN(1000)
	case 4:
		c.Head.PayloadType = "application/vnd.in-toto+json"
	case 5:
		c.Channels[0].Changes.Set[0].Policy = "obey"
	}
	return x
}

// otherManifest are changes that lead elsewhere than the head says.
func otherManifest(m *maker, i int) *hostile {
	x := m.answer()
	ch := &x.course().Channels[0]
	c := &ch.Changes
	f := &c.Set[m.IntN(len(c.Set))]
	switch i % 12 {
	case 0:
		c.Set = c.Set[1:]
	case 1:
		c.Set = append(c.Set, bundle.Change{File: bundle.File{Path: "evil.txt", Mode: 0o644, Digest: m.digest(), Policy: bundle.Merge}})
	case 2:
		f.Mode ^= 0o644 ^ 0o755
	case 3:
		f.Policy = bundle.Replace
	case 4:
		c.Removed = append(c.Removed, "intro.ipynb")
	case 5:
		c.Removed = append(c.Removed, "README.md", "data/a.csv")
		c.Set = c.Set[:0]
	case 6:
		c.Withdrawn = append(c.Withdrawn, bundle.Pair{Path: "intro.ipynb", Digest: bundle.Sum([]byte(m.were["intro.ipynb"]))})
	case 7:
		c.History = m.digest()
	case 8:
		ch.Base = m.digest()
	case 9:
		ch.Base = bundle.Digest{}
	case 10:
		ch.ID = "other"
	case 11:
		f.Path += fmt.Sprint(m.IntN(100))
	}
	return x
}

// tricks are paths that mean something else than a file in the folder.
var tricks = []string{
	"../outside/secret.txt", "../../outside/secret.txt", "/etc/passwd", "data/../../thesis.txt", "..", ".", "", "data//x", "data/", "./x",
	"a\x00b", ".git/hooks/post-checkout", ".GIT/config", "git~1/config", ".git /x", ".g\u200cit/x", ".satchel/scala101/journal", ".SATCHEL/x",
	"data/.Satchel./x", ".satchel::$INDEX_ALLOCATION/x", "\xff\xfe", strings.Repeat("a", 256), strings.Repeat("d/", 64) + "x", strings.Repeat("long/", 250) + "x",
}

func unsignedPath(m *maker, i int) *hostile {
	x := m.answer()
	c := &x.course().Channels[0].Changes
	if i%2 == 0 {
		c.Set[0].Path = tricks[m.IntN(len(tricks))]
	} else {
		x.course().Course = "../" + tricks[m.IntN(len(tricks))]
	}
	return x
}

func brokenSignature(m *maker, i int) *hostile {
	x := m.answer()
	e := x.course().Head
	switch i % 8 {
	case 0:
		e.Signatures[0].Sig[m.IntN(64)] ^= 1 << m.IntN(8)
	case 1:
		e.Payload[m.IntN(len(e.Payload))] ^= 1 << m.IntN(8)
	case 2:
		e.Signatures = nil
	case 3:
		e.Signatures[0].Sig = e.Signatures[0].Sig[:m.IntN(64)]
	case 4:
		e.Signatures = slices.Repeat(e.Signatures, 17+m.IntN(1000))
	case 5:
		e.Payload = append(e.Payload, ' ')
	case 6:
		e.Signatures[0].Sig = make([]byte, 64)
	case 7:
		e.Payload = bytes.Repeat([]byte(" "), bundle.MaxHeadSize+1+m.IntN(100))
	}
	return x
}
