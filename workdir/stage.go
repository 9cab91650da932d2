package workdir

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"satchel/bundle"
)

// How files are brought to disk: up to so many (or so many bytes) together, for
// those that share a commit of the filesystem's journal cost less than those
// that each have their own; some of them by one goroutine, and by so many
// goroutines at once. Measured: ARCHITECTURE.md.
const (
	bringFiles = 32
	bringBytes = 8 << 20
	bringEach  = 8
	syncers    = 8
)

// stage is where contents wait, complete, verified and on disk, each under its
// digest. What has another name there is a rest of a run that died.
type stage struct {
	c      *Course
	d      *dir
	pool   pool // brings contents to disk
	mu     sync.Mutex
	have   map[bundle.Digest]int64
	wanted map[bundle.Digest]int64 // not here yet; nil: whatever comes is taken
	left   int64                   // bytes of wanted
	short  map[bundle.Digest]int64 // sizes of what did not fit
	loose  []part                  // complete, and to be brought to disk together
	weight int64                   // bytes of loose

	merging map[bundle.Digest]mayMerge
	fresh   *freshTree // nil: there is none
	full    bool       // something did not fit
}

// openStage opens the stage and verifies what it has of need. The rest goes,
// unless other paths wait for it (keep).
func (c *Course) openStage(ctx context.Context, need map[bundle.Digest]int64, keep bool) error {
	c.closeStage()
	d, err := c.area.private(stageName)
	if err != nil {
		return err
	}
	s := &stage{c: c, d: d, pool: newPool(syncers), have: map[bundle.Digest]int64{}, short: map[bundle.Digest]int64{}, wanted: map[bundle.Digest]int64{}}
	c.stage = s
	c.dropFresh(ctx, need)
	names, err := d.names()
	if err != nil {
		return err
	}
	var here []bundle.Digest
	for _, name := range names {
		sum, err := bundle.ParseDigest(name)
		if strings.HasPrefix(name, "late-") {
			if err := c.shelve(d, name, "unknown/"+name); err != nil {
				return err
			}
		} else if _, needed := need[sum]; err == nil && needed {
			here = append(here, sum)
		} else if err == nil && !keep || strings.HasPrefix(name, "part-") {
			_ = d.remove(name)
		}
	}
	each(hashers, here, func(sum bundle.Digest) {
		if s.whole(ctx, sum, need[sum]) {
			s.mu.Lock()
			s.have[sum] = need[sum]
			s.mu.Unlock()
		} else if ctx.Err() == nil {
			_ = d.remove(sum.String())
		}
	})
	for sum, size := range need {
		if _, ok := s.have[sum]; !ok {
			s.wanted[sum] = size
			s.left += size
		}
	}
	return ctx.Err()
}

// closeStage ends the stage; what is in it stays.
func (c *Course) closeStage() {
	s := c.stage
	if s == nil {
		return
	}
	s.wait()
	s.endFresh()
	if len(s.have) > 0 {
		_ = s.d.sync()
	}
	s.d.close()
	c.stage = nil
}

// whole says whether a content lies in the stage. What has another size is
// not read: it may be of any size.
func (s *stage) whole(ctx context.Context, sum bundle.Digest, size int64) bool {
	st, err := s.d.stat(sum.String())
	if err != nil || st.Kind != Regular || st.Size != size || st.links != 1 {
		return false
	}
	got, st, err := hashName(ctx, s.d, sum.String())
	return err == nil && got == sum && st.links == 1
}

// Stage takes one content that the latest Plan needs, reads it to its end,
// and keeps it if it is what it should be (else bundle.ErrCorrupt). What is not
// needed, is here already, or does not fit is read and thrown away without an
// error; of what does not fit, Apply tells. It may be called from several
// goroutines, and returns before the bytes are surely on disk: Apply waits.
func (c *Course) Stage(v *bundle.Verifier) error {
	if c.stage == nil {
		return errors.New("stage: there is no plan")
	}
	return c.stage.put(v)
}

func (s *stage) put(v *bundle.Verifier) error {
	item := v.Item()
	if !s.needs(item) {
		_, err := io.Copy(io.Discard, v)
		return err
	}
	f, name, err := s.open(item)
	if err == nil {
		if err = s.fill(f, v); err == nil {
			err = v.Check()
		}
		if err == nil {
			s.finish(f, name, item)
			return nil
		}
		s.discard(f, name, item)
	}
	if isFull(err) {
		s.tooLarge(item)
		_, err = io.Copy(io.Discard, v)
	}
	if err != nil {
		return fmt.Errorf("stage %s: %w", item.Digest, err)
	}
	return nil
}

func (s *stage) needs(item bundle.Item) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	size, ok := s.wanted[item.Digest]
	return ok && size == item.Size
}

// open makes the part file with its bytes reserved, or the file in the fresh
// tree, which has no other name.
func (s *stage) open(item bundle.Item) (*os.File, string, error) {
	name := ""
	f, err := s.fresh.create(item)
	if f == nil && err == nil || errors.Is(err, fs.ErrExist) { // it comes a second time meanwhile
		name = "part-" + s.c.home.do.newName()
		f, err = s.d.create(name, 0o600)
	}
	for err == nil {
		gap := int64(0)
		if gap, err = s.room(item.Size); err == nil && item.Size > 0 && s.c.home.do.space == nil {
			gap = item.Size // a quota does not tell
			if err = reserve(f, item.Size); refused(err) {
				err = nil
			}
		}
		if !isFull(err) || !s.giveUp(item.Size, gap) {
			break
		}
		err = nil
	}
	if err != nil && f != nil {
		s.discard(f, name, item)
	}
	return f, name, err
}

// discard takes a part away again.
func (s *stage) discard(f *os.File, name string, item bundle.Item) {
	f.Close()
	if name == "" {
		_ = s.fresh.drop(item.Digest)
	} else {
		_ = s.d.remove(name)
	}
}

func (s *stage) tooLarge(item bundle.Item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(item.Digest)
	s.short[item.Digest] = item.Size
}

func (s *stage) drop(d bundle.Digest) {
	s.left -= s.wanted[d]
	delete(s.wanted, d)
}

// part is a file of the stage that is complete.
type part struct {
	f    *os.File
	name string // "": it lies in the fresh tree
	item bundle.Item
}

// finish has the disk begin with a part, which comes to it with others, beside.
func (s *stage) finish(f *os.File, name string, item bundle.Item) {
	beginWriting(f)
	s.mu.Lock()
	s.loose = append(s.loose, part{f, name, item})
	s.weight += item.Size
	enough := len(s.loose) >= bringFiles || s.weight >= bringBytes
	s.mu.Unlock()
	if enough {
		s.bringLoose()
	}
}

// bringLoose brings to disk, beside, what is loose.
func (s *stage) bringLoose() {
	s.mu.Lock()
	parts := s.loose
	s.loose, s.weight = nil, 0
	s.mu.Unlock()
	for some := range slices.Chunk(parts, bringEach) {
		s.pool.Go(func() {
			for i := range some {
				s.bring(&some[i])
			}
		})
	}
}

// bring brings a part to disk and gives it its name.
func (s *stage) bring(p *part) {
	err := s.syncFile(p.f)
	var st Stat
	if err == nil && p.name == "" {
		st, err = statFD(int(p.f.Fd()))
	}
	err = errors.Join(err, p.f.Close())
	if err == nil && p.name == "" {
		s.fresh.settle(p.item.Digest, st)
	} else if err == nil {
		err = moveOver(s.d, p.name, s.d, p.item.Digest.String())
	}
	if err != nil {
		s.c.home.lg.Warn("a content could not be staged", "course", s.c.name, "error", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(p.item.Digest)
	s.have[p.item.Digest] = p.item.Size
}

func (s *stage) syncFile(f *os.File) error {
	if err := s.c.home.do.step("fsync", f.Name()); err != nil {
		return err
	}
	return f.Sync()
}

// wait returns when everything staged is on disk. Names in the stage are not:
// what a power cut takes of them is fetched again.
func (s *stage) wait() {
	s.bringLoose()
	s.pool.wait()
}

func (s *stage) has(d bundle.Digest) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.have[d]
	return ok
}

// missing gives what is wanted and not here, smallest first.
func (s *stage) missing() []bundle.Item {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []bundle.Item
	for d, n := range s.wanted {
		out = append(out, bundle.Item{Digest: d, Size: n})
	}
	slices.SortFunc(out, func(a, b bundle.Item) int {
		return cmp.Or(cmp.Compare(a.Size, b.Size), bytes.Compare(a.Digest[:], b.Digest[:]))
	})
	return out
}

// ready makes a content ready to be placed from the stage, with perm and
// under the name it gives. last says that no other path needs it; else, or
// where the file has a second name anywhere, a copy is made.
func (s *stage) ready(d bundle.Digest, perm uint32, last bool) (name string, err error) {
	from, st, err := s.d.open(d.String())
	if err != nil {
		return "", err
	}
	defer from.Close()
	if last && st.links == 1 {
		return d.String(), s.d.chmod(d.String(), perm)
	}
	name = "part-" + s.c.home.do.newName()
	f, err := s.d.create(name, 0o600)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(f, from)
	if err == nil {
		err = errors.Join(unix.Fchmod(int(f.Fd()), perm), s.syncFile(f))
	}
	if err = errors.Join(err, f.Close()); err != nil {
		_ = s.d.remove(name)
	}
	return name, err
}

// read gives the bytes of a content, for merging.
func (s *stage) read(d bundle.Digest, size int64) ([]byte, error) {
	f, err := s.openContent(d)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, size+1))
	if err == nil && int64(len(data)) != size {
		err = fault("read", d.String(), fmt.Errorf("%w: %d bytes; want %d", bundle.ErrCorrupt, len(data), size))
	}
	return data, err
}

// write brings something that was made here to the stage, ready to be placed.
func (s *stage) write(data []byte, perm uint32) (in incoming, err error) {
	in = incoming{"part-" + s.c.home.do.newName(), bundle.Sum(data), int64(len(data))}
	gap, err := s.room(in.size)
	for isFull(err) && s.c.spare() >= gap && (s.c.dropKept() || s.c.dropBase(false)) {
		gap, err = s.room(in.size)
	}
	if err != nil {
		return in, err
	}
	f, err := s.d.create(in.name, 0o600)
	if err != nil {
		return in, err
	}
	if _, err = f.Write(data); err == nil {
		err = errors.Join(unix.Fchmod(int(f.Fd()), perm), s.syncFile(f))
	}
	if err = errors.Join(err, f.Close()); err != nil {
		_ = s.d.remove(in.name)
	}
	return in, err
}

// gone says that name was moved out of the stage; back that it is there again.
func (s *stage) gone(name string) {
	if d, err := bundle.ParseDigest(name); err == nil {
		s.mu.Lock()
		delete(s.have, d)
		s.mu.Unlock()
	}
}

func (s *stage) back(name string, size int64) {
	if d, err := bundle.ParseDigest(name); err == nil {
		s.mu.Lock()
		s.have[d] = size
		s.mu.Unlock()
	}
}
