// Package source owns the way from a course repository to an fs.FS: one
// private repository, at one commit, one folder of it. It is the only home of
// go-git.
//
// A Mirror is one repository. A remote one (SSH, by a deploy key, strict about
// host keys) is mirrored into a folder of the service's own: a bare clone,
// whole, fetched into from then on. A local one (a folder of this machine) is
// read in place: nothing of it runs, no second copy lies on the disk, and no
// git need be installed. A Tree reads straight from git's objects, and only
// what is asked for; there is never a working copy.
//
// # Promises
//
// Every byte that a Tree gives was checked against the commit's own hashes.
// What does not fit is an error, never a half tree; a damaged mirror is
// replaced by a fresh clone at the next call, and a crash at any moment leaves
// one that the next call uses or replaces.
//
// No call waits longer than Options.Idle for a server that says nothing, and
// each returns promptly when its context ends. What a person can put right is
// an *Error, with one sentence that says how.
//
// It does not judge names, sizes or contents: that is the course package's.
// It follows neither symbolic links nor submodules, applies no filters, but
// gives what lies in Git LFS as if it lay in git (lfs.go).
//
// # Why not go-git's own client
//
// The packs and the storage are go-git's. The conversation is held here
// (dial.go, wire.go), because go-git's SSH transport takes neither context nor
// deadline for the handshake (a server that accepts and says nothing hangs it
// for ever), reads the user's SSH configuration, and does not tell which of
// two keys was refused. Its shallow fetches can leave a repository with holes,
// so there are none: full history once, then what is new.
package source

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// Remote says where a course's material comes from.
type Remote struct {
	// URL is git@host:path, ssh://[user@]host[:port]/path,
	// https://[user@]host[:port]/path, an absolute path, or file:///path.
	URL string
	// Branch is the one that is read; "" is main.
	Branch string
	// Folder is the only one that is read; "" is all of the repository.
	Folder string
	// KeyFiles are private keys, each without a passphrase, tried in this
	// order: a new one first, the one that it replaces after it.
	KeyFiles []string
	// KnownHostsFile pins the host's keys, as known_hosts(5); several lines for
	// one host are fine, and it is read anew for each connection.
	KnownHostsFile string
	// TokenFiles hold tokens for HTTPS, tried in this order; none for a public
	// repository. A name may be one of the environment ("env:NAME"), as KeyFiles.
	TokenFiles []string
	// App makes tokens, in the place of TokenFiles; nil: none does.
	App *GitHubApp
	// Proxy is the URL of the proxy on the way, http://, https:// or socks5://;
	// "" is none for SSH, and what HTTPS_PROXY and NO_PROXY say for HTTPS.
	Proxy string
	// ProxyFile holds that URL, where it has a password; it is read for each
	// connection.
	ProxyFile string
	// CAFile holds authorities that are trusted for HTTPS beside the system's.
	CAFile string
}

// Options has a sensible meaning when empty.
type Options struct {
	// Idle is how long the server may say nothing, at any stage; 0 is 30 s.
	Idle time.Duration
}

// Mirror is one repository. It is safe for concurrent use, also by several
// processes on one folder.
type Mirror struct {
	lg     *slog.Logger
	dir    string // of the clones; not used for a local repository
	remote Remote
	at     address
	app    *app // nil: none
	idle   time.Duration

	mu     sync.Mutex
	worked string     // what was let in last: a key, a token
	lfsAt  *lfsServer // of an SSH host, while its word holds
}

// NewMirror checks r, and touches neither network nor disk. dir is where a
// remote repository's clones lie; it belongs to this repository alone, is made
// when needed, and can be deleted at any time.
func NewMirror(lg *slog.Logger, dir string, r Remote, o Options) (*Mirror, error) {
	at, err := parseAddress(r.URL)
	if err != nil {
		return nil, err
	}
	if r.Branch == "" {
		r.Branch = "main"
	}
	if err := plumbing.NewBranchReferenceName(r.Branch).Validate(); err != nil {
		return nil, fault(Branch, err, "%q cannot be the name of a branch; correct `branch`", r.Branch)
	}
	if r.Folder, err = cleanFolder(r.Folder); err != nil {
		return nil, err
	}
	if o.Idle <= 0 {
		o.Idle = 30 * time.Second
	}
	m := &Mirror{lg: lg.With("repository", at.String()), dir: dir, remote: r, at: at, idle: o.Idle}
	if _, err := parseProxy(r.Proxy); err != nil {
		return nil, err
	}
	if r.App != nil {
		m.app = &app{of: *r.App, now: time.Now}
	}
	return m, nil
}

// cleanFolder gives the folder as fs.FS writes it, "." for all.
func cleanFolder(folder string) (string, error) {
	clean := path.Clean(strings.Trim(folder, "/"))
	if !fs.ValidPath(clean) {
		return "", fault(Folder, nil, "%q cannot be a folder of the repository; write it as in notebooks/week1, from the repository's top", folder)
	}
	return clean, nil
}

// Tip asks which commit the branch is at now: one short conversation with the
// server, or one look into a local repository.
func (m *Mirror) Tip(ctx context.Context) (commit string, err error) {
	var tip plumbing.Hash
	if m.at.local != "" {
		tip, err = m.localTip(ctx)
	} else {
		tip, err = m.remoteTip(ctx)
	}
	if err != nil {
		return "", err
	}
	return tip.String(), nil
}

// At is the chosen folder at that commit, fetched if it is not here. ErrMoved
// means that the branch no longer leads to it. The caller closes the Tree.
func (m *Mirror) At(ctx context.Context, commit string) (*Tree, error) {
	if !plumbing.IsHash(commit) {
		return nil, fmt.Errorf("%.60q is no commit", commit)
	}
	hash := plumbing.NewHash(commit)
	at := m.remoteAt
	if m.at.local != "" {
		at = m.localAt
	}
	t, err := at(ctx, hash)
	if err == nil { // fs.FS has no context: what is fetched later is for whoever asked here
		t.content = func(p lfsPointer) (*os.File, error) { return m.lfs().have(ctx, p) }
	}
	return t, err
}

// LetIn says which key or token the host accepted last, by its file; "" before
// the first time, and where none was needed.
func (m *Mirror) LetIn() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.worked
}

// Watch is the folder in which a local repository keeps its branches (below
// refs/heads, and in the file packed-refs), for a look as soon as one moves.
// It is "" for a remote repository, and for a folder that is none.
func (m *Mirror) Watch() string {
	if m.at.local == "" {
		return ""
	}
	dir, err := gitFolder(m.at.local)
	if err != nil {
		return ""
	}
	return dir
}
