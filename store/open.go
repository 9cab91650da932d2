package store

import (
	"context"
	"errors"
	"log/slog"
)

// Config says where objects rest: a folder, or S3. Exactly one is set.
type Config struct {
	Dir string    // absolute path
	S3  *S3Config // nil: a folder
}

// Open opens the store. What only an administrator can put right (credentials
// that are refused, a missing bucket, a network filesystem) is an error now,
// in one sentence. An S3 that does not answer is none: the service serves from
// its cache meanwhile, so only the log says it.
func Open(ctx context.Context, lg *slog.Logger, c Config) (Store, error) {
	switch {
	case c.Dir != "" && c.S3 != nil, c.Dir == "" && c.S3 == nil:
		return nil, errors.New("store: set exactly one of dir and s3")
	case c.Dir != "":
		return NewDir(c.Dir)
	}
	c.S3.Log = lg
	s, err := NewS3(ctx, *c.S3)
	if err != nil {
		return nil, err
	}
	err = s.Check(ctx)
	if errors.Is(err, ErrUnavailable) {
		lg.Warn("going on without S3 for now", "err", err)
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}
