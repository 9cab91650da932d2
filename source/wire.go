package source

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
)

// Bounds on what a server may send.
const (
	maxRefs = 64 << 20 // bytes of its list of branches and tags
	maxPack = 32 << 30 // bytes of one pack
	maxAcks = 10_000   // lines before a pack
)

// errObjectFormat means: not SHA-1.
var errObjectFormat = errors.New("the objects are named by SHA-256")

// talk is one conversation with git-upload-pack (gitprotocol-pack(5), version
// 0, which every host speaks): it lists its branches first (refs), then sends
// one pack when asked (pack).
type talk struct {
	wire  wire
	raw   *replies // what the server says
	out   *bufio.Reader
	words *firstWords // what it says beside that
	refs  *refs
}

// wire is what carries a conversation: an SSH session, or requests over HTTPS.
// Its errors are the network's own; explain makes sentences of them.
type wire interface {
	// ask sends the request for a pack. next is where the answer begins; nil
	// where it goes on in what is being read.
	ask(request []byte) (next io.Reader, err error)
	// wait does something that waits for the server, and hangs up when that
	// takes longer than the server may be silent.
	wait(f func() error) error
	// last is what the server said beside, once it has hung up; cut says that
	// the connection broke, and not the server ended it.
	last() (cut bool)
	// quiet says that we hung up because the server was silent.
	quiet() bool
	explain(ctx context.Context, doing string, err error) error
	Close() error
}

// newTalk reads what a server says first.
func newTalk(w wire, words *firstWords, r io.Reader) *talk {
	t := &talk{wire: w, words: words, raw: &replies{wire: w, r: r}}
	t.out = bufio.NewReaderSize(t.raw, 64<<10)
	return t
}

// refs are the branches of a repository, by their short names.
type refs struct {
	heads map[string]plumbing.Hash
	can   *capability.List
}

// noRefs says why there was no list of branches.
func (t *talk) noRefs(ctx context.Context, at address, err error) error {
	const doing = "the branches were being listed"
	var line *pktline.ErrorLine
	switch {
	case t.raw.err != nil && !errors.Is(t.raw.err, io.EOF):
		return t.wire.explain(ctx, doing, t.raw.err)
	case errors.Is(err, errObjectFormat):
		return fault(Repository, err, "the repository %s names its objects by SHA-256, which is not supported yet; use one made with --object-format=sha1", at)
	case errors.As(err, &line):
		return hidden(at, line.Text, err)
	case t.raw.err == nil, errors.Is(err, pktline.ErrInvalidPktLen):
		return fault(Repository, err, "%s answers with something that is not git's (%s); see whether `repository` is right, and whether a login script there prints something", at.hostName(), said(err.Error()))
	}
	cut := t.wire.last()
	words := t.words.String()
	if ctx.Err() != nil || t.wire.quiet() || cut && words == "" {
		return t.wire.explain(ctx, doing, io.EOF)
	}
	return hidden(at, words, err)
}

// hidden is for a host that let us in, and does not show the repository.
func hidden(at address, words string, err error) *Error {
	if words == "" {
		return fault(Repository, err, "%s does not show the repository %s, and does not say why; see whether `repository` is right, and whether git is installed there", at.hostName(), at)
	}
	return fault(Repository, err, "%s does not show the repository %s (it says: %s); see whether `repository` is right", at.hostName(), at, said(words))
}

// pack asks for a commit and all that it needs beyond what we have, and gives
// the pack's bytes.
func (t *talk) pack(want plumbing.Hash, haves []plumbing.Hash) (io.Reader, error) {
	if !t.refs.can.Supports(capability.Sideband64k) {
		return nil, errors.New("the server is too old: it offers no side-band-64k")
	}
	next, err := t.wire.ask(packRequest(want, haves, t.refs.can))
	if err != nil {
		t.raw.err = err
		return nil, err
	}
	if next != nil {
		t.raw.r = next
		t.out.Reset(t.raw)
	}
	if err := readAcks(t.out); err != nil {
		return nil, err
	}
	return &capped{r: sideband.NewDemuxer(sideband.Sideband64k, t.out), left: maxPack}, nil
}

// Close ends the conversation and hangs up.
func (t *talk) Close() error {
	return t.wire.Close()
}

// readRefs reads the list with which the server begins.
func readRefs(r io.Reader) (_ *refs, err error) {
	defer recovered(&err)
	list := packp.NewAdvRefs()
	begin := &firstWords{}
	err = list.Decode(io.TeeReader(&capped{r: r, left: maxRefs}, begin))
	if err != nil && strings.Contains(begin.String(), "object-format=sha256") {
		return nil, errObjectFormat
	}
	if err != nil && !errors.Is(err, packp.ErrEmptyAdvRefs) {
		return nil, err
	}
	out := &refs{heads: map[string]plumbing.Hash{}, can: list.Capabilities}
	for name, hash := range list.References {
		if short, is := strings.CutPrefix(name, "refs/heads/"); is {
			out.heads[short] = hash
		}
	}
	return out, nil
}

// packRequest is want, haves, done. No depth, ever.
func packRequest(want plumbing.Hash, haves []plumbing.Hash, can *capability.List) []byte {
	var out bytes.Buffer
	e := pktline.NewEncoder(&out)
	asked := []string{"ofs-delta", "side-band-64k", "no-progress"}
	if can.Supports(capability.MultiACKDetailed) { // some hosts insist on it
		asked = append(asked, "multi_ack_detailed")
	}
	if can.Supports(capability.Agent) {
		asked = append(asked, "agent=satchel")
	}
	// Writing into a buffer does not go wrong.
	_ = e.Encodef("want %s %s\n", want, strings.Join(asked, " "))
	_ = e.Flush()
	for _, have := range haves {
		_ = e.Encodef("have %s\n", have)
	}
	_ = e.EncodeString("done\n")
	return out.Bytes()
}

// readAcks reads what stands before the pack: any number of "ACK hash common",
// then "ACK hash" or "NAK".
func readAcks(r io.Reader) error {
	s := pktline.NewScanner(r)
	for range maxAcks {
		if !s.Scan() {
			if err := s.Err(); err != nil {
				return err
			}
			return io.ErrUnexpectedEOF
		}
		words := strings.Fields(string(s.Bytes()))
		switch {
		case len(words) == 1 && words[0] == "NAK", len(words) == 2 && words[0] == "ACK":
			return nil
		case len(words) != 3 || words[0] != "ACK":
			return fmt.Errorf("the server says %q where it should name common commits", said(string(s.Bytes())))
		}
	}
	return errors.New("the server never comes to the pack")
}

// serverSaid is what the server said instead of going on, "" if it is not that
// which ended the conversation.
func serverSaid(err error) string {
	var line *pktline.ErrorLine
	if errors.As(err, &line) {
		return line.Text
	}
	words, found := strings.CutPrefix(err.Error(), "unexpected error: ") // go-git has no type for it
	if !found {
		return ""
	}
	return words
}

// quote writes a path as one word of a shell, as git does.
func quote(path string) string {
	return "'" + strings.NewReplacer("'", `'\''`, "!", `'\!'`).Replace(path) + "'"
}

// replies reads what the server says, waiting for it no longer than the wire
// allows, and remembers how that ended.
type replies struct {
	wire wire
	r    io.Reader
	n    int64
	err  error
}

func (r *replies) Read(p []byte) (n int, err error) {
	err = r.wire.wait(func() error {
		n, err = r.r.Read(p)
		return err
	})
	r.n += int64(n)
	if err != nil {
		r.err = err
	}
	return n, err
}

// capped is a reader that refuses more than left bytes.
type capped struct {
	r    io.Reader
	left int64
}

func (c *capped) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if c.left -= int64(n); c.left < 0 {
		return 0, errors.New("the server sends more than the limit")
	}
	return n, err
}

// firstWords keeps the first bytes of what is written to it.
type firstWords struct {
	mu   sync.Mutex
	data []byte
}

func (t *firstWords) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.data = append(t.data, p[:min(len(p), 2048-len(t.data))]...)
	return len(p), nil
}

func (t *firstWords) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.data)
}

// recovered turns a panic of a parser into an error: go-git had such on
// hostile input.
func recovered(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("malformed: %v", r)
	}
}
