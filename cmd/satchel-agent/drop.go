package main

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
)

// identity is whom to become.
type identity struct{ uid, gid int }

// whom decides for a process with this uid: stay (ok, and nothing to become),
// become the student that docker-stacks names, or refuse.
func whom(uid int, e environ) (become *identity, ok bool) {
	if uid != 0 {
		return nil, true
	}
	u, err1 := strconv.ParseUint(e["NB_UID"], 10, 31)
	g, err2 := strconv.ParseUint(e["NB_GID"], 10, 31)
	if err1 != nil || err2 != nil || u == 0 || g == 0 {
		return nil, false
	}
	return &identity{int(u), int(g)}, true
}

// lower gives the environment that belongs to the student: nothing of root's
// own home or runtime folder.
func lower(e environ) []string {
	var out []string
	home := e["HOME"]
	if (home == "" || home == "/root" || home == "/") && e["NB_USER"] != "" && !strings.ContainsAny(e["NB_USER"], "/\x00") {
		home = "/home/" + e["NB_USER"]
	}
	for k, v := range e {
		switch k {
		case "XDG_RUNTIME_DIR", "HOME":
		default:
			out = append(out, k+"="+v)
		}
	}
	return append(out, "HOME="+home)
}

// drop lets go of root for ever and begins this program again. It returns
// only with an error.
func drop(self string, to identity, args []string, e environ) error {
	if err := syscall.Setgroups([]int{to.gid}); err != nil {
		return fmt.Errorf("set groups: %w", err)
	}
	if err := syscall.Setgid(to.gid); err != nil {
		return fmt.Errorf("become group %d: %w", to.gid, err)
	}
	if err := syscall.Setuid(to.uid); err != nil {
		return fmt.Errorf("become user %d: %w", to.uid, err)
	}
	return syscall.Exec(self, args, lower(e))
}
