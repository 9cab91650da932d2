//go:build unix

package main

import (
	"bytes"
	"strings"
	"testing"

	"satchel/bundle"
	"satchel/internal/students"
)

func TestTrustWhileAKeyIsReplaced(t *testing.T) {
	both := &bundle.Envelope{Signatures: []bundle.Signature{{KeyID: "new"}, {KeyID: "old"}}}
	told := []students.KeysCount{{Keys: "new,old", N: 5}, {Keys: "old", N: 3}, {Keys: "new", N: 2}, {Keys: "other", N: 1}}
	tr := trusted(both, told)
	var out bytes.Buffer
	(&app{out: &out}).printTrust(tr)
	for _, line := range []string{"new signs; trusted by 7 servers (by 2 as", "old signs; trusted by 8 servers (by 3 as", "CUT OFF   1 server: no key"} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("no line with %q in\n%s", line, &out)
		}
	}
	out.Reset()
	(&app{out: &out}).printTrust(trusted(&bundle.Envelope{Signatures: both.Signatures[:1]}, told))
	if strings.Contains(out.String(), "signs;") || !strings.Contains(out.String(), "CUT OFF   4 servers") {
		t.Errorf("the old one gone:\n%s", &out)
	}
	out.Reset()
	(&app{out: &out}).printTrust(trusted(&bundle.Envelope{Signatures: both.Signatures[:1]}, told[:1]))
	if out.Len() > 0 {
		t.Errorf("nothing is the matter:\n%s", &out)
	}
}
