package notebook

import "strings"

// Cell is what a publisher looks at in one cell.
type Cell struct {
	Number  int // from 1
	Type    string
	Source  string
	Tags    []string // metadata.tags
	Outputs int      // bytes of JSON that they take
}

// Look gives the cells of a notebook, and every text in their outputs to
// output (pictures, sound and films aside; a long one may come line by line).
// The error is Check's.
func Look(data []byte, output func(cell int, text string)) ([]Cell, error) {
	cells, err := readWith(data, output)
	if err != nil {
		return nil, err
	}
	out := make([]Cell, len(cells))
	for i, c := range cells {
		out[i] = Cell{Number: i + 1, Type: c.kind, Source: c.source, Tags: c.tags, Outputs: c.outputs}
	}
	return out, nil
}

// tags reads a cell's metadata. What is no list of texts is none of our
// business.
func (r *reader) tags() (tags []string) {
	if r.output == nil {
		r.skip()
		return nil
	}
	r.object(func(key string) {
		if key != "tags" || r.next() != '[' {
			r.skip()
			return
		}
		r.array(func() {
			if r.next() == '"' {
				tags = append(tags, r.text())
				return
			}
			r.skip()
		})
	})
	return tags
}

// texts steps over a value of an output and gives away the texts in it.
func (r *reader) texts(cell int) {
	switch c := r.next(); {
	case r.output == nil:
		r.skip()
	case c == '{':
		r.object(func(key string) {
			kind, _, _ := strings.Cut(key, "/")
			if kind == "image" || kind == "audio" || kind == "video" {
				r.skip()
				return
			}
			r.texts(cell)
		})
	case c == '[':
		r.array(func() { r.texts(cell) })
	case c == '"':
		if text := r.text(); r.bad == nil {
			r.output(cell, text)
		}
	default:
		r.word()
	}
}
