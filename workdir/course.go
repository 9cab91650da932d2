package workdir

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"sync"

	"satchel/bundle"
)

// Course is one course's folder and what is remembered of it. It lives as
// long as its Home.
type Course struct {
	home     *Home
	name     string
	state    *dir // .satchel/NAME; nil where there is none yet
	rec      *record
	fresh    bool            // the journal is to be written anew before anything is appended
	size     int64           // of the journal
	noted    bool            // something in it may not be on disk
	anchored bool            // the folders above it, and its name in them, are on disk
	area     *dir            // where stage, hold and shelf are
	shelf    string          // this pass's folder on the shelf
	untold   []Event         // of passes before this Home
	packs    packs           // of base bytes
	held     map[string]Seen // of this process: what it read in the hold

	finding sync.Mutex // of rec.bySeen: several look for the base of a delta at once

	manifests map[bundle.Digest]*bundle.Manifest // read, and checked
	kept      map[bundle.Digest]bool             // of these, by this process
	stage     *stage
}

// State is what a course's folder holds, as far as Satchel put it there.
type State struct {
	// Version, Fingerprint, Envelope and Manifests are of the newest head
	// whose every path is in place or waits with its bytes at hand; zero if
	// there is none.
	Known
	// Latest is the newest of which anything was placed: the same, or one of
	// which something is missing.
	Latest Known
	// Highest is the newest version that was ever planned from: a head below
	// it, or another one of the same number, is refused.
	Highest            bundle.Version
	HighestFingerprint string
	Folder             string   // the course's folder below the root; "" before the first Apply
	Waiting            []string // the first of the paths that are not the newest yet, with their bytes at hand
	Complete           bool     // Version is Highest and nothing waits
}

// Known is a version that this home knows whole. Each manifest was checked
// against its digest.
type Known struct {
	Version     bundle.Version
	Fingerprint string
	Envelope    *bundle.Envelope
	Manifests   map[string]*bundle.Manifest
}

const (
	manifestsName = "manifests"
	baseName      = "base"
	stageName     = "stage"
	holdName      = "hold"
	shelfName     = "shelf"
	keptName      = "kept"
)

func (h *Home) course(ctx context.Context, name string) (*Course, error) {
	c := &Course{home: h, name: name, rec: newRecord(), fresh: true, kept: map[bundle.Digest]bool{}}
	var err error
	if c.state, err = h.stateOf(name); err != nil {
		return nil, fmt.Errorf("course %s: %w", name, writable(err))
	}
	if c.state == nil {
		return c, nil
	}
	if err := c.load(ctx); err != nil {
		c.state.close()
		return nil, fmt.Errorf("course %s: %w", name, err)
	}
	return c, nil
}

// stateOf opens .satchel/NAME where it is a folder of our own, and makes
// nothing.
func (h *Home) stateOf(name string) (*dir, error) {
	if h.own == nil {
		return nil, nil
	}
	s, err := h.own.stat(name)
	switch {
	case err != nil || s.Kind != Folder:
		return nil, err
	case h.look:
		return h.own.sub(name)
	case int(s.uid) != os.Geteuid():
		return nil, nil
	}
	return h.own.private(name)
}

// begin makes .satchel/NAME before the first thing is remembered there.
func (c *Course) begin() (err error) {
	if c.state == nil {
		c.state, err = c.home.own.private(c.name)
	}
	return writable(err)
}

// Close lets go of the course; what is staged stays.
func (c *Course) Close() {
	c.dropPack()
	c.closeStage()
	c.bring()
	for _, d := range []*dir{c.area, c.state} {
		if d != nil {
			d.close()
		}
	}
	c.area, c.state = nil, nil
}

// State gives what is remembered. Where a manifest is lost it is as if
// nothing had been applied: the bases of the paths are not lost by that.
func (c *Course) State() State {
	s := State{
		Folder: c.rec.named.Folder, Highest: c.rec.highest.Version,
		HighestFingerprint: c.rec.highest.Fingerprint, Known: c.known(c.rec.applied),
	}
	if s.Latest = s.Known; c.rec.begun != nil {
		s.Latest = c.known(c.rec.begun)
	}
	if s.Version > 0 {
		s.Waiting = c.rec.applied.Waiting
		s.Complete = s.Version == c.rec.highest.Version && len(s.Waiting) == 0
	}
	return s
}

// RenameWaits says that the course's folder gets the name that is wanted at
// the next start of a server.
func (c *Course) RenameWaits(want string) bool {
	now := c.rec.named
	return now.Folder != "" && want != now.Folder && want != now.Wanted
}

func (c *Course) known(a *applied) Known {
	none := Known{Manifests: map[string]*bundle.Manifest{}}
	if a == nil {
		return none
	}
	k := Known{Version: a.Version, Fingerprint: a.Fingerprint, Envelope: a.Envelope, Manifests: map[string]*bundle.Manifest{}}
	for id, d := range a.Manifests {
		m, err := c.manifest(d)
		if err != nil {
			c.home.lg.Warn("a manifest is lost, asking for all of it", "course", c.name, "error", err)
			return none
		}
		k.Manifests[id] = m
	}
	return k
}

// manifest reads one by its digest, once, and believes only that.
func (c *Course) manifest(want bundle.Digest) (*bundle.Manifest, error) {
	if m := c.manifests[want]; m != nil {
		return m, nil
	}
	d, err := c.state.sub(manifestsName)
	if err != nil {
		return nil, err
	}
	defer d.close()
	text, err := d.unpack(want, bundle.MaxManifestSize)
	if err != nil {
		return nil, err
	}
	m, err := bundle.DecodeManifest(text)
	if err == nil {
		c.remembers(want, m)
	}
	return m, err
}

func (c *Course) remembers(d bundle.Digest, m *bundle.Manifest) {
	if c.manifests == nil {
		c.manifests = map[bundle.Digest]*bundle.Manifest{}
	}
	c.manifests[d] = m
}

// unpack reads a compressed file that is named by its content's digest.
func (d *dir) unpack(want bundle.Digest, limit int64) (data []byte, err error) {
	packed, err := d.read(want.String(), limit+1<<20)
	if err != nil {
		return nil, err
	}
	err = bundle.Decompress(bytes.NewReader(packed), limit, func(r io.Reader) (err error) {
		data, err = io.ReadAll(r)
		return err
	})
	if err == nil && bundle.Sum(data) != want {
		err = fmt.Errorf("%s: %w", want, bundle.ErrCorrupt)
	}
	return data, err
}

// saveManifests writes those that are not there yet, then forgets the others.
func (c *Course) saveManifests(all map[string]*bundle.Manifest) (map[string]bundle.Digest, error) {
	d, err := c.state.private(manifestsName)
	if err != nil {
		return nil, err
	}
	defer d.close()
	out := map[string]bundle.Digest{}
	for _, id := range sortedKeys(all) {
		text := all[id].Encode()
		out[id] = bundle.Sum(text)
		c.remembers(out[id], all[id])
		if c.kept[out[id]] {
			continue
		}
		_, err := d.unpack(out[id], bundle.MaxManifestSize)
		if err != nil {
			err = d.putFile(out[id].String(), bundle.Store(text), false) // a lost one is asked for anew
		}
		if err != nil {
			return nil, err
		}
		c.kept[out[id]] = true
	}
	return out, nil
}

// dropManifests removes those that no head that is known names.
func (c *Course) dropManifests() {
	d, err := c.state.private(manifestsName)
	if err != nil {
		return
	}
	defer d.close()
	var keep []bundle.Digest
	for _, a := range []*applied{c.rec.applied, c.rec.begun} {
		if a != nil {
			keep = slices.AppendSeq(keep, maps.Values(a.Manifests))
		}
	}
	names, _ := d.names()
	for _, name := range names {
		if sum, err := bundle.ParseDigest(name); err != nil || !slices.Contains(keep, sum) {
			_ = d.remove(name)
		}
	}
}

// Present is one look whether the course's folder is there.
func (c *Course) Present() bool {
	if c.rec.named.Folder == "" {
		return false
	}
	s, err := c.home.top.stat(c.rec.named.Folder)
	return err == nil && s.Kind == Folder
}

// tree opens the course's folder; nil where there is none yet. What is no
// folder gives a blockedError.
func (c *Course) tree(folder string) (*dir, error) {
	if c.name == notesName {
		return c.home.top.reopen()
	}
	s, err := c.home.top.stat(folder)
	switch {
	case err != nil || s.Kind == Nothing:
		return nil, err
	case s.Kind != Folder:
		return nil, &blockedError{folder, s.Kind}
	}
	return c.home.top.sub(folder)
}

// openArea opens where stage, hold and shelf are: beside the journal, or
// inside the course's folder where that is a filesystem of its own.
func (c *Course) openArea(tree *dir) error {
	if err := c.begin(); err != nil {
		return err
	}
	if err := c.findArea(tree); err != nil {
		return err
	}
	return c.area.probe()
}

func (c *Course) findArea(tree *dir) error {
	if c.area != nil {
		c.area.close()
		c.area = nil
	}
	here, err := c.state.self()
	if err != nil {
		return err
	}
	if tree != nil {
		there, err := tree.self()
		if err != nil {
			return err
		}
		if there.dev != here.dev {
			c.area, err = c.home.ownIn(tree)
			return err
		}
	}
	c.area, err = c.state.reopen()
	return err
}

// ownIn opens the .satchel inside a course's folder; a Home from Look makes
// none.
func (h *Home) ownIn(tree *dir) (*dir, error) {
	if h.look {
		return tree.sub(ownFolder)
	}
	return tree.private(ownFolder)
}
