//go:build e2e

package e2e

import (
	"testing"
)

func TestHubOneUser(t *testing.T) {
	s := newSite(t)
	v := s.configure("one", "").run("serve")
	v.ready(1)
	h := s.hub(hubOptions{version: "6.1.1", config: v.withHook()})
	ana := h.person("ana").login()
	t.Logf("spawn: %v", ana.spawn(""))
	t.Log(onDisk(t, h.home("ana", "")))
	kernel, cells := ana.code("scala101/lab2/rainfall.ipynb")
	t.Log(ana.run("", ana.kernel("", kernel, "scala101/lab2"), cells...))
	t.Log(h.running(""))
}
