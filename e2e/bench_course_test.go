//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"encoding/base64"
	leb "encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// material is a course of the benchmarks. It is made of nothing but its name:
// the same bytes, commits and pushes on every machine.
type material struct {
	name    string
	files   []*piece
	commits int // before the first login
	pushes  int
	rounds  int // how often a measured is measured
}

// piece is one file of it. Its bytes are a function of what stands here.
type piece struct {
	path  string
	kind  pieceKind
	size  int
	seed  uint64
	edits []revision
}

type pieceKind int

const (
	aNotebook pieceKind = iota // text alone
	aPlotted                   // with pictures in its outputs, most of its size
	aText                      // source, prose
	aTable                     // numbers as text
	aBinary                    // numbers as they lie in memory
)

// revision is a change of a piece, chosen by its seed: of one cell, or of so many
// bytes where the piece is no notebook.
type revision struct {
	seed uint64
	size int
}

// materials are the three sizes of docs/performance.md.
func materials() []*material {
	s := &material{name: "S", commits: 20, rounds: 9}
	s.add("lab", ".ipynb", aNotebook, 60, 27_000)
	m := &material{name: "M", commits: 200, rounds: 7}
	m.add("lab", ".ipynb", aPlotted, 120, 330_000)
	m.add("text", ".md", aText, 130, 12_000)
	m.add("code", ".scala", aText, 130, 8_000)
	m.add("table", ".csv", aTable, 16, 400_000)
	m.add("data", ".csv", aTable, 4, 4_200_000)
	l := &material{name: "L", commits: 50, rounds: 3}
	l.add("lab", ".ipynb", aPlotted, 900, 150_000)
	l.add("text", ".md", aText, 3000, 22_000)
	l.add("code", ".scala", aText, 2000, 14_000)
	l.add("table", ".csv", aTable, 86, 2_000_000)
	l.add("data", ".bin", aBinary, 14, 50_000_000)
	return []*material{s, m, l}
}

// add makes n files of a kind, twenty to a folder.
func (m *material) add(name, ext string, kind pieceKind, n, size int) {
	for i := range n {
		seed := uint64(len(m.files))<<8 | uint64(m.name[0])
		some := rand.New(rand.NewPCG(seed, 1))
		m.files = append(m.files, &piece{
			path: fmt.Sprintf("unit%02d/%s%04d%s", i/20, name, i, ext), kind: kind,
			size: size/2 + some.IntN(size), seed: seed,
		})
	}
}

// push is what an instructor does at once.
type push int

const (
	pushCell  push = iota // u1: one bookCell of one notebook
	pushTenth             // u2: a tenth of the files below a megabyte, each a little
	pushPart              // u3: a part of one large data file
)

var pushNames = []string{"u1", "u2", "u3"}

// revise changes the files of a push, and gives them.
func (m *material) revise(kind push) []*piece {
	m.pushes++
	some := rand.New(rand.NewPCG(uint64(m.pushes), uint64(m.name[0])))
	var small, books, large []*piece
	for _, p := range m.files {
		if p.size < 1<<20 {
			small = append(small, p)
		}
		if p.kind <= aPlotted {
			books = append(books, p)
		}
		if len(large) == 0 || p.size > large[0].size {
			large = []*piece{p}
		}
	}
	change := func(p *piece, size int) { p.edits = append(p.edits, revision{some.Uint64(), size}) }
	switch kind {
	case pushCell:
		p := books[some.IntN(len(books))]
		change(p, 60)
		return []*piece{p}
	case pushTenth:
		some.Shuffle(len(small), func(i, j int) { small[i], small[j] = small[j], small[i] })
		small = small[:max(1, len(small)/10)]
		for _, p := range small {
			change(p, 60)
		}
		return small
	default:
		change(large[0], min(2_000_000, large[0].size/10))
		return large
	}
}

var words = func() (out [2048]string) {
	some := rand.New(rand.NewPCG(1, 2))
	for i := range out {
		for range 2 + some.IntN(8) {
			out[i] += string(rune('a' + some.IntN(26)))
		}
	}
	return out
}()

// prose is text of about so many bytes, in lines.
func prose(some *rand.Rand, size int) []byte {
	var b bytes.Buffer
	for line := 0; b.Len() < size; {
		// Words are as unequal as in a language: few make most of a text.
		w := words[int(float64(len(words))*some.Float64()*some.Float64()*some.Float64())]
		b.WriteString(w)
		if line += len(w) + 1; line > 70 {
			b.WriteByte('\n')
			line = 0
		} else {
			b.WriteByte(' ')
		}
	}
	return b.Bytes()
}

// content gives the bytes of a piece with all its edits.
func (p *piece) content() []byte {
	some := rand.New(rand.NewPCG(p.seed, 3))
	if p.kind <= aPlotted {
		return p.notebook(some)
	}
	var out []byte
	switch p.kind {
	case aText:
		out = prose(some, p.size)
	case aTable:
		var b bytes.Buffer
		for x := 0.0; b.Len() < p.size; {
			x += some.NormFloat64()
			fmt.Fprintf(&b, "%d,%.4f,%.2f,%s\n", b.Len(), x, x*x, words[some.IntN(64)])
		}
		out = b.Bytes()
	case aBinary:
		out = make([]byte, 0, p.size+8)
		for x := 0.0; len(out) < p.size; {
			x += some.NormFloat64()
			out = leb.LittleEndian.AppendUint32(out, uint32(int32(x*1000)))
		}
	}
	for _, e := range p.edits {
		e.apply(out, p.kind)
	}
	return out
}

// apply writes over a part, in the kind's own manner.
func (e revision) apply(out []byte, kind pieceKind) {
	some := rand.New(rand.NewPCG(e.seed, 4))
	at := some.IntN(len(out) - e.size)
	part := out[at : at+e.size]
	switch kind {
	case aText:
		copy(part, prose(some, e.size))
	case aTable:
		for i, c := range part { // other digits in the same columns
			if c >= '0' && c <= '9' {
				part[i] = byte('0' + some.IntN(10))
			}
		}
	default:
		for i := range part {
			part[i] = byte(some.Uint32())
		}
	}
}

type bookCell struct {
	Type     string         `json:"cell_type"`
	ID       string         `json:"id"`
	Metadata map[string]any `json:"metadata"`
	Source   []string       `json:"source"`
	Outputs  *[]any         `json:"outputs,omitempty"`
	Count    *int           `json:"execution_count,omitempty"`
}

// notebook gives cells of text and code; a plotted one has pictures in its
// outputs, most of its bytes, which do not compress.
func (p *piece) notebook(some *rand.Rand) []byte {
	var cells []*bookCell
	text := p.size
	if p.kind == aPlotted {
		text = 12_000
	}
	for i := 0; text > 0; i++ {
		n := 300 + some.IntN(900)
		text -= n + 200
		c := &bookCell{Type: "markdown", ID: fmt.Sprintf("%08x", some.Uint32()), Metadata: map[string]any{}}
		for line := range bytes.Lines(prose(some, n)) {
			c.Source = append(c.Source, string(line))
		}
		if i%2 == 1 {
			c.Type, c.Outputs, c.Count = "code", &[]any{}, &i
		}
		cells = append(cells, c)
	}
	if p.kind == aPlotted {
		const pictures = 3
		for i := range pictures {
			raw := make([]byte, (p.size-12_000)/pictures*3/4)
			for j := range raw {
				raw[j] = byte(some.Uint32())
			}
			*cells[1+2*i].Outputs = []any{map[string]any{
				"output_type": "display_data", "metadata": map[string]any{},
				"data": map[string]any{"image/png": base64.StdEncoding.EncodeToString(raw), "text/plain": []string{"<Figure>"}},
			}}
		}
	}
	for _, e := range p.edits {
		some := rand.New(rand.NewPCG(e.seed, 5))
		c := cells[some.IntN(len(cells))]
		c.Source[some.IntN(len(c.Source))] = string(prose(some, e.size)) + "\n"
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	_ = enc.Encode(map[string]any{"cells": cells, "metadata": map[string]any{"kernelspec": map[string]any{"name": "scala"}}, "nbformat": 4, "nbformat_minor": 5})
	return b.Bytes()
}

// courseFolder is where in a repository the delivered files are.
const courseFolder = "notebooks"

// commit writes pieces as one commit of a bare repository.
func commit(t testing.TB, bare, message string, first bool, pieces []*piece) {
	t.Helper()
	c := exec.Command("git", "-C", bare, "-c", "core.compression=1", "fast-import", "--quiet", "--force")
	in, err := c.StdinPipe()
	must(t, err)
	var said bytes.Buffer
	c.Stdout, c.Stderr = &said, &said
	must(t, c.Start())
	w := bufio.NewWriterSize(in, 1<<20)
	fmt.Fprintf(w, "commit refs/heads/main\ncommitter I <i@example.org> 1790000000 +0000\ndata %d\n%s\n", len(message), message)
	if !first {
		fmt.Fprintf(w, "from refs/heads/main^0\n")
	}
	for _, p := range pieces {
		data := p.content()
		fmt.Fprintf(w, "M 100644 inline %s/%s\ndata %d\n", courseFolder, p.path, len(data))
		_, _ = w.Write(data)
		_ = w.WriteByte('\n')
	}
	must(t, w.Flush())
	must(t, in.Close())
	if err := c.Wait(); err != nil {
		t.Fatalf("git fast-import: %v\n%s", err, said.String())
	}
}

// repository makes the bare repository with its past. BENCH_CACHE is a folder
// that keeps it for the next time: that of L takes minutes.
func (m *material) repository(t testing.TB, bare string) {
	t.Helper()
	kept := filepath.Join(os.Getenv("BENCH_CACHE"), "course-"+m.name+".git")
	if _, err := os.Stat(kept); err == nil && filepath.IsAbs(kept) {
		mustRun(t, exec.Command("cp", "-a", kept, bare))
		for range m.commits - 1 {
			m.revise(pushCell)
		}
		return
	}
	mustRun(t, exec.Command("git", "init", "-q", "--bare", "-b", "main", bare))
	commit(t, bare, "first", true, m.files)
	for i := range m.commits - 1 {
		commit(t, bare, fmt.Sprint("commit ", i), false, m.revise(pushCell))
	}
	// As a git host has it, but for the time that looking for deltas among large files takes.
	mustRun(t, exec.Command("git", "-C", bare, "-c", "core.bigFileThreshold=1m", "-c", "core.compression=1", "repack", "-adq"))
	if filepath.IsAbs(kept) {
		mustRun(t, exec.Command("cp", "-a", bare, kept))
	}
}

// write puts the course into a folder, as plain files.
func (m *material) write(t testing.TB, dir string, pieces []*piece) {
	t.Helper()
	for _, p := range pieces {
		file := filepath.Join(dir, p.path)
		must(t, os.MkdirAll(filepath.Dir(file), 0o755))
		must(t, os.WriteFile(file, p.content(), 0o644))
	}
}

// tarball packs a folder as a site would that ships tarballs.
func tarball(t testing.TB, dir, to string) {
	t.Helper()
	tar, zstd := exec.Command("tar", "-C", dir, "-c", "."), exec.Command("zstd", "-q", "-T0", "-3", "-f", "-o", to)
	r, w := io.Pipe()
	tar.Stdout, zstd.Stdin = w, r
	must(t, tar.Start())
	must(t, zstd.Start())
	must(t, tar.Wait())
	w.Close()
	must(t, zstd.Wait())
}
