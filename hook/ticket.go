package hook

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Times of a ticket.
const (
	TicketLife = 12 * time.Hour     // one working day
	LoginLife  = 7 * 24 * time.Hour // renewal ends so long after the login
	Leeway     = 5 * time.Minute    // between the clocks of two replicas
)

// Errors of a ticket. Neither says what is wrong with it.
var (
	ErrTicket         = errors.New("the ticket is not one of this service")
	ErrExpired        = errors.New("the ticket's time is over")
	ErrTicketTooLarge = fmt.Errorf("a ticket is at most %d bytes", MaxTicket)
)

// Ticket says who a student's server is, until when. Its text form is
//
//	st1.KID.payload.mac
//
// where payload is unpadded base64url of this struct's JSON, and mac that of
// HMAC-SHA256 over a domain tag, KID and the JSON. There is no field for an
// algorithm: st1 is the algorithm. Only the service looks at the times in it.
type Ticket struct {
	Audience string   `json:"aud"` // which service it is for
	User     string   `json:"usr"`
	Server   string   `json:"srv"` // "" for the default server
	Groups   []string `json:"grp"`
	Issued   int64    `json:"iat"` // Unix seconds, as the two below
	Expires  int64    `json:"exp"`
	ID       string   `json:"jti"` // random
	Login    int64    `json:"login"`
}

const (
	ticketPrefix = "st1"
	ticketTag    = "satchel ticket 1\x00"
	minSecret    = 32
)

// strictBase64 refuses padding, newlines and bits that say nothing, so that
// one ticket has one text.
var strictBase64 = base64.RawURLEncoding.Strict()

// TicketKey makes and checks tickets. It prints as [hidden].
type TicketKey struct {
	id     string
	secret []byte
}

// ParseTicketKey reads a key from a secret's text: at least 32 bytes after
// trimming white space.
func ParseTicketKey(text []byte) (TicketKey, error) {
	secret := bytes.Clone(bytes.TrimSpace(text))
	if len(secret) < minSecret {
		return TicketKey{}, fmt.Errorf("a ticket key has at least %d bytes, this one has %d: make one with satchel init", minSecret, len(secret))
	}
	sum := sha256.Sum256(append([]byte("satchel ticket key id\x00"), secret...))
	return TicketKey{id: fmt.Sprintf("%x", sum[:4]), secret: secret}, nil
}

// ID is the KID of tickets made with k.
func (k TicketKey) ID() string { return k.id }

func (TicketKey) String() string   { return "[hidden]" }
func (TicketKey) GoString() string { return "[hidden]" }
func (TicketKey) MarshalText() ([]byte, error) {
	return nil, errors.New("a ticket key is not written")
}

func (k TicketKey) mac(payload []byte) []byte {
	h := hmac.New(sha256.New, k.secret)
	h.Write([]byte(ticketTag))
	h.Write([]byte(k.id))
	h.Write([]byte{0})
	h.Write(payload)
	return h.Sum(nil)
}

// TicketKeys are the keys in use: the first mints, all check.
type TicketKeys []TicketKey

// Mint gives t's text. ErrTicketTooLarge when its groups do not fit.
func (ks TicketKeys) Mint(t Ticket) (string, error) {
	if len(ks) == 0 {
		return "", errors.New("mint a ticket: no ticket key; name one under secrets: ticket_keys")
	}
	if t.Groups == nil {
		t.Groups = []string{}
	}
	if err := t.check(); err != nil {
		return "", fmt.Errorf("mint a ticket: %w", err)
	}
	payload, err := json.Marshal(t)
	if err != nil {
		return "", err
	}
	k := ks[0]
	text := strings.Join([]string{ticketPrefix, k.id, strictBase64.EncodeToString(payload), strictBase64.EncodeToString(k.mac(payload))}, ".")
	if len(text) > MaxTicket {
		return "", ErrTicketTooLarge
	}
	return text, nil
}

// Verify gives the ticket in token if one of the keys made it for this
// audience and its time is not over at now: else ErrTicket or ErrExpired.
func (ks TicketKeys) Verify(audience, token string, now time.Time) (Ticket, error) {
	if len(token) > MaxTicket {
		return Ticket{}, ErrTicket
	}
	p := strings.Split(token, ".")
	if len(p) != 4 || p[0] != ticketPrefix {
		return Ticket{}, ErrTicket
	}
	payload, err := strictBase64.DecodeString(p[2])
	mac, err2 := strictBase64.DecodeString(p[3])
	if err != nil || err2 != nil || strings.ContainsAny(token, "\r\n") || !ks.made(p[1], payload, mac) {
		return Ticket{}, ErrTicket
	}
	t, err := decodeTicket(payload)
	if err != nil || t.Audience != audience {
		return Ticket{}, ErrTicket
	}
	leeway := int64(Leeway / time.Second)
	switch at := now.Unix(); {
	case at < t.Issued-leeway:
		return Ticket{}, ErrTicket
	case at > t.Expires+leeway:
		return t, ErrExpired
	}
	return t, nil
}

// made says whether the key with this id made mac; it takes the same time
// wherever the two differ.
func (ks TicketKeys) made(id string, payload, mac []byte) bool {
	ok := false
	for _, k := range ks {
		if k.id == id && hmac.Equal(mac, k.mac(payload)) {
			ok = true
		}
	}
	return ok
}

// decodeTicket accepts only the JSON that Mint writes: what reads back as
// other bytes had an unknown, doubled or misspelt field.
func decodeTicket(payload []byte) (t Ticket, err error) {
	d := json.NewDecoder(bytes.NewReader(payload))
	d.DisallowUnknownFields()
	if err := d.Decode(&t); err != nil {
		return Ticket{}, ErrTicket
	}
	again, err := json.Marshal(t)
	if err != nil || !bytes.Equal(again, payload) || t.Groups == nil || t.check() != nil {
		return Ticket{}, ErrTicket
	}
	return t, nil
}

// check refuses a ticket that Mint must not make.
func (t Ticket) check() error {
	switch {
	case t.Audience == "" || t.User == "" || t.ID == "":
		return errors.New("audience, user and id must be set")
	case t.Login <= 0 || t.Issued < t.Login || t.Expires < t.Issued:
		return errors.New("its times are out of order")
	case t.Expires > t.Login+int64(LoginLife/time.Second):
		return errors.New("it would outlive its login")
	}
	for _, s := range append([]string{t.Audience, t.User, t.Server, t.ID}, t.Groups...) {
		if !utf8.ValidString(s) {
			return fmt.Errorf("%q is not valid UTF-8", s)
		}
	}
	return nil
}
