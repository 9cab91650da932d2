package course

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"

	"satchel/bundle"
)

// TestScanFindsAcrossChunks: wherever a secret or a marker lies, also over
// the border of two chunks, it is found once, with its line.
func TestScanFindsAcrossChunks(t *testing.T) {
	token := secrets.Replace("@@GITHUB@@")
	pem := secrets.Replace("@@PEM@@")
	conflict := "<<<<<<< HEAD\nmine\n=======\ntheirs\n>>>>>>> x\n"
	around := []int{0, 1, chunk - 60, chunk - 30, chunk - 2, chunk - 1, chunk, chunk + 1, chunk + window - 50, chunk + window - 1, chunk + window, chunk + window + 1, 2*chunk - 20, 3 * chunk}
	for _, at := range around {
		lines := bytes.Repeat([]byte("0123456789abcde\n"), at/16+1)[:at]
		before := bytes.Count(lines, []byte("\n"))
		text := string(lines) + "\n" + token + "\n" + pem + "\n" + conflict + strings.Repeat("z ", 3000)
		s := newScan()
		s.Write([]byte(text))
		s.finish()
		if len(s.secrets) != 2 || s.secrets[0].Line != before+2 || s.secrets[1].Line != before+3 {
			t.Errorf("at %d: secrets %+v, want lines %d and %d", at, s.secrets, before+2, before+3)
		}
		if want := before + 3 + strings.Count(pem, "\n") + 1; s.conflicts != want {
			t.Errorf("at %d: conflict in line %d, want %d", at, s.conflicts, want)
		}
	}
}

// TestScanInAnyPieces: how the bytes come does not matter.
func TestScanInAnyPieces(t *testing.T) {
	text := strings.Repeat("line\n", 100) + secrets.Replace("x=@@AWS@@;\n@@GITLAB@@\n") + "<<<<<<< a\n=======\n>>>>>>> b"
	whole, err := inspectContent(strings.NewReader(text), false)
	if err != nil {
		t.Fatal(err)
	}
	pieces, err := inspectContent(iotest.OneByteReader(strings.NewReader(text)), false)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(whole) != fmt.Sprint(pieces) || len(whole.Stops) != 2 || len(whole.Held) != 1 {
		t.Errorf("%+v\n%+v", whole, pieces)
	}
	if whole.Digest != bundle.Sum([]byte(text)) || whole.Size != int64(len(text)) {
		t.Errorf("digest or size of %+v", whole)
	}
}

func TestSecretsAreNotNamed(t *testing.T) {
	token := secrets.Replace("@@GITHUB@@")
	f, err := inspectContent(strings.NewReader(token), false)
	if err != nil || len(f.Stops) != 1 || strings.Contains(fmt.Sprint(f), token[8:]) {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestFindingsAreBounded(t *testing.T) {
	f, err := inspectContent(strings.NewReader(strings.Repeat(secrets.Replace("@@AWS@@\n"), 1000)), false)
	if err != nil || len(f.Stops) != maxPerContent {
		t.Errorf("%d findings, %v", len(f.Stops), err)
	}
}

func TestReadErrorIsTold(t *testing.T) {
	if _, err := inspectContent(iotest.ErrReader(fmt.Errorf("disk on fire")), true); err == nil || !strings.Contains(err.Error(), "disk on fire") {
		t.Errorf("%v", err)
	}
}

func FuzzScan(f *testing.F) {
	f.Add([]byte(secrets.Replace("@@PEM@@ @@GITHUB@@ @@AWS@@ @@SLACK@@")), 7)
	f.Add([]byte("<<<<<<< a\n=======\n>>>>>>> b\n"), 3)
	f.Fuzz(func(t *testing.T, data []byte, piece int) {
		one, two := newScan(), newScan()
		one.Write(data)
		one.finish()
		for rest := data; len(rest) > 0; {
			n := min(max(piece%100, 1), len(rest))
			two.Write(rest[:n])
			rest = rest[n:]
		}
		two.finish()
		if fmt.Sprint(one.secrets, one.conflicts) != fmt.Sprint(two.secrets, two.conflicts) {
			t.Fatalf("%v %v in one piece, %v %v in pieces", one.secrets, one.conflicts, two.secrets, two.conflicts)
		}
	})
}

func BenchmarkInspect(b *testing.B) {
	text := strings.Repeat("The quick brown fox jumps over the lazy dog; ghost, sky, AI.\n", 1<<14)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := inspectContent(strings.NewReader(text), false); err != nil {
			b.Fatal(err)
		}
	}
}
