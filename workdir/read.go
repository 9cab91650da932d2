package workdir

import (
	"context"
	"fmt"
	"io/fs"

	"satchel/bundle"
)

// PlanRead plans to read the course's newest bytes of one path, for showing
// them. It is never applied. A plan with Wanted needs the network.
func (c *Course) PlanRead(ctx context.Context, n Newest, path string) (*Plan, error) {
	if err := c.acceptKnown(n); err != nil {
		return nil, err
	}
	newest, err := n.union()
	if err != nil {
		return nil, err
	}
	p, err := c.planRestore(ctx, n, newest, []string{path}, func(p *Plan, path string) (Action, error) {
		file, ok := newest[path]
		if !ok {
			return Action{}, fmt.Errorf("%q: %w", path, ErrUnknownPath)
		}
		return Action{Verb: Add, Path: path, File: file.File}, nil
	})
	if err == nil {
		p.applied = true
	}
	return p, err
}

// Theirs gives the bytes that a PlanRead was for, when all that it wanted is
// staged. More than limit is an error.
func (p *Plan) Theirs(limit int64) ([]byte, error) {
	if len(p.actions) != 1 {
		return nil, fs.ErrNotExist
	}
	f := p.actions[0].File
	if f.Size > limit {
		return nil, fault("read", f.Path, fmt.Errorf("%d bytes; the limit is %d", f.Size, limit))
	}
	p.c.stage.wait()
	if data, err := p.c.stage.read(f.Digest, f.Size); err == nil {
		return checked(data, f.Digest)
	}
	if at, ok := p.now[f.Digest]; ok && at != "" {
		if data, err := p.c.Mine(at, limit); err == nil {
			return checked(data, f.Digest)
		}
	}
	return p.c.baseBytes(f.Digest)
}

func checked(data []byte, want bundle.Digest) ([]byte, error) {
	if bundle.Sum(data) != want {
		return nil, bundle.ErrCorrupt
	}
	return data, nil
}

// Mine gives the bytes that lie at a path of the course's folder now. More
// than limit is an error.
func (c *Course) Mine(path string, limit int64) ([]byte, error) {
	tree, err := c.tree(c.rec.named.Folder)
	if err != nil {
		return nil, err
	}
	if tree == nil {
		return nil, fault("read", path, fs.ErrNotExist)
	}
	defer tree.close()
	return readPath(tree, path, limit)
}
