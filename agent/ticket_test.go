package agent

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"satchel/hook"
)

// ticketOf makes something that looks like a ticket with these times.
func ticketOf(issued, expires time.Time) string {
	p, err := json.Marshal(hook.Ticket{User: "ana", Issued: issued.Unix(), Expires: expires.Unix()})
	if err != nil {
		panic(err)
	}
	return "st1.k." + base64.RawURLEncoding.EncodeToString(p) + ".mac"
}

func TestTicketIsRenewedAtTwoThirdsOfItsLifeByTheServicesClock(t *testing.T) {
	made := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	tk := ticketOf(made, made.Add(12*time.Hour))
	for at, want := range map[time.Duration]time.Duration{
		0: 8 * time.Hour, time.Hour: 7 * time.Hour, 9 * time.Hour: 0, 400 * 24 * time.Hour: 0,
	} {
		if got := renewIn(tk, made.Add(at), time.Time{}); got != want {
			t.Errorf("%s after it was made: renewed in %s, not %s", at, got, want)
		}
	}
	for at, want := range map[time.Duration]time.Duration{0: blind, 7*time.Hour + 50*time.Minute: 10 * time.Minute, 11 * time.Hour: 0, -time.Hour: blind} {
		if got := renewIn(tk, time.Time{}, made.Add(at)); got != want {
			t.Errorf("%s after it was made, by the own clock: renewed in %s, not %s", at, got, want)
		}
	}
	for _, odd := range []string{"", "x", "st1.k.!!.m", "a.b.c.d", strings.Repeat("a", 1<<20), "st1.k.bnVsbA.m", ticketOf(made, made)} {
		if got := renewIn(odd, made, made); got != blind {
			t.Errorf("%.20q: renewed in %s", odd, got)
		}
	}
}

func TestSecretIsHidden(t *testing.T) {
	const canary = "canary-5f1d"
	s := Settings{URL: "http://x", Ticket: canary}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("settings", "s", s, "ticket", s.Ticket)
	slog.New(slog.NewTextHandler(&log, nil)).Info("settings", "s", s, "ticket", s.Ticket)
	data, _ := json.Marshal(s)
	for _, out := range []string{fmt.Sprint(s), fmt.Sprintf("%+v %#v %s %v", s, s, s.Ticket, s.Ticket), log.String(), string(data)} {
		if strings.Contains(out, canary) {
			t.Errorf("the ticket is shown: %s", out)
		}
	}
}

func FuzzLife(f *testing.F) {
	f.Add("st1.k.e30.m")
	f.Fuzz(func(t *testing.T, s string) {
		if i, e, ok := life(s); ok && !e.After(i) {
			t.Fatal(i, e)
		}
	})
}
