package workdir

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// at is the course's folder as it is now: what it was renamed to, too.
func (m *model) at(p string) string {
	if m.here == "" {
		return filepath.Join(m.root, m.folder, p)
	}
	return filepath.Join(m.root, m.here, p)
}

// leadsOut says that a link lies on the way to p. The student's hands keep to
// the course's folder, for what changes beside it is looked at.
func (m *model) leadsOut(p string) bool {
	for f, _ := split(p); f != ""; f, _ = split(f) {
		if s, err := os.Lstat(m.at(f)); err == nil && s.Mode()&fs.ModeSymlink != 0 {
			return true
		}
	}
	return false
}

// excuse says of lines that were at a path that the student took them away,
// unless they are still somewhere there.
func (m *model) excuse(full string, do func()) {
	before := tokensBelow(full)
	do()
	after := tokensBelow(full)
	for t := range before {
		if !after[t] {
			m.excused[t] = true
		}
	}
}

func (m *model) excuseBelow(full string) {
	for t := range tokensBelow(full) {
		m.excused[t] = true
	}
}

// tokensBelow are the student's lines in a file or folder.
func tokensBelow(full string) map[string]bool {
	out := map[string]bool{}
	_ = filepath.WalkDir(full, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			data, _ := os.ReadFile(path)
			for _, t := range ledgerIn(string(data)) {
				out[t] = true
			}
		}
		return nil
	})
	return out
}

func (m *model) touch(p string) {
	m.touched[p] = true
	for q := range m.files {
		if strings.HasPrefix(q, p+"/") || strings.HasPrefix(p, q+"/") {
			m.touched[q] = true
		}
	}
	for q, from := range m.renamed {
		if from == p {
			m.touched[q] = true
		}
	}
}

func (m *model) touchAll() {
	for _, all := range []map[string]string{m.files, m.first} {
		for p := range all {
			m.touched[p] = true
		}
	}
}

// save writes a file as one of three editors does, or does nothing where that
// cannot be.
func (m *model) save(p, text string) {
	full := m.at(p)
	if m.leadsOut(p) || os.MkdirAll(filepath.Dir(full), 0o755) != nil {
		return
	}
	if s, err := os.Lstat(full); err == nil && !s.Mode().IsRegular() {
		return
	}
	m.touch(p)
	m.closeLate(p)
	if m.raced {
		m.saved = append(m.saved, mineIn(text)...)
	}
	m.log("student: saves %q: %v", p, ledgerIn(text))
	m.excuse(full, func() {
		_ = os.Chmod(full, 0o644)
		if m.chance(50) { // in place, as Jupyter
			_ = os.WriteFile(full, []byte(text), 0o644)
		} else { // by a rename
			if os.WriteFile(full+"~", []byte(text), 0o644) == nil {
				_ = os.Rename(full+"~", full)
			}
			_ = os.Remove(full + "~")
		}
		at := m.now.Add(-pickOf(m, []time.Duration{time.Second, 5 * time.Minute, 3 * time.Hour}))
		_ = os.Chtimes(full, at, at)
	})
}

// edit changes what is there.
func (m *model) edit(p string) {
	data, err := readRegular(m.at(p))
	if err != nil {
		return
	}
	m.save(p, m.changed(p, string(data), "mine"))
}

func readRegular(full string) ([]byte, error) {
	s, err := os.Lstat(full)
	if err != nil || !s.Mode().IsRegular() {
		return nil, fs.ErrNotExist
	}
	return os.ReadFile(full)
}

func (m *model) runNotebook(p, former string) {
	data, err := readRegular(m.at(p))
	if err != nil {
		data = []byte(former)
	}
	if text := m.ran(string(data)); text != "" {
		m.save(p, text)
	}
}

func (m *model) delete(p string) {
	full := m.at(p)
	if _, err := os.Lstat(full); err != nil || m.leadsOut(p) {
		return
	}
	m.touch(p)
	m.log("student: deletes %q", p)
	m.excuse(full, func() { os.RemoveAll(full) })
}

// startOver deletes or renames a whole folder.
func (m *model) startOver(folder string) {
	full := m.at(folder)
	m.touch(folder)
	if folder == "" {
		m.touchAll()
	}
	if m.chance(50) {
		m.log("student: deletes the folder %q", folder)
		m.excuse(full, func() { os.RemoveAll(full) })
		return
	}
	m.names++
	to := filepath.Join(m.root, "old "+pickOf(m, []string{"one", "two", "thr\xffee"})+string(rune('a'+m.names%26)))
	m.log("student: moves the folder %q away", folder)
	if os.Rename(full, to) == nil {
		m.did("folder renamed away")
	}
}

// other puts something of another type at p.
func (m *model) other(p, kind string) {
	full := m.at(p)
	if m.leadsOut(p) || os.MkdirAll(filepath.Dir(full), 0o755) != nil {
		return
	}
	m.touch(p)
	m.excuse(full, func() { os.RemoveAll(full) })
	m.log("student: %q is a %s now", p, kind)
	switch kind {
	case "folder":
		_ = os.Mkdir(full, 0o755)
		_ = os.WriteFile(filepath.Join(full, "mine.txt"), []byte(m.line("mine")), 0o644)
	case "link":
		_ = os.Symlink(filepath.Join(m.root, "canary", pickOf(m, []string{"file", "folder", "nothing"})), full)
	case "fifo":
		_ = syscall.Mkfifo(full, 0o644)
	case "file":
		_ = os.WriteFile(full, []byte(m.line("mine")), 0o644)
	}
}

func (m *model) studentAtRandom() {
	p := m.anyPath()
	switch m.n(11) {
	case 0, 1, 2:
		m.edit(p)
	case 9: // whatever lies there: copies beside, files of their own
		if p, ok := m.anyFile(); ok {
			m.edit(p)
		}
	case 10: // half saved
		if data, err := readRegular(m.at(p)); err == nil && len(data) > 1 {
			m.save(p, string(data[:m.n(len(data))]))
		}
	case 3:
		m.delete(p)
	case 4: // renames it
		folder, name := split(p)
		m.touch(p)
		m.log("student: renames %q", p)
		_ = os.Rename(m.at(p), m.at(join(folder, pickOf(m, []string{"my ", "m\xff", "zz\n"})+shorten(name, 200))))
	case 5: // a file of their own, sometimes with a name that is no text
		folder, _ := split(p)
		m.save(join(folder, pickOf(m, []string{"own.txt", "caf\xe9.md", "lab (course v2).txt", "lab3 (my copy).ipynb"})), m.line("mine"))
	case 6:
		m.other(p, pickOf(m, []string{"folder", "link", "fifo", "file"}))
	case 7: // saves it as it is: another inode, the same bytes
		if data, err := readRegular(m.at(p)); err == nil {
			m.save(p, string(data))
		}
	case 8:
		_ = os.Chmod(m.at(p), pickOf(m, []os.FileMode{0o600, 0o755, 0o444}))
		m.touch(p)
	}
}

// anyFile is one of all that lie in the course's folder.
func (m *model) anyFile() (string, bool) {
	var all []string
	for p, d := range thingsBelow(m.at("")) {
		if d.kind == "file" {
			all = append(all, p)
		}
	}
	slices.Sort(all)
	if len(all) == 0 {
		return "", false
	}
	return pickOf(m, all), true
}

// What lies beside the course's folder, and must not change.
func (m *model) plantCanaries() {
	for _, p := range []string{"canary/file", "canary/folder/file", "scala2/a.txt", "What is new.md"} {
		full := filepath.Join(m.root, p)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			m.fail("%v", err)
		}
		_ = os.WriteFile(full, []byte(m.line("mine")), 0o644)
	}
}

func (m *model) remove2(full string) {
	if err := os.RemoveAll(full); err != nil {
		m.fail("%v", err)
	}
}

// copyHome copies a whole home, whatever is in it.
func copyHome(t testing.TB, from, to string) {
	err := filepath.WalkDir(from, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(from, p)
		dst := filepath.Join(to, rel)
		info, err := e.Info()
		switch {
		case err != nil:
			return err
		case e.IsDir():
			return os.MkdirAll(dst, info.Mode().Perm())
		case e.Type()&fs.ModeSymlink != 0:
			target, _ := os.Readlink(p)
			return os.Symlink(target, dst)
		case e.Type()&fs.ModeNamedPipe != 0:
			return syscall.Mkfifo(dst, 0o644)
		case !e.Type().IsRegular():
			return nil
		}
		data, err := os.ReadFile(p)
		if err == nil {
			err = os.WriteFile(dst, data, info.Mode().Perm())
		}
		if err == nil {
			err = os.Chmod(dst, info.Mode().Perm())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
