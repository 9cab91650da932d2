package strict

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

var days = regexp.MustCompile(`^(\d{1,6})d`)

// ParseDuration reads "90s", "1h30m", and days: "180d", "1d12h".
func ParseDuration(s string) (time.Duration, error) {
	rest := strings.TrimSpace(s)
	whole := time.Duration(0)
	if m := days.FindStringSubmatch(rest); m != nil {
		n, _ := strconv.Atoi(m[1])
		whole, rest = time.Duration(n)*24*time.Hour, rest[len(m[0]):]
		if n > 100_000 {
			return 0, fmt.Errorf("%q is longer than a lifetime", Cut(s))
		}
		if rest == "" {
			return whole, nil
		}
	}
	d, err := time.ParseDuration(rest)
	switch {
	case err != nil && strings.Trim(rest, "0123456789") == "" && rest != "":
		return 0, fmt.Errorf("%q has no unit; write %ss for seconds, %sd for days", Cut(s), Cut(rest), Cut(rest))
	case err != nil:
		return 0, fmt.Errorf("%q is no length of time; write for example 90s, 15m, 2h or 180d", Cut(s))
	case d < 0:
		return 0, errors.New("a length of time cannot be negative")
	}
	return whole + d, nil
}

var sizes = regexp.MustCompile(`^(\d+(?:\.\d+)?) ?([kKMGT]i?B|B)?$`)

// ParseSize reads bytes: "512", "10 MB", "1.5GB" (powers of 1000), "64MiB"
// (powers of 1024).
func ParseSize(s string) (int64, error) {
	m := sizes.FindStringSubmatch(strings.TrimSpace(s))
	if m == nil {
		return 0, fmt.Errorf("%q is no size; write for example 500MB or 10GB", Cut(s))
	}
	n, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		return 0, fmt.Errorf("%q is no size", Cut(s))
	}
	step := 1000.0
	if strings.Contains(m[2], "i") {
		step = 1024
	}
	power := 0
	if m[2] != "" && m[2] != "B" {
		power = 1 + strings.IndexByte("KMGT", strings.ToUpper(m[2])[0])
	}
	n *= math.Pow(step, float64(power))
	if n >= math.MaxInt64/2 {
		return 0, fmt.Errorf("%q is too large", Cut(s))
	}
	return int64(n), nil
}
