// Package store owns where bundles rest: in a folder of this machine (the
// default) or in S3, and the keys under which everything lies there. It is
// the only home of the AWS SDK.
//
//	courses/<course>/record            the one mutable object of a course (Record)
//	courses/<course>/bundles/<sha256>  immutable, named by its content
//	courses/<course>/log/<time>-<id>   one for each publish, refusal and command (Entry)
//	receipts/<day>/<id>                batches of lines by a hookserver (package students reads them)
//	receipts/servers/<id>              which hookservers are there (Presence)
//	receipts/proven/<course>           a head that students hold and the record lacks (Proven)
//	students/<shard>                   what the syncer made of the receipts
//	checks/<id>                        scratch of CheckConditions
//
// Promises: an object is visible whole or not at all; a compare-and-swap has
// one winner; what was written is on disk (folder) or acknowledged (S3) when
// the call returns.
package store

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"
)

// Errors on which callers decide. Every other error means "unknown whether it
// happened"; ErrUnavailable marks those worth trying again.
var (
	ErrNotFound    = errors.New("not found")
	ErrExists      = errors.New("exists already")
	ErrChanged     = errors.New("changed meanwhile")
	ErrUnsupported = errors.New("this kind of store cannot do that")
	ErrUnavailable = errors.New("the store does not answer")
)

// Object describes what lies under a key. ETag changes whenever the content
// does, and comes back with a former content (so what is swapped carries
// something random); it is good for CompareAndSwap only; List leaves it empty.
// Now is the
// store's own clock at the answer, zero where it has none but this machine's.
type Object struct {
	Key      string
	Size     int64 // bytes
	ETag     string
	Modified time.Time
	Now      time.Time
}

// Section is a part of an object that has this ETag.
type Section struct {
	ETag           string
	Offset, Length int64
}

// Covered is an object that lies under a delete marker; Open reads what it was.
type Covered struct {
	Key  string
	Open func(context.Context) (io.ReadCloser, error)
}

// Store is a flat set of objects. Keys are slash-separated plain names
// (CheckKey). A body is read from its beginning and stays the caller's to
// close. Both implementations pass the contract in storetest.
type Store interface {
	// Get opens an object. ErrNotFound.
	Get(ctx context.Context, key string) (io.ReadCloser, Object, error)
	// GetRange opens length bytes from offset; Object.Size is the whole's, and
	// there may be no ETag.
	// ErrNotFound; a range beyond the end is an error.
	GetRange(ctx context.Context, key string, offset, length int64) (io.ReadCloser, Object, error)
	// Head describes an object. ErrNotFound.
	Head(ctx context.Context, key string) (Object, error)
	// Put writes an object, over what is there. Only for objects that are
	// named by their content or written by nobody else.
	Put(ctx context.Context, key string, body io.ReadSeeker) error
	// PutIfAbsent writes an object unless there is one: ErrExists, which says
	// that this call wrote nothing. Of several at once one wins.
	PutIfAbsent(ctx context.Context, key string, body io.ReadSeeker) error
	// CompareAndSwap replaces the object that still has etag ("" means: that
	// is absent) and gives the new etag. ErrChanged when it has not, which
	// says that this call wrote nothing.
	CompareAndSwap(ctx context.Context, key, etag string, data []byte) (string, error)
	// List gives the objects below prefix, in the order of their keys, that
	// come after the key after ("" for all).
	List(ctx context.Context, prefix, after string) iter.Seq2[Object, error]
	// Delete removes an object with all its versions. An absent one is no
	// error.
	Delete(ctx context.Context, key string) error
	// Covered gives what below prefix was deleted by half: List no longer gives
	// it, and old versions remain. Delete ends that. A store without versions
	// has none.
	Covered(ctx context.Context, prefix string) iter.Seq2[Covered, error]
	// SignedURL gives a URL by which anybody can read a section of the object
	// until ttl is over, and nothing else of it: by GET with the headers of
	// Section.Header, none of them missing or another. ErrUnsupported where
	// there is none.
	SignedURL(ctx context.Context, key string, s Section, ttl time.Duration) (string, error)
}
