package hook

import (
	"testing"
	"time"
)

func TestEventsAreSpreadWithTheNumberOfListeners(t *testing.T) {
	for n, want := range map[int]time.Duration{0: time.Second, 100: time.Second, 2000: 16 * time.Second, 1 << 30: 5 * time.Minute, -5: time.Second} {
		if got := Spread(n); got != want {
			t.Errorf("%d listeners: %s", n, got)
		}
	}
}
