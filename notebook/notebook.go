// Package notebook owns what Satchel knows of Jupyter notebooks: whether a
// file is one that Jupyter opens (Check) and that nbformat's schema takes
// (Validate), what of it a person wrote (Form), what a person changed (Diff),
// and how a student's notebook and the course's new one become one (Merge). It
// takes bytes and gives bytes and answers; it opens no file.
//
// Merge goes by cell. It finds the pairs (pair.go, pairid.go, similar.go), in
// mine those of base and of theirs' insertions at once (union.go); puts the
// cells in order (order.go); merges each by field (fields.go, source.go,
// attach.go); writes the result in mine's layout (layout.go, write.go,
// splice.go, newcell.go, ids.go); and looks at it once more before it gives it
// out (net.go).
//
// At most MaxSize bytes are read, in memory that does not grow with outputs
// (they are never taken apart, only copied), and nothing panics: the bytes come
// from a repository or from a student's home.
package notebook

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxSize is the largest notebook that is looked into, in bytes.
const MaxSize = 20 << 20

// ErrTooLarge means: larger than MaxSize. It may be a good notebook.
var ErrTooLarge = errors.New("larger than 20 MB")

// Check is nil where Jupyter can open data: complete JSON in UTF-8, nbformat
// 4, and of the schema what Jupyter cannot do without (4.0 to 4.5, and later
// minor versions, which it opens with a warning). Else the reason in one line
// for an instructor. Over MaxSize it is ErrTooLarge.
func Check(data []byte) error {
	_, err := read(data)
	return err
}

// cell is what a person wrote in one cell; tags and outputs only for Look.
type cell struct {
	kind        string
	source      string
	attachments []attachment
	tags        []string
	outputs     int
}

// attachment is one value of a cell's attachments: file name, media type, and
// the canonical text of what it holds.
type attachment struct {
	name, media string
	data        string
}

// read gives the cells of a notebook; its errors are Check's.
func read(data []byte) ([]cell, error) { return readWith(data, nil) }

// readWith also gives each text of an output to output, if that is not nil.
func readWith(data []byte, output func(cell int, text string)) ([]cell, error) {
	if len(data) > MaxSize {
		return nil, ErrTooLarge
	}
	if err := checkText(data); err != nil {
		return nil, err
	}
	r := &reader{scanner: scanner{data: data}, output: output}
	r.document()
	if r.bad == nil && r.next() != 0 {
		r.fail("not valid JSON: something follows after the end")
	}
	if r.bad != nil {
		return nil, r.bad
	}
	return r.cells, r.verdict()
}

// checkText refuses what Jupyter cannot even decode.
func checkText(data []byte) error {
	switch {
	case len(data) == 0:
		return errors.New("the file is empty")
	case len(data) > 1 && (data[0] == 0xff && data[1] == 0xfe || data[0] == 0xfe && data[1] == 0xff):
		return errors.New("it is saved as UTF-16; save it as UTF-8")
	case len(data) > 2 && string(data[:3]) == "\xef\xbb\xbf":
		return errors.New("it begins with a byte order mark; save it as UTF-8 without one")
	case !utf8.Valid(data):
		return errors.New("it is not valid UTF-8")
	}
	return nil
}

// reader reads the notebook's own fields; see scanner.
type reader struct {
	scanner
	major       string // nbformat as spelled; "" where absent
	hasMetadata bool
	hasCells    bool
	worksheets  bool
	cells       []cell
	lacking     error // the first cell that lacks a field
	output      func(cell int, text string)
}

func (r *reader) document() {
	if c := r.next(); c != '{' && c != 0 {
		r.fail("it is no notebook (no JSON object)")
		return
	}
	r.object(func(key string) {
		switch key {
		case "nbformat":
			r.major = r.number(key)
		case "nbformat_minor":
			r.number(key)
		case "metadata":
			r.want('{', "the notebook's metadata")
			r.hasMetadata = true
			r.skip()
		case "cells":
			r.want('[', "the notebook's list of cells")
			r.hasCells = true
			r.cells, r.lacking = nil, nil // of doubled keys the last counts
			r.array(r.cell)
		case "worksheets":
			r.worksheets = true
			r.skip()
		default:
			r.skip()
		}
	})
}

// want notes a mistake where a value of another kind comes next.
func (r *reader) want(begin byte, what string) {
	c := r.next()
	if c == begin {
		return
	}
	if strings.IndexByte(`{["-tfnNI`, c) >= 0 || isDigit(c) {
		r.fail("%s is not %s", what, map[byte]string{'{': "an object", '[': "a list", '"': "a text"}[begin])
	}
}

// number reads a whole number and gives its spelling.
func (r *reader) number(key string) string {
	r.next()
	from := r.at
	r.skip()
	w := string(r.data[from:r.at])
	if _, err := strconv.ParseUint(w, 10, 31); err != nil {
		r.fail("%s is not a whole number", key)
	}
	return w
}

// verdict looks at what only the whole can tell.
func (r *reader) verdict() error {
	major, _ := strconv.Atoi(r.major)
	switch {
	case r.major == "" && !r.worksheets && !r.hasCells:
		return errors.New("it is no notebook (no cells)")
	case r.major == "" && !r.worksheets:
		return errors.New("nbformat is missing")
	case major < 4:
		return errors.New("made by an old IPython (notebook format 3 or older); open it in Jupyter and save it")
	case major != 4:
		return fmt.Errorf("made by a newer Jupyter (notebook format %d)", major)
	case !r.hasMetadata:
		return errors.New("the notebook's metadata is missing")
	case !r.hasCells:
		return errors.New("it has no list of cells")
	}
	return r.lacking
}

// cell reads one cell. Unknown fields and unknown types of cell pass, as in
// Jupyter.
func (r *reader) cell() {
	c := cell{}
	n := len(r.cells) + 1
	r.want('{', fmt.Sprintf("the content of cell %d", n))
	hasMetadata := false
	r.object(func(key string) {
		hasMetadata = hasMetadata || key == "metadata"
		r.field(key, &c, n)
	})
	switch {
	case r.lacking != nil:
	case c.kind == "":
		r.lacking = fmt.Errorf("cell %d has no cell_type", n)
	case !hasMetadata:
		r.lacking = fmt.Errorf("cell %d has no metadata", n)
	}
	r.cells = append(r.cells, c)
}

// field reads one field of cell n.
func (r *reader) field(key string, c *cell, n int) {
	of := func(what string) string { return fmt.Sprintf("%s of cell %d", what, n) }
	switch key {
	case "cell_type":
		r.want('"', of("the cell_type"))
		c.kind = r.text()
	case "source":
		c.source = r.joined(of("the source"))
	case "metadata":
		r.want('{', of("the metadata"))
		c.tags = r.tags()
	case "outputs":
		r.want('[', of("the list of outputs"))
		from, what := r.at, of("an output")
		r.array(func() { r.want('{', what); r.texts(n) })
		c.outputs = r.at - from
	case "attachments":
		r.want('{', of("the attachments"))
		c.attachments = r.attachments(of("an attachment"))
	default:
		r.skip()
	}
}

// joined reads a text that may stand as a list of texts.
func (r *reader) joined(what string) string {
	if r.next() == '"' {
		return r.text()
	}
	r.want('[', what)
	var b []byte
	what = "a line of " + what
	r.array(func() {
		r.want('"', what)
		r.quoted(func(piece []byte) { b = append(b, piece...) })
	})
	return string(b)
}
