package workdir

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"satchel/bundle"
)

// The journal is text, one line a fact, each with a checksum of its own:
//
//	satchel-journal 1 CRC
//	CRC {"file":{"path":…}}
//
// CRC is CRC-32C in eight hexadecimal digits, of "satchel-journal 1" in the
// first line and of the JSON in each other. Lines are only ever appended; for
// each path the newest holds. A line that is cut off or damaged is not there;
// the others are. The first line has this form in every format to come.
const (
	journalName   = "journal"
	journalMagic  = "satchel-journal "
	journalFormat = 1
	maxLine       = 4 << 20
	maxFirst      = 64
	maxJournal    = 256 << 20 // save keeps below it; a larger one is not ours
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(data []byte) string {
	return hex.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.Checksum(data, castagnoli)))
}

func firstLine(format int) string {
	h := journalMagic + strconv.Itoa(format)
	return h + " " + checksum([]byte(h)) + "\n"
}

// readJournal reads what r holds. whole says that every line was good, so
// that one may append to it. The only errors are bundle.ErrFormat and ctx's
// end; a damaged journal gives what is left of it, down to nothing.
func readJournal(ctx context.Context, r io.Reader) (rec *record, whole bool, err error) {
	rec, whole = newRecord(), true
	in := bufio.NewReaderSize(r, 64<<10)
	var texts [][]byte
	size := 0
	take := func() {
		whole = rec.takeAll(texts) && whole
		texts, size = texts[:0], 0
	}
	for n := 0; ; n++ {
		if len(texts) == hashers*parsedAtOnce || size > 2*maxLine {
			take()
			if ctx.Err() != nil {
				return nil, false, ctx.Err()
			}
		}
		text, complete, err := nextLine(in)
		switch {
		case err == io.EOF, err == errEndless:
			take()
			return rec, whole && n > 0 && err == io.EOF, nil
		case err != nil:
			return nil, false, err
		}
		if n == 0 {
			format, ok := parseFirst(text)
			if ok && format > journalFormat {
				return nil, false, bundle.ErrFormat
			}
			whole = ok && complete
			continue
		}
		whole = whole && complete
		texts, size = append(texts, text), size+len(text)
	}
}

// parsedAtOnce is how many lines one goroutine parses.
const parsedAtOnce = 512

// takeAll takes lines in their order, parsed at once. whole says that every
// one was good.
func (rec *record) takeAll(texts [][]byte) (whole bool) {
	type part struct {
		texts [][]byte
		lines []line
		whole bool
	}
	var parts []*part
	for chunk := range slices.Chunk(texts, parsedAtOnce) {
		parts = append(parts, &part{texts: chunk, whole: true})
	}
	each(hashers, parts, func(p *part) {
		for _, text := range p.texts {
			if l, ok := parseLine(text); ok {
				p.lines = append(p.lines, l)
			} else {
				p.whole = false
			}
		}
	})
	whole = true
	for _, p := range parts {
		whole = whole && p.whole
		for _, l := range p.lines {
			rec.take(l)
		}
	}
	return whole
}

// errEndless means: what follows is no line, whatever it is.
var errEndless = errors.New("a line without an end")

// nextLine reads one line. A line that is too long comes empty and
// incomplete.
func nextLine(in *bufio.Reader) (text []byte, complete bool, err error) {
	long, read := false, 0
	for {
		part, err := in.ReadSlice('\n')
		if read += len(part); read > 2*maxLine {
			return nil, false, errEndless
		}
		if long = long || len(text)+len(part) > maxLine; long {
			text = nil
		} else {
			text = append(text, part...)
		}
		switch {
		case err == bufio.ErrBufferFull:
			continue
		case err != nil && len(text) == 0 && len(part) == 0:
			return nil, false, err
		}
		return bytes.TrimSuffix(text, []byte("\n")), err == nil && !long, nil
	}
}

func parseFirst(text []byte) (format int, ok bool) {
	head, sum, _ := cutLast(string(text))
	n, found := strings.CutPrefix(head, journalMagic)
	format, err := strconv.Atoi(n)
	return format, found && err == nil && sum == checksum([]byte(head))
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, ' ')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

func parseLine(text []byte) (l line, ok bool) {
	if len(text) < 10 || text[8] != ' ' || string(text[:8]) != checksum(text[9:]) {
		return l, false
	}
	return decodeLine(text[9:])
}

// encodeLines gives the lines' text.
func encodeLines(lines []line) ([]byte, error) {
	var b bytes.Buffer
	for _, l := range lines {
		data, err := json.Marshal(l)
		if err != nil {
			return nil, err
		}
		if len(data) > maxLine-16 {
			return nil, fmt.Errorf("journal: a line of %d bytes", len(data))
		}
		b.WriteString(checksum(data))
		b.WriteByte(' ')
		b.Write(data)
		b.WriteByte('\n')
	}
	return b.Bytes(), nil
}

// load reads the journal. An absent one is an empty record; c.fresh says that
// a new file must be written before anything is appended.
func (c *Course) load(ctx context.Context) error {
	f, s, err := c.state.openJournal()
	if f == nil || err != nil {
		return err
	}
	defer f.Close()
	limit := s.Size
	if s.Size > maxJournal {
		c.home.lg.Warn("the journal is too large, and taken for lost", "course", c.name, "bytes", s.Size)
		limit = maxFirst // for its format only: its newest lines are the last
	}
	rec, whole, err := readJournal(ctx, io.LimitReader(f, limit))
	switch {
	case errors.Is(err, bundle.ErrFormat):
		return fmt.Errorf("state of an earlier sync: %w", err)
	case err != nil:
		return fmt.Errorf("read the journal: %w", err)
	case s.Size > maxJournal:
		return nil
	}
	c.rec, c.fresh, c.size, c.untold = rec, !whole || s.links != 1, s.Size, rec.untold
	c.anchored = rec.named.Folder != "" || rec.applied != nil // which was saved
	return nil
}

// JournalStat is one look at a course's journal, without opening anything: as
// long as it is the same, so is all that is remembered of the course.
func JournalStat(root, course string) (Stat, error) {
	var st unix.Stat_t
	path := filepath.Join(root, ownFolder, course, journalName)
	if err := again(func() error { return unix.Lstat(path, &st) }); err != nil {
		return Stat{}, fault("look at", path, err)
	}
	return statOf(&st), nil
}

// Same says that nobody can have written to the file between two looks, as far
// as size, both times and inode can tell.
func (s Stat) Same(t Stat) bool { return s.same(t) }

// openJournal opens the journal; nil where there is none, or what is as good
// as lost: a link, a folder, somebody else's file. That it cannot be read just
// now is an error: then nothing is done, rather than all of it forgotten.
func (d *dir) openJournal() (*os.File, Stat, error) {
	f, s, err := d.open(journalName)
	if errors.Is(err, fs.ErrPermission) && s.Kind == Regular && int(s.uid) == os.Geteuid() {
		if err = d.unlock(journalName); err == nil {
			f, s, err = d.open(journalName)
		}
	}
	if asGoodAsLost(s, err) {
		return nil, s, nil
	}
	return f, s, err
}

// asGoodAsLost judges what opening the journal came to. Of a file that could
// not even be looked at nobody knows whose it is.
func asGoodAsLost(s Stat, err error) bool {
	if errors.Is(err, fs.ErrPermission) {
		return s.Kind == Regular && int(s.uid) != os.Geteuid()
	}
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotRegular) || errors.Is(err, unix.ELOOP)
}

// unlock gives a file of our own back the permissions that it was made with.
func (d *dir) unlock(name string) error {
	if err := d.do.step("chmod", name); err != nil {
		return err
	}
	return fault("chmod", name, unix.Fchmodat(d.fd, name, 0o600, 0))
}

// save appends lines to the journal and takes them into the record, after
// they are on disk.
func (c *Course) save(lines ...line) error { return c.append(lines, true) }

// note is save for what a power cut may take, though no kill: it comes to disk
// with what is saved next, or by bring.
func (c *Course) note(lines ...line) error { return c.append(lines, false) }

// bring begins to bring to disk what was noted. Home.Close waits for it.
func (c *Course) bring() {
	if !c.noted || c.state == nil {
		return
	}
	c.noted = false
	f, _, err := c.state.open(journalName)
	if err != nil {
		return // it is anew next time
	}
	c.home.beside(func() {
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			c.home.lg.Warn("the journal is not surely on disk", "course", c.name, "error", err)
		}
	})
}

// append writes lines, and compacts when most are old.
func (c *Course) append(lines []line, toDisk bool) error {
	if len(lines) == 0 {
		return nil
	}
	if c.home.look {
		return errors.New("save: opened for reading only")
	}
	if err := c.begin(); err != nil {
		return err
	}
	if toDisk {
		if err := c.anchor(); err != nil {
			return err
		}
	}
	if !c.fresh {
		if err := c.appendLines(lines, toDisk); err != nil {
			return err
		}
	}
	for _, l := range lines {
		c.rec.take(l)
	}
	live := len(c.rec.files) + len(c.rec.folders) + len(c.rec.holds) + len(c.rec.shelf) + len(c.rec.changes)
	if c.fresh || c.rec.lines > 2*live+2000 || c.size > maxJournal/2 && c.rec.lines > live/8 {
		return c.compact(toDisk || c.size > 0)
	}
	return nil
}

// anchor brings the folders above the journal to disk, and its name in
// them, before the first line that a power cut must not take.
func (c *Course) anchor() error {
	if c.anchored {
		return nil
	}
	for _, d := range []*dir{c.state, c.home.own, c.home.top} {
		if err := d.sync(); err != nil {
			return err
		}
	}
	c.anchored = true
	return nil
}

func (c *Course) appendLines(lines []line, toDisk bool) error {
	data, err := encodeLines(lines)
	if err != nil {
		return err
	}
	if err := c.home.do.step("append", journalName); err != nil {
		return err
	}
	fd, err := openat(c.state, journalName, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), journalName)
	_, err = f.Write(data)
	if c.noted = !toDisk; err == nil && toDisk {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil { // some filesystems say only here that it is full
		c.fresh = true // its end may be torn: write it anew next time
	}
	c.size += int64(len(data))
	return err
}

// compact writes the journal anew beside, then puts it in place. One in the
// place of none may be lost by a power cut, as what is noted.
func (c *Course) compact(toDisk bool) error {
	data, err := encodeLines(c.rec.all())
	if err != nil {
		return err
	}
	if len(data) > maxJournal-maxFirst {
		return fmt.Errorf("write the journal: %d bytes; the limit is %d", len(data), maxJournal)
	}
	if s, err := c.state.stat(journalName); err == nil && s.Kind != Nothing && s.Kind != Regular {
		if _, err := c.state.setAside(journalName); err != nil {
			return err
		}
	}
	if err := c.state.putFile(journalName, append([]byte(firstLine(journalFormat)), data...), toDisk); err != nil {
		c.fresh = true
		return fmt.Errorf("write the journal: %w", err)
	}
	c.fresh, c.rec.lines, c.size, c.noted = false, 0, int64(len(data)), !toDisk
	return nil
}

// putFile puts a whole file in place in one of Satchel's own folders. What may
// be had again, and is checked by who reads it, need not come to disk now.
func (d *dir) putFile(name string, data []byte, toDisk bool) error {
	tmp := "new-" + d.do.newName()
	f, err := d.create(tmp, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil && toDisk {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = moveOver(d, tmp, d, name)
	}
	if err != nil {
		return errors.Join(err, d.remove(tmp))
	}
	if !toDisk {
		return nil
	}
	return d.sync()
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
