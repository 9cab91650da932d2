//go:build e2e

package e2e

import (
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

const reserved = 50 << 20 // bytes that are always left free

// quota is a home of little space.
type quota struct {
	ground
	raise func(t *testing.T, dir string) // gives it more
	tells bool                           // statfs knows of it
	large int64                          // bytes that do not fit
}

// A user quota of ext4 is what most hubs have; most kernels of containers were
// built without it (CONFIG_QFMT_V2). A quota of btrfs answers EDQUOT as well,
// and statfs knows nothing of either. Of a small filesystem statfs does know.
var quotas = []quota{
	{
		large: 40_000_000, // the kernel in which this may have to run is slow
		ground: ground{name: "ext4 user quota", needs: "quota", tools: []string{"setquota", "mkfs.ext4"}, mount: before(ext4Quota,
			"truncate -s 2G image; mkfs.ext4 -q -O quota -E quotatype=usrquota image")},
		raise: func(t *testing.T, dir string) {
			mustRun(t, exec.Command("setquota", "-u", fmt.Sprint(studentID), "0", "0", "0", "0", dir))
		},
	},
	{
		large:  500_000_000,
		ground: ground{name: "btrfs quota", tools: []string{"mkfs.btrfs", "btrfs"}, mount: before(btrfsQuota, "truncate -s 3G image; mkfs.btrfs -q image")},
		raise: func(t *testing.T, dir string) {
			mustRun(t, exec.Command("btrfs", "qgroup", "limit", "none", filepath.Join(dir, "home")))
		},
	},
	{
		large: 500_000_000,
		ground: ground{name: "a small filesystem stands for the quota", mount: func(_ testing.TB, dir, _ string) error {
			return syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=150m")
		}},
		raise: func(t *testing.T, dir string) {
			must(t, syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=1500m"))
		},
		tells: true,
	},
}

func ext4Quota(t testing.TB, dir, below string) error {
	if err := command("mount", "-o", "loop,usrquota", "$below/image", "$dir")(t, dir, below); err != nil {
		return err
	}
	return command("setquota", "-u", "$uid", "20000", "20000", "0", "0", "$dir")(t, dir, below)
}

func btrfsQuota(t testing.TB, dir, below string) error {
	for _, args := range [][]string{
		{"mount", "-o", "loop", "$below/image", "$dir"},
		{"btrfs", "quota", "enable", "$dir"},
		{"btrfs", "subvolume", "create", "$dir/home"},
		{"btrfs", "qgroup", "limit", "80M", "$dir/home"},
		{"chmod", "777", "$dir/home"},
	} {
		if err := command(args...)(t, dir, below); err != nil {
			return err
		}
	}
	return nil
}

// TestE2EFullQuota: one file of 500 MB and twenty of 20 kB, in a home that has
// no room for the first: the twenty arrive, the one is named, and comes when
// there is room, without the twenty being written again.
func TestE2EFullQuota(t *testing.T) {
	for _, q := range quotas {
		t.Run(strings.ReplaceAll(q.name, " ", "_"), func(t *testing.T) {
			if q.tells && mountsRefused(t) && !inOwnNamespace(t) {
				return // it ran there
			}
			if dir, laid := q.lay(t); laid {
				q.fullQuota(t, dir)
			}
		})
	}
}

func (q quota) fullQuota(t *testing.T, dir string) {
	s := newSite(t)
	for i := range 20 {
		s.repo.set(fmt.Sprintf("data/small%02d.bin", i), randomText(t, 20_000))
	}
	large := filepath.Join(s.repo.work, "notebooks", largeName)
	must(t, os.WriteFile(large, nil, 0o644))
	must(t, os.Truncate(large, q.large))
	s.repo.git("config", "core.compression", "1")
	s.repo.push("large")
	v := s.configure("one", "").run("serve")
	v.ready(1)
	p := startProxy(t, v.students)
	home := dir
	if _, err := os.Stat(filepath.Join(dir, "home")); err == nil {
		home = filepath.Join(dir, "home")
	}
	st := &student{t: t, name: "ana", root: filepath.Join(home, "ana", "work")}
	must(t, os.MkdirAll(st.root, 0o755))
	st.own()
	adm := v.login("ana")
	adm.URL = strings.Replace(adm.URL, v.students, p.addr, 1)
	for _, login := range []string{"first", "second"} {
		fetched := len(p.bytes())
		said, code := runProgram(t, st.agent(adm, "sync"))
		t.Logf("%s login, exit %d, %d bytes fetched:\n%s", login, code, len(p.bytes())-fetched, said)
		if code != 3 {
			t.Errorf("%s login: exit %d, want 3 (done in part)", login, code)
		}
		// Where statfs knows nothing of the quota, what it says is free is not.
		want := fmt.Sprintf(`(?m)^Not enough space for data/large\.bin \(%d MB needed, [0-9.]+ [kMG]?B free\)\. Everything else is up to date\.$`, q.large/1e6)
		if !regexp.MustCompile(want).MatchString(said) {
			t.Errorf("%s login says %q", login, said)
		}
		q.theTwenty(s, st, login)
	}
	q.raise(t, dir)
	before, fetched := files(t, st.folder()), len(p.bytes())
	said := st.sync(adm)
	t.Logf("with more room, %d bytes fetched:\n%s", len(p.bytes())-fetched, said)
	equalFolder(t, s, st)
	after := files(t, st.folder())
	for path, f := range before {
		if after[path] != f {
			t.Errorf("%s was written again: %+v, was %+v", path, after[path], f)
		}
	}
	if again := st.sync(adm); !strings.Contains(again, "up to date (version 1)") {
		t.Errorf("a further login says %q", again)
	}
}

const largeName = "data/large.bin"

// theTwenty: all but the large one are here, and where statfs can tell, 50 MiB
// are left free.
func (q quota) theTwenty(s *site, st *student, login string) {
	s.t.Helper()
	got := onDisk(s.t, st.folder())
	for path, sum := range s.repo.delivered() {
		if _, here := got[path]; here == (path == largeName) || here && got[path] != sum {
			s.t.Errorf("%s login: %s: %v", login, path, here)
		}
	}
	var fs syscall.Statfs_t
	must(s.t, syscall.Statfs(st.root, &fs))
	if free := int64(fs.Bavail) * fs.Bsize; q.tells && free < reserved {
		s.t.Errorf("%s login: only %d bytes were left free", login, free)
	}
}

func randomText(t testing.TB, n int) string {
	t.Helper()
	b := make([]byte, n)
	_, err := rand.Read(b)
	must(t, err)
	return string(b)
}
