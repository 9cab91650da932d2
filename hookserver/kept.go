package hookserver

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"

	"satchel/internal/durable"
	"satchel/store"
)

// keep puts a record beside the cached bundles, so that a service that is
// started while S3 is away serves what it served before.
func (l *library) keep(r *store.Record) {
	if l.blobs.cache == nil {
		return
	}
	data, err := json.Marshal(r)
	if err == nil {
		err = durable.WriteFile(l.keptPath(r.Course), data, 0o600)
	}
	if err != nil {
		l.lg.Warn("the record is not kept for when the store is away", "course", r.Course, "err", err)
	}
}

// installKept serves the kept record until the store answers. Its head is
// checked as any other; its etag is unknown, so the first answer replaces it.
func (l *library) installKept(ctx context.Context, name string) {
	if l.blobs.cache == nil {
		return
	}
	r, err := readKept(l.keptPath(name))
	if err != nil || r.Course != name {
		return // there is none, or none that is worth anything
	}
	if l.taken != nil {
		if err := lacksNone(r, l.taken(name)); err != nil {
			l.lg.Warn("the kept record is not served", "course", name, "err", err)
			return
		}
	}
	var ed *edition
	err = safely(func() (err error) { ed, err = l.openEdition(ctx, r, "", nil); return err })
	if err != nil {
		l.lg.Warn("the kept record cannot be served", "course", name, "err", err)
		return
	}
	l.install(name, ed)
}

func (l *library) keptPath(course string) string {
	return filepath.Join(l.blobs.cache.records, course)
}

func readKept(path string) (*store.Record, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, store.MaxRecord+1))
	if err != nil {
		return nil, err
	}
	return store.DecodeRecord(data)
}
