//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"satchel/internal/config"
	"satchel/source"
)

// tryRepository asks the repository for its branch until it answers, the
// person gives up, or nobody is there to paste the key.
func (a *app) tryRepository(ctx context.Context, q *asker, cfg *config.Config, e *courseEntry, n newCourse) error {
	for {
		err := a.look(ctx, cfg.StateDir, e.remote(cfg))
		if err == nil {
			return nil
		}
		var se *source.Error
		if q.quiet && errors.As(err, &se) && se.Kind == source.DeployKey && n.key == "" {
			fmt.Fprintf(a.err, "The key is not accepted yet; the course is written all the same, and published once it is there.\n(%v)\n", err)
			return nil
		}
		if q.quiet {
			return fmt.Errorf("%w; the course was not written", err)
		}
		a.printf("%v\n", err)
		if se != nil && se.Kind == source.Token && e.TokenFile == "" {
			if e.TokenFile, err = q.ask("The file that holds a token for it? (Enter: none)", ""); err != nil {
				return err
			}
			if e.TokenFile != "" {
				e.TokenFile = absolute(e.TokenFile)
				continue
			}
		}
		again, err := q.confirm("Try again?")
		if err != nil || !again {
			return errors.Join(err, errors.New("the course was not written; run the same command again, the key stays"))
		}
	}
}

// remote is how the repository is asked.
func (e *courseEntry) remote(cfg *config.Config) source.Remote {
	r := source.Remote{URL: e.Repository, Branch: e.Branch, Folder: e.Folder, KnownHostsFile: e.KnownHostsFile, Proxy: e.Proxy, CAFile: cfg.CAFile}
	if e.DeployKeyFile != "" {
		r.KeyFiles = []string{e.DeployKeyFile}
	}
	if e.TokenFile != "" {
		r.TokenFiles = []string{e.TokenFile}
	}
	return r
}

// folderWithin is how long "course add" fetches a remote repository to see
// whether it has the folder. A variable, for tests.
var folderWithin = 30 * time.Second

// look asks the repository for its branch, and whether the folder is there: a
// typo would be found by the service alone, in its status. What is fetched for
// that is thrown away; it ends with folderWithin, and then nothing is said
// against the folder.
func (a *app) look(ctx context.Context, state string, r source.Remote) error {
	dir, err := os.MkdirTemp(state, "satchel-add-") // the folder for temporary files may be in memory
	if err != nil {
		dir, err = os.MkdirTemp("", "satchel-add-")
	}
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	m, err := source.NewMirror(slog.New(slog.DiscardHandler), dir, r, source.Options{})
	if err != nil {
		return err
	}
	commit, err := m.Tip(ctx)
	if err != nil {
		return err
	}
	if !source.IsLocal(r.URL) && r.Folder == "" {
		a.printf("The repository can be read.\n")
		return nil
	}
	within, stop := context.WithTimeout(ctx, folderWithin)
	defer stop()
	t, err := m.At(within, commit)
	var se *source.Error
	switch {
	case err == nil:
		a.printf("The repository can be read.\n")
		return t.Close()
	case ctx.Err() != nil, source.IsLocal(r.URL), errors.As(err, &se) && se.Kind == source.Folder:
		return err
	}
	a.printf("The repository can be read; whether it has the folder %s was not seen: \"satchel status\" tells, once the service has fetched it.\n", r.Folder)
	return nil
}
