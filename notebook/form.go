package notebook

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"satchel/bundle"
)

// Form is the digest of what a person wrote in a notebook: type, source and
// attachments of all cells in their order. Outputs, execution counts, every
// metadata, ids, JSON layout, the spelling of texts (escapes, one text or a
// list of lines), line endings within a source and the minor format do not
// count. It is the SHA-256 of this text:
//
//	satchel-notebook-form 1
//	cell LENGTH:TYPE
//	source LENGTH:SOURCE
//	attachment LENGTH:NAME LENGTH:MEDIA VALUE
//
// with "cell" and "source" once for each cell, then an "attachment" for each
// value of its attachments, sorted by NAME and MEDIA (bytewise). Every line
// ends with one "\n", the last one too; LENGTH counts bytes. SOURCE is the
// joined text with CR LF and CR as LF; an absent one is empty. VALUE is:
//
//	"LENGTH:TEXT              a text, or a list of texts joined
//	[VALUE,VALUE,]            any other list
//	{"LENGTH:KEY:VALUE,}      an object, keys sorted bytewise
//	null, true, 1.50, NaN     all others, as they are spelled
//
// (inside a VALUE lists are not joined). Of doubled keys the last counts; an
// escaped lone surrogate is the three bytes that UTF-8 would give it.
//
// Forms are kept for ever, in histories: this text must never change. The
// error is Check's; what Check refuses has no Form.
func Form(data []byte) (bundle.Digest, error) {
	cells, err := read(data)
	if err != nil {
		return bundle.Digest{}, err
	}
	return bundle.Sum(formText(cells)), nil
}

var newlines = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// withLF gives a text with CR LF and CR as LF.
func withLF(text string) string {
	if !strings.Contains(text, "\r") {
		return text
	}
	return newlines.Replace(text)
}

func formText(cells []cell) []byte {
	var b bytes.Buffer
	b.WriteString("satchel-notebook-form 1\n")
	for _, c := range cells {
		source := withLF(c.source)
		fmt.Fprintf(&b, "cell %d:%s\nsource %d:%s\n", len(c.kind), c.kind, len(source), source)
		for _, a := range c.attachments {
			fmt.Fprintf(&b, "attachment %d:%s %d:%s %s\n", len(a.name), a.name, len(a.media), a.media, a.data)
		}
	}
	return b.Bytes()
}

// attachments reads {name: {media type: value}}, sorted.
func (r *reader) attachments(what string) []attachment {
	files := map[string][]attachment{}
	r.object(func(name string) {
		r.want('{', what)
		values := map[string]string{}
		r.object(func(media string) { values[media] = r.attached() })
		files[name] = nil
		for media, data := range values {
			files[name] = append(files[name], attachment{name, media, data})
		}
	})
	var out []attachment
	for _, f := range files {
		out = append(out, f...)
	}
	slices.SortFunc(out, func(a, b attachment) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.media, b.media))
	})
	return out
}

// attached reads one value of an attachment; a list of nothing but texts is
// joined.
func (r *reader) attached() string {
	if r.next() != '[' {
		return string(r.canonical(nil, 0))
	}
	list, joined, texts := []byte{'['}, []byte{}, true
	r.array(func() {
		if texts = texts && r.next() == '"'; texts {
			t := r.text()
			list, joined = append(appendCounted(list, t), ','), append(joined, t...)
			return
		}
		list = append(r.canonical(list, 1), ',')
	})
	if texts {
		return string(appendCounted(nil, string(joined)))
	}
	return string(append(list, ']'))
}

// maxAttached bounds the nesting inside one value of an attachment (all that
// is known there are texts).
const maxAttached = 20

// canonical reads any value and appends its VALUE to b; see Form.
func (r *reader) canonical(b []byte, depth int) []byte {
	if depth > maxAttached {
		r.fail("an attachment nested deeper than %d levels", maxAttached)
	}
	switch r.next() {
	case '"':
		return appendCounted(b, r.text())
	case '[':
		b = append(b, '[')
		r.array(func() { b = append(r.canonical(b, depth+1), ',') })
		return append(b, ']')
	case '{':
		members := map[string][]byte{}
		r.object(func(key string) { members[key] = r.canonical(nil, depth+1) })
		b = append(b, '{')
		for _, key := range slices.Sorted(maps.Keys(members)) {
			b = append(append(appendCounted(b, key), ':'), members[key]...)
			b = append(b, ',')
		}
		return append(b, '}')
	}
	return append(b, r.word()...)
}

func appendCounted(b []byte, t string) []byte { return fmt.Appendf(b, `"%d:%s`, len(t), t) }
