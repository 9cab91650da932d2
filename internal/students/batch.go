package students

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"satchel/bundle"
	"satchel/store"
)

const (
	receiptsPrefix = "receipts/"
	keyTime        = "2006-01-02/150405.000"
)

// batchID names a batch: the run of a Writer (random) and its how-manieth it
// is. Time is when it was made, by the hookserver's clock.
type batchID struct {
	Time time.Time
	Run  string // 16 hexadecimal digits
	N    int64  // from 1
}

func (b batchID) key() string {
	return timeKey(b.Time) + "-" + b.Run + "-" + strconv.FormatInt(b.N, 10)
}

// timeKey comes before the key of every batch made at t or later.
func timeKey(t time.Time) string { return receiptsPrefix + t.UTC().Format(keyTime) }

// parseBatchKey reads a batch's key; false for anything else that lies there.
func parseBatchKey(key string) (batchID, bool) {
	rest, ok := strings.CutPrefix(key, receiptsPrefix)
	if !ok || len(rest) < len(keyTime) || len(rest) > 80 {
		return batchID{}, false
	}
	t, err := time.Parse(keyTime, rest[:len(keyTime)])
	parts := strings.Split(rest[len(keyTime):], "-")
	if err != nil || len(parts) != 3 || parts[0] != "" || !isHex(parts[1], 16) {
		return batchID{}, false
	}
	n, err := strconv.ParseInt(parts[2], 10, 64)
	id := batchID{Time: t, Run: parts[1], N: n}
	return id, err == nil && n > 0 && id.key() == key
}

func isHex(s string, n int) bool {
	return len(s) == n && strings.Trim(s, "0123456789abcdef") == ""
}

// header is the first line of a batch.
type header struct {
	Format int `json:"format"`
	scheme
	By string `json:"by,omitempty"` // which hookserver, for whoever looks into the store
}

// batch is a decoded batch. Bad counts the lines that were not understood.
type batch struct {
	header
	Lines []Line
	Bad   int
}

// encode gives the JSON lines.
func (b *batch) encode() ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false) // no page is made of it, and "<" would take six bytes
	if err := e.Encode(b.header); err != nil {
		return nil, err
	}
	for _, l := range b.Lines {
		if err := e.Encode(l); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}

// decodeBatch reads a batch. A line that is not understood is counted, not an
// error: the others are good all the same. ErrFormat for a newer one.
func decodeBatch(data []byte) (*batch, error) {
	if len(data) > MaxBatch {
		return nil, fmt.Errorf("%w: batch of %d bytes", bundle.ErrCorrupt, len(data))
	}
	first, rest, _ := bytes.Cut(data, []byte("\n"))
	if bundle.FormatOf(first) > Format {
		return nil, bundle.ErrFormat
	}
	b := &batch{}
	if err := bundle.DecodeStrict(first, MaxLine, &b.header); err != nil {
		return nil, err
	}
	if b.Format != Format {
		return nil, fmt.Errorf("%w: batch format %d", bundle.ErrCorrupt, b.Format)
	}
	if err := b.scheme.check(); err != nil {
		return nil, err
	}
	s := bufio.NewScanner(bytes.NewReader(rest))
	s.Buffer(nil, MaxLine)
	for s.Scan() {
		l, err := decodeLine(s.Bytes(), b.scheme)
		if err != nil || len(b.Lines) == MaxLines {
			b.Bad++
			continue
		}
		b.Lines = append(b.Lines, l)
	}
	if s.Err() != nil {
		b.Bad++ // a line without an end; nothing after it can be told apart
	}
	return b, nil
}

func decodeLine(data []byte, s scheme) (Line, error) {
	var l Line
	if err := bundle.DecodeStrict(data, MaxLine, &l); err != nil {
		return l, err
	}
	if (l.User == "") != (s.Mode == Counts) {
		return l, errIdentity
	}
	return l.clean()
}

// readBatch gets one batch from the store.
func readBatch(ctx context.Context, st store.Store, key string) (*batch, string, error) {
	data, o, err := read(ctx, st, key, MaxBatch)
	if err != nil {
		return nil, "", err
	}
	b, err := decodeBatch(data)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", key, err)
	}
	return b, o.ETag, nil
}

// read gets an object of at most limit bytes.
func read(ctx context.Context, st store.Store, key string, limit int64) ([]byte, store.Object, error) {
	body, o, err := st.Get(ctx, key)
	if err != nil {
		return nil, o, fmt.Errorf("%s: %w", key, err)
	}
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err != nil {
		return nil, o, fmt.Errorf("%s: %w", key, err)
	}
	if int64(len(data)) > limit {
		return nil, o, fmt.Errorf("%s: %w: more than %d bytes", key, bundle.ErrCorrupt, limit)
	}
	return data, o, nil
}
