package bundle

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func drawFormers(t *rapid.T) []Former {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Former {
		f := Former{Path: drawPath().Draw(t, "path"), Digest: digestOf(rapid.StringN(0, 1, -1).Draw(t, "content"))}
		if rapid.Bool().Draw(t, "notebook") {
			f.Form = digestOf("form of " + f.Digest.String())
		}
		return f
	}), 0, 30).Draw(t, "formers")
}

func TestHistoryRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h, _ := History(nil).Add(drawFormers(t)...)
		back, err := DecodeHistory(h.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(back.Encode(), h.Encode()) || back.Digest() != h.Digest() {
			t.Fatal("another text after the round trip")
		}
	})
}

func TestHistoryAddIsASortedUnion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawFormers(t), drawFormers(t)
		before, _ := History(nil).Add(a...)
		kept := slices.Clone(before)
		sum, added := before.Add(b...)
		if !slices.Equal(before, kept) {
			t.Fatal("Add changed its receiver")
		}
		if !slices.IsSortedFunc(sum, compareFormers) || len(sum) != len(before)+len(added) {
			t.Fatalf("%d and %d gave %d", len(before), len(added), len(sum))
		}
		for _, f := range append(a, b...) {
			if !slices.ContainsFunc(sum.At(f.Path), func(g Former) bool { return g.Digest == f.Digest }) {
				t.Fatalf("%+v is missing", f)
			}
		}
		if again, none := sum.Add(b...); len(none) != 0 || again.Digest() != sum.Digest() {
			t.Fatal("adding the same again changed something")
		}
	})
}

func TestHistoryAtOnePathOnly(t *testing.T) {
	h, _ := History(nil).Add(Former{Path: "a", Digest: digestOf("1")}, Former{Path: "a", Digest: digestOf("2")},
		Former{Path: "a/b", Digest: digestOf("3")}, Former{Path: "b", Digest: digestOf("4")})
	if n := len(h.At("a")); n != 2 {
		t.Errorf("a has %d former contents; want 2", n)
	}
	if len(h.At("a/")) != 0 || len(h.At("zz")) != 0 {
		t.Error("a path that never was has former contents")
	}
}

func TestHistoryRefusesHostileText(t *testing.T) {
	d, zero := digestOf("x").String(), Digest{}.String()
	for name, lines := range map[string]string{
		"climbs out":                       "was " + d + " - 4:../a\n",
		"out of order":                     "was " + d + " - 1:b\nwas " + d + " - 1:a\n",
		"doubled":                          "was " + d + " - 1:a\nwas " + d + " - 1:a\n",
		"doubled with another form":        "was " + d + " - 1:a\nwas " + d + " " + d + " 1:a\n",
		"zero digest":                      "was " + zero + " - 1:a\n",
		"zero form instead of a dash":      "was " + d + " " + zero + " 1:a\n",
		"length with leading zeros":        "was " + d + " - 01:a\n",
		"no form":                          "was " + d + " 1:a\n",
		"cut off":                          "was " + d + " - 9:a",
		"a line of another kind":           "file 644 1 " + d + " merge 1:a\n",
		"very long word instead of digest": "was " + strings.Repeat("a", 1<<20) + " - 1:a\n",
	} {
		if h, err := DecodeHistory([]byte("satchel-history 1\n" + lines)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v, %v; want ErrCorrupt", name, h, err)
		}
	}
	if _, err := DecodeHistory([]byte("satchel-history 0\n")); !errors.Is(err, ErrCorrupt) {
		t.Errorf("format 0: %v", err)
	}
}
