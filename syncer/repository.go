package syncer

import (
	"context"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"reflect"
	"sync/atomic"

	"satchel/bundle"
	"satchel/course"
	"satchel/source"
)

// repository is what a pass needs of a source.Mirror.
type repository interface {
	Tip(ctx context.Context) (commit string, err error)
	At(ctx context.Context, commit string) (tree, error)
	Watch() string
	LetIn() string
}

// tree is what a pass needs of a source.Tree.
type tree interface {
	fs.FS
	Before(commit string) (fs.FS, error)
	Past(ctx context.Context, most int) iter.Seq2[fs.FS, error]
	Close() error
}

// mirror makes a source.Mirror a repository.
type mirror struct{ *source.Mirror }

func (m mirror) At(ctx context.Context, commit string) (tree, error) {
	t, err := m.Mirror.At(ctx, commit)
	if err != nil {
		return nil, err
	}
	return t, nil
}

// openMirror opens the course's repository. Its mirror's folder is named after
// the repository, so that a course that moves to another one begins afresh.
func (s *Syncer) openMirror(c *course.Course) (repository, error) {
	parent := filepath.Join(s.o.StateDir, "mirrors", string(c.Name))
	own := bundle.Sum([]byte(c.Repository)).String()[:16]
	if old, err := os.ReadDir(parent); err == nil {
		for _, e := range old {
			if e.Name() != own {
				_ = os.RemoveAll(filepath.Join(parent, e.Name()))
			}
		}
	}
	m, err := source.NewMirror(s.lg.With("course", c.Name), filepath.Join(parent, own), RemoteOf(c), source.Options{})
	if err != nil {
		return nil, err
	}
	return mirror{m}, nil
}

// RemoteOf is how a course's repository is reached.
func RemoteOf(c *course.Course) source.Remote {
	r := source.Remote{
		URL: c.Repository, Branch: c.Branch, Folder: c.Folder, KeyFiles: c.DeployKeyFiles, KnownHostsFile: c.KnownHostsFile,
		TokenFiles: c.TokenFiles, Proxy: c.Proxy, ProxyFile: c.ProxyFile, CAFile: c.CAFile,
	}
	if a := c.GitHubApp; a != nil {
		r.App = &source.GitHubApp{ID: int64(a.AppID), Installation: int64(a.InstallationID), KeyFile: a.KeyFile, API: a.APIURL}
	}
	return r
}

// sameRepository says whether a repository opened for a serves b.
func sameRepository(a, b *course.Course) bool {
	return reflect.DeepEqual(RemoteOf(a), RemoteOf(b))
}

// repository gives the course's repository, opened once for what it is
// configured to be.
func (s *Syncer) repository(k *known, c *course.Course) (repository, error) {
	if k.repo != nil && sameRepository(&k.repoFor, c) {
		return k.repo, nil
	}
	repo, err := s.open(c)
	if err != nil {
		return nil, err
	}
	k.repo, k.repoFor = repo, *c
	return repo, nil
}

// reads is how much was read of a tree.
type reads struct{ files, bytes atomic.Int64 }

// counting counts what is read of a tree. It keeps the methods by which course
// looks at entries.
type counting struct {
	fs.FS
	reads *reads
}

func (c counting) Open(name string) (fs.File, error) {
	f, err := c.FS.Open(name)
	if err != nil {
		return nil, err
	}
	if _, dir := f.(fs.ReadDirFile); dir {
		return f, nil
	}
	c.reads.files.Add(1)
	return &countedFile{f, c.reads}, nil
}

func (c counting) ReadDir(name string) ([]fs.DirEntry, error) { return fs.ReadDir(c.FS, name) }
func (c counting) Stat(name string) (fs.FileInfo, error)      { return fs.Stat(c.FS, name) }
func (c counting) ReadLink(name string) (string, error)       { return fs.ReadLink(c.FS, name) }
func (c counting) Lstat(name string) (fs.FileInfo, error)     { return fs.Lstat(c.FS, name) }

type countedFile struct {
	fs.File
	reads *reads
}

func (f *countedFile) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	f.reads.bytes.Add(int64(n))
	return n, err
}
