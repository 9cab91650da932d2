//go:build unix

package main

import (
	"strings"
	"testing"
	"time"

	"satchel/syncer"
)

// Whoever took something back reads which hookservers may still give it out.
func TestAWithdrawalNamesWhoMayStillGiveItOut(t *testing.T) {
	var out strings.Builder
	heard := time.Date(2026, 9, 1, 9, 12, 0, 0, time.Local)
	(&app{out: &out}).printServers(syncer.Withdrawal{
		Servers: []string{"well-1"}, Unconfirmed: []string{"slow-2"}, Silent: []syncer.SilentServer{{ID: "cut-off-3", Heard: heard}},
	})
	want := "The hookserver slow-2 has not said yet that it gives out none of it: it does so as soon as it can read the store.\n" +
		"The hookserver cut-off-3 was not heard since 2026-09-01 09:12; if it still runs it may give it out until it reads the store again.\n"
	if out.String() != want {
		t.Errorf("%s", out.String())
	}
}
