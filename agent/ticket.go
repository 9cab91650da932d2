package agent

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"satchel/hook"
)

// ticketBox holds the newest ticket, in memory only.
type ticketBox struct {
	mu    sync.Mutex
	value string
}

func (b *ticketBox) get() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.value
}

// take puts v in, and says whether it did: not what can be no ticket.
func (b *ticketBox) take(v string) bool {
	if v == "" || len(v) > hook.MaxTicket {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.value = v
	return true
}

// takeLonger puts v in where it ends later than what is in.
func (b *ticketBox) takeLonger(v string) {
	_, theirs, ok := life(v)
	if _, own, _ := life(b.get()); ok && theirs.After(own) {
		b.take(v)
	}
}

// life reads when a ticket was made and ends, by the service's clock. Nothing
// is decided by it but when to renew: what a ticket is worth only the service
// can say.
func life(ticket string) (issued, expires time.Time, ok bool) {
	if len(ticket) > hook.MaxTicket {
		return issued, expires, false
	}
	parts := strings.Split(ticket, ".")
	if len(parts) != 4 {
		return issued, expires, false
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return issued, expires, false
	}
	var p struct {
		Issued  int64 `json:"iat"`
		Expires int64 `json:"exp"`
	}
	if json.Unmarshal(raw, &p) != nil || p.Issued <= 0 || p.Expires <= p.Issued {
		return issued, expires, false
	}
	return time.Unix(p.Issued, 0), time.Unix(p.Expires, 0), true
}

// blind is when to renew a ticket of which nothing is known.
const blind = 30 * time.Minute

// renewIn says how long to wait before the ticket is renewed: until two
// thirds of its life are over. server is the service's clock now; zero where it
// is not known: then the own one counts, which may be wrong, so it is not long.
func renewIn(ticket string, server, own time.Time) time.Duration {
	issued, expires, ok := life(ticket)
	if !ok {
		return blind
	}
	at := issued.Add(expires.Sub(issued) * 2 / 3)
	if server.IsZero() {
		return min(max(at.Sub(own), 0), blind)
	}
	return max(at.Sub(server), 0)
}
