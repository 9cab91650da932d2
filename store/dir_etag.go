package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"sync"
	"time"
)

// etagCache remembers the SHA-256 of large files, so that each range of a
// bundle does not cost a pass over all of it.
//
// The same file (device and inode), size and time of change mean the same
// content here, because an object is never written in place. Only an inode
// that is used again within one tick of the filesystem's clock could deceive;
// so a file is remembered only once it is older than settled.
type etagCache struct {
	mu    sync.Mutex
	known map[string]knownETag
}

type knownETag struct {
	info os.FileInfo
	etag string
}

const (
	settled     = 3 * time.Second
	alwaysHash  = 64 << 10 // bytes; up to here hashing costs less than remembering
	maxRemember = 10_000   // keys
)

// of gives the etag of an open file and leaves it at its beginning.
func (c *etagCache) of(ctx context.Context, key string, f *os.File, fi os.FileInfo) (string, error) {
	if etag, ok := c.find(key, fi); ok {
		return etag, nil
	}
	before := time.Now()
	h := sha256.New()
	if _, err := io.Copy(h, &patientReader{ctx, f}); err != nil {
		return "", err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	etag := hex.EncodeToString(h.Sum(nil))
	if fi.Size() > alwaysHash && before.Sub(fi.ModTime()) > settled {
		c.remember(key, knownETag{fi, etag})
	}
	return etag, nil
}

func (c *etagCache) find(key string, fi os.FileInfo) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, ok := c.known[key]
	ok = ok && os.SameFile(k.info, fi) && k.info.Size() == fi.Size() && k.info.ModTime().Equal(fi.ModTime())
	return k.etag, ok
}

func (c *etagCache) remember(key string, k knownETag) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil || len(c.known) >= maxRemember {
		c.known = map[string]knownETag{}
	}
	c.known[key] = k
}

// patientReader reads until its context ends.
type patientReader struct {
	ctx context.Context
	r   io.Reader
}

func (p *patientReader) Read(b []byte) (int, error) {
	if err := p.ctx.Err(); err != nil {
		return 0, err
	}
	return p.r.Read(b)
}
