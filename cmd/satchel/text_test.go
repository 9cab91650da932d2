package main

import "testing"

// TestPlural: also of whose things they are.
func TestPlural(t *testing.T) {
	for _, c := range []struct {
		n          int
		noun, want string
	}{{0, "course", "0 courses"}, {1, "course", "1 course"}, {1, "student's server", "1 student's server"}, {2, "student's server", "2 students' servers"}} {
		if got := plural(c.n, c.noun); got != c.want {
			t.Errorf("%d %s: %q, want %q", c.n, c.noun, got, c.want)
		}
	}
}
