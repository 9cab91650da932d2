package main

import (
	"fmt"
	"strings"
	"time"
)

// plural is "1 course" or "2 courses", and "2 students' servers".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if whose, what, ok := strings.Cut(noun, "'s "); ok {
		return fmt.Sprintf("%d %ss' %ss", n, whose, what)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// ago is a time as people say it.
func ago(now, t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	d := now.Sub(t)
	switch {
	case d < 0:
		return "in " + round(-d)
	case d < time.Second:
		return "just now"
	}
	return round(d) + " ago"
}

func round(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
