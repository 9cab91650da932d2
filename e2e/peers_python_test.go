//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// helper is the Python process that asks nbformat and nbdime (testdata/peers.py).
type helper struct {
	mu  sync.Mutex
	in  *json.Encoder
	out *json.Decoder
}

// reply is one answer of it.
type reply struct {
	Why       string `json:"why"`
	Text      string `json:"text"`
	Conflicts int    `json:"conflicts"`
}

var (
	helperOnce sync.Once
	theHelper  *helper
	helperErr  error
)

// venv is the virtual environment that "make peers" made.
func venv(t testing.TB) string {
	dir := os.Getenv("SATCHEL_PEERS")
	if dir == "" {
		dir = "../.cache/venv-peers"
	}
	dir, err := filepath.Abs(dir)
	must(t, err)
	if _, err := os.Stat(filepath.Join(dir, "bin", "gitpuller")); err != nil {
		t.Fatalf("no nbgitpuller in %s: make peers installs it", dir)
	}
	return dir
}

func python(t testing.TB) *helper {
	t.Helper()
	helperOnce.Do(func() {
		c := exec.Command(filepath.Join(venv(t), "bin", "python3"), "testdata/peers.py")
		c.Stderr = os.Stderr
		in, err := c.StdinPipe()
		must(t, err)
		out, err := c.StdoutPipe()
		must(t, err)
		helperErr = c.Start()
		theHelper = &helper{in: json.NewEncoder(in), out: json.NewDecoder(out)}
	})
	must(t, helperErr)
	return theHelper
}

func (h *helper) ask(request any) (r reply) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.in.Encode(request); err != nil {
		return reply{Why: fmt.Sprint("the helper: ", err)}
	}
	if err := h.out.Decode(&r); err != nil {
		return reply{Why: fmt.Sprint("the helper: ", err)}
	}
	return r
}

// opens says why nbformat does not read or validate a notebook, or "".
func (h *helper) opens(path string) string { return h.ask(map[string]string{"opens": path}).Why }

// nbdime merges three files.
func (h *helper) nbdime(base, mine, theirs string) reply {
	return h.ask(map[string][]string{"merge": {base, mine, theirs}})
}
