package hookserver

import (
	"context"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
)

// maxHubConnections is for the hub, health checks and metrics.
const maxHubConnections = 1000

// maxWebhookConnections is for the proxy in front of the webhooks' listener,
// whose one address all of them have.
const maxWebhookConnections = 200

var errDraining = errors.New("this replica is shutting down")

// Serve answers on its listeners until ctx is done; then it becomes unready,
// ends event streams, and gives running answers Limits.Drain. The hub's
// listener stays open until students' answers are done. webhooks may be nil:
// those of students take webhooks too.
func (s *Server) Serve(ctx context.Context, student, hub, webhooks net.Listener) error {
	front := s.httpServer(s.student)
	back := s.httpServer(s.hub)
	side := s.httpServer(s.webhookRoutes())
	g, ctx := errgroup.WithContext(ctx)
	if webhooks != nil {
		g.Go(func() error { return serve(side, capped(webhooks, maxWebhookConnections, -1)) })
	}
	student = capped(student, s.o.Limits.Connections, s.o.Limits.PerAddress)
	hub = capped(hub, maxHubConnections, -1)
	g.Go(func() error { return serve(front, student) })
	g.Go(func() error { return serve(back, hub) })
	g.Go(func() error {
		<-ctx.Done()
		s.Drain()
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.o.Limits.Drain)
		defer cancel()
		stop(limit, side)
		stop(limit, front)
		stop(limit, back)
		return nil
	})
	err := g.Wait()
	s.tellHeld(true)
	return err
}

func serve(h *http.Server, l net.Listener) error {
	if err := h.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// stop waits for running answers, then cuts them off.
func stop(ctx context.Context, h *http.Server) {
	if h.Shutdown(ctx) != nil {
		_ = h.Close() // nothing is left that could be done about it
	}
}

func (s *Server) httpServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    maxHeader, // and some KiB, see guard
		// Its lines name addresses and quote garbage of strangers.
		ErrorLog: log.New(debugWriter{s.lg}, "", 0),
	}
}

type debugWriter struct{ lg *slog.Logger }

func (d debugWriter) Write(p []byte) (int, error) {
	d.lg.Debug("http", "err", string(p))
	return len(p), nil
}

var _ io.Writer = debugWriter{}
