// Package imports holds the rules of who may import what: it is the size
// claim and the security claim of the student's side in one test.
package imports

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// deps are the packages that a package needs, all the way down.
func deps(t *testing.T, pkg string) []string {
	t.Helper()
	c := exec.Command("go", "list", "-deps", pkg)
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("go list %s: %v", pkg, err)
	}
	return strings.Fields(string(out))
}

// heavy modules and the one package that may import each directly.
var homes = map[string]string{
	"github.com/go-git/":                   "satchel/source",
	"github.com/gin-gonic/":                "satchel/hookserver",
	"github.com/aws/":                      "satchel/store",
	"github.com/spf13/":                    "satchel/cmd/satchel",
	"github.com/prometheus/client_golang/": "satchel/hookserver",
	"github.com/klauspost/compress/":       "satchel/bundle",
}

// besides the home: where a library with a narrow use is allowed as well.
var alsoAllowed = map[string]bool{}

func TestHeavyModulesHaveOneHome(t *testing.T) {
	c := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "satchel/...")
	out, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		for _, imp := range words[1:] {
			for prefix, home := range homes {
				if strings.HasPrefix(imp, prefix) && words[0] != home && !alsoAllowed[words[0]+" "+imp] {
					t.Errorf("%s imports %s; its only home is %s", words[0], imp, home)
				}
			}
		}
	}
}

// student are the only modules that the student's side may hold.
var student = []string{"satchel/", "golang.org/x/sys/", "github.com/klauspost/compress/"}

// notStudent are our packages that belong to the service.
var notStudent = []string{"satchel/source", "satchel/store", "satchel/syncer", "satchel/hookserver", "satchel/course", "satchel/internal/config", "satchel/internal/students", "satchel/internal/hub"}

func TestStudentSideIsSmall(t *testing.T) {
	for _, dep := range deps(t, "satchel/cmd/satchel-agent") {
		std := !strings.Contains(strings.Split(dep, "/")[0], ".") && !strings.HasPrefix(dep, "satchel")
		if strings.HasPrefix(dep, "vendor/") || std {
			continue
		}
		ours := false
		for _, p := range student {
			ours = ours || strings.HasPrefix(dep+"/", p)
		}
		for _, p := range notStudent {
			ours = ours && !strings.HasPrefix(dep+"/", p+"/")
		}
		if !ours {
			t.Errorf("the agent holds %s", dep)
		}
	}
}

func TestAgentIsAtMost10MB(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "satchel-agent")
	c := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", bin, "satchel/cmd/satchel-agent")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	info, err := os.Stat(bin)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("satchel-agent: %.1f MB", float64(info.Size())/1e6)
	if info.Size() > 10_000_000 {
		t.Errorf("satchel-agent has %d bytes; the limit is 10 MB", info.Size())
	}
}
