package syncer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"satchel/course"
	"satchel/source"
	"satchel/store"
)

// gated is the store as one process sees it: each operation waits until the
// scheduler lets it go, and may go wrong.
type gated struct {
	store.Store
	in *process
}

var errModelFault = fmt.Errorf("%w: the model's fault", store.ErrUnavailable)

// through does an operation in its turn. A dead process does nothing any more.
func (g *gated) through(ctx context.Context, what, key string, op func() error) error {
	a := actorOf(ctx)
	if a == nil || g.in.dead {
		return errDead
	}
	if what == "get" && strings.Contains(key, "/log/") {
		return op() // entries never change, and some are read at once
	}
	switch a.gate(what+" "+key, true) {
	case dieBefore:
		return errDead
	case dieAfter:
		_ = op()
		return errDead
	case failNothing:
		return errModelFault
	case failKept:
		return errors.Join(op(), errModelFault)
	}
	return op()
}

func (g *gated) Get(ctx context.Context, key string) (body io.ReadCloser, o store.Object, err error) {
	err = g.through(ctx, "get", key, func() (err error) { body, o, err = g.Store.Get(ctx, key); return err })
	return orClose(body, err), o, err
}

func (g *gated) GetRange(ctx context.Context, key string, off, n int64) (body io.ReadCloser, o store.Object, err error) {
	err = g.through(ctx, "range", key, func() (err error) { body, o, err = g.Store.GetRange(ctx, key, off, n); return err })
	return orClose(body, err), o, err
}

// orClose closes what nobody hears of.
func orClose(body io.ReadCloser, err error) io.ReadCloser {
	if err != nil && body != nil {
		body.Close()
		return nil
	}
	return body
}

func (g *gated) Head(ctx context.Context, key string) (o store.Object, err error) {
	err = g.through(ctx, "head", key, func() (err error) { o, err = g.Store.Head(ctx, key); return err })
	return o, err
}

func (g *gated) Put(ctx context.Context, key string, body io.ReadSeeker) error {
	return g.through(ctx, "put", key, func() error { return g.Store.Put(ctx, key, body) })
}

func (g *gated) PutIfAbsent(ctx context.Context, key string, body io.ReadSeeker) error {
	return g.through(ctx, "add", key, func() error { return g.Store.PutIfAbsent(ctx, key, body) })
}

func (g *gated) Delete(ctx context.Context, key string) error {
	return g.through(ctx, "delete", key, func() error { return g.Store.Delete(ctx, key) })
}

func (g *gated) CompareAndSwap(ctx context.Context, key, etag string, data []byte) (tag string, err error) {
	err = g.through(ctx, "swap", key, func() (err error) {
		tag, err = g.Store.CompareAndSwap(ctx, key, etag, data)
		if err == nil {
			actorOf(ctx).in.landed(actorOf(ctx), data)
		}
		return err
	})
	if err != nil {
		tag = ""
	}
	return tag, err
}

func (g *gated) List(ctx context.Context, prefix, after string) iter.Seq2[store.Object, error] {
	return func(yield func(store.Object, error) bool) {
		err := g.through(ctx, "list", prefix, func() error { return nil })
		if err != nil {
			yield(store.Object{}, err)
			return
		}
		g.Store.List(ctx, prefix, after)(yield)
	}
}

// gatedRepo is the repository as one process sees it.
type gatedRepo struct {
	repository
	in     *process
	number func(commit string) int
}

func (r *gatedRepo) Tip(ctx context.Context) (string, error) {
	a := actorOf(ctx)
	if err := r.through(a, "tip"); err != nil {
		return "", err
	}
	tip, err := r.repository.Tip(ctx)
	if err == nil {
		a.call.tips = append(a.call.tips, r.number(tip))
	}
	return tip, err
}

func (r *gatedRepo) At(ctx context.Context, commit string) (tree, error) {
	if err := r.through(actorOf(ctx), fmt.Sprint("fetch ", r.number(commit))); err != nil {
		return nil, err
	}
	return r.repository.At(ctx, commit)
}

func (r *gatedRepo) through(a *actor, what string) error {
	if r.in.dead {
		return errDead
	}
	switch a.gate(what, true) {
	case dieBefore, dieAfter:
		return errDead
	case failNothing, failKept:
		return &source.Error{Kind: source.Unreachable, Sentence: "the model's repository does not answer"}
	}
	return nil
}

// newProcess starts a Syncer with its own view of store and repository, on the
// state that the one before it left.
func (m *model) newProcess(state string) *process {
	in := &process{state: state}
	y := New(m.lg, &gated{m.site.st, in}, Options{StateDir: state, Now: m.now, Keys: m.keys})
	open := y.open
	y.open = func(c *course.Course) (repository, error) {
		r, err := open(c)
		return &gatedRepo{r, in, m.course.of}, err
	}
	y.newID = m.newID
	y.wait = func(ctx context.Context, _ int) error {
		if in.dead || actorOf(ctx).gate("wait", false) == dieBefore {
			return errDead
		}
		return nil
	}
	in.y = y
	return in
}
