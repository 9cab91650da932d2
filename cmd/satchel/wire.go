//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"satchel/bundle"
	"satchel/course"
	"satchel/hook"
	"satchel/hookserver"
	"satchel/internal/config"
	"satchel/internal/hub"
	"satchel/internal/listen"
	"satchel/internal/students"
	"satchel/store"
	"satchel/syncer"
)

// openStore opens the store that the configuration names.
func openStore(ctx context.Context, lg *slog.Logger, cfg *config.Config) (store.Store, error) {
	c := store.Config{Dir: cfg.Store.Dir}
	if s3 := cfg.Store.S3; s3 != nil {
		c.S3 = &store.S3Config{
			CAFile: cfg.CAFile,
			Bucket: s3.Bucket, Prefix: s3.Prefix, Endpoint: s3.Endpoint, Region: s3.Region,
			PathStyle: s3.PathStyle, Checksums: s3.Checksums, StudentsEndpoint: s3.StudentsEndpoint,
		}
	}
	return store.Open(ctx, lg, c)
}

// opened is the configuration and its store, for a command.
func (a *app) opened(ctx context.Context) (*config.Config, store.Store, error) {
	cfg, err := a.usable()
	if err != nil {
		return nil, nil, err
	}
	st, err := openStore(ctx, a.logger(), cfg)
	return cfg, st, err
}

// privacy is what is kept about students. The key is needed for pseudonyms
// alone, but tombstones of forgotten students are keyed too.
func privacy(cfg *config.Config) (students.Privacy, error) {
	key, err := config.ReadSecret(cfg.Secrets.Pseudonyms)
	if err != nil {
		return students.Privacy{}, err
	}
	p := students.Privacy{Mode: cfg.Privacy.Students, Keep: cfg.Privacy.Keep, Key: []byte(key.Reveal())}
	return p, p.Check()
}

// startSyncer runs the half that publishes, and its control socket.
func startSyncer(ctx context.Context, g *errgroup.Group, lg *slog.Logger, l *live, st store.Store) (*syncer.Syncer, error) {
	// Without conditional writes two syncers would overwrite each other. A
	// store that does not answer now is no reason to stay down.
	if err := store.CheckConditions(ctx, st); err != nil && !errors.Is(err, store.ErrUnavailable) {
		return nil, err
	}
	cfg := l.config()
	priv, err := privacy(cfg)
	if err != nil {
		return nil, err
	}
	s := syncer.New(lg, st, syncer.Options{
		StateDir:  cfg.StateDir,
		Published: func() { wake(l.newer) },
		Keys:      func() []bundle.SigningKey { return l.held().signing },
		Fold: func(ctx context.Context) error {
			_, err := students.Fold(ctx, lg, st, priv, time.Now())
			return err
		},
	})
	sock, err := listenUnix(cfg.Listen.Control)
	if err != nil {
		return nil, err
	}
	if cfg.Listen.Syncer != "" {
		port, err := listenOn(nil, cfg.Listen.Syncer, "listen.syncer")
		if err != nil {
			return nil, errors.Join(err, sock.Close())
		}
		g.Go(func() error { return serveControl(ctx, port, s.Hints(func() []string { return l.held().control })) })
	}
	g.Go(func() error { return s.Run(ctx, l.courses, l.changed) })
	g.Go(func() error { return serveControl(ctx, sock, s.Control()) })
	return s, nil
}

// passOn tells a syncer in another process of webhooks; without one the next
// poll finds what they are about.
func passOn(lg *slog.Logger, l *live) func(course, host string) {
	if l.config().SyncerURL == "" {
		return nil
	}
	return func(name, host string) {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		secret := ""
		if all := l.held().control; len(all) > 0 {
			secret = all[0]
		}
		if err := syncer.SendHint(ctx, l.config().SyncerURL, secret, syncer.HintRequest{Course: name, Host: host}); err != nil {
			lg.Warn("a webhook was not passed on; the next poll finds what it is about", "course", name, "error", err)
		}
	}
}

// serveControl answers commands until ctx ends.
func serveControl(ctx context.Context, sock net.Listener, h http.Handler) error {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() {
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if srv.Shutdown(late) != nil {
			_ = srv.Close()
		}
	})
	defer stop()
	if err := srv.Serve(sock); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// startHookserver runs the half that students reach.
func startHookserver(ctx context.Context, g *errgroup.Group, lg *slog.Logger, l *live, st store.Store, hint func(course, host string)) error {
	cfg := l.config()
	priv, err := privacy(cfg)
	if err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "hookserver"
	}
	api, err := hubOf(l)
	if err != nil {
		return err
	}
	id := fmt.Sprintf("%s-%d", host, os.Getpid())
	writer := students.NewWriter(lg, st, priv, id)
	s, err := hookserver.New(lg, hookserver.Options{
		Store: st, Courses: l.courses,
		TicketKeys:  func() hook.TicketKeys { return l.held().ticket },
		HookSecrets: func() [][]byte { return l.held().hook },
		PublicKeys:  func() []bundle.PublicKey { return l.held().public },
		ID:          id,
		Audience:    cfg.ID, URL: cfg.URL, Hub: api, Redirect: cfg.Delivery == "redirect",
		CacheDir: filepath.Join(cfg.StateDir, "cache"),
		Cache:    hookserver.CacheLimits{Size: cfg.Cache.Size, FreeFloor: cfg.Cache.FreeFloor},
		Limits:   hookserver.Limits{Streams: cfg.Limits.Streams, PerAddress: cfg.Limits.PerAddress},
		Webhook: func(course string) (hookserver.Webhook, bool) {
			w, ok := l.held().webhook[course]
			return w, ok
		},
		TakenBack: func(name string) []bundle.Pair {
			pairs, _ := syncer.KeptWithdrawn(cfg.StateDir, course.Name(name)) // the syncer says what is wrong with it
			return pairs
		},
		Hint:     hint,
		Students: writer,
		Silent:   silentAgents(ctx, st),
	})
	if err != nil {
		return err
	}
	front, err := listenOn(l.halves.students, cfg.Listen.Students, "listen.students")
	if err != nil {
		return err
	}
	back, err := listenOn(l.halves.hubside, cfg.Listen.Hub, "listen.hub")
	if err != nil {
		return errors.Join(err, front.Close())
	}
	side, err := listenWebhooks(cfg)
	if err != nil {
		return errors.Join(err, front.Close(), back.Close())
	}
	g.Go(func() error { return whenever(ctx, l.newer, s.Refresh) })
	g.Go(func() error { return s.Run(ctx) })
	// Receipts arrive until the last answer is done, so the writer ends after
	// the listeners.
	last, done := context.WithCancel(context.WithoutCancel(ctx))
	g.Go(func() error {
		defer done()
		return s.Serve(ctx, front, back, side)
	})
	g.Go(func() error { return writer.Run(last) })
	return nil
}

// listenWebhooks opens the listener for webhooks alone; nil where there is none.
func listenWebhooks(cfg *config.Config) (net.Listener, error) {
	if cfg.Listen.Webhooks == "" {
		return nil, nil
	}
	return listenOn(nil, cfg.Listen.Webhooks, "listen.webhooks")
}

// hubOf is the hub whose API is configured and knows the students' groups;
// else nil.
func hubOf(l *live) (hookserver.Hub, error) {
	if l.config().Hub.APIURL == "" || l.config().Hub.Groups == "login" {
		return nil, nil
	}
	return hub.New(l.config().Hub.APIURL, func() string { return l.held().hub }, l.config().CAFile)
}

// whenever does what is to be done each time that c has a word.
func whenever(ctx context.Context, c <-chan struct{}, do func(context.Context)) error {
	for {
		select {
		case <-c:
			do(ctx)
		case <-ctx.Done():
			return nil
		}
	}
}

// silentAgents counts the logins after which the agent did not run, for the
// metrics. It reads all records, so a minute's answer is kept.
func silentAgents(ctx context.Context, st store.Store) func() float64 {
	var mu sync.Mutex
	var at time.Time
	var n float64
	return func() float64 {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(at) > time.Minute {
			at = time.Now()
			if sum, err := students.Summarize(ctx, st, "", at); err == nil {
				n = float64(sum.DidNotRun)
			}
		}
		return n
	}
}

// listenOn opens an address, unless a listener was given.
func listenOn(given net.Listener, addr, key string) (net.Listener, error) {
	if given != nil {
		return given, nil
	}
	l, err := listen.At(addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s: %w: is another satchel running? Else choose another address in satchel.yaml", key, err)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("%s: %w: ports below 1024 need a right that this user has not; choose a higher one", key, err)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return l, nil
}
