package config

import (
	"fmt"
	"slices"
)

// Half is which of the two parts of the service is looked at: each may have a
// machine or a container, and secrets, of its own.
type Half string

// The halves. Both is one process, or a machine that has all.
const (
	Both       Half = ""
	Syncer     Half = "syncer"
	Hookserver Half = "hookserver"
)

// ParseHalf reads the name of a half; "" is both.
func ParseHalf(s string) (Half, error) {
	if h := Half(s); slices.Contains([]Half{Both, Syncer, Hookserver}, h) {
		return h, nil
	}
	return Both, fmt.Errorf("%q is no half of the service: syncer or hookserver", s)
}

// Has says whether the process that needs is is of h.
func (h Half) Has(is Half) bool { return h == Both || is == Both || h == is }
