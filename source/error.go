package source

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
	"unicode"
)

// Kind says what went wrong, for a caller that decides by it.
type Kind string

// The kinds.
const (
	WrongHostKey Kind = "host_key"    // the host is not the one that is pinned, or none is pinned
	DeployKey    Kind = "deploy_key"  // no key is accepted, or none can be read
	Token        Kind = "token"       // no token is accepted, or none can be had
	Certificate  Kind = "certificate" // an HTTPS host does not prove who it is
	LFS          Kind = "lfs"         // a content in Git LFS cannot be had
	Proxy        Kind = "proxy"       // the proxy on the way does not let us through
	Repository   Kind = "repository"  // not there, not shown to this key, or not usable
	Empty        Kind = "empty"       // reached, but it has no branch yet
	Branch       Kind = "branch"      // reached, but without that branch
	Folder       Kind = "folder"      // that commit has no such folder
	Silent       Kind = "silent"      // the server says nothing
	Unreachable  Kind = "unreachable" // no connection, or it broke
	Disk         Kind = "disk"        // no room, or not writable
	Broken       Kind = "broken"      // what was sent or stored is not a whole repository
)

// Error is a fault that a person can put right, or wait out. Sentence is what
// they read: what is wrong, with what, and what to do. It holds no secret.
type Error struct {
	Kind     Kind
	Sentence string
	Err      error // the cause, for the log; may be nil
}

func (e *Error) Error() string { return e.Sentence }

func (e *Error) Unwrap() error { return e.Err }

// Unreadable is, for a file's content that cannot be had by what is in the
// repository, the sentence that says so; "" for every other fault.
func (e *Error) Unreadable() string {
	if e.Kind != LFS {
		return ""
	}
	return e.Sentence
}

// ErrMoved means: the branch no longer leads to the commit that was asked for
// (somebody pushed meanwhile, with force). Ask for the tip again.
var ErrMoved = errors.New("the branch moved while it was being fetched; it will be looked at again")

func fault(kind Kind, err error, format string, args ...any) *Error {
	return &Error{Kind: kind, Sentence: fmt.Sprintf(format, args...), Err: err}
}

// is says whether err is an *Error of one of these kinds.
func is(err error, kinds ...Kind) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	for _, k := range kinds {
		if e.Kind == k {
			return true
		}
	}
	return false
}

// silentFault is for a server that said nothing for the time of idle.
func silentFault(host string, idle time.Duration, doing string) *Error {
	return fault(Silent, nil, "%s said nothing for %v while %s; it will be tried again. If this stays, see whether the host is well, and whether a firewall between lets SSH through", host, idle, doing)
}

// diskFault recognises errors of the service's own disk; nil for all others.
func diskFault(dir string, err error) *Error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fault(Disk, err, "the disk (or the quota) is full where the repository is mirrored; make room in %s", dir)
	case errors.Is(err, syscall.EROFS):
		return fault(Disk, err, "the repository cannot be mirrored: %s is read-only; mount it writable, or set another `state_dir`", dir)
	case errors.Is(err, os.ErrPermission):
		return fault(Disk, err, "the repository cannot be mirrored: no permission in %s; give that folder to the user that runs Satchel", dir)
	}
	return nil
}

// said shortens what a server said to one safe line.
func said(text string) string {
	line := strings.Join(strings.FieldsFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
	if r := []rune(line); len(r) > 200 {
		line = string(r[:200]) + "…"
	}
	return line
}
