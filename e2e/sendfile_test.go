//go:build e2e

package e2e

import (
	"bufio"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"satchel/hook"
)

// sendings are the calls by which bytes get into a socket.
const sendings = "sendfile,write,writev,sendto,sendmsg,splice,copy_file_range"

// TestE2ELargeAnswersGoBySendfile: the bytes of a large answer go from the
// file into the socket within the kernel, of a folder store as of the disk
// cache before S3. What strace sees is what counts: each layer round a
// connection or a writer can hide that it could.
func TestE2ELargeAnswersGoBySendfile(t *testing.T) {
	for _, kind := range []string{"folder", "s3"} {
		t.Run(kind, func(t *testing.T) {
			s := newSite(t)
			if kind == "s3" {
				s.onS3()
			}
			const size = 6 << 20
			for _, name := range []string{"a.bin", "b.bin", "c.bin"} {
				data := make([]byte, size)
				_, _ = rand.Read(data)
				s.repo.set("data/"+name, string(data))
			}
			s.repo.push("large")
			s.configure("syncer", "").run("syncer")
			front := s.configure("front", "")
			calls := s.path("calls")
			front.process = startCommand(t, s.dir, front.tracedBy("strace", "-f", "-qq", "-yy", "-e", "trace="+sendings, "-e", "signal=none", "-o", calls))
			front.ready(1)
			n := front.download("ana")
			must(t, front.stop())
			sent := sentBytes(t, calls, front.students)
			t.Logf("%d bytes were answered: %v", n, sent)
			if n < 3*size {
				t.Fatalf("an answer of %d bytes lacks something", n)
			}
			if got := sent["sendfile"]; got < n*9/10 {
				t.Errorf("of %d bytes only %d went by sendfile: %v", n, got, sent)
			}
		})
	}
}

// tracedBy is the hookserver's command under another.
func (v *service) tracedBy(name string, args ...string) *exec.Cmd {
	c := exec.Command(name, append(args, binary(v.site.t, "satchel"), "hookserver", "--config", v.config)...)
	c.Env = append(os.Environ(), v.site.env...)
	return c
}

// download is a first login's answer, read to its end; it gives its bytes.
func (v *service) download(user string) int64 {
	v.site.t.Helper()
	adm := v.login(user)
	c := hook.NewClient(hook.ClientOptions{URL: adm.URL, Ticket: func() string { return adm.Ticket }})
	defer c.Close()
	a, err := c.Sync(v.site.t.Context(), nil, nil, "")
	must(v.site.t, err)
	defer a.Close()
	n := int64(0)
	for {
		_, _, r, err := a.Next()
		if errors.Is(err, io.EOF) {
			return n
		}
		must(v.site.t, err)
		got, err := io.Copy(io.Discard, r)
		must(v.site.t, err)
		n += got
	}
}

var (
	aCall    = regexp.MustCompile(`^(\d+) +(\w+)\(\d+(<TCP:\[[^]]*\]>)?`)
	aResumed = regexp.MustCompile(`^(\d+) +<\.\.\. (\w+) resumed>`)
	aResult  = regexp.MustCompile(` = (\d+)$`)
)

// sentBytes counts, by system call, what went out on the connections of an
// address.
func sentBytes(t *testing.T, file, addr string) map[string]int64 {
	t.Helper()
	f, err := os.Open(file)
	must(t, err)
	defer f.Close()
	_, port, err := net.SplitHostPort(addr)
	must(t, err)
	out := map[string]int64{}
	begun := map[string]bool{} // threads whose call on such a connection goes on
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var call string
		ours := false
		if m := aCall.FindStringSubmatch(lines.Text()); m != nil {
			call, ours = m[2], strings.Contains(m[3], ":"+port+"->")
			begun[m[1]] = ours
		} else if m := aResumed.FindStringSubmatch(lines.Text()); m != nil {
			call, ours = m[2], begun[m[1]]
		}
		if m := aResult.FindStringSubmatch(lines.Text()); m != nil && ours {
			n, _ := strconv.ParseInt(m[1], 10, 64)
			out[call] += n
		}
	}
	must(t, lines.Err())
	return out
}
