// Package lines merges text by line: what a student and the course made of
// the same base become one text (Merge), with a check of the result that does
// not rely on how it was made (Kept), a diff for people (Unified), and the
// alignment underneath for sequences of anything (Align).
//
// `git merge-file` is the oracle: where it is clean so is Merge, with the same
// bytes; where it clashes so does Merge, and the text is that of its --ours.
// Only where repeated lines leave several shortest ways from one text to
// another may the two choose differently (TestMergeAsGit counts how often). Differences on purpose: line endings
// are the student's (see ending), and a result that another merge would change
// is not given out (see Merge).
//
// The diff is our own (Myers' in linear space, see search.go). go-udiff 0.4.1
// stops looking after 50 changes from either end and calls all between
// them changed: 90 changed lines among 900 came out as 441, which would be
// clashes that nobody made.
//
// The work is bounded whatever the texts are: see maxLines and budget. There
// is no memory of former merges, no file is opened, nothing panics.
package lines

import "bytes"

// Merged is what Merge made.
type Merged struct {
	Text  []byte // mine, with what theirs changed where mine did not; may be mine itself
	Clash int    // places in which both changed the same lines; mine's stand there. Never conflict markers.
	Taken int    // places in which theirs' change came in
}

// maxLines is how many lines a side may have to be merged: 5 MB of lines of
// twenty bytes. It bounds the memory, together with the size of the texts.
const maxLines = 1 << 18

// Merge merges by line what mine and theirs made of base. A place is what lies
// between lines that neither side changed; changes that touch are one place.
//
// Every line that mine added stands in the result. A line that mine deleted
// does not return, unless theirs wrote it anew elsewhere (as in git).
//
// A merge repeated changes nothing: Merge(base, r, theirs) has the text r again
// if r is the text of Merge(base, mine, theirs), for a kill between the file
// and its record leads to just that. (Its counts may be others.) Repeated lines
// can break it, where the second diff pairs them otherwise than the first. This
// is looked for, and such a text is one clash with mine as it is, which is
// stable.
func Merge(base, mine, theirs []byte) Merged {
	if bytes.Equal(base, theirs) || bytes.Equal(mine, theirs) {
		return Merged{Text: mine}
	}
	j := newJob(base, theirs, endingOf(mine))
	if !j.fits || tooLong(mine) {
		return Merged{Text: mine, Clash: 1}
	}
	out := j.merge(mine)
	if e := endingOf(out.Text); e != j.ending {
		j = newJob(base, theirs, e)
	}
	if tooLong(out.Text) || !bytes.Equal(j.merge(out.Text).Text, out.Text) {
		return Merged{Text: mine, Clash: 1}
	}
	return out
}
