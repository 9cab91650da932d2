package bundle

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// keyOf is a signing key that is the same in every run.
func keyOf(seed byte) SigningKey {
	return SigningKey{ed25519.NewKeyFromSeed([]byte(strings.Repeat(string(rune('a'+seed)), ed25519.SeedSize)))}
}

func headOf(v Version) *Head {
	return &Head{
		Format: HeadFormat, Course: "scala101", Version: v,
		Channels: []ChannelAt{{"c1", digestOf("m1")}, {"c2", digestOf("m2")}},
		Settings: Settings{Folder: "scala", Language: "es", WhatIsNew: true},
		Message:  "Homework 1 is out.", Published: noon, Checked: noon,
	}
}

func TestSignedHeadRoundTrip(t *testing.T) {
	old, fresh, stranger := keyOf(1), keyOf(2), keyOf(3)
	e, err := Sign(headOf(7), fresh, old)
	if err != nil {
		t.Fatal(err)
	}
	data, _ := json.Marshal(e)
	back := &Envelope{}
	if err := DecodeStrict(data, MaxHeadSize*2, back); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		keys []PublicKey
		want error
	}{
		"new key":     {[]PublicKey{fresh.Public()}, nil},
		"old key":     {[]PublicKey{old.Public()}, nil},
		"among other": {[]PublicKey{stranger.Public(), old.Public()}, nil},
		"stranger":    {[]PublicKey{stranger.Public()}, ErrSignature},
		"no key":      {nil, ErrSignature},
		"short key":   {[]PublicKey{PublicKey("short")}, ErrSignature},
	} {
		h, err := back.Open(c.keys)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v; want %v", name, err, c.want)
		}
		if err == nil && (h.Version != 7 || h.Fingerprint() != headOf(7).Fingerprint()) {
			t.Errorf("%s: %+v", name, h)
		}
	}
}

func TestForgedEnvelopesAreRefused(t *testing.T) {
	key := keyOf(1)
	trusted := []PublicKey{key.Public()}
	for attack, forge := range map[string]func(*Envelope){
		"payload changed":         func(e *Envelope) { e.Payload[20] ^= 1 },
		"payload of another head": func(e *Envelope) { o, _ := Sign(headOf(8), keyOf(3)); e.Payload = o.Payload },
		"no signature":            func(e *Envelope) { e.Signatures = nil },
		"empty signature":         func(e *Envelope) { e.Signatures[0].Sig = nil },
		"signature cut":           func(e *Envelope) { e.Signatures[0].Sig = e.Signatures[0].Sig[:63] },
		"key id of a trusted key": func(e *Envelope) {
			o, _ := Sign(headOf(9), keyOf(3))
			o.Signatures[0].KeyID = key.Public().ID()
			*e = *o
		},
		"signature over the bare payload": func(e *Envelope) { e.Signatures[0].Sig = ed25519.Sign(key.key, e.Payload) },
		"another payload type": func(e *Envelope) {
			e.PayloadType = "application/vnd.in-toto+json"
		},
		"very many signatures": func(e *Envelope) {
			for range 100 {
				e.Signatures = append(e.Signatures, e.Signatures[0])
			}
		},
		"very long payload": func(e *Envelope) { e.Payload = make([]byte, MaxHeadSize+1) },
	} {
		e, err := Sign(headOf(7), key)
		if err != nil {
			t.Fatal(err)
		}
		forge(e)
		if h, err := e.Open(trusted); !errors.Is(err, ErrSignature) && !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v, %v", attack, h, err)
		}
	}
}

// signed signs any payload, as a key holder with a newer or broken program
// would.
func signed(payload string, key SigningKey) *Envelope {
	return &Envelope{PayloadType, []byte(payload), []Signature{{"", ed25519.Sign(key.key, pae([]byte(payload)))}}}
}

func TestSignedHeadIsStillChecked(t *testing.T) {
	key := keyOf(1)
	trusted := []PublicKey{key.Public()}
	if _, err := signed(`{"format":2,"new":"field"}`, key).Open(trusted); !errors.Is(err, ErrFormat) {
		t.Errorf("newer format: %v; want ErrFormat", err)
	}
	good := string(must(json.Marshal(headOf(7))))
	later := strings.Replace(good, `"format":1`, `"format":1,"of_a_later_satchel":[1]`, 1)
	if h, err := signed(later, key).Open(trusted); err != nil || h.Version != 7 {
		t.Errorf("a field of a later Satchel: %v; want it passed over", err)
	}
	for name, payload := range map[string]string{
		"no JSON":            "hello",
		"channels unsorted":  strings.Replace(good, `"id":"c1"`, `"id":"c3"`, 1),
		"channel with colon": strings.Replace(good, `"id":"c2"`, `"id":"c2:1"`, 1),
		"message in colours": strings.Replace(good, "Homework", `\u001b[31mHomework`, 1),
		"format zero":        strings.Replace(good, `"format":1`, `"format":0`, 1),
		"no course":          strings.Replace(good, "scala101", "", 1),
		"version zero":       strings.Replace(good, `"version":7`, `"version":0`, 1),
		"version past 2^53":  strings.Replace(good, `"version":7`, fmt.Sprintf(`"version":%d`, MaxVersion+1), 1),
		"version a fraction": strings.Replace(good, `"version":7`, `"version":7.5`, 1),
		"folder climbs out":  strings.Replace(good, `"folder":"scala"`, `"folder":"../x"`, 1),
		"hidden folder":      strings.Replace(good, `"folder":"scala"`, `"folder":".ssh"`, 1),
		"channel twice":      strings.Replace(good, `"id":"c2"`, `"id":"c1"`, 1),
		"channel without id": strings.Replace(good, `"id":"c2"`, `"id":""`, 1),
		"no manifest":        strings.Replace(good, digestOf("m2").String(), "", 1),
		"endless message":    strings.Replace(good, "Homework", strings.Repeat("ñ", MaxMessage+1), 1),
		"no time":            strings.Replace(good, `"published":"2026-11-20T12:00:00Z"`, `"published":"0001-01-01T00:00:00Z"`, 1),
		"two heads":          good + good,
	} {
		if payload == good {
			t.Fatalf("%s: the case changes nothing", name)
		}
		if h, err := signed(payload, key).Open(trusted); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v, %v; want ErrCorrupt", name, h, err)
		}
	}
}

func TestSignRefusesABadHead(t *testing.T) {
	if _, err := Sign(headOf(0), keyOf(1)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("version 0: %v", err)
	}
	if _, err := Sign(headOf(1)); err == nil {
		t.Error("a head was signed by nobody")
	}
	h := headOf(1)
	for i := range 20_000 {
		h.Channels = append(h.Channels, ChannelAt{fmt.Sprint("x", i), digestOf("m")})
	}
	if _, err := Sign(h, keyOf(1)); err == nil {
		t.Error("a head was signed that nobody would open")
	}
}

func TestFingerprintTellsHeadsApart(t *testing.T) {
	a, b := headOf(7), headOf(7)
	b.Channels[1].Manifest = digestOf("other")
	if a.Fingerprint() == b.Fingerprint() || len(a.Fingerprint()) != 32 {
		t.Errorf("%s and %s", a.Fingerprint(), b.Fingerprint())
	}
	b = headOf(8)
	b.Message = "another"
	if a.Fingerprint() != b.Fingerprint() {
		t.Error("the fingerprint depends on more than the manifests")
	}
}

func TestPublicKeysText(t *testing.T) {
	a, b := keyOf(1).Public(), keyOf(2).Public()
	text := fmt.Sprintf("# the course's keys\n%s, %s\r\n\n  # old\n", a, b)
	keys, err := ParsePublicKeys(text)
	if err != nil || len(keys) != 2 || keys[0].String() != a.String() || keys[1].ID() != b.ID() {
		t.Errorf("%v, %v", keys, err)
	}
	if keys, err := ParsePublicKeys(""); err != nil || len(keys) != 0 {
		t.Errorf("empty: %v, %v", keys, err)
	}
	for attack, text := range map[string]string{
		"no prefix":       strings.TrimPrefix(a.String(), publicPrefix),
		"another kind":    strings.Replace(a.String(), "ed25519:", "rsa:", 1),
		"cut":             a.String()[:40],
		"not base64":      "ed25519:" + strings.Repeat("!", 44),
		"trailing bits":   a.String()[:50] + "B=",
		"a private key":   string(must(keyOf(1).PEM())),
		"one good of two": a.String() + " ed25519:AAAA",
	} {
		if keys, err := ParsePublicKeys(text); err == nil {
			t.Errorf("%s: %v", attack, keys)
		}
	}
}

func TestSigningKeyIsNeverPrinted(t *testing.T) {
	key := keyOf(1)
	text, err := key.PEM()
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParseSigningKey(text)
	if err != nil || back.Public().String() != key.Public().String() {
		t.Fatalf("round trip: %v", err)
	}
	seed := string(key.key.Seed())
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		got := fmt.Sprintf(verb, key) + fmt.Sprintf(verb, struct{ K SigningKey }{key})
		if strings.Contains(got, seed) || !strings.Contains(got, "[hidden]") {
			t.Errorf("%s shows %s", verb, got)
		}
	}
	if data, err := json.Marshal(struct{ K SigningKey }{key}); err == nil {
		t.Errorf("written as %s", data)
	}
	if _, err := ParseSigningKey([]byte("-----BEGIN EC PRIVATE KEY-----\n-----END EC PRIVATE KEY-----\n")); err == nil {
		t.Error("a key of another kind was read")
	}
	if made, err := NewSigningKey(); err != nil || made.Public().String() == key.Public().String() {
		t.Errorf("a new key: %v", err)
	}
}

func TestDigestText(t *testing.T) {
	d := digestOf("x")
	var back Digest
	if text, err := d.MarshalText(); err != nil || back.UnmarshalText(text) != nil || back != d {
		t.Error("no round trip")
	}
	if err := back.UnmarshalText(nil); err != nil || !back.IsZero() {
		t.Error("empty text is not the zero digest")
	}
	for _, bad := range []string{"x", d.String() + "0", strings.ToUpper(d.String()), strings.Repeat("g", 64), " " + d.String()[1:]} {
		if _, err := ParseDigest(bad); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestJSONOfMillionsOfValues: "{}" is three bytes of text and a hundred in
// memory, so what would be too many is refused before it is decoded.
func TestJSONOfMillionsOfValues(t *testing.T) {
	for text, ok := range map[string]bool{
		"[" + strings.Repeat("{},", 1_000_000) + "{}]":                       true,
		"[" + strings.Repeat("{},", 1_100_000) + "{}]":                       false,
		"[" + strings.Repeat("0,", 2_200_000) + "0]":                         false,
		"[" + strings.Repeat("[],", 1_100_000) + "[]]":                       false,
		"[" + strings.Repeat("\"a path of some length\",", 50_000) + "\"\"]": true,
	} {
		var v []json.RawMessage
		if err := DecodeLenient([]byte(text), MaxIndexSize, &v); (err == nil) != ok || err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("%.20s… of %d bytes: %v", text, len(text), err)
		}
	}
}
