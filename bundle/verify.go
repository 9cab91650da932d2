package bundle

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
)

// Verifier passes bytes through and then says whether they were the right
// ones.
type Verifier struct {
	r    io.Reader
	want Item
	sum  hash.Hash
	n    int64
	seen func(int)
	err  error
}

// Watch has seen told of each read's bytes.
func (v *Verifier) Watch(seen func(int)) { v.seen = seen }

// ReadError is what ended the reading before the bytes did: nil unless it was
// the reader below.
func (v *Verifier) ReadError() error { return v.err }

// Item is what the bytes should be.
func (v *Verifier) Item() Item { return v.want }

// NewVerifier reads from r what should be item.
func NewVerifier(r io.Reader, item Item) *Verifier {
	return &Verifier{r: r, want: item, sum: sha256.New()}
}

func (v *Verifier) Read(p []byte) (int, error) {
	n, err := v.r.Read(p)
	v.sum.Write(p[:n])
	v.n += int64(n)
	if v.seen != nil {
		v.seen(n)
	}
	if err != nil && err != io.EOF {
		v.err = err
	}
	return n, err
}

// Check is ErrCorrupt unless exactly the wanted bytes were read.
func (v *Verifier) Check() error {
	if got := Digest(v.sum.Sum(nil)); v.n != v.want.Size || got != v.want.Digest {
		return fmt.Errorf("%w: %d bytes with digest %s where %d with %s were announced",
			ErrCorrupt, v.n, got, v.want.Size, v.want.Digest)
	}
	return nil
}
