package source

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha1"
	"encoding/binary"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// liar is an SSH server that lets anybody in and says what it is told to.
func liar(t *testing.T, say func(ssh.Channel)) Remote {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	config := &ssh.ServerConfig{NoClientAuth: true}
	config.AddHostKey(key)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			lie(conn, config, say)
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	file, _ := newKeyFile(t, "key")
	known := filepath.Join(t.TempDir(), "known_hosts")
	writeFile(t, known, knownhosts.Line([]string{knownhosts.Normalize(l.Addr().String())}, key.PublicKey()))
	return Remote{URL: "ssh://git@" + l.Addr().String() + "/x.git", KeyFiles: []string{file}, KnownHostsFile: known}
}

func lie(conn net.Conn, config *ssh.ServerConfig, say func(ssh.Channel)) {
	defer conn.Close()
	server, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for asked := range channels {
		channel, requests, err := asked.Accept()
		if err != nil {
			return
		}
		for r := range requests {
			r.Reply(true, nil)
			if r.Type == "exec" {
				break
			}
		}
		go ssh.DiscardRequests(requests)
		say(channel)
		channel.Close()
	}
	server.Close()
}

const someHash = "0123456789012345678901234567890123456789"

// line is one packet of git's protocol.
func line(text string) string {
	var out bytes.Buffer
	_ = pktline.NewEncoder(&out).EncodeString(text)
	return out.String()
}

func branches(caps string) string {
	return line(someHash+" refs/heads/main\x00"+caps+"\n") + "0000"
}

const usualCaps = "side-band-64k ofs-delta multi_ack_detailed"

func TestServersThatLie(t *testing.T) {
	exit := func(c ssh.Channel, status byte) { c.SendRequest("exit-status", false, []byte{0, 0, 0, status}) }
	for name, c := range map[string]struct {
		says string
		ends func(ssh.Channel)
		kind Kind
		want string
	}{
		"nothing, and no reason":         {"", func(c ssh.Channel) { exit(c, 1) }, Repository, "does not say why"},
		"nothing, hung up":               {"", nil, Unreachable, "hung up"},
		"an error packet":                {line("ERR no such project\n"), nil, Repository, "no such project"},
		"a greeting of a login script":   {"Welcome to the school's server!\n", nil, Repository, "login script"},
		"words with control characters":  {line("ERR \x1b[31mred\x07\n"), nil, Repository, "[31mred"},
		"no side band":                   {branches("ofs-delta"), nil, Broken, "too old"},
		"half a list":                    {branches(usualCaps)[:60], nil, Unreachable, "hung up"},
		"no answer to the question":      {branches(usualCaps), nil, Unreachable, "hung up"},
		"a wrong answer":                 {branches(usualCaps) + line("MAYBE\n"), nil, Broken, "MAYBE"},
		"an error instead of a pack":     {branches(usualCaps) + line("NAK\n") + line("\x03out of memory"), nil, Unreachable, "out of memory"},
		"an error packet before it":      {branches(usualCaps) + line("ERR not our ref"), nil, Unreachable, "not our ref"},
		"half a pack":                    {branches(usualCaps) + line("NAK\n") + line("\x01PACK\x00\x00\x00\x02\x00\x00\x00\x01abc"), nil, Unreachable, "hung up"},
		"a short pack, said to be whole": {branches(usualCaps) + line("NAK\n") + line("\x01PACK\x00\x00\x00\x02\x00\x00\x00\x09") + "0000", nil, Broken, "not a whole repository"},
		"noise for a pack":               {branches(usualCaps) + line("NAK\n") + line("\x01"+noise(1000)) + "0000", nil, Broken, "not a whole repository"},
		"an empty pack":                  {branches(usualCaps) + line("NAK\n") + "0000", nil, Broken, "not a whole repository"},
		"an unknown channel":             {branches(usualCaps) + line("NAK\n") + line("\x09x") + "0000", nil, Broken, ""},
	} {
		t.Run(name, func(t *testing.T) {
			remote := liar(t, func(ch ssh.Channel) {
				io.WriteString(ch, c.says)
				if c.ends != nil {
					c.ends(ch)
				}
				if strings.Contains(c.says, "refs/heads/main\x00") { // until it asked
					io.CopyN(io.Discard, ch, 80)
				}
			})
			m := newMirror(t, remote)
			_, err := m.At(t.Context(), someHash)
			fails(t, err, c.kind, c.want)
			if strings.ContainsAny(err.Error(), "\x1b\x07\n") {
				t.Errorf("control characters in %q", err)
			}
			if n := len(m.cloneFolders()); n != 0 {
				t.Errorf("%d half clones stay", n)
			}
		})
	}
}

// A server that never ends its list is given up at the limit, not at the end
// of memory.
func TestEndlessList(t *testing.T) {
	one := line(someHash + " refs/heads/" + strings.Repeat("x", 60_000))
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.WriteString(w, line(someHash+" HEAD\x00"+usualCaps))
		for {
			if _, err := io.WriteString(w, one); err != nil {
				return
			}
		}
	}()
	_, err := readRefs(r)
	if err == nil || !strings.Contains(err.Error(), "more than the limit") {
		t.Errorf("got %v", err)
	}
	r.Close()
	<-done
}

func TestReadAcks(t *testing.T) {
	ack := "ACK " + someHash
	for text, ok := range map[string]bool{
		line("NAK\n"):    true,
		line(ack + "\n"): true,
		line(ack+" common\n") + line(ack+" ready\n") + line(ack): true,
		line(ack + " common\n"):                                  false,
		"":                                                       false,
		"0000":                                                   false,
		"zzzz":                                                   false,
		strings.Repeat(line(ack+" common\n"), maxAcks+1): false,
	} {
		if err := readAcks(strings.NewReader(text)); (err == nil) != ok {
			t.Errorf("%.80q: %v", text, err)
		}
	}
}

func TestQuote(t *testing.T) {
	for _, path := range []string{"/a b.git", "it's!.git", "$(id)", "`id`", "a\\b", "'", "\"", "*", "~x"} {
		out, err := exec.Command("sh", "-c", "printf %s "+quote(path)).Output()
		if err != nil || string(out) != path {
			t.Errorf("%s becomes %q, %v", path, out, err)
		}
	}
}

func FuzzReadRefs(f *testing.F) {
	f.Add([]byte(branches(usualCaps)))
	f.Add([]byte(line(strings.Repeat("0", 40)+" capabilities^{}\x00"+usualCaps) + "0000"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if refs, err := readRefs(bytes.NewReader(data)); err == nil {
			packRequest(plumbing.ZeroHash, nil, refs.can)
		}
		readAcks(bytes.NewReader(data))
	})
}

// Hostile packs, each with a right checksum, so that it is not that which
// saves us.
func FuzzIndexPack(f *testing.F) {
	f.Add(uint32(1), []byte(strings.Repeat("\x00", 30)))
	if seed, err := seedPack(f.TempDir()); err == nil {
		f.Add(binary.BigEndian.Uint32(seed[8:]), seed[12:len(seed)-20])
	}
	f.Fuzz(func(t *testing.T, count uint32, objects []byte) {
		if len(objects) > 1<<16 {
			return
		}
		pack := append(binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), count), objects...)
		sum := sha1.Sum(pack)
		indexPack(bytes.NewReader(append(pack, sum[:]...)))
	})
}

// seedPack is a real pack, with a delta in it.
func seedPack(dir string) ([]byte, error) {
	script := `export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a
git init -q . && seq 500 > a && git add a && git commit -qm 1 && seq 501 > a && git add a && git commit -qm 2 && git repack -qad && cat .git/objects/pack/*.pack`
	cmd := exec.Command("sh", "-ec", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir)
	return cmd.Output()
}

func TestStorePackLeavesNothingBehind(t *testing.T) {
	seed, err := seedPack(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, data := range map[string][]byte{
		"cut short":       seed[:len(seed)-30],
		"without its sum": seed[:len(seed)-20],
		"spoilt":          append(append(bytes.Clone(seed[:60]), seed[60]^1), seed[61:]...),
		"nothing":         nil,
		"a huge claim":    []byte("PACK\x00\x00\x00\x02\xff\xff\xff\xff" + strings.Repeat("\x00", 40)),
	} {
		if err := storePack(dir, bytes.NewReader(data)); err == nil {
			t.Errorf("%s: taken", name)
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("%s: %v stay", name, left)
		}
	}
	if err := storePack(dir, bytes.NewReader(seed)); err != nil {
		t.Fatal(err)
	}
	if files, _ := os.ReadDir(dir); len(files) != 2 {
		t.Errorf("%v", files)
	}
	idx, _ := filepath.Glob(filepath.Join(dir, "*.idx"))
	if out, err := exec.Command("git", "verify-pack", idx[0]).CombinedOutput(); err != nil {
		t.Errorf("git finds: %s", out)
	}
}
