package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"satchel/bundle"
	"satchel/workdir"
)

// newsFile is the page in the root that says what changed, newest first.
const newsFile = bundle.WhatIsNewFile

// maxNews is how many syncs the page tells of, maxNewsLines how many lines of
// each.
const (
	maxNews      = 30
	maxNewsLines = 100
)

// newsItem is what one pass said of one course.
type newsItem struct {
	Time   time.Time `json:"time"`
	Course string    `json:"course"`
	Lines  []string  `json:"lines"`
	Hidden bool      `json:"hidden,omitempty"` // the course wants no page
}

// remember puts an item first.
func (m *memory) remember(item newsItem) {
	if len(item.Lines) > maxNewsLines {
		item.Lines = append(item.Lines[:maxNewsLines:maxNewsLines], "…")
	}
	m.News = append([]newsItem{item}, m.News...)
	if len(m.News) > maxNews {
		m.News = m.News[:maxNews]
	}
}

// page gives the page's text; nil when no course wants one.
func (m *memory) page(w Words) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %s\n\n%s\n", w.NewsTitle(), w.NewsIntro())
	any := false
	for _, item := range m.News {
		if item.Hidden {
			continue
		}
		any = true
		fmt.Fprintf(&b, "\n## %s, %s\n\n", markdown(Plain(item.Course)), item.Time.Local().Format("2006-01-02 15:04"))
		for _, l := range item.Lines {
			fmt.Fprintf(&b, "- %s\n", markdown(l))
		}
	}
	if !any {
		return nil
	}
	return b.Bytes()
}

// markdown keeps a line plain where the page is shown as Markdown: a file's
// name can be no link, no picture and no tag.
func markdown(s string) string {
	return markdownEscapes.Replace(s)
}

var markdownEscapes = strings.NewReplacer(
	`\`, `\\`, "`", "\\`", "*", `\*`, "[", `\[`, "]", `\]`, "<", `\<`, ">", `\>`, "&", `\&`, "$", `\$`, "~", `\~`, "|", `\|`,
)

// writeNews places the page. It is a courtesy: an error of it matters only to
// the log, and to the next pass, which tries again.
func (p *pass) writeNews(ctx context.Context) {
	text := p.mem.page(p.newsWords()) // nil takes an old page away
	events, err := p.home.PlaceNote(ctx, newsFile, text, isPage)
	for _, e := range events {
		if e.Kind == workdir.Failed || e.Kind == workdir.NoSpace || e.Kind == workdir.Waiting {
			err = errors.Join(err, e.Err, fmt.Errorf("%s: %s", e.Path, e.Kind))
		}
	}
	if p.mem.Page = err != nil; err != nil {
		p.lg.Warn("page not written", "file", newsFile, "error", err)
	}
}

// isPage says whether a file is a page of ours, in any language.
func isPage(content []byte) bool {
	for _, w := range []Words{{}, {spanish: true}} {
		if bytes.HasPrefix(content, fmt.Appendf(nil, "# %s\n\n%s\n", w.NewsTitle(), w.NewsIntro())) {
			return true
		}
	}
	return false
}

// newsWords is the language of the newest item's course.
func (p *pass) newsWords() Words {
	if len(p.mem.News) > 0 {
		return p.words(p.mem.News[0].Course)
	}
	return p.a.words
}
