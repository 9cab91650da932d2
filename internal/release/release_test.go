package release

import (
	"os"
	"strings"
	"testing"
)

// TestTheHubsWheelHasThisVersion: the hub's file is of the service's release.
func TestTheHubsWheelHasThisVersion(t *testing.T) {
	project, err := os.ReadFile("../../images/hub/pyproject.toml")
	if err != nil {
		t.Fatal(err)
	}
	if want := "\nversion = \"" + Version + "\"\n"; !strings.Contains(string(project), want) {
		t.Errorf("images/hub/pyproject.toml has not%s", want)
	}
}
