//go:build unix

package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const listed = 20 // lines of files shown

func (t *trial) list(folder string) error {
	n := 0
	err := filepath.WalkDir(folder, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if n++; n > listed {
			return nil
		}
		rel, _ := filepath.Rel(folder, p)
		info, err := d.Info()
		if err == nil {
			t.printf("     %-36s %6d bytes\n", rel, info.Size())
		}
		return err
	})
	if n > listed {
		t.printf("     and %s more\n", plural(n-listed, "file"))
	}
	return err
}

// listMissing names what the instructor has and students do not get.
func (t *trial) listMissing(folder string) error {
	names, err := missing(t.path("instructor", t.o.folder), folder)
	if err != nil {
		return err
	}
	if n := len(names); n > listed {
		names = append(names[:listed], fmt.Sprintf("and %d more", n-listed))
	}
	if len(names) == 0 {
		names = []string{"nothing"}
	}
	t.printf("   Kept back: %s", strings.Join(names, ", "))
	if t.o.folder != "" {
		t.printf("; and everything outside %s/", t.o.folder)
	}
	t.printf(".\n")
	return nil
}

func (t *trial) explain(ctx context.Context) error {
	folder, err := t.courseFolder()
	if err != nil {
		return err
	}
	mine := filepath.Join(folder, t.clash.path)
	stem := strings.TrimSuffix(filepath.Base(mine), filepath.Ext(mine))
	dir, err := os.ReadDir(filepath.Dir(mine))
	if err != nil {
		return err
	}
	beside := slices.IndexFunc(dir, func(d fs.DirEntry) bool {
		return strings.HasPrefix(d.Name(), stem+" (course") || strings.HasPrefix(d.Name(), filepath.Base(mine)+" (course")
	})
	if beside < 0 {
		t.printf("\nWhat happened: the new file arrived; in the file that both changed stand both changes.\n  both:          %s\n", mine)
	} else {
		t.printf("\nWhat happened: the new file arrived; both changed the same lines, so ana's stand.\n  hers:          %s\n  the course's:  %s\n",
			mine, filepath.Join(filepath.Dir(mine), dir[beside].Name()))
	}
	t.printf("Where to look:\n  what ana reads      %s\n  the service's log   %s\n  the instructor's    %s\n",
		filepath.Join(t.home(), "What is new.md"), t.path("service.log"), t.path("instructor"))
	t.printf("\nDone in %.1f s.", time.Since(t.began).Seconds())
	if !t.o.keep {
		t.printf(" The service has stopped; remove the folder when you have seen enough:\n  rm -r %s\n", t.dir)
	}
	return ctx.Err()
}

func (t *trial) waitForEnd(ctx context.Context) error {
	satchel, agent := t.programs()
	t.printf(` The service goes on until Ctrl-C, and looks for a push every 5 seconds. In another terminal:

  push as the instructor:   cd '%s' && echo Hello >> '%s' && git add -A && git commit -qm Hello && git push -q
  watch the service:        %s --config '%s' status
  be ana's server:          eval "$(%s --config '%s' student ticket ana)"; SATCHEL_ROOT='%s' %s watch
`, t.path("instructor"), filepath.Join(t.o.folder, "hello.md"), satchel, t.cfg.File, satchel, t.cfg.File, t.home(), agent)
	if os.Getuid() == 0 {
		t.printf("  (the last one not as root: the agent refuses that; run this try as an ordinary user)\n")
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-t.served:
		t.served <- err
	}
	t.printf("\nThe service has stopped. To take everything away: rm -r %s\n", t.dir)
	return err
}

// programs are the commands as they can be typed here.
func (t *trial) programs() (satchel, agent string) {
	satchel, err := os.Executable()
	if err != nil {
		satchel = "satchel"
	}
	agent = filepath.Join(filepath.Dir(satchel), "satchel-agent")
	if _, err := os.Stat(agent); err != nil {
		agent = "satchel-agent" // "make build" makes it
	}
	return satchel, agent
}
