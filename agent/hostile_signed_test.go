package agent

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"satchel/bundle"
	"satchel/hook"
)

// signedKinds are signed with the right key: the service itself, or whoever
// holds its key, is the attacker. What they name comes with them, so nothing
// but the agent's own rules stands between.
var signedKinds = []kind{
	{"signed: a path that leads elsewhere", len(tricks), signedPath},
	{"signed: a course's folder elsewhere", 12, signedFolder},
	{"signed: a file and a folder of one name", 8, fileAndFolder},
	{"signed: one path by two channels", 6, twoChannels},
	{"signed: a head against the rules", 12, signedHead},
	{"signed: a file against the rules", 14, signedFile},
}

const evil = "evil\n"

// evilFile is one whose content is delivered.
func evilFile(path string) bundle.File {
	return bundle.File{Path: path, Mode: 0o644, Size: int64(len(evil)), Digest: bundle.Sum([]byte(evil)), Policy: bundle.Merge}
}

// signed is an answer from nothing to version 2 with these files more.
func (m *maker) signed(more ...bundle.File) (*hostile, *bundle.Head) {
	m.t.Helper()
	man, _, _ := manifestOf(m.files)
	man.Files = append(man.Files, more...)
	man.Sort()
	head := *m.w.state["scala101"].head
	x := m.answer()
	texts := append(slices.Collect(maps.Values(m.files)), evil)
	f, data := frameOf(m.t, texts...)
	x.only(f, data)
	x.channels(&head, map[string]*bundle.Manifest{"all": man})
	x.course().Head = m.sealed(&head)
	return x, &head
}

// channels lets head and offer name these.
func (x *hostile) channels(head *bundle.Head, all map[string]*bundle.Manifest) {
	head.Channels, x.course().Channels = nil, nil
	for _, id := range slices.Sorted(maps.Keys(all)) {
		head.Channels = append(head.Channels, bundle.ChannelAt{ID: id, Manifest: all[id].Digest()})
		x.course().Channels = append(x.course().Channels, hook.ChannelOffer{ID: id, Changes: bundle.Diff(nil, all[id])})
	}
}

func signedPath(m *maker, i int) *hostile {
	x, _ := m.signed(evilFile(tricks[i]))
	return x
}

func signedFolder(m *maker, i int) *hostile {
	x, head := m.signed()
	head.Settings.Folder = []string{
		"", ".", "..", "../outside", "/tmp", "a/b", ".satchel", ".ssh", bundle.WhatIsNewFile, "a\x00b", "a\x1b[2Jb", strings.Repeat("f", 201),
	}[i]
	x.course().Head = m.sealed(head)
	return x
}

func fileAndFolder(m *maker, i int) *hostile {
	names := []string{"x", "data", "README.md", "new.txt"}
	name := names[i%len(names)]
	x, _ := m.signed(evilFile(name), evilFile(name+"/"+[]string{"y", "y/z"}[i/len(names)]))
	return x
}

func twoChannels(m *maker, i int) *hostile {
	x, head := m.signed()
	man, _, _ := manifestOf(m.files)
	path := []string{"README.md", "new.txt", "data", "README.md/x", "intro.ipynb", "new.txt/y/z"}[i]
	x.channels(head, map[string]*bundle.Manifest{"all": man, "more": {Files: []bundle.File{evilFile(path)}}})
	x.course().Head = m.sealed(head)
	return x
}

func signedHead(m *maker, i int) *hostile {
	x, h := m.signed()
	switch i {
	case 0:
		h.Version = 0
	case 1:
		h.Version = -1
	case 2:
		h.Version = bundle.MaxVersion + 1
	case 3:
		h.Version = math.MaxInt64
	case 4:
		h.Version = 1 // of which there is another
	case 5:
		h.Format = bundle.HeadFormat + 1
	case 6:
		h.Format = 0
	case 7:
		h.Course = ""
	case 8:
		h.Checked = time.Time{}
	case 9:
		h.Message = "one\nline\x1b[2J"
	case 10:
		h.Message = strings.Repeat("x", bundle.MaxMessage+1)
	case 11:
		h.Channels[0].ID = "../all"
		x.course().Channels[0].ID = "../all"
	}
	x.course().Head = m.sealed(h)
	return x
}

func signedFile(m *maker, i int) *hostile {
	f := evilFile("evil.sh")
	more := []bundle.File{}
	switch i {
	case 0:
		f.Mode = 0o4755
	case 1:
		f.Mode = 0o120777 // git's for a link
	case 2:
		f.Mode = 0
	case 3:
		f.Mode = math.MaxUint32
	case 4:
		f.Size = -1
	case 5:
		f.Size = bundle.MaxFileSize + 1
	case 6:
		f.Size = math.MaxInt64
	case 7:
		f.Size++ // than its content has
	case 8:
		f.Size--
	case 9:
		f.Digest = bundle.Digest{}
	case 10:
		f.Digest = m.digest() // of what never comes
	case 11:
		f.Policy = "Obey me!"
	case 12:
		more = append(more, f) // doubled
	case 13:
		for n := range bundle.MaxFiles {
			more = append(more, evilFile(fmt.Sprint("many/", n)))
		}
	}
	x, _ := m.signed(append(more, f)...)
	return x
}
