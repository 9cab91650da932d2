package store

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

func rangeHeader(offset, length int64) string {
	return fmt.Sprintf("bytes=%d-%d", offset, offset+length-1)
}

// wholeSize reads the object's size from an answer's Content-Range
// ("bytes 5-9/200"). A server that answers a range with all of the object
// sends none.
func wholeSize(contentRange string) (int64, error) {
	_, total, ok := strings.Cut(contentRange, "/")
	size, err := strconv.ParseInt(total, 10, 64)
	if !ok || err != nil || size < 0 || !strings.HasPrefix(contentRange, "bytes ") {
		return 0, errors.New("the server does not answer ranges (no Content-Range), which Satchel needs; use another S3 server, or store.dir")
	}
	return size, nil
}

// body gives sentences for what happens while an object is read.
type body struct {
	io.ReadCloser
	explain func(error) error
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = b.explain(err)
	}
	return n, err
}
