package workdir

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// refused says that the filesystem cannot do this at all, as opposed to not
// now or not here.
func refused(err error) bool {
	return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOTSUP)
}

// move renames within Satchel's own folders, where no name is anybody else's.
func move(from *dir, a string, to *dir, b string) error {
	if err := from.do.step("move", b); err != nil {
		return err
	}
	return fault("move", b, again(func() error { return unix.Renameat(from.fd, a, to.fd, b) }))
}

// moveOver is move to a name that may be taken: a file there goes, but a
// folder, which only somebody else can have put there, is moved aside.
func moveOver(from *dir, a string, to *dir, b string) error {
	err := move(from, a, to, b)
	if !errors.Is(err, unix.EISDIR) {
		return err
	}
	if _, err := to.setAside(b); err != nil {
		return err
	}
	return move(from, a, to, b)
}

// errNoReplace means: this filesystem cannot rename without replacing.
var errNoReplace = errors.New("this filesystem cannot rename without replacing")

// rename gives something the name b in to, in one step, and never replaces
// anything: fs.ErrExist where the name is taken, errNoReplace where the
// filesystem cannot do that.
func rename(from *dir, a string, to *dir, b string) error {
	if from.do.noReplace {
		return errNoReplace
	}
	err := from.do.step("rename", b)
	if err == nil {
		err = again(func() error { return renameNoReplace(from.fd, a, to.fd, b) })
	}
	if refused(err) {
		from.do.noReplace = true
		return errNoReplace
	}
	return fault("rename", b, err)
}

// moveNew is rename, and where that cannot be had other ways to the same,
// which need that nobody but Satchel knows the name a.
func moveNew(from *dir, a string, to *dir, b string) error {
	if err := rename(from, a, to, b); err != errNoReplace {
		return err
	}
	s, err := from.stat(a)
	switch {
	case err != nil:
		return err
	case s.Kind == Folder:
		return moveFolder(from, a, to, b)
	case !from.do.noLink:
		if err := from.do.step("link", b); err != nil {
			return err
		}
		err := again(func() error { return unix.Linkat(from.fd, a, to.fd, b, 0) })
		if err == nil {
			return from.remove(a)
		}
		if !refused(err) && err != unix.EPERM && err != unix.EMLINK {
			return fault("place", b, err)
		}
		from.do.noLink = true
	}
	return claim(from, a, to, b)
}

// moveFolder renames a folder where NOREPLACE is not to be had: after the
// look it can at worst replace an empty folder that came meanwhile.
func moveFolder(from *dir, a string, to *dir, b string) error {
	s, err := to.stat(b)
	if err != nil {
		return err
	}
	if s.Kind != Nothing {
		return fault("place", b, fs.ErrExist)
	}
	if err := from.do.step("move", b); err != nil {
		return err
	}
	return fault("place", b, again(func() error { return unix.Renameat(from.fd, a, to.fd, b) }))
}

// claim is for filesystems without NOREPLACE and without links: an empty file
// takes the name exclusively, then ours takes its place. What somebody put
// there meanwhile stays. What is written into the empty file in the very last
// moment is still readable by its open handle, and comes to lie beside.
func claim(from *dir, a string, to *dir, b string) error {
	done, err := noteClaim(from, a, to, b)
	if err != nil {
		return err
	}
	f, err := to.createRW(b)
	if err != nil {
		done()
		return err
	}
	defer f.Close()
	if err = takeClaimed(f, from, a, to, b); err == nil {
		done()
	}
	return err
}

// takeClaimed gives a the name of the empty file f.
func takeClaimed(f *os.File, from *dir, a string, to *dir, b string) error {
	if err := from.do.step("claimed", b); err != nil {
		return err
	}
	mine, err := statFD(int(f.Fd()))
	if err != nil {
		return err
	}
	if s, err := to.stat(b); err != nil || s.Inode != mine.Inode || s.dev != mine.dev || mine.Size > 0 {
		return fault("place", b, errors.Join(fs.ErrExist, err))
	}
	if err := again(func() error { return unix.Renameat(from.fd, a, to.fd, b) }); err != nil {
		return errors.Join(fault("place", b, err), dropClaim(f, from, to, b))
	}
	if s, err := statFD(int(f.Fd())); err != nil || s.Size == 0 {
		return err
	}
	return keepLate(f, from, to, b)
}

// dropClaim takes away a claim that came to nothing: what lies there by now is
// looked at where nobody else finds it, and goes back if it is somebody's.
func dropClaim(f *os.File, from, to *dir, b string) error {
	out := "late-" + from.do.newName()
	if err := move(to, b, from, out); err != nil {
		return err
	}
	mine, err := statFD(int(f.Fd()))
	s, serr := from.stat(out)
	if err != nil || serr != nil || s.Inode != mine.Inode || s.dev != mine.dev || mine.Size > 0 {
		return errors.Join(err, serr, putBack(from, out, to, b))
	}
	return from.remove(out)
}

// keepLate saves what was written into a file that has no name any more.
// Where it cannot be laid beside, settle finds it.
func keepLate(f *os.File, from, to *dir, b string) error {
	name := "late-" + from.do.newName()
	late, err := from.create(name, 0o600)
	if err != nil {
		return err
	}
	_, err = late.ReadFrom(f)
	if err = errors.Join(err, late.Sync(), late.Close()); err != nil {
		return err
	}
	_, err = placeBeside(from, name, to, b, mySuffix, false)
	return err
}

func (d *dir) createRW(name string) (*os.File, error) {
	if err := d.do.step("claim", name); err != nil {
		return nil, err
	}
	fd, err := openat(d, name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// errNoExchange means: this filesystem has no EXCHANGE; go the other way.
var errNoExchange = errors.New("this filesystem cannot exchange two names")

// exchange swaps two names in one step.
func exchange(from *dir, a string, to *dir, b string) error {
	if from.do.noExchange {
		return errNoExchange
	}
	if err := from.do.step("exchange", b); err != nil {
		return err
	}
	err := again(func() error { return renameExchange(from.fd, a, to.fd, b) })
	if refused(err) {
		from.do.noExchange = true
		return errNoExchange
	}
	return fault("exchange", b, err)
}

// probe finds out once what this filesystem can do, before anything of the
// student's depends on it. The usual ones need not be asked.
func (d *dir) probe() error {
	if d.do.probed {
		return nil
	}
	d.do.probed = true
	if d.do.before == nil && renamesWell(d.fd) { // who counts the changes sees those of the others too
		return nil
	}
	one, two := "probe-"+d.do.newName(), "probe-"+d.do.newName()
	for _, name := range []string{one, two} {
		f, err := d.create(name, 0o600)
		if err != nil {
			return err
		}
		f.Close()
	}
	err := exchange(d, one, d, two)
	if err == errNoExchange {
		err = nil
	}
	if s, e := d.stat(one); e == nil && s.Kind == Nothing {
		d.do.noExchange = true // it took the flags and did something else
	} else if rename(d, one, d, two) == nil {
		d.do.noReplace = true
	}
	three := "probe-" + d.do.newName() // of a name that is taken the kernel answers without asking the filesystem
	_ = rename(d, two, d, three)
	_, _, _ = d.remove(one), d.remove(two), d.remove(three)
	return err
}
