package hook

import (
	"bytes"
	"cmp"
	"fmt"
	"net/http"
	"slices"

	"satchel/bundle"
)

// Section is a part of a stored bundle, and a signed URL that is good for just
// these bytes: for a GET with the headers Range, and If-Match and If-Range with
// ETag, none of them missing or another.
type Section struct {
	Bundle bundle.Digest `json:"bundle"`
	Offset int64         `json:"offset"`
	Length int64         `json:"length"`
	ETag   string        `json:"etag"`
	URL    string        `json:"url"`
}

// End is where a section ends.
func (s *Section) End() int64 { return s.Offset + s.Length }

// header is what its URL was signed with.
func (s *Section) header() http.Header {
	return http.Header{"Range": {rangeOf(s.Offset, s.Length)}, "If-Match": {s.ETag}, "If-Range": {s.ETag}}
}

// compareSections is their order in an offer.
func compareSections(a, b *Section) int {
	return cmp.Or(bytes.Compare(a.Bundle[:], b.Bundle[:]), cmp.Compare(a.Offset, b.Offset))
}

// SortSections puts them in the order of CourseOffer.URLs.
func SortSections(list []Section) {
	slices.SortFunc(list, func(a, b Section) int { return compareSections(&a, &b) })
}

// checkSections refuses sections that are not as CourseOffer.URLs says.
func checkSections(list []Section) error {
	if len(list) > MaxSections {
		return fmt.Errorf("%w: %d sections", bundle.ErrCorrupt, len(list))
	}
	for i := range list {
		s := &list[i]
		if s.Offset < 0 || s.Length <= 0 || s.Offset > bundle.MaxBundleSize || s.Length > bundle.MaxBundleSize-s.Offset {
			return fmt.Errorf("%w: section of %d bytes at %d", bundle.ErrCorrupt, s.Length, s.Offset)
		}
		if i == 0 {
			continue
		}
		if last := &list[i-1]; compareSections(last, s) >= 0 || last.Bundle == s.Bundle && last.End() > s.Offset {
			return fmt.Errorf("%w: sections over each other, or not in their order", bundle.ErrCorrupt)
		}
	}
	return nil
}

// Covering are the sections, each the next one's neighbour, in which all of a
// frame lies; none where a part of it lies in none.
func (c *CourseOffer) Covering(f *Offered) []Section {
	if f.Bundle.IsZero() || f.Length <= 0 {
		return nil
	}
	at := &Section{Bundle: f.Bundle, Offset: f.Offset}
	first, exact := slices.BinarySearchFunc(c.URLs, at, func(s Section, at *Section) int { return compareSections(&s, at) })
	if !exact {
		first-- // the last that begins before the frame
	}
	for i, to := first, f.Offset; i >= 0 && i < len(c.URLs); i++ {
		s := &c.URLs[i]
		if s.Bundle != f.Bundle || s.Offset > to || s.End() <= to {
			return nil
		}
		if to = s.End(); to >= f.Offset+f.Length {
			return c.URLs[first : i+1]
		}
	}
	return nil
}

// Elsewhere says that a frame's bytes do not follow in the answer.
func (c *CourseOffer) Elsewhere(f *Offered) bool { return c.Covering(f) != nil }
