//go:build unix

package main

import (
	"slices"
	"strings"

	"satchel/bundle"
	"satchel/internal/students"
)

// trust says what would become of students' servers if a signing key went.
type trust struct {
	SignedBy []signer `json:"signed_by,omitempty"`
	CutOff   int      `json:"cut_off,omitempty"` // servers that trust no key that signs
}

// signer is a key that signs a course's head now.
type signer struct {
	ID      string `json:"id"`
	Servers int    `json:"servers"` // whose agents trust it
	Only    int    `json:"only"`    // of those, whose agents trust no other that signs
}

// trusted counts servers by what they trust of a head's signers.
func trusted(e *bundle.Envelope, told []students.KeysCount) (t trust) {
	for _, s := range e.Signatures {
		t.SignedBy = append(t.SignedBy, signer{ID: s.KeyID})
	}
	for _, k := range told {
		var by []int
		for _, id := range strings.Split(k.Keys, ",") {
			if i := slices.IndexFunc(t.SignedBy, func(s signer) bool { return s.ID == id }); i >= 0 {
				by = append(by, i)
			}
		}
		for _, i := range by {
			t.SignedBy[i].Servers += k.N
		}
		switch len(by) {
		case 0:
			t.CutOff += k.N
		case 1:
			t.SignedBy[by[0]].Only += k.N
		}
	}
	return t
}

// printTrust tells of keys while one replaces another.
func (a *app) printTrust(t trust) {
	if len(t.SignedBy) > 1 {
		for _, s := range t.SignedBy {
			a.printf("  key:      %s signs; trusted by %s (by %d as the only one that signs)\n", s.ID, plural(s.Servers, "server"), s.Only)
		}
	}
	if t.CutOff > 0 {
		a.printf("  CUT OFF   %s: no key that signs is trusted there, and students read that they start a new one\n", plural(t.CutOff, "server"))
	}
}
