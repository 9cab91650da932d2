package notebook

import (
	"hash/fnv"
	"slices"
	"unicode"
	"unicode/utf8"
)

// Bounds of pairing by content.
const (
	maxGap    = 200 * 200  // pairs of cells compared between two anchors
	maxSteps  = 20_000_000 // words compared in one pairing
	maxWords  = 4096       // of a cell; what follows does not count
	isSimilar = 0.5
)

// bySimilarity pairs the cells of one gap in their order so that the
// similarities add up to the most; none below isSimilar.
func (p *pairing) bySimilarity(as, bs []int) {
	if len(as)*len(bs) > maxGap {
		return
	}
	wa, wb := p.bags(p.a, as), p.bags(p.b, bs)
	width := len(bs) + 1
	best := make([]float64, (len(as)+1)*width) // of the cells from here on
	value := make([]float64, len(best))
	for i := len(as) - 1; i >= 0; i-- {
		for j := len(bs) - 1; j >= 0; j-- {
			at := i*width + j
			if p.a[as[i]].kind == p.b[bs[j]].kind {
				value[at] = p.similarity(wa[i], wb[j])
			}
			best[at] = max(best[at+1], best[at+width])
			if value[at] >= isSimilar {
				best[at] = max(best[at], value[at]+best[at+width+1])
			}
		}
	}
	for i, j := 0, 0; i < len(as) && j < len(bs); {
		at := i*width + j
		switch {
		case value[at] >= isSimilar && best[at] == value[at]+best[at+width+1]:
			p.set(as[i], bs[j])
			i, j = i+1, j+1
		case best[at] == best[at+width]:
			i++
		default:
			j++
		}
	}
}

// alike says whether two cells are of one type and similar.
func alike(a, b *slice) bool {
	p := pairing{steps: maxSteps}
	return a.kind == b.kind && (a.source == b.source || p.similarity(bag(a.source), bag(b.source)) >= isSimilar)
}

// similarity is twice the words in common, over all words of both; nothing
// once the steps are spent.
func (p *pairing) similarity(a, b []uint32) float64 {
	if 4*min(len(a), len(b)) < len(a)+len(b) || p.steps < 0 {
		return 0
	}
	p.steps -= len(a) + len(b)
	common := 0
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case a[i] == b[j]:
			common++
			i, j = i+1, j+1
		case a[i] < b[j]:
			i++
		default:
			j++
		}
	}
	return 2 * float64(common) / float64(max(1, len(a)+len(b)))
}

// bags gives the words of cells, sorted.
func (p *pairing) bags(cells []slice, at []int) [][]uint32 {
	out := make([][]uint32, len(at))
	for n, i := range at {
		out[n] = bag(cells[i].source)
	}
	return out
}

// bag gives the words of a text (runs of letters and digits, and each other
// sign but white space) as sorted numbers.
func bag(text string) (words []uint32) {
	for len(text) > 0 && len(words) < maxWords {
		n := wordEnd(text)
		if r, _ := utf8.DecodeRuneInString(text); !unicode.IsSpace(r) {
			h := fnv.New32a()
			h.Write([]byte(text[:n]))
			words = append(words, h.Sum32())
		}
		text = text[n:]
	}
	slices.Sort(words)
	return words
}

// wordEnd gives the length of the first word, or of the first sign.
func wordEnd(text string) int {
	for i, r := range text {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			continue
		}
		if i == 0 {
			_, i = utf8.DecodeRuneInString(text)
		}
		return i
	}
	return len(text)
}
