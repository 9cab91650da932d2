package hook

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"satchel/bundle"
)

// EncodeOffer gives what stands before the frames of an answer: length and
// packed offer.
func EncodeOffer(o *Offer) ([]byte, error) {
	data, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	if len(data) > MaxOffer {
		return nil, fmt.Errorf("offer of %d bytes; the limit is %d", len(data), MaxOffer)
	}
	var packed bytes.Buffer
	if err := bundle.Compress(&packed, bytes.NewReader(data)); err != nil {
		return nil, err
	}
	head := binary.BigEndian.AppendUint32(nil, uint32(packed.Len()))
	return append(head, packed.Bytes()...), nil
}

// ReadOffer reads and checks what stands before the frames. Unknown fields
// are passed over: a change that old agents must not miss has a new format
// number, which is bundle.ErrFormat.
func ReadOffer(r io.Reader) (*Offer, error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, fmt.Errorf("offer: %w", cutOff(err))
	}
	size := int64(binary.BigEndian.Uint32(head))
	if size > MaxPackedOffer {
		return nil, fmt.Errorf("%w: offer of %d bytes", bundle.ErrCorrupt, size)
	}
	var data []byte
	err := bundle.Decompress(io.LimitReader(r, size), MaxOffer, func(r io.Reader) (err error) {
		data, err = readChunks(r)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("offer: %w", cutOff(err))
	}
	if err := bundle.CheckParts(data); err != nil {
		return nil, fmt.Errorf("offer: %w", err)
	}
	if bundle.FormatOf(data) > Format {
		return nil, fmt.Errorf("offer: %w", bundle.ErrFormat)
	}
	o := &Offer{}
	if err := json.Unmarshal(data, o); err != nil {
		return nil, fmt.Errorf("%w: offer: %w", bundle.ErrCorrupt, err)
	}
	return o, o.check()
}

// readChunks is io.ReadAll, but for the several times the memory that one growing
// slice takes: what is too large in the end has cost its own size.
func readChunks(r io.Reader) ([]byte, error) {
	var all [][]byte
	for {
		chunk, n, err := make([]byte, 64<<10<<min(len(all), 6)), 0, error(nil)
		for n < len(chunk) && err == nil {
			var k int
			k, err = r.Read(chunk[n:])
			n += k
		}
		all = append(all, chunk[:n])
		if err == io.EOF {
			return bytes.Join(all, nil), nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func (o *Offer) check() error {
	if o.Format != Format {
		return fmt.Errorf("%w: offer: format %d", bundle.ErrCorrupt, o.Format)
	}
	for _, c := range o.Courses {
		for i := range c.Frames {
			if err := c.Frames[i].Check(); err != nil {
				return fmt.Errorf("offer: %w", err)
			}
		}
		if err := checkSections(c.URLs); err != nil {
			return fmt.Errorf("offer: %w", err)
		}
	}
	return nil
}

// Answer is what Sync and Files give: the offer, and its frames by Next.
// Close it always.
type Answer struct {
	NotModified bool   // nothing is new; there is no Offer
	ETag        string // to be sent next time, once all of the offer is in place
	Offer       *Offer
	Date        time.Time // the service's clock

	raw    bytes.Buffer // the offer as it came, for HandOver
	body   io.ReadCloser
	course int // of the next frame
	frame  int
	now    *io.LimitedReader // what is left of the current frame
}

// Next gives the next frame and its course; what was not read of the one
// before is passed over. io.EOF after the last. Any other error ends the
// stream: what is missing can be had by Range and Files.
func (a *Answer) Next() (course string, f Offered, r io.Reader, err error) {
	if a.body == nil || a.Offer == nil {
		return "", Offered{}, nil, io.EOF
	}
	if a.now != nil {
		if err := a.pass(); err != nil {
			return "", Offered{}, nil, err
		}
	}
	for a.course < len(a.Offer.Courses) {
		c := &a.Offer.Courses[a.course]
		if a.frame == len(c.Frames) {
			a.course, a.frame = a.course+1, 0
			continue
		}
		f = c.Frames[a.frame]
		a.frame++
		if c.Elsewhere(&f) {
			continue
		}
		a.now = &io.LimitedReader{R: a.body, N: f.Length}
		return c.Course, f, frameReader{a.now}, nil
	}
	if n, _ := io.CopyN(io.Discard, a.body, 1); n > 0 {
		return "", Offered{}, nil, fmt.Errorf("%w: the answer goes on after its last frame", bundle.ErrCorrupt)
	}
	return "", Offered{}, nil, io.EOF
}

// pass reads the rest of the current frame.
func (a *Answer) pass() error {
	_, err := io.Copy(io.Discard, a.now)
	if err == nil && a.now.N > 0 {
		err = io.ErrUnexpectedEOF
	}
	a.now = nil
	return err
}

// Close ends the answer; unread frames are lost.
func (a *Answer) Close() error {
	if a.body == nil {
		return nil
	}
	return a.body.Close()
}

// handed is what stands before an answer that one process hands to another.
type handed struct {
	ETag string    `json:"etag,omitempty"`
	Date time.Time `json:"date"`
}

// HandOver writes an answer with an Offer, of whose frames none was read yet,
// for TakeOver, and ends it.
func (a *Answer) HandOver(w io.Writer) error {
	defer a.Close()
	data, err := json.Marshal(handed{a.ETag, a.Date})
	if err == nil {
		_, err = w.Write(append(data, '\n'))
	}
	if err == nil {
		_, err = w.Write(a.raw.Bytes())
	}
	if err == nil {
		_, err = io.Copy(w, a.body)
	}
	return err
}

// TakeOver reads what HandOver wrote. Where the other process ends, so does
// the answer, as one that was cut off.
func TakeOver(r io.ReadCloser) (*Answer, error) {
	in := bufio.NewReader(r)
	line, err := in.ReadSlice('\n')
	var h handed
	if err == nil {
		err = json.Unmarshal(line, &h)
	}
	a := &Answer{ETag: h.ETag, Date: h.Date}
	a.body = struct {
		io.Reader
		io.Closer
	}{in, r}
	if err == nil {
		a.Offer, err = ReadOffer(in)
	}
	if err != nil {
		r.Close()
		return nil, err
	}
	return a, nil
}

// frameReader says io.ErrUnexpectedEOF where a frame is cut off.
type frameReader struct{ l *io.LimitedReader }

func (f frameReader) Read(p []byte) (int, error) {
	n, err := f.l.Read(p)
	if err == io.EOF && f.l.N > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// cutOff makes of an early end an error that is not mistaken for an end.
func cutOff(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: cut off", io.ErrUnexpectedEOF)
	}
	return err
}
