package workdir

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"satchel/bundle"
)

// based lists what lies among the base bytes: packs, and contents alone.
func (w *world) based() (packs, alone []string) {
	w.t.Helper()
	entries, err := os.ReadDir(filepath.Join(w.root, ".satchel/scala101/base"))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range entries {
		switch {
		case strings.HasPrefix(e.Name(), packPrefix):
			packs = append(packs, e.Name())
		case strings.HasPrefix(e.Name(), "new-"):
			w.t.Errorf("%s is left", e.Name())
		default:
			alone = append(alone, e.Name())
		}
	}
	return packs, alone
}

// What came in frames is kept as it came, and merged from there.
func TestBaseBytesFromAPack(t *testing.T) {
	w := newWorld(t)
	w.framed = true
	w.publish("a.txt", poem, "b.txt", poem+"b", "p.png", "\x00one")
	w.sync()
	if packs, alone := w.based(); len(packs) != 1 || len(alone) != 0 {
		t.Fatalf("packs %q, alone %q", packs, alone)
	}
	w.write("a.txt", edit(poem, "two", "2"))
	w.publish("a.txt", edit(poem, "five", "5"))
	w.sync()
	w.has("a.txt", edit(poem, "two", "2", "five", "5"), "b.txt", poem+"b", "p.png", "\x00one")
}

// A home with packs, one of a whole frame and one of a delta, as 0.4.0 left it.
func TestGoldenHomeWithPacks(t *testing.T) {
	home := filepath.Join("testdata", "golden", "v1", "home-packs")
	long := strings.Repeat(poem, 20)
	course := func() *world {
		w := newWorld(t)
		w.framed = true
		return w
	}
	if *writeGolden {
		w := course()
		w.publish("a.txt", "0\n"+long)
		w.sync()
		w.publish("a.txt", "1\n"+long)
		w.sync()
		w.write("a.txt", "1\n"+long+"mine\n")
		if err := errors.Join(os.RemoveAll(home), os.CopyFS(home, os.DirFS(w.root))); err != nil {
			t.Fatal(err)
		}
	}
	w := course()
	w.publish("a.txt", "0\n"+long)
	w.publish("a.txt", "1\n"+long)
	if err := os.CopyFS(w.root, os.DirFS(home)); err != nil {
		t.Fatal(err)
	}
	if packs, alone := w.based(); len(packs) != 2 || len(alone) != 0 {
		t.Fatalf("packs %q, alone %q", packs, alone)
	}
	w.publish("a.txt", "2\n"+long)
	w.sync()
	w.has("a.txt", "2\n"+long+"mine\n")
}

// A frame that holds mostly what cannot be merged is not kept: what can be is
// kept alone.
func TestAFrameThatIsNotWorthKeeping(t *testing.T) {
	w := newWorld(t)
	w.framed = true
	w.publish("a.txt", poem, "p.png", "\x00"+strings.Repeat("x", 1000))
	w.sync()
	if packs, alone := w.based(); len(packs) != 0 || len(alone) != 1 {
		t.Errorf("packs %q, alone %q", packs, alone)
	}
}

// A pack is written anew once less than half of it is needed.
func TestPacksAreTidied(t *testing.T) {
	w := newWorld(t)
	w.framed = true
	rng := rand.New(rand.NewPCG(1, 2))
	text := func() string {
		b := make([]byte, 5000)
		for i := range b {
			b[i] = byte('a' + rng.IntN(26))
		}
		return string(b)
	}
	for i := range 10 {
		w.publish(fmt.Sprintf("%d.txt", i), text())
	}
	w.sync()
	first, _ := w.based()
	for round := range 40 {
		for i := range 4 {
			w.publish(fmt.Sprintf("%d.txt", i), text())
		}
		w.now = w.now.Add(unneededFor / 3)
		w.sync()
		if round == 0 {
			if now, _ := w.based(); len(now) != 2 || now[0] != first[0] && now[1] != first[0] {
				t.Errorf("after one change: %q, before %q", now, first)
			}
		}
	}
	c := w.opened()
	size := c.state.usage(baseName, 0)
	t.Logf("%d bytes for ten files of 5,000", size)
	if size > 400_000 { // the ten, their last days' versions, and as much again
		t.Errorf("%d bytes are kept", size)
	}
	for p, text := range w.files {
		if data, err := c.baseBytes(bundle.Sum([]byte(text))); err != nil || string(data) != text {
			t.Errorf("%s: %v", p, err)
		}
	}
}

// A home that was at every update for a term does not open a pack for each.
func TestManySmallPacksBecomeOne(t *testing.T) {
	w := newWorld(t)
	w.framed = true
	for i := range 3*manyPacks + 5 {
		w.publish(fmt.Sprintf("%d.txt", i), fmt.Sprint(poem, i))
		w.sync()
	}
	if packs, alone := w.based(); len(packs) > manyPacks || len(alone) > 0 {
		t.Errorf("%d packs, alone %q", len(packs), alone)
	}
	c := w.opened()
	for p, text := range w.files {
		if data, err := c.keptBytes(bundle.Sum([]byte(text))); err != nil || string(data) != text {
			t.Errorf("%s: %v", p, err)
		}
	}
}

// What was withdrawn is erased from a pack at once; what lay beside it stays.
func TestWithdrawnFromAPack(t *testing.T) {
	w := newWorld(t)
	w.framed = true
	w.publish("s.txt", "the secret solution", "t.txt", poem, "u.txt", poem+"u")
	w.sync()
	w.withdraw = []bundle.Pair{{Path: "s.txt", Digest: bundle.Sum([]byte("the secret solution"))}}
	w.publish("s.txt", "-")
	w.sync()
	c := w.opened()
	if _, err := c.baseBytes(w.withdraw[0].Digest); err == nil {
		t.Error("the withdrawn bytes are kept")
	}
	for _, text := range []string{poem, poem + "u"} {
		if data, err := c.baseBytes(bundle.Sum([]byte(text))); err != nil || string(data) != text {
			t.Errorf("%v", err)
		}
	}
	if packs, _ := w.based(); len(packs) != 0 {
		t.Errorf("packs %q", packs)
	}
}

// What came as a delta is kept as one, a few of them one after the other.
func TestBaseBytesFromDeltas(t *testing.T) {
	w := newWorld(t)
	w.framed = true
	long := strings.Repeat(poem, 20)
	text := func(n int) string { return fmt.Sprint(n, "\n") + long }
	w.publish("a.txt", text(0))
	w.sync()
	for n := 1; n <= 2*maxDeltas; n++ {
		w.publish("a.txt", text(n))
		w.now = w.now.Add(unneededFor / 4)
		w.sync()
		w.has("a.txt", text(n))
	}
	packs, alone := w.based()
	t.Logf("%d packs, %d alone", len(packs), len(alone))
	if len(packs) < 3 || len(alone) == 0 {
		t.Errorf("packs %q, alone %q", packs, alone)
	}
	w.write("a.txt", text(2*maxDeltas)+"mine\n")
	w.publish("a.txt", text(99))
	w.sync()
	w.has("a.txt", text(99)+"mine\n")
}

// A base that is withdrawn goes, and what was a delta on it stays.
func TestWithdrawnBaseOfADelta(t *testing.T) {
	w := newWorld(t)
	w.framed = true
	long := strings.Repeat(poem, 20)
	w.publish("a.txt", long+"the solution\n")
	w.sync()
	w.publish("a.txt", long)
	w.sync()
	if packs, _ := w.based(); len(packs) != 2 {
		t.Fatalf("packs %q", packs)
	}
	w.withdraw = []bundle.Pair{{Path: "a.txt", Digest: bundle.Sum([]byte(long + "the solution\n"))}}
	w.publish("b.txt", "b")
	w.sync()
	c := w.opened()
	if _, err := c.keptBytes(w.withdraw[0].Digest); err == nil {
		t.Error("the withdrawn bytes are kept")
	}
	if data, err := c.keptBytes(bundle.Sum([]byte(long))); err != nil || string(data) != long {
		t.Error(err)
	}
}

// A pack that is damaged holds nothing, and stands in nobody's way; one of a
// later format stays as it is.
func TestDamagedPacks(t *testing.T) {
	for name, spoil := range map[string]func([]byte) []byte{
		"empty":     func([]byte) []byte { return nil },
		"cut":       func(b []byte) []byte { return b[:len(b)-3] },
		"no end":    func(b []byte) []byte { return append(b, 0) },
		"too long":  func(b []byte) []byte { binary.BigEndian.PutUint32(b[len(b)-packTrailer:], 1<<31); return b },
		"its index": func(b []byte) []byte { b[len(b)-packTrailer-5] ^= 0x55; return b },
		"its bytes": func(b []byte) []byte { b[20] ^= 0x55; return b },
		"later":     func(b []byte) []byte { b[len(b)-1] = 2; return b },
	} {
		w := newWorld(t)
		w.framed = true
		w.publish("a.txt", poem)
		w.sync()
		packs, _ := w.based()
		file := filepath.Join(w.root, ".satchel/scala101/base", packs[0])
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, spoil(data), 0o600); err != nil {
			t.Fatal(err)
		}
		w.write("a.txt", edit(poem, "two", "2"))
		w.publish("a.txt", edit(poem, "five", "5"))
		w.sync()
		w.has("a.txt", edit(poem, "two", "2"), "a (course v2).txt", edit(poem, "five", "5"))
		if _, err := os.Stat(file); (err == nil) != (name == "later" || name == "its bytes") {
			t.Errorf("%s: the pack: %v", name, err)
		}
	}
}

// A frame is kept only for what was staged: a plan that is given up leaves
// nothing.
func TestAPackThatNobodyFinishes(t *testing.T) {
	w := newWorld(t)
	w.framed = true
	w.publish("a.txt", poem)
	h := w.open()
	c, _ := h.Course("scala101")
	p, err := c.Plan(t.Context(), w.newest(), w.ask, How{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.fetch(c, p); err != nil {
		t.Fatal(err)
	}
	c.Close()
	h.Close()
	if packs, alone := w.based(); len(packs)+len(alone) > 0 {
		t.Errorf("packs %q, alone %q", packs, alone)
	}
	w.sync()
	w.has("a.txt", poem)
	if _, alone := w.based(); len(alone) != 1 {
		t.Errorf("alone: %q", alone)
	}
}

// A pack that cannot be begun is no pack: nothing of it is closed or finished.
func TestAPackThatCannotBeBegun(t *testing.T) {
	w := newWorld(t)
	w.framed = true
	w.publish("a.txt", poem)
	c := w.opened()
	p, err := c.Plan(t.Context(), w.newest(), w.ask, How{})
	if err != nil {
		t.Fatal(err)
	}
	c.stage.wait()
	w.do.before = func(op, name string) error {
		if op == "create" && strings.HasPrefix(name, "new-") {
			return unix.ENOSPC
		}
		return nil
	}
	if err := w.fetch(c, p); err != nil {
		t.Fatal(err)
	}
	c.stage.wait()
	w.do.before = nil
	if c.packs.writing != nil {
		t.Error("a pack is being written")
	}
	if r, err := c.Apply(t.Context(), p); err != nil || !r.Complete {
		t.Errorf("%+v, %v", r, err)
	}
	w.has("a.txt", poem)
}

// A pack that cannot be read just now is not lost for that.
func TestAPackThatCannotBeReadNow(t *testing.T) {
	if os.Getuid() == 0 {
		t.Log("as root all can be read; the pack must only stay")
	}
	w := newWorld(t)
	w.framed = true
	w.publish("a.txt", poem)
	w.sync()
	packs, _ := w.based()
	file := filepath.Join(w.root, ".satchel/scala101/base", packs[0])
	if err := os.Chmod(file, 0); err != nil {
		t.Fatal(err)
	}
	w.write("a.txt", edit(poem, "two", "2"))
	w.publish("b.txt", "b")
	w.sync()
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}

// Where space is short, frames are no longer kept as they come, and what was
// kept of them goes first.
func TestAPackGoesFirst(t *testing.T) {
	w := newWorld(t)
	w.framed = true
	w.publish("a.txt", poem, "b.txt", poem+"b")
	c := w.opened()
	p, err := c.Plan(t.Context(), w.newest(), w.ask, How{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.fetch(c, p); err != nil {
		t.Fatal(err)
	}
	if c.packs.writing == nil || !c.stage.giveUp(1<<30, 1<<30) || c.packs.writing != nil {
		t.Error("the pack was not given up")
	}
	if c.stage.worthKeeping(bundle.Frame{Size: 1, Items: []bundle.Item{{Digest: bundle.Sum([]byte(poem)), Size: 1}}}) {
		t.Error("frames are kept where space is short")
	}
}

// What a run that died left in the way of a new folder does not keep the
// course from coming.
func TestAFreshFolderThatCannotBeBegun(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", poem)
	stuck := filepath.Join(w.root, ".satchel/scala101/fresh/fresh")
	if err := os.MkdirAll(stuck, 0o755); err != nil {
		t.Fatal(err)
	}
	w.do.before = func(op, name string) error {
		if op == "rmdir" && name == "fresh" {
			return unix.EACCES
		}
		return nil
	}
	w.sync()
	w.has("a.txt", poem)
}

// After the folder has its place it is the student's: no error takes a file
// out of it again.
func TestAFaultAfterTheFolderHasItsPlace(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", poem, "b.txt", "b")
	placed := false
	w.do.before = func(op, name string) error {
		if op == "rename" && name == w.folder {
			placed = true
			return nil
		}
		if placed && op == "sync" {
			w.do.before = nil
			w.write("a.txt", "mine")
			return unix.EIO
		}
		return nil
	}
	if _, err := w.trySync(); err == nil {
		t.Error("no error")
	}
	w.has("a.txt", "mine", "b.txt", "b")
	w.now = w.now.Add(time.Hour)
	w.sync()
	w.has("a.txt", "mine", "a (course v1).txt", poem, "b.txt", "b")
}

func FuzzPackIndex(f *testing.F) {
	dirOf := func(t testing.TB, data []byte) *dir {
		root := t.TempDir()
		if err := os.WriteFile(filepath.Join(root, packPrefix+"1"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		h, err := open(t.Context(), logger(t), root, day, &hands{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(h.Close)
		return h.top
	}
	var index []byte
	for _, f := range someFrames() {
		index = appendFrame(index, &f)
	}
	good := append(make([]byte, 9), index...)
	good = binary.BigEndian.AppendUint32(good, uint32(len(index)))
	f.Add(append(good, packMagic...))
	f.Fuzz(func(t *testing.T, data []byte) {
		d := dirOf(t, data)
		frames, err := d.readPackIndex(packPrefix + "1")
		if err != nil {
			return
		}
		for i := range frames {
			for _, it := range frames[i].Items {
				_, _ = d.unpackFrom(packed{packPrefix + "1", &frames[i]}, it.Digest, 1<<20, func(bundle.Digest) (bundle.Base, error) { return bundle.BaseBytes(data), nil })
			}
		}
	})
}

func someFrames() []bundle.Frame {
	a, b := bundle.Item{Digest: bundle.Sum([]byte("a")), Size: 1}, bundle.Item{Digest: bundle.Sum(nil)}
	return []bundle.Frame{
		{Kind: bundle.Whole, Length: 9, Size: 1, Items: []bundle.Item{b, a}},
		{Kind: bundle.Delta, Offset: 3, Length: 6, Size: 1, Base: b.Digest, Items: []bundle.Item{a}},
	}
}

// What an index says is read again; of one that is cut off, nothing.
func TestThePackIndexIsReadAgain(t *testing.T) {
	var text []byte
	for _, f := range someFrames() {
		text = appendFrame(text, &f)
	}
	if got, ok := scanFrames(text); !ok || !reflect.DeepEqual(got, someFrames()) {
		t.Errorf("%t %+v", ok, got)
	}
	for n := range text {
		if got, ok := scanFrames(text[:n]); ok && len(got) > 1 {
			t.Errorf("%d of %d bytes give %+v", n, len(text), got)
		}
	}
	for _, bad := range []string{"\x02\x00\x00\x00", strings.Repeat("\x00", 400), "\x00\x00\x00\xff\xff\xff\xff\x0f", "\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"} {
		if got, ok := scanFrames([]byte(bad)); ok {
			t.Errorf("%q gives %+v", bad, got)
		}
	}
}

// Packs of which each says that its content is made on the other's are worth
// nothing, and no more: whatever lies under the contents' own names.
func TestPacksThatLeadInACircle(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", poem)
	w.sync()
	c := w.opened()
	b := c.openBase()
	defer b.close()
	one, two := bundle.Sum([]byte("one")), bundle.Sum([]byte("two"))
	pw, err := newPackWriter(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []bundle.Frame{
		{Kind: bundle.Delta, Length: 6, Size: 3, Base: two, Items: []bundle.Item{{Digest: one, Size: 3}}},
		{Kind: bundle.Delta, Length: 6, Size: 3, Base: one, Items: []bundle.Item{{Digest: two, Size: 3}}},
	} {
		if err := pw.add(f, make([]byte, 6)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := pw.finish(); err != nil {
		t.Fatal(err)
	}
	for _, sum := range []bundle.Digest{one, two} {
		if data, err := b.read(sum); err == nil {
			t.Errorf("%q", data)
		}
		if err := os.WriteFile(filepath.Join(w.root, ".satchel/scala101/base", sum.String()), []byte("no zstd"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, sum := range []bundle.Digest{one, two} {
		if data, err := b.read(sum); err == nil || errors.Is(err, unix.EMFILE) {
			t.Errorf("%q, %v", data, err)
		}
	}
}

// What the last update took away can be had again by undo, so it stays.
func TestWhatUndoNeedsIsKept(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", poem, "b.txt", "b")
	w.sync()
	w.publish("b.txt", "-")
	w.sync()
	c := w.opened()
	if got := c.needs()[bundle.Sum([]byte("b"))]; got != perhaps {
		t.Errorf("%d", got)
	}
}

// In a home that was copied, ctime and inode are others: a large file whose
// size and time are as they were is still what its delta is made on.
func TestAFileOfACopiedHomeIsABase(t *testing.T) {
	w := newWorld(t)
	w.publish("a.bin", "\x00one")
	w.sync()
	file, c := w.path("a.bin"), w.opened()
	has := func(want bool) {
		t.Helper()
		f, err := c.untouched(bundle.Sum([]byte("\x00one")))
		if (err == nil) != want {
			t.Fatal(err)
		}
		if err == nil {
			f.(baseFile).Close()
		}
	}
	has(true)
	s, err := os.Stat(file)
	err = errors.Join(err, os.WriteFile(file+".copy", []byte("\x00one"), 0o644), os.Chtimes(file+".copy", time.Time{}, s.ModTime()), os.Rename(file+".copy", file))
	if err != nil {
		t.Fatal(err)
	}
	has(true)
	if err := os.Chtimes(file, time.Time{}, s.ModTime().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	has(false)
}
