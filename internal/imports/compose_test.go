package imports

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestNoPartGoesByAStudentsName: students' containers are named PREFIX-USER, and
// Docker tells containers' names to all on a network; so no name by which the
// parts of the compose file call each other has a hyphen.
func TestNoPartGoesByAStudentsName(t *testing.T) {
	text, err := os.ReadFile("../../docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	services, _, _ := strings.Cut(string(text), "\nnetworks:\n")
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^  ([\w-]+):$`).FindAllStringSubmatch(services, -1) {
		names = append(names, m[1])
	}
	for _, m := range regexp.MustCompile(`aliases: \[([^\]]+)\]`).FindAllStringSubmatch(services, -1) {
		names = append(names, strings.Split(m[1], ", ")...)
	}
	if len(names) < 10 {
		t.Fatalf("only %q was found", names)
	}
	for _, name := range names {
		if strings.Contains(name, "-") {
			t.Errorf("%s can be a student's container", name)
		}
	}
}
