package agent

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Jupyter is what is known of the student's own Jupyter servers.
type Jupyter struct {
	Runtime  string // folder in which each tells of itself; "" for none
	HubToken Secret // what a hub gave this container's server; "" without a hub
	HubURL   string // how the hub calls that server: HubToken goes to it alone
}

// Bounds of what is asked of them.
const (
	maxServers    = 4
	maxServerFile = 64 << 10
	maxFiles      = 256 // files that tell of servers, most of them long dead
	maxAnswer     = 1 << 20
	askFor        = 2 * time.Second
)

// documents is what the servers answered together.
type documents struct {
	asked   time.Time
	servers int            // that answered
	open    map[place]bool // what has a session
	silent  bool           // one that should answer did not within askFor
}

// documents asks every server which documents have a session.
func (j Jupyter) documents(ctx context.Context, lg *slog.Logger) documents {
	asked, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	out := documents{open: map[place]bool{}}
	for _, s := range j.servers(lg) {
		wg.Go(func() {
			paths, err := s.sessions(asked, s.auth(j))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				lg.Info("a Jupyter server does not say what is open", "pid", s.PID, "error", err)
				out.silent = out.silent || asked.Err() != nil
				return
			}
			out.servers++
			for _, path := range paths {
				out.open[s.place(path)] = true
			}
		})
	}
	wg.Wait()
	delete(out.open, place{}) // of what is no file
	out.asked = time.Now()
	return out
}

// server is what a running server tells of itself in a file. Its url is not
// read: its host may be any, and the token goes to this machine alone.
type server struct {
	PID   int    `json:"pid"`
	Host  string `json:"hostname"`
	Port  int    `json:"port"`
	Sock  string `json:"sock"`
	TLS   bool   `json:"secure"`
	Base  string `json:"base_url"`
	Token Secret `json:"token"`
	Root  string `json:"root_dir"`
}

// servers are those that run, the newest maxServers of them.
func (j Jupyter) servers(lg *slog.Logger) (out []server) {
	if !filepath.IsAbs(j.Runtime) {
		return nil
	}
	names, err := serverFiles(j.Runtime)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		lg.Info("no Jupyter server is asked what is open", "folder", j.Runtime, "error", err)
	}
	var at []time.Time
	for _, name := range names {
		s, written, err := readServer(filepath.Join(j.Runtime, name))
		if err != nil {
			lg.Info("a file about a Jupyter server is left alone", "name", name, "error", err)
			continue
		}
		if unix.Kill(s.PID, 0) != nil { // also where it is another user's
			continue
		}
		i, _ := slices.BinarySearchFunc(at, written, func(a, b time.Time) int { return b.Compare(a) })
		at, out = slices.Insert(at, i, written), slices.Insert(out, i, s)
	}
	return out[:min(len(out), maxServers)]
}

// serverFiles names the files about servers in a folder that nobody else can
// write.
func serverFiles(folder string) (names []string, err error) {
	dir, err := os.Open(folder)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	if info, err := dir.Stat(); err != nil || !info.IsDir() || !ours(info) {
		return nil, errors.Join(err, errNotOurs)
	}
	for seen := 0; len(names) < maxFiles && seen < 64*maxFiles; {
		entries, err := dir.ReadDir(256)
		for _, e := range entries {
			if n := e.Name(); strings.HasPrefix(n, "jpserver-") && strings.HasSuffix(n, ".json") {
				names = append(names, n)
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		seen += len(entries)
	}
	return names, nil
}

var errNotOurs = errors.New("somebody else can write it")

// ours says that this user owns something and no other can write it.
func ours(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid() && info.Mode().Perm()&0o022 == 0
}

func readServer(path string) (s server, written time.Time, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return s, written, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return s, written, err
	case !info.Mode().IsRegular():
		return s, written, errors.New("not a file")
	case !ours(info):
		return s, written, errNotOurs
	}
	data, err := io.ReadAll(io.LimitReader(f, maxServerFile)) // cut off it is no JSON
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err != nil {
		return s, written, errors.New("not what a Jupyter server writes") // the error may quote it
	}
	return s, info.ModTime(), s.check()
}

func (s server) check() error {
	switch {
	case s.PID <= 1:
		return errors.New("no process")
	case s.TLS:
		return errors.New("it speaks TLS, with a certificate that nothing here can judge")
	case !filepath.IsAbs(s.Root):
		return errors.New("no root folder")
	case !strings.HasPrefix(s.Base, "/"), strings.ContainsAny(s.Base, "?#\\ "):
		return errors.New("no base address")
	case strings.ContainsFunc(string(s.Token), func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("no token")
	}
	return nil
}

// address is where it listens on this machine: a socket of this user's, or
// loopback. A server that listens on another address alone is not asked.
func (s server) address() (network, address string, err error) {
	if s.Sock != "" {
		info, err := os.Lstat(s.Sock)
		if err != nil {
			return "", "", err
		}
		if st, ok := info.Sys().(*syscall.Stat_t); info.Mode().Type() != fs.ModeSocket || !ok || int(st.Uid) != os.Geteuid() {
			return "", "", errors.New("its socket is not this user's")
		}
		return "unix", s.Sock, nil
	}
	if s.Port <= 0 || s.Port > 65535 {
		return "", "", errors.New("it listens on no port")
	}
	if s.Host == "" || s.Host == "localhost" || s.Host == "*" {
		return "tcp", net.JoinHostPort("localhost", strconv.Itoa(s.Port)), nil
	}
	ip, err := netip.ParseAddr(s.Host)
	if err != nil {
		return "", "", errors.New("it does not listen on loopback")
	}
	switch ip = ip.Unmap(); {
	case ip == netip.IPv4Unspecified():
		ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	case ip == netip.IPv6Unspecified():
		ip = netip.IPv6Loopback()
	}
	if !ip.IsLoopback() {
		return "", "", errors.New("it does not listen on loopback")
	}
	return "tcp", netip.AddrPortFrom(ip, uint16(s.Port)).String(), nil
}

// auth is the token to show: its own, or the hub's where this is the server
// that the hub knows.
func (s server) auth(j Jupyter) Secret {
	u, err := url.Parse(j.HubURL)
	if s.Token != "" || err != nil || j.HubURL == "" || s.Sock != "" || u.Port() != strconv.Itoa(s.Port) || u.EscapedPath() != s.Base {
		return s.Token
	}
	return j.HubToken
}

// sessions asks for the paths that have a session: notebooks, and files with
// a console of their own. A console without one has a name that no file has.
func (s server) sessions(ctx context.Context, token Secret) ([]string, error) {
	network, address, err := s.address()
	if err != nil {
		return nil, err
	}
	// Without no_track_activity a server would never seem idle, and never be culled.
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+s.Base+"api/sessions?no_track_activity=1", nil)
	if err != nil {
		return nil, errors.New("no base address")
	}
	if token != "" {
		q.Header.Set("Authorization", "token "+string(token))
	}
	resp, err := onlyTo(network, address).Do(q)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answered %d", resp.StatusCode)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, err
	}
	return sessionPaths(data)
}

// onlyTo is a client that speaks to one address, whatever it is asked for or
// told.
func onlyTo(network, address string) *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy: nil, DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: 64 << 10,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dialHere(ctx, network, address)
			},
		},
	}
}

// dialHere takes localhost for what it means, whatever anybody's resolver or
// hosts file says, and on a machine without IPv4 too.
func dialHere(ctx context.Context, network, address string) (net.Conn, error) {
	port, named := strings.CutPrefix(address, "localhost:")
	if !named {
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, "127.0.0.1:"+port)
	if err != nil && ctx.Err() == nil {
		return new(net.Dialer).DialContext(ctx, network, "[::1]:"+port)
	}
	return conn, err
}

// sessionPaths reads an answer. Old servers give a notebook's path apart.
func sessionPaths(data []byte) (paths []string, err error) {
	if len(data) > maxAnswer {
		return nil, fmt.Errorf("its answer is longer than %d bytes", maxAnswer)
	}
	var list []struct {
		Path     string `json:"path"`
		Notebook struct {
			Path string `json:"path"`
		} `json:"notebook"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, errors.New("its answer is not a list of sessions")
	}
	for _, s := range list {
		if path := cmp.Or(s.Path, s.Notebook.Path); path != "" {
			paths = append(paths, path)
		}
	}
	return paths, nil
}

// place finds the file of a session; the zero place where there is none. A
// path of real-time collaboration begins with "RTC:".
func (s server) place(path string) place {
	path = strings.TrimLeft(strings.TrimPrefix(path, "RTC:"), "/")
	if !filepath.IsLocal(path) {
		return place{}
	}
	full := filepath.Join(s.Root, path)
	if real, err := filepath.EvalSymlinks(full); err == nil {
		full = real
	}
	info, err := os.Stat(filepath.Dir(full))
	return placeIn(info, err, filepath.Base(full))
}
