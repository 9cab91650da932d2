package workdir

import (
	"golang.org/x/sys/unix"

	"satchel/bundle"
)

// reserveBytes is what is always left free on the filesystem.
const reserveBytes = 50 << 20

// room says whether size bytes fit, with all smaller ones that are still to
// come, so that a large one never keeps the small ones out; and how many are
// missing.
func (s *stage) room(size int64) (gap int64, err error) {
	free, err := s.free()
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if free >= s.left {
		return 0, nil
	}
	for _, other := range s.wanted {
		if other < size {
			free -= other
		}
	}
	if free < size {
		return size - free, unix.ENOSPC
	}
	return 0, nil
}

// mayFit leaves out, of contents that are nowhere at hand, smallest first, what
// does not fit whatever is given up for it: that would be fetched to be thrown
// away, by each pass until there is room.
func (s *stage) mayFit(items []bundle.Item) (out []bundle.Item) {
	free, err := s.free()
	if err != nil || free >= s.left {
		return items
	}
	spare := s.c.spare()
	for _, item := range items {
		if gap := item.Size - free; gap > 0 && s.larger(item.Size)+spare < gap {
			s.tooLarge(item)
			continue
		}
		free -= item.Size
		out = append(out, item)
	}
	return out
}

// free is what may be used of the filesystem.
func (s *stage) free() (int64, error) {
	if s.c.home.do.space != nil {
		return s.c.home.do.space() - reserveBytes, nil
	}
	var st unix.Statfs_t
	if err := unix.Fstatfs(s.d.fd, &st); err != nil {
		return 0, fault("ask for space", stageName, err)
	}
	return int64(st.Bavail)*int64(st.Bsize) - reserveBytes, nil
}

// giveUp makes room for size bytes, of which gap are missing: first the
// course's bytes that are kept for undo and restore, then those for merging,
// then the largest staged content above that size. Nothing, where all of it
// would not be enough.
func (s *stage) giveUp(size, gap int64) bool {
	s.tight()
	if s.c.dropPack() {
		return true
	}
	if s.larger(size)+s.c.spare() < gap {
		return false
	}
	if s.c.dropKept() || s.c.dropBase(false) || s.c.dropBase(true) {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var largest bundle.Digest
	for d, n := range s.have {
		if n > size && n > s.have[largest] {
			largest = d
		}
	}
	if largest.IsZero() || s.removeContent(largest) != nil {
		return false
	}
	s.short[largest] = s.have[largest]
	delete(s.have, largest)
	return true
}

func (s *stage) removeContent(d bundle.Digest) error {
	if _, ok := s.fresh.at(d); ok {
		return s.fresh.drop(d)
	}
	return s.d.remove(d.String())
}

// tight ends the keeping of frames as they come: space is for what is placed.
func (s *stage) tight() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.full = true
}

// larger adds up the staged contents above a size.
func (s *stage) larger(size int64) (sum int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.have {
		if n > size {
			sum += n
		}
	}
	return sum
}

// spare is how many of the course's bytes can be given up.
func (c *Course) spare() int64 { return c.area.usage(keptName, 0) + c.state.usage(baseName, 0) }
