package hook

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"satchel/bundle"
)

// Heartbeat is how often an event stream says something at least.
const Heartbeat = 15 * time.Second

// EventsType is the media type of an event stream.
const EventsType = "text/event-stream"

// Event is one message of GET /v1/events.
type Event struct {
	Kind    string         `json:"-"`                // the SSE event: EventHello, EventChanged, or one to be passed over
	Course  string         `json:"course,omitempty"` // what changed for this student
	Version bundle.Version `json:"version,omitempty"`
	// ETag comes with EventHello: what GET /v1/sync gives out at that moment.
	ETag string `json:"etag,omitempty"`
	// Listeners is how many streams this service holds: who hears of a change
	// waits a random while that grows with it.
	Listeners int `json:"listeners"`
}

// Kinds of Event.
const (
	EventHello   = "hello"   // the stream begins
	EventChanged = "changed" // ask sync
)

// Spread is the longest wait of who hears of a change before they ask: it grows
// with the number of those who heard it, so that about 125 ask in a second, from
// one second to five minutes.
func Spread(listeners int) time.Duration {
	return min(max(time.Duration(listeners)*8*time.Millisecond, time.Second), 5*time.Minute)
}

// Lines of a stream are short; longer is not ours.
const maxEventLine = 8 << 10

// Events holds one stream and gives each event to heard until the stream ends
// (io.EOF), heard gives an error, or nothing comes for three heartbeats.
func (c *Client) Events(ctx context.Context, heard func(Event) error) error {
	idle := max(3*Heartbeat, c.o.Idle)
	resp, err := c.doIdle(ctx, call{method: http.MethodGet, path: "/v1/events", header: http.Header{"Accept": {EventsType}}}, idle)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := wantType(resp, EventsType); err != nil {
		return err
	}
	return ReadEvents(resp.Body, heard)
}

// ReadEvents reads server-sent events (the part of the HTML standard that the
// service writes: event, data, comments).
func ReadEvents(r io.Reader, heard func(Event) error) error {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 512), maxEventLine)
	var kind string
	var data []byte
	for s.Scan() {
		line := s.Bytes()
		if len(line) == 0 {
			if kind != "" {
				if err := giveEvent(kind, data, heard); err != nil {
					return err
				}
			}
			kind, data = "", nil
			continue
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) {
		case "event":
			kind = string(value)
		case "data":
			data = bytes.Clone(value)
		}
	}
	if err := s.Err(); err != nil {
		return fmt.Errorf("events: %w", err)
	}
	return io.EOF
}

func giveEvent(kind string, data []byte, heard func(Event) error) error {
	e := Event{}
	if len(data) > 0 {
		if err := json.Unmarshal(data, &e); err != nil {
			return fmt.Errorf("%w: event: %w", bundle.ErrCorrupt, err)
		}
	}
	e.Kind = kind
	return heard(e)
}
