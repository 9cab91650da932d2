package source

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"

	"satchel/internal/durable"
)

// storePack writes a pack and its index into dir, so that both are on the disk
// and whole, or are not there. A pack with an unresolved delta, a wrong
// checksum or trailing bytes is refused.
//
// go-git's own writer does this in a goroutine, where a panic on a hostile
// pack could not be caught, and leaves a half index when the disk is full.
func storePack(dir string, pack io.Reader) (err error) {
	f, err := os.CreateTemp(dir, "tmp_pack_*")
	if err != nil {
		return err
	}
	defer func() {
		f.Close()
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	if _, err := io.Copy(f, pack); err != nil {
		return err
	}
	name, index, err := indexPack(f)
	if err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	stem := filepath.Join(dir, "pack-"+name)
	if err := durable.WriteFile(stem+".idx", index, 0o600); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), stem+".pack"); err != nil {
		return err
	}
	return durable.SyncDir(dir)
}

// indexPack resolves all of a pack and gives its checksum and its index.
func indexPack(f io.ReadSeeker) (name string, index []byte, err error) {
	defer recovered(&err)
	if err := checkCount(f); err != nil {
		return "", nil, err
	}
	w := new(idxfile.Writer)
	parser, err := packfile.NewParser(packfile.NewScanner(f), w)
	if err != nil {
		return "", nil, err
	}
	sum, err := parser.Parse()
	if err != nil {
		return "", nil, fmt.Errorf("the pack cannot be read: %w", err)
	}
	// The parser takes a pack that ends before its checksum, and does not look
	// at what comes after it.
	end := make([]byte, len(sum))
	if _, err := f.Seek(-int64(len(end)), io.SeekEnd); err != nil {
		return "", nil, err
	}
	if _, err := io.ReadFull(f, end); err != nil {
		return "", nil, err
	}
	if sum.IsZero() || !bytes.Equal(end, sum[:]) {
		return "", nil, errors.New("the pack does not end with its checksum")
	}
	idx, err := w.Index()
	if err != nil {
		return "", nil, err
	}
	var out bytes.Buffer
	if _, err := idxfile.NewEncoder(&out).Encode(idx); err != nil {
		return "", nil, err
	}
	return sum.String(), out.Bytes(), nil
}

// smallestObject is a header of one byte and a zlib stream of nothing.
const smallestObject = 9

// checkCount refuses a pack that claims more objects than its bytes can hold:
// the parser makes room for as many as it claims. It leaves f at its start.
func checkCount(f io.ReadSeeker) error {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	var head [12]byte // PACK, version, count
	if _, err := io.ReadFull(f, head[:]); err != nil {
		return fmt.Errorf("the pack is too short: %w", err)
	}
	if count := int64(binary.BigEndian.Uint32(head[8:])); count > size/smallestObject {
		return fmt.Errorf("the pack claims %d objects in %d bytes", count, size)
	}
	_, err = f.Seek(0, io.SeekStart)
	return err
}

func (c *clone) packDir() string { return filepath.Join(c.dir, "objects", "pack") }

// packFiles are the files of whole packs: each .pack that has an .idx, and
// that.
func (c *clone) packFiles() ([]string, error) {
	entries, err := os.ReadDir(c.packDir())
	if err != nil {
		return nil, err
	}
	here := map[string]bool{}
	for _, e := range entries {
		here[e.Name()] = true
	}
	var out []string
	for name := range here {
		if stem, is := strings.CutSuffix(name, ".pack"); is && here[stem+".idx"] {
			out = append(out, filepath.Join(c.packDir(), name), filepath.Join(c.packDir(), stem+".idx"))
		}
	}
	return out, nil
}

// named tells which objects the packs' indexes name, without a look into the
// packs: go-git's own answer to that unpacks what it finds.
func (c *clone) named() (func(plumbing.Hash) bool, error) {
	files, err := c.packFiles()
	if err != nil {
		return nil, err
	}
	var all []*idxfile.MemoryIndex
	for _, name := range files {
		if !strings.HasSuffix(name, ".idx") {
			continue
		}
		index, err := readIndex(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(name), err)
		}
		all = append(all, index)
	}
	return func(object plumbing.Hash) bool {
		return slices.ContainsFunc(all, func(index *idxfile.MemoryIndex) bool {
			found, err := index.Contains(object)
			return found && err == nil
		})
	}, nil
}

func readIndex(name string) (index *idxfile.MemoryIndex, err error) {
	defer recovered(&err)
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	index = idxfile.NewMemoryIndex()
	return index, idxfile.NewDecoder(f).Decode(index)
}

// tidy removes what a fetch left that died: unfinished files, and halves of
// packs (an index is written before its pack gets its name).
func (c *clone) tidy() error {
	whole, err := c.packFiles()
	if err != nil {
		return err
	}
	return c.keepOnly(whole)
}

// keepOnly removes all else from the folder of packs.
func (c *clone) keepOnly(files []string) error {
	entries, err := os.ReadDir(c.packDir())
	if err != nil {
		return err
	}
	for _, e := range entries {
		if name := filepath.Join(c.packDir(), e.Name()); !slices.Contains(files, name) {
			if err := os.Remove(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// weigh counts the packs, and the bytes of their files.
func (c *clone) weigh() (packs int, size int64, err error) {
	files, err := c.packFiles()
	if err != nil {
		return 0, 0, err
	}
	for _, name := range files {
		info, err := os.Stat(name)
		if err != nil {
			return 0, 0, err
		}
		size += info.Size()
	}
	return len(files) / 2, size, nil
}

// worn says whether the clone has so many packs, or so much that nobody needs
// any more, that a fresh one is better.
func (c *clone) worn() bool {
	packs, size, err := c.weigh()
	return err == nil && (packs > maxPacks || size > 2*c.birth.Size+mayGrow)
}

// check sees quickly whether each pack is the one that its index was made of:
// both end with the pack's checksum. It finds packs that were cut short; what
// else is wrong with them shows when it is read.
func (c *clone) check() error {
	files, err := c.packFiles()
	if err != nil {
		return err
	}
	for _, pack := range files {
		stem, is := strings.CutSuffix(pack, ".pack")
		if !is {
			continue
		}
		end, err := lastBytes(pack, 20)
		if err != nil {
			return err
		}
		sums, err := lastBytes(stem+".idx", 40) // of the pack, of the index
		if err != nil {
			return err
		}
		if !bytes.Equal(end, sums[:20]) {
			return fmt.Errorf("%s is not whole", filepath.Base(pack))
		}
	}
	return nil
}

func lastBytes(name string, n int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := f.Seek(-n, io.SeekEnd); err != nil {
		return nil, fmt.Errorf("%s is too short: %w", filepath.Base(name), err)
	}
	out := make([]byte, n)
	_, err = io.ReadFull(f, out)
	return out, err
}
