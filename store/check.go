package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"
)

// checkTime is for a server's first answer when the service starts.
const checkTime = 15 * time.Second

// Check asks the bucket once: is it there, may we, does anybody answer.
func (s *S3) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	in := &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: s.name(""), MaxKeys: aws.Int32(1)}
	_, err := s.client.ListObjectsV2(ctx, in)
	return s.explain(ctx, "open", "store.s3", err)
}

// scratchPrefix is where CheckConditions keeps its scratch object.
const scratchPrefix = "checks/"

// ErrConditions means: the store lets a write through whose condition does
// not hold. Two syncers on it would overwrite each other's publishes.
var ErrConditions = errors.New("this store ignores conditional writes (If-None-Match, If-Match), so two publishes could overwrite each other unseen; use a server that honours them (AWS S3, versitygw), or store.dir")

// CheckConditions proves, with a scratch object that it takes away again, that
// put-if-absent and compare-and-swap are honoured, also by several writers at
// once. ErrConditions when they are not.
func CheckConditions(ctx context.Context, st Store) error {
	key := scratchPrefix + strings.ToLower(rand.Text())
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTime)
		defer cancel()
		_ = st.Delete(ctx, key) // a leftover scratch object harms nobody
	}()
	if err := checkRace(ctx, ErrExists, func(ctx context.Context, i int) error {
		return st.PutIfAbsent(ctx, key, strings.NewReader(fmt.Sprint("put ", i)))
	}); err != nil {
		return fmt.Errorf("check the store's conditions: put if absent: %w", err)
	}
	o, err := st.Head(ctx, key)
	if err != nil {
		return fmt.Errorf("check the store's conditions: %w", err)
	}
	if err := checkRace(ctx, ErrChanged, func(ctx context.Context, i int) error {
		_, err := st.CompareAndSwap(ctx, key, o.ETag, fmt.Append(nil, "swap ", i))
		return err
	}); err != nil {
		return fmt.Errorf("check the store's conditions: compare and swap: %w", err)
	}
	_, err = st.CompareAndSwap(ctx, key, o.ETag, []byte("stale"))
	switch {
	case err == nil:
		return fmt.Errorf("check the store's conditions: compare and swap: %w", ErrConditions)
	case !errors.Is(err, ErrChanged):
		return fmt.Errorf("check the store's conditions: %w", err)
	}
	return checkContent(ctx, st, key)
}

// checkRace lets four write at once. One must win, the others must learn by
// lost that they did not.
func checkRace(ctx context.Context, lost error, write func(context.Context, int) error) error {
	var won atomic.Int32
	g, ctx := errgroup.WithContext(ctx)
	for i := range 4 {
		g.Go(func() error {
			err := write(ctx, i)
			if err == nil {
				won.Add(1)
			}
			if errors.Is(err, lost) {
				return nil
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if n := won.Load(); n != 1 {
		return fmt.Errorf("%d of four writers were let through: %w", n, ErrConditions)
	}
	return nil
}

// checkContent looks whether a write that was refused was also not made.
func checkContent(ctx context.Context, st Store, key string) error {
	r, _, err := st.Get(ctx, key)
	if err != nil {
		return fmt.Errorf("check the store's conditions: %w", err)
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, 100))
	if err == nil && !bytes.HasPrefix(data, []byte("swap ")) {
		err = ErrConditions
	}
	if err != nil {
		return fmt.Errorf("check the store's conditions: %w", err)
	}
	return nil
}
