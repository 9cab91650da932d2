package source

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"satchel/internal/sshgit"
)

// Whatever became of a mirror, the next look gives the newest folder, whole.
func TestDamagedMirrorHeals(t *testing.T) {
	pack := func(t *testing.T, c *clone, end string) string {
		found, _ := filepath.Glob(filepath.Join(c.dir, "objects/pack/*"+end))
		if len(found) == 0 {
			t.Fatal("no pack")
		}
		return found[0]
	}
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		damage func(t *testing.T, c *clone)
		keeps  bool // the clone is good enough
	}{
		"a pack is gone":                 {damage: func(t *testing.T, c *clone) { must(t, os.Remove(pack(t, c, ".pack"))) }},
		"an index is gone":               {damage: func(t *testing.T, c *clone) { must(t, os.Remove(pack(t, c, ".idx"))) }},
		"a pack is cut short":            {damage: func(t *testing.T, c *clone) { must(t, os.Truncate(pack(t, c, ".pack"), 5000)) }},
		"a pack is empty":                {damage: func(t *testing.T, c *clone) { must(t, os.Truncate(pack(t, c, ".pack"), 0)) }},
		"an index is cut short":          {damage: func(t *testing.T, c *clone) { must(t, os.Truncate(pack(t, c, ".idx"), 1000)) }},
		"an index is empty":              {damage: func(t *testing.T, c *clone) { must(t, os.Truncate(pack(t, c, ".idx"), 0)) }},
		"an index is noise":              {damage: func(t *testing.T, c *clone) { spoil(t, pack(t, c, ".idx"), 8, 200) }},
		"a pack's first bytes are noise": {damage: func(t *testing.T, c *clone) { spoil(t, pack(t, c, ".pack"), 12, 400) }},
		"all objects are gone":           {damage: func(t *testing.T, c *clone) { must(t, os.RemoveAll(filepath.Join(c.dir, "objects"))) }},
		"HEAD is empty":                  {damage: func(t *testing.T, c *clone) { writeFile(t, filepath.Join(c.dir, "HEAD"), "") }},
		"HEAD is another commit":         {damage: func(t *testing.T, c *clone) { writeFile(t, filepath.Join(c.dir, "HEAD"), strings.Repeat("ab", 20)) }},
		"HEAD is gone":                   {damage: func(t *testing.T, c *clone) { must(t, os.Remove(filepath.Join(c.dir, "HEAD"))) }},
		"satchel.json is gone":           {damage: func(t *testing.T, c *clone) { must(t, os.Remove(filepath.Join(c.dir, "satchel.json"))) }},
		"satchel.json is noise":          {damage: func(t *testing.T, c *clone) { writeFile(t, filepath.Join(c.dir, "satchel.json"), "\x00") }},
		"a newer Satchel made it":        {damage: func(t *testing.T, c *clone) { writeFile(t, filepath.Join(c.dir, "satchel.json"), `{"format":2}`) }},
		"in-use is gone":                 {damage: func(t *testing.T, c *clone) { must(t, os.Remove(filepath.Join(c.dir, "in-use"))) }},
		"all of it is gone":              {damage: func(t *testing.T, c *clone) { must(t, os.RemoveAll(c.dir)) }},
		"a fetch died in a pack": {keeps: true, damage: func(t *testing.T, c *clone) {
			writeFile(t, filepath.Join(c.packDir(), "tmp_pack_123"), "PACK")
		}},
		"a fetch died between index and pack": {keeps: true, damage: func(t *testing.T, c *clone) {
			writeFile(t, filepath.Join(c.packDir(), "pack-"+strings.Repeat("ab", 20)+".idx"), "half an index")
		}},
		"a clone died": {keeps: true, damage: func(t *testing.T, c *clone) {
			must(t, os.MkdirAll(filepath.Join(filepath.Dir(c.dir), "clone-000002/objects/pack"), 0o700))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRepo(t)
			r.write("a.txt", "a\n")
			r.write("b.bin", noise(30_000))
			r.commit()
			m := newMirror(t, serve(t, r, sshgit.Options{}).remote)
			newest(t, m).Close()
			before := m.newestClone()
			c.damage(t, before)

			r.sameAs(newest(t, m), ".") // the commit that it had
			r.write("c.txt", "c\n")
			r.commit()
			r.sameAs(newest(t, m), ".") // and a newer one
			if kept := m.newestClone().birth == before.birth && m.newestClone().dir == before.dir; kept != c.keeps && name != "all of it is gone" {
				t.Errorf("kept: %v, want %v; clones: %v", kept, c.keeps, m.cloneFolders())
			}
			if n := len(m.cloneFolders()); n > 2 {
				t.Errorf("%d clones", n)
			}
			if left, _ := filepath.Glob(filepath.Join(m.newestClone().packDir(), "tmp_*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// spoil overwrites bytes in the middle of a file.
func spoil(t *testing.T, file string, at, n int64) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if os.IsPermission(err) {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte(noise(int(n))), at); err != nil {
		t.Fatal(err)
	}
}

// A damage in a content shows when that content is read, never as wrong bytes,
// and is healed by the next look.
func TestDamagedContentIsNeverGiven(t *testing.T) {
	for name, size := range map[string]int{"a small file": 30_000, "a streamed file": 2 << 20} {
		t.Run(name, func(t *testing.T) {
			r := newRepo(t)
			r.write("a.bin", noise(size))
			tip := r.commit()
			m := newMirror(t, serve(t, r, sshgit.Options{}).remote)
			newest(t, m).Close()
			found, _ := filepath.Glob(filepath.Join(m.newestClone().packDir(), "*.pack"))
			info, err := os.Stat(found[0])
			if err != nil {
				t.Fatal(err)
			}
			spoil(t, found[0], info.Size()/2, 100)

			tree := at(t, m, tip)
			if i, err := fs.Stat(tree, "a.bin"); err != nil || i.Size() != int64(size) {
				t.Errorf("%v %v", i, err)
			}
			_, err = fs.ReadFile(tree, "a.bin")
			fails(t, err, Broken, "is damaged", "cloned anew at the next look")
			r.sameAs(at(t, m, tip), ".")
		})
	}
}

// A commit restores a file whose old content is in a pack that was lost: the
// server rightly does not send it again.
func TestLostHistoryHeals(t *testing.T) {
	r := newRepo(t)
	r.write("a.bin", noise(50_000))
	first := r.commit()
	m := newMirror(t, serve(t, r, sshgit.Options{}).remote)
	newest(t, m).Close()
	lost, _ := filepath.Glob(filepath.Join(m.newestClone().packDir(), "*"))
	r.git("rm", "-q", "a.bin")
	r.write("b.txt", "b\n")
	r.commit()
	newest(t, m).Close()
	for _, file := range lost {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	r.git("checkout", "-q", first, "--", "a.bin")
	r.commit()
	r.git("repack", "-qadb") // with a bitmap the server knows all that we should have
	r.sameAs(newest(t, m), ".")
}

// A process that is killed in the middle of a pack is in nobody's way.
func TestKilledInTheMiddleOfAPack(t *testing.T) {
	if dir := os.Getenv("SATCHEL_TEST_FETCH"); dir != "" {
		m := mirrorIn(t, dir, Remote{URL: os.Getenv("SATCHEL_TEST_URL"), KeyFiles: []string{os.Getenv("SATCHEL_TEST_KEY")}, KnownHostsFile: os.Getenv("SATCHEL_TEST_KNOWN")})
		newest(t, m)
		return
	}
	for _, again := range []bool{false, true} {
		t.Run(map[bool]string{false: "first clone", true: "update"}[again], func(t *testing.T) {
			r := newRepo(t)
			r.write("a.txt", "a\n")
			r.commit()
			inPack := make(chan struct{})
			var once sync.Once
			var silent sync.Mutex
			stop := false
			h := serve(t, r, sshgit.Options{Silent: func(at sshgit.Stage) bool {
				silent.Lock()
				defer silent.Unlock()
				if at == sshgit.InPack && stop {
					once.Do(func() { close(inPack) })
				}
				return at == sshgit.InPack && stop
			}})
			m := newMirror(t, h.remote)
			if again {
				newest(t, m).Close()
			}
			r.write("big.bin", noise(2<<20))
			r.commit()
			silent.Lock()
			stop = true
			silent.Unlock()
			child := exec.Command(os.Args[0], "-test.run=^TestKilledInTheMiddleOfAPack$")
			child.Env = append(os.Environ(), "SATCHEL_TEST_FETCH="+m.dir, "SATCHEL_TEST_URL="+h.remote.URL,
				"SATCHEL_TEST_KEY="+h.remote.KeyFiles[0], "SATCHEL_TEST_KNOWN="+h.remote.KnownHostsFile)
			if err := child.Start(); err != nil {
				t.Fatal(err)
			}
			<-inPack
			child.Process.Kill()
			child.Wait()
			silent.Lock()
			stop = false
			silent.Unlock()
			r.sameAs(newest(t, m), ".")
			if dirs := m.cloneFolders(); len(dirs) != 1 {
				t.Errorf("clones: %v", dirs)
			}
		})
	}
}
