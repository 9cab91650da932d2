package hook

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"
)

var testNow = time.Date(2026, 9, 1, 9, 0, 0, 0, time.UTC)

func testKey(t testing.TB, secret string) TicketKey {
	t.Helper()
	k, err := ParseTicketKey([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func testKeys(t testing.TB) TicketKeys {
	return TicketKeys{testKey(t, "first-ticket-key-0123456789abcdef"), testKey(t, "second-ticket-key-0123456789abcdef")}
}

func testTicket() Ticket {
	return Ticket{Audience: "satchel", User: "ana", Server: "", Groups: []string{"a", "scala101"},
		Issued: testNow.Unix(), Expires: testNow.Add(TicketLife).Unix(), ID: "0011223344556677", Login: testNow.Unix()}
}

func mint(t testing.TB, ks TicketKeys, tk Ticket) string {
	t.Helper()
	text, err := ks.Mint(tk)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestTicketRoundTrip(t *testing.T) {
	ks := testKeys(t)
	for _, want := range []Ticket{testTicket(), {Audience: "satchel", User: "ä b/<&>\u2028", Server: "zwei", Groups: []string{},
		Issued: testNow.Unix(), Expires: testNow.Unix() + 1, ID: "x", Login: testNow.Unix() - 5}} {
		got, err := ks.Verify("satchel", mint(t, ks, want), testNow)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got %v, %v; want %v", got, err, want)
		}
	}
}

func TestTicketGolden(t *testing.T) {
	want, err := os.ReadFile("testdata/golden/v1/ticket")
	if err != nil {
		t.Fatal(err)
	}
	if got := mint(t, testKeys(t), testTicket()); got != strings.TrimSpace(string(want)) {
		t.Errorf("the ticket's form changed:\n%s", got)
	}
}

func TestTicketRefused(t *testing.T) {
	ks := testKeys(t)
	good := mint(t, ks, testTicket())
	p := strings.Split(good, ".")
	other := TicketKeys{testKey(t, "a-key-of-somebody-else-0123456789")}
	resign := func(json string) string { return sign(ks[0], []byte(json)) }
	raw := func() string { b, _ := json.Marshal(testTicket()); return string(b) }()
	for name, c := range map[string]struct {
		token string
		at    time.Time
		want  error
	}{
		"empty":                  {"", testNow, ErrTicket},
		"other key":              {mint(t, other, testTicket()), testNow, ErrTicket},
		"other key's id":         {p[0] + "." + ks[1].ID() + "." + p[2] + "." + p[3], testNow, ErrTicket},
		"newer scheme":           {"st2." + strings.Join(p[1:], "."), testNow, ErrTicket},
		"padding":                {good + "=", testNow, ErrTicket},
		"newline":                {good[:len(good)-4] + "\n" + good[len(good)-4:], testNow, ErrTicket},
		"fifth part":             {good + ".x", testNow, ErrTicket},
		"over 2 KiB":             {good + strings.Repeat("A", MaxTicket), testNow, ErrTicket},
		"expired":                {good, testNow.Add(TicketLife + Leeway + time.Second), ErrExpired},
		"within leeway":          {good, testNow.Add(TicketLife + Leeway), nil},
		"from the future":        {good, testNow.Add(-Leeway - time.Second), ErrTicket},
		"a little in the future": {good, testNow.Add(-Leeway), nil},
		"signed anew":            {resign(raw), testNow, nil},
		"unknown field":          {resign(strings.Replace(raw, `{`, `{"alg":"none",`, 1)), testNow, ErrTicket},
		"doubled field":          {resign(strings.Replace(raw, `{`, `{"usr":"root",`, 1)), testNow, ErrTicket},
		"other case":             {resign(strings.Replace(raw, `"usr"`, `"USR"`, 1)), testNow, ErrTicket},
		"missing field":          {resign(strings.Replace(raw, `"srv":"",`, ``, 1)), testNow, ErrTicket},
		"white space":            {resign(raw + " "), testNow, ErrTicket},
		"null groups":            {resign(strings.Replace(raw, `["a","scala101"]`, `null`, 1)), testNow, ErrTicket},
		"outlives its login":     {resign(strings.Replace(raw, fmt.Sprint(testTicket().Expires), fmt.Sprint(testNow.Add(8*24*time.Hour).Unix()), 1)), testNow, ErrTicket},
	} {
		if _, err := ks.Verify("satchel", c.token, c.at); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := ks.Verify("another", good, testNow); !errors.Is(err, ErrTicket) {
		t.Error("a ticket for another service was accepted")
	}
}

// sign makes a ticket's text around any payload.
func sign(k TicketKey, payload []byte) string {
	e := base64.RawURLEncoding
	return "st1." + k.id + "." + e.EncodeToString(payload) + "." + e.EncodeToString(k.mac(payload))
}

func TestTicketKeysRotate(t *testing.T) {
	ks := testKeys(t)
	old := TicketKeys{ks[1]}
	if _, err := ks.Verify("satchel", mint(t, old, testTicket()), testNow); err != nil {
		t.Errorf("a ticket of the former key: %v", err)
	}
	if _, err := old.Verify("satchel", mint(t, ks, testTicket()), testNow); err == nil {
		t.Error("a ticket of an unknown key was accepted")
	}
}

func TestTicketTooLarge(t *testing.T) {
	tk := testTicket()
	for i := range 200 {
		tk.Groups = append(tk.Groups, fmt.Sprintf("group-number-%d", i))
	}
	if _, err := testKeys(t).Mint(tk); !errors.Is(err, ErrTicketTooLarge) {
		t.Errorf("got %v", err)
	}
}

func TestTicketKeySecret(t *testing.T) {
	if _, err := ParseTicketKey([]byte("  short  ")); err == nil {
		t.Error("a short key was accepted")
	}
	k := testKey(t, "a-secret-that-must-not-be-printed")
	for _, s := range []string{fmt.Sprint(k), fmt.Sprintf("%v %+v %#v %s", k, k, k, k), fmt.Sprintf("%v", TicketKeys{k})} {
		if strings.Contains(s, "secret") {
			t.Errorf("printed: %s", s)
		}
	}
	if b, err := json.Marshal(k); err == nil {
		t.Errorf("marshalled: %s", b)
	}
}

// TestTicketEdits makes 100,000 random edits of a good ticket: not one is
// accepted.
func TestTicketEdits(t *testing.T) {
	ks := testKeys(t)
	good := mint(t, ks, testTicket())
	rnd := rand.New(rand.NewPCG(1, 2))
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \n\x00é"
	for range 100_000 {
		edited := edit(rnd, good, letters)
		if edited == good {
			continue
		}
		if _, err := ks.Verify("satchel", edited, testNow); err == nil {
			t.Fatalf("accepted: %q", edited)
		}
	}
}

func edit(rnd *rand.Rand, s, letters string) string {
	b := []byte(s)
	for range 1 + rnd.IntN(3) {
		i := rnd.IntN(len(b))
		switch rnd.IntN(5) {
		case 0:
			b[i] = letters[rnd.IntN(len(letters))]
		case 1:
			b = append(b[:i], b[i+1:]...)
		case 2:
			b = append(b[:i], append([]byte{letters[rnd.IntN(len(letters))]}, b[i:]...)...)
		case 3:
			b[i] ^= 1 << rnd.IntN(8)
		case 4:
			j := rnd.IntN(len(b))
			b[i], b[j] = b[j], b[i]
		}
	}
	return string(b)
}

func FuzzVerify(f *testing.F) {
	ks := testKeys(f)
	f.Add(mint(f, ks, testTicket()))
	f.Add("st1...")
	f.Fuzz(func(t *testing.T, token string) {
		tk, err := ks.Verify("satchel", token, testNow)
		if err != nil {
			return
		}
		if again := mint(t, TicketKeys{ks[0]}, tk); again != token && mint(t, TicketKeys{ks[1]}, tk) != token {
			t.Errorf("%q was accepted and is written as %q", token, again)
		}
	})
}

// FuzzTicketPayload signs whatever it is given: only what Mint writes may pass.
func FuzzTicketPayload(f *testing.F) {
	k := testKey(f, "first-ticket-key-0123456789abcdef")
	raw, _ := json.Marshal(testTicket())
	f.Add(raw)
	f.Fuzz(func(t *testing.T, payload []byte) {
		tk, err := TicketKeys{k}.Verify("satchel", sign(k, payload), testNow)
		if err != nil {
			return
		}
		if again, _ := json.Marshal(tk); string(again) != string(payload) {
			t.Errorf("%q passed, and means %q", payload, again)
		}
	})
}
