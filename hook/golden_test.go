package hook

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"testing"

	"satchel/bundle"
)

func readGolden(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/golden/v1/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// What version 1 wrote is read for ever, and nothing of it is dropped.
func TestGoldenIsRead(t *testing.T) {
	for name, v := range map[string]any{"offer.json": &Offer{}, "offer-urls.json": &Offer{}, "ask.json": &Ask{}, "login.json": &Login{}, "admission.json": &Admission{}, "admission-courses.json": &Admission{}, "receipt.json": &Receipt{}, "problem.json": &Problem{}, "event.json": &Event{}, "proof.json": &Proof{}} {
		data := readGolden(t, name)
		if err := bundle.DecodeStrict(data, len(data), v); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		again, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var was, is any
		if json.Unmarshal(data, &was) != nil || json.Unmarshal(again, &is) != nil || !reflect.DeepEqual(was, is) {
			t.Errorf("%s is written anew as %s", name, again)
		}
	}
}

// The packed form, as it was on the wire.
func TestGoldenOfferOnTheWire(t *testing.T) {
	for _, name := range []string{"offer", "offer-urls"} {
		o, err := ReadOffer(bytes.NewReader(readGolden(t, name+".bin")))
		if err != nil {
			t.Fatal(err)
		}
		var want Offer
		if err := json.Unmarshal(readGolden(t, name+".json"), &want); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(*o, want) {
			t.Errorf("%s: got %+v", name, o)
		}
	}
}

func TestNewerOfferIsRefused(t *testing.T) {
	data, err := EncodeOffer(&Offer{Format: Format + 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ReadOffer(bytes.NewReader(data)); !errors.Is(err, bundle.ErrFormat) {
		t.Errorf("got %v", err)
	}
}
