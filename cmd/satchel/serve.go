//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"satchel/course"
	"satchel/internal/config"
	"satchel/internal/release"
)

func (a *app) serveCommand() *cobra.Command {
	return &cobra.Command{
		Use: "serve", GroupID: "run", Args: noArgs,
		Short: "Run the whole service in one process: syncer and hookserver",
		Long: `Runs the syncer, which watches the course repositories and publishes, and the
hookserver, which answers the hub and the students, until it is stopped with
SIGTERM or Ctrl-C. Changes of the configuration, of courses.d, and of key files
are taken up without a restart.

Larger sites run the two apart ("satchel syncer", "satchel hookserver"), so that
the process that students reach holds neither deploy key nor signing key.`,
		Example: "  satchel serve\n  satchel serve --config /etc/satchel/satchel.yaml",
		RunE: func(c *cobra.Command, _ []string) error {
			return a.serve(c.Context(), halves{syncer: true, hookserver: true})
		},
	}
}

func (a *app) syncerCommand() *cobra.Command {
	return &cobra.Command{
		Use: "syncer", GroupID: "run", Args: noArgs,
		Short: "Run only the half that holds the deploy keys and publishes",
		RunE:  func(c *cobra.Command, _ []string) error { return a.serve(c.Context(), halves{syncer: true}) },
	}
}

func (a *app) hookserverCommand() *cobra.Command {
	return &cobra.Command{
		Use: "hookserver", GroupID: "run", Args: noArgs,
		Short: "Run only the half that answers the hub and the students",
		RunE:  func(c *cobra.Command, _ []string) error { return a.serve(c.Context(), halves{hookserver: true}) },
	}
}

// halves says which parts of the service this process is.
type halves struct {
	syncer, hookserver bool
	students, hubside  net.Listener // already open; nil: the configuration's addresses
}

func (a *app) serve(ctx context.Context, h halves) error {
	file, err := a.configPath()
	if err != nil {
		return err
	}
	cfg, err := config.Load(file)
	if err != nil {
		return err
	}
	return serve(ctx, a.logger(), cfg, h)
}

// serve runs the halves until ctx ends or one of them fails.
func serve(ctx context.Context, lg *slog.Logger, cfg *config.Config, h halves) error {
	live, err := newLive(cfg, h)
	if err != nil {
		return err
	}
	st, err := openStore(ctx, lg, cfg)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	hint := passOn(lg, live)
	if h.syncer {
		s, err := startSyncer(ctx, g, lg.With("part", "syncer"), live, st)
		if err != nil {
			return err
		}
		hint = func(name, host string) { s.Hinted(course.Name(name), host) }
	}
	if h.hookserver {
		if err := startHookserver(ctx, g, lg.With("part", "hookserver"), live, st, hint); err != nil {
			return err
		}
	}
	g.Go(func() error {
		return config.Watch(ctx, lg, cfg.File, func(next *config.Config, err error) {
			if err != nil {
				lg.Error("configuration not taken up, the former one stays", "error", err)
				return
			}
			live.take(lg, next)
		})
	})
	lg.Info("satchel is running", "version", release.Version, "students", cfg.Listen.Students, "hub", cfg.Listen.Hub, "courses", len(cfg.Courses))
	err = g.Wait()
	if ctx.Err() != nil && (err == nil || errors.Is(err, context.Canceled)) {
		lg.Info("satchel has stopped")
		return nil
	}
	return err
}

// listenUnix opens a socket that only this user can reach, in place of one
// that a dead process left behind.
func listenUnix(path string) (net.Listener, error) {
	if len(path) > 107 {
		return nil, fmt.Errorf("control socket %s: %d bytes, and a socket's path has at most 107: set listen.control to a shorter one", path, len(path))
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		c.Close()
		return nil, fmt.Errorf("another satchel is running here already (it answers on %s): stop it first", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket %s: %w: the service's user must be able to write there", path, err)
	}
	return l, os.Chmod(path, 0o600)
}
