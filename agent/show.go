package agent

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"satchel/bundle"
)

// Event is something that happened and that somebody may want to see at once.
// In JSON it is one line of `--json`.
type Event struct {
	Kind    EventKind      `json:"event"`
	Text    string         `json:"text,omitempty"`   // of a Sentence, in the student's language
	Course  string         `json:"course,omitempty"` // Progress, Sentence
	Version bundle.Version `json:"version,omitempty"`
	Done    int            `json:"done,omitempty"`      // Progress: files that arrived
	Files   int            `json:"files,omitempty"`     // Progress: of so many
	Bytes   int64          `json:"bytes,omitempty"`     // Progress: bytes that arrived
	Total   int64          `json:"total,omitempty"`     // Progress: of so many
	Folder  string         `json:"folder,omitempty"`    // Progress: where the file at hand goes
	NB      bool           `json:"notebooks,omitempty"` // Progress: no notebook is missing
	Code    string         `json:"code,omitempty"`      // Finished: what went wrong, one word
	At      time.Time      `json:"at,omitzero"`
}

// EventKind says which of an Event's fields matter.
type EventKind string

// The kinds of event.
const (
	Progress EventKind = "progress" // how far a download is
	Sentence EventKind = "sentence" // a line for the student
	Finished EventKind = "finished" // the pass is over
)

// Look is how events are shown.
type Look string

// The ways to show events.
const (
	Lines    Look = "lines"    // sentences only
	Terminal Look = "terminal" // and progress, on one line that changes
	JSON     Look = "json"     // everything, one JSON object a line
	Quiet    Look = "quiet"    // nothing
)

// Printer gives a function that shows events on out. It is not for several
// goroutines.
func Printer(out io.Writer, look Look, words Words) func(Event) {
	switch look {
	case Quiet:
		return func(Event) {}
	case JSON:
		enc := json.NewEncoder(out)
		return func(e Event) { _ = enc.Encode(e) } // a closed pipe is nobody's loss
	case Terminal:
		p := &progressLine{out: out, words: words}
		return p.show
	}
	return func(e Event) {
		if e.Kind == Sentence {
			fmt.Fprintln(out, e.Text)
		}
	}
}

// progressLine keeps one line at the end of a terminal.
type progressLine struct {
	out   io.Writer
	words Words
	drawn bool
	last  time.Time
}

const (
	clearLine = "\r\x1b[K"
	redraw    = 100 * time.Millisecond
)

func (p *progressLine) show(e Event) {
	switch e.Kind {
	case Progress:
		if now := time.Now(); e.Done == e.Files || now.Sub(p.last) >= redraw {
			p.last = now
			p.drawn = true
			fmt.Fprintf(p.out, "%s%s %d/%d  %s / %s", clearLine, bar(e.Bytes, e.Total), e.Done, e.Files, Bytes(e.Bytes), Bytes(e.Total))
		}
	case Sentence:
		p.clear()
		fmt.Fprintln(p.out, e.Text)
	case Finished:
		p.clear()
	}
}

func (p *progressLine) clear() {
	if p.drawn {
		fmt.Fprint(p.out, clearLine)
		p.drawn = false
	}
}

// bar draws 20 characters.
func bar(done, total int64) string {
	const width = 20
	b := []byte("[                    ]")
	if total > 0 {
		for i := range min(int64(width), max(done, 0)*width/total) {
			b[1+i] = '='
		}
	}
	return string(b)
}
