//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// grounds are filesystems that homes lie on, or that are as poor as those.
var grounds = []ground{
	{name: "bindfs", tools: []string{"bindfs"}, noExchange: true, mount: before(command("bindfs", "$below/in", "$dir"), "mkdir in; chmod 777 in")},
	{name: "sshfs", tools: []string{"sshfs", "setpriv"}, noExchange: true, noOwner: true, mount: before(
		command("sshfs", "-o", "ssh_command=$below/server,allow_other,default_permissions", "there:$below/in", "$dir"),
		`mkdir in; chown $ID:$ID in
printf '#!/bin/sh\nexec setpriv --reuid '$ID' --regid '$ID' --clear-groups /usr/lib/openssh/sftp-server\n' > server; chmod +x server`)},
	{name: "unionfs", tools: []string{"unionfs"}, noExchange: true, mount: before(
		command("unionfs", "-o", "allow_other,default_permissions,cow", "$below/upper=RW:$below/lower=RO", "$dir"), "mkdir upper lower; chmod 777 upper")},
	{name: "mergerfs", tools: []string{"mergerfs"}, noExchange: true, mount: before(
		command("mergerfs", "-o", "allow_other", "$below/one:$below/two", "$dir"), "mkdir one two; chmod 777 one two")},
	{name: "exfat", tools: []string{"mkfs.exfat", "mount.exfat-fuse"}, noExchange: true, claims: true, noOwner: true, noModes: true, mount: exfat},
	{name: "overlay", mount: before(command("mount", "-t", "overlay", "-o", "lowerdir=$below/lower,upperdir=$below/upper,workdir=$below/work", "overlay", "$dir"),
		"mkdir lower upper work; chmod 777 upper")},
	{name: "fuse-overlayfs", tools: []string{"fuse-overlayfs"}, mount: before(
		command("fuse-overlayfs", "-o", "lowerdir=$below/lower,upperdir=$below/upper,workdir=$below/work,allow_other", "$dir"), "mkdir lower upper work; chmod 777 upper")},
	{name: "vfat", needs: "vfat", tools: []string{"mkfs.vfat"}, noExchange: true, noOwner: true, noModes: true, mount: before(
		command("mount", "-o", "loop,uid=$uid,gid=$uid,utf8", "$below/image", "$dir"), "truncate -s 300M image; mkfs.vfat image >/dev/null")},
	{name: "NFS 3", needs: "nfsd", tools: nfsTools, noExchange: true, mount: nfs("vers=3,nolock,tcp", ":/srv/export")},
	{name: "NFS 4.2", needs: "nfsd", tools: nfsTools, noExchange: true, mount: nfs("vers=4.2", ":/")},
}

// exfat is FUSE on a device: it has no links, no permissions, and small letters
// equal large ones.
func exfat(t testing.TB, dir, below string) error {
	mustRun(t, exec.Command("sh", "-euc", "truncate -s 300M "+below+"/image; mkfs.exfat "+below+"/image"))
	loop, code := runProgram(t, exec.Command("losetup", "--find", "--show", below+"/image"))
	if code != 0 {
		return errors.New(loop)
	}
	loop = strings.TrimSpace(loop)
	t.Cleanup(func() { _ = exec.Command("losetup", "--detach", loop).Run() })
	return command("mount.exfat-fuse", "-o", "uid=$uid,gid=$uid,allow_other", loop, "$dir")(t, dir, below)
}

var nfsTools = []string{"rpcbind", "rpc.nfsd", "rpc.mountd", "exportfs", "mount.nfs"}

// nfs exports a folder of this machine to itself. It runs only in a kernel of
// its own, whose files in /run and /var/lib/nfs are gone with it.
func nfs(options, path string) func(testing.TB, string, string) error {
	return before(command("mount", "-t", "nfs", "-o", options, "127.0.0.1"+path, "$dir"), `
truncate -s 500M image; mkfs.ext4 -q image; mkdir -p /tmp/export; mount -o loop image /tmp/export
mount -t tmpfs tmpfs /srv; mkdir /srv/export; mount --bind /tmp/export /srv/export; mount -t nfsd nfsd /proc/fs/nfsd
mkdir -p /var/lib/nfs/v4recovery /var/lib/nfs/sm /var/lib/nfs/rpc_pipefs; touch /var/lib/nfs/etab /var/lib/nfs/rmtab
rpcbind </dev/null >/dev/null 2>&1; rpc.mountd </dev/null >/dev/null 2>&1
ROOT=/srv/export; chmod 777 /tmp/export
exportfs -o rw,no_root_squash,insecure,no_subtree_check,fsid=0 127.0.0.1:$ROOT
rpc.nfsd -G 10 2 </dev/null >/dev/null 2>&1`)
}

// TestE2EOtherFilesystems: the whole story of a home on each of them: first
// delivery, edits, the update of sixty files, two logins at once, files and
// the folder deleted; and, where that is quick, a kill before each so many-th
// call.
func TestE2EOtherFilesystems(t *testing.T) {
	for _, g := range grounds {
		t.Run(strings.ReplaceAll(g.name, " ", "_"), func(t *testing.T) {
			dir, laid := g.lay(t)
			if !laid {
				return // it ran elsewhere
			}
			u := newUpdateOn(t, g, dir)
			u.twoAtOnce(t)
			u.deleted(t)
			if strikesOn != nil && !elsewhere() {
				strikesOn(t, u)
			}
		})
	}
}

// strikesOn kills on another filesystem; nil where there is no tracer.
var strikesOn func(t *testing.T, u *update)

// twoAtOnce: of two logins at once both end well.
func (u *update) twoAtOnce(t *testing.T) {
	st := u.copyOf(u.tmpl, "twice")
	adm := u.v.login(st.name)
	ends := make(chan string, 2)
	for range 2 {
		c := st.agent(adm, "sync")
		go func() {
			out, err := c.CombinedOutput()
			if err != nil {
				out = fmt.Appendf(out, "and ends with %v", err)
			}
			ends <- string(out)
		}()
	}
	for range 2 {
		if said := <-ends; strings.Contains(said, "and ends with") || strings.TrimSpace(said) == "" {
			t.Errorf("of two logins at once one says %q", said)
		}
	}
	u.converges(st, adm, "two logins at once", false)
}

// deleted: a file that the student deleted comes back once, and a second
// deletion holds; the course's folder comes back whenever it is away.
func (u *update) deleted(t *testing.T) {
	st := u.copyOf(u.tmpl, "deletes")
	adm := u.v.login(st.name)
	st.sync(adm)
	one := filepath.Join(st.folder(), "plain/r0.txt")
	for i, back := range []bool{true, false} {
		must(t, os.Remove(one))
		said := st.sync(adm)
		if _, err := os.Stat(one); (err == nil) != back {
			t.Errorf("deletion %d: %v\n%s", i+1, err, said)
		}
	}
	must(t, os.RemoveAll(st.folder()))
	st.sync(adm)
	got := onDisk(t, st.folder())
	for p, sum := range u.s.repo.delivered() {
		if got[p] != sum {
			t.Errorf("the folder was deleted: %s did not come back", p)
		}
	}
}
