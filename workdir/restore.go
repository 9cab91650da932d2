package workdir

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"satchel/bundle"
)

// PlanRestore plans to bring paths back to their newest version, whatever
// became of them (no paths: all of the course); what is there now goes beside
// as "(my copy)". A plan with Wanted needs the network. ErrUnknownPath where
// the version has no such path.
func (c *Course) PlanRestore(ctx context.Context, n Newest, paths ...string) (*Plan, error) {
	if err := c.acceptKnown(n); err != nil {
		return nil, err
	}
	newest, err := n.union()
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		paths = sortedKeys(newest)
	}
	paths = slices.Compact(slices.Sorted(slices.Values(paths)))
	return c.planRestore(ctx, n, newest, paths, func(p *Plan, path string) (Action, error) {
		file, ok := newest[path]
		if !ok {
			return Action{}, fmt.Errorf("%q: %w", path, ErrUnknownPath)
		}
		return restoring(file, c.rec.files[path], p.facts[path]), nil
	})
}

// PlanRestoreVersion plans to bring one path back to what it was at a version,
// as far as this home still has it. It stays so until the course changes it.
// It also gives the version of that content. ErrNoVersion where it is not
// here.
func (c *Course) PlanRestoreVersion(ctx context.Context, n Newest, path string, v bundle.Version) (*Plan, bundle.Version, error) {
	if err := c.acceptKnown(n); err != nil {
		return nil, 0, err
	}
	newest, err := n.union()
	if err != nil {
		return nil, 0, err
	}
	e := c.rec.files[path]
	if e == nil {
		return nil, 0, fmt.Errorf("%q: %w", path, ErrUnknownPath)
	}
	put := e.handled(newest[path], n.Head.Version)
	past, ok := put.at(v)
	if !ok || n.withdrawn()[bundle.Pair{Path: path, Digest: past.Digest}] {
		return nil, 0, fmt.Errorf("%q at version %d: %w", path, v, ErrNoVersion)
	}
	p, err := c.planRestore(ctx, n, newest, []string{path}, func(p *Plan, path string) (Action, error) {
		file := Delivery{put.file(), put.Channel}
		file.Digest, file.Size = past.Digest, past.Size
		a := restoring(file, e, p.facts[path])
		if past.Digest == put.Digest {
			return a, nil
		}
		if a.Put = put; a.Verb == "" { // it lies there
			a = Action{Verb: Record, Path: path, Was: e, File: file.File, Channel: file.Channel, Mine: p.facts[path], Status: Mine, Put: put}
		}
		return a, nil
	})
	if err != nil {
		return nil, 0, err
	}
	tree, err := c.tree(p.folder)
	if err != nil {
		return nil, 0, err
	}
	if tree != nil {
		defer tree.close()
	}
	if p.wanted = c.fromOwn(tree, p.wanted); len(p.wanted) > 0 && past.Digest != newest[path].Digest {
		return nil, 0, fmt.Errorf("%q at version %d: %w", path, v, ErrNoVersion)
	}
	return p, past.Version, nil
}

// handled gives e as it is after the newest was, with another content there by
// the student's wish.
func (e *Entry) handled(newest Delivery, v bundle.Version) *Entry {
	out := *e
	out.Status, out.Merges, out.Held = Mine, nil, Held{}
	if newest.Path == "" {
		return &out
	}
	out.Digest, out.Size, out.Mode, out.Policy, out.Channel = newest.Digest, newest.Size, newest.Mode, newest.Policy, newest.Channel
	if e.Held.Digest == newest.Digest && e.Held.Since != 0 {
		v = e.Held.Since
	}
	out.follows(e, v)
	return &out
}

func (c *Course) planRestore(ctx context.Context, n Newest, newest map[string]Delivery, paths []string, one func(*Plan, string) (Action, error)) (*Plan, error) {
	p := &Plan{c: c, newest: n, version: n.Head.Version, partial: true, withdrawn: n.withdrawn(), how: How{Mode: Session}}
	tree, err := p.find(n.Head.Settings.Folder)
	if err != nil || p.folder == "" {
		return p, err
	}
	if tree != nil {
		defer tree.close()
	}
	if err := c.openArea(tree); err != nil {
		return nil, fmt.Errorf("open %s: %w", ownFolder, writable(err))
	}
	if p.events, err = c.settle(ctx, tree, p.version, newest, nil, nil); err != nil {
		return nil, err
	}
	if p.facts, err = c.look(ctx, tree, paths); err != nil {
		return nil, err
	}
	for _, path := range paths {
		a, err := one(p, path)
		if err != nil {
			return nil, err
		}
		if a.Verb != "" {
			p.actions = append(p.actions, a)
		}
	}
	return p, p.supply(ctx, true)
}

// Errors of the restores on which a caller decides.
var (
	ErrUnknownPath = errors.New("the course has no such file")
	ErrNoVersion   = errors.New("that version of it is not here any more")
)

func restoring(file Delivery, was *Entry, f Fact) Action {
	a := Action{Path: file.Path, Was: was, File: file.File, Channel: file.Channel, Mine: f, Status: Delivered, Event: Restored}
	switch {
	case f.Err != nil:
		return a.do(Skip)
	case f.Kind == Nothing:
		return a.do(Add)
	case f.Kind == Regular && !f.blocked(file.Path) && f.Digest == file.Digest:
		if was != nil && was.Digest == file.Digest && was.Status == Delivered && !was.Held.held() {
			return Action{}
		}
		return a.do(Record)
	case f.Kind == Regular && !f.blocked(file.Path) && was.knew(f.Digest):
		return a.do(Replace)
	case f.Kind == Regular && !f.blocked(file.Path):
		return a.do(Save)
	}
	return a.do(Aside)
}

// PlaceNote keeps a small file that Satchel writes itself, such as "What is
// new.md", below the root, under the policy replace: a file of the student's
// own of that name, or one that they changed, is laid beside. nil takes it
// away if it is untouched. ours knows a note of before by its content, where
// the record of it is lost: that one goes to the shelf.
func (h *Home) PlaceNote(ctx context.Context, name string, content []byte, ours func(content []byte) bool) ([]Event, error) {
	if err := bundle.CheckName(name); err != nil {
		return nil, fmt.Errorf("place a note: %w", err)
	}
	c, err := h.course(ctx, notesName)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	tree, err := c.tree("")
	if err != nil {
		return nil, err
	}
	defer tree.close()
	if err := c.openArea(nil); err != nil {
		return nil, writable(err)
	}
	p := &Plan{c: c, folder: ".", partial: true}
	if p.events, err = c.settle(ctx, tree, 0, nil, nil, nil); err != nil {
		return nil, err
	}
	v := View{Last: map[string]*Entry{}, Newest: map[string]Delivery{}, Channels: map[string]bool{"": true}, Now: h.now}
	if e := c.rec.files[name]; e != nil {
		v.Last[name] = e
	}
	if content != nil {
		file := bundle.File{Path: name, Mode: 0o644, Size: int64(len(content)), Digest: bundle.Sum(content), Policy: bundle.Replace}
		v.Newest[name] = Delivery{File: file}
	}
	if p.facts, err = c.look(ctx, tree, []string{name}); err != nil {
		return nil, err
	}
	v.Disk, v.Origin = p.facts, map[string]Origin{}
	if f := p.facts[name]; v.Last[name] == nil && f.Kind == Regular && f.Err == nil {
		if data, err := readPath(tree, name, maxNote); err == nil && ours(data) {
			v.Origin[name] = Former
		}
	}
	p.actions = note(Compare(v))
	return p.place(ctx, content)
}

// maxNote bounds a note that is looked into, in bytes.
const maxNote = 1 << 20

// note makes of decisions about a course's file those about a note: it comes
// whenever there is a new one, also where it was deleted, and never disturbs
// a folder or link of that name.
func note(actions []Action) (out []Action) {
	for _, a := range actions {
		switch {
		case a.Verb == Record && a.Status == Away:
			a.Verb, a.Status = Add, Delivered
		case a.Verb == Aside, a.Verb == Beside:
			continue
		}
		a.Return = false
		if a.Event != Saved {
			a.Event = ""
		}
		out = append(out, a)
	}
	return out
}

func (p *Plan) place(ctx context.Context, content []byte) ([]Event, error) {
	if err := p.supply(ctx, false); err != nil {
		return nil, err
	}
	for _, item := range p.wanted {
		if err := p.c.Stage(bundle.NewVerifier(bytes.NewReader(content), item)); err != nil {
			return nil, err
		}
	}
	res, err := p.c.Apply(ctx, p)
	if err == nil && len(res.Missing) > 0 {
		err = errors.New("it could not be staged")
	}
	if err != nil {
		return nil, err
	}
	return res.Events, nil
}
