package lines

import (
	"bytes"
	"strings"
)

// ending is how the lines of a text end. Base and theirs are read with the
// endings of mine, so that an editor that changed all of them is no change to
// any line, and what comes in looks as the rest. A text of mixed endings has
// none of its own: there each line is what it is.
type ending string

const (
	lf    ending = "\n"
	crlf  ending = "\r\n"
	mixed ending = "" // also of a text without any line end
)

func endingOf(data []byte) ending {
	all, cr := bytes.Count(data, []byte("\n")), bytes.Count(data, []byte("\r\n"))
	switch {
	case all == 0:
		return mixed
	case cr == 0:
		return lf
	case cr == all:
		return crlf
	}
	return mixed
}

// split cuts data into lines, each with its end; the last may have none.
func split(data []byte) []string {
	if len(data) == 0 {
		return nil
	}
	out := make([]string, 0, bytes.Count(data, []byte("\n"))+1)
	for line := range strings.Lines(string(data)) {
		out = append(out, line)
	}
	return out
}

// with gives the line the ending e, which is not mixed. A line without an end
// gets none.
func (e ending) with(line string) string {
	body, ended := strings.CutSuffix(line, "\n")
	if !ended || e == crlf && strings.HasSuffix(body, "\r") {
		return line
	}
	if e == lf && !strings.HasSuffix(body, "\r") {
		return line
	}
	return strings.TrimRight(body, "\r") + string(e)
}

// splitWith cuts data into lines that have the ending e.
func splitWith(data []byte, e ending) []string {
	out := split(data)
	if e == mixed {
		return out
	}
	for i, line := range out {
		out[i] = e.with(line)
	}
	return out
}

// tooLong tells whether data has more than maxLines lines.
func tooLong(data []byte) bool { return bytes.Count(data, []byte("\n")) >= maxLines }

// index numbers texts: equal ones get the same number.
type index map[string]int

func (x index) numbers(texts []string) []int {
	out := make([]int, len(texts))
	for i, t := range texts {
		n, known := x[t]
		if !known {
			n = len(x)
			x[t] = n
		}
		out[i] = n
	}
	return out
}
