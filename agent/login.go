package agent

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"time"
)

// maxEventLine bounds one line that the process left behind may say.
const maxEventLine = 64 << 10

// Attend is what a login waits for: it shows what a watch that was just left
// behind says on r, one JSON event a line, until its first pass is over or
// budget is. It starts nothing and touches no file, so nothing that happens to
// the other process can harm the login.
func Attend(ctx context.Context, r io.ReadCloser, budget time.Duration, words Words, show func(Event)) {
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	events := make(chan Event)
	go func() { // ends when r is closed, below
		defer close(events)
		s := bufio.NewScanner(r)
		s.Buffer(make([]byte, 0, 4096), maxEventLine)
		for s.Scan() {
			var e Event
			if json.Unmarshal(s.Bytes(), &e) != nil {
				continue
			}
			select {
			case events <- e:
			case <-ctx.Done():
				return
			}
		}
	}()
	defer r.Close()
	var last Event
	for {
		select {
		case e, ok := <-events:
			if !ok || e.Kind == Finished {
				return
			}
			if e.Kind == Progress {
				last = e
			}
			e.Text = Plain(e.Text)
			show(e)
		case <-ctx.Done():
			show(Event{Kind: Sentence, Text: words.still(last)})
			return
		}
	}
}

// still says that the rest goes on in the background.
func (w Words) still(e Event) string {
	if e.Kind != Progress || e.Files == 0 {
		return w.Background()
	}
	return w.Arriving(e.Done, e.Files, e.Folder, e.NB)
}
