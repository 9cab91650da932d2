package store

import (
	"context"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Covered asks for the versions of all keys below prefix, a thousand a request,
// and gives the keys whose newest is a delete marker and that have another
// below it. Where the credentials may not list versions, that is an error in a
// bucket that keeps them.
func (s *S3) Covered(ctx context.Context, prefix string) iter.Seq2[Covered, error] {
	return func(yield func(Covered, error) bool) {
		if err := checkPrefix(prefix); err != nil {
			yield(Covered{}, err)
			return
		}
		marked := map[string]bool{} // not given yet
		in := &s3.ListObjectVersionsInput{Bucket: &s.bucket, Prefix: s.name(prefix)}
		for p := s3.NewListObjectVersionsPaginator(s.client, in); p.HasMorePages(); {
			page, err := p.NextPage(ctx)
			if err != nil {
				if err = s.coveredError(ctx, prefix, err); err != nil {
					yield(Covered{}, err)
				}
				return
			}
			if !s.yieldCovered(page, marked, yield) {
				return
			}
		}
	}
}

func (s *S3) yieldCovered(page *s3.ListObjectVersionsOutput, marked map[string]bool, yield func(Covered, error) bool) bool {
	for _, m := range page.DeleteMarkers {
		if aws.ToBool(m.IsLatest) {
			marked[aws.ToString(m.Key)] = true
		}
	}
	for _, v := range page.Versions { // each key's newest first
		name := aws.ToString(v.Key)
		key, ours := strings.CutPrefix(name, s.prefix)
		if !marked[name] || !ours || CheckKey(key) != nil {
			continue
		}
		delete(marked, name)
		open := func(ctx context.Context) (io.ReadCloser, error) { return s.getVersion(ctx, key, v.VersionId) }
		if !yield(Covered{key, open}, nil) {
			return false
		}
	}
	return true
}

func (s *S3) getVersion(ctx context.Context, key string, id *string) (io.ReadCloser, error) {
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: s.name(key), VersionId: id})
	if code, _ := apiError(err); code == "NoSuchVersion" {
		err = ErrNotFound
	}
	if err != nil {
		return nil, s.explain(ctx, "get", key, err)
	}
	return &body{out.Body, func(err error) error { return s.explain(ctx, "get", key, err) }}, nil
}

// coveredError is nil where the versions may not be listed and there are none.
func (s *S3) coveredError(ctx context.Context, prefix string, err error) error {
	if knowsNoVersions(err) {
		return nil
	}
	if refused(err) {
		for o, lerr := range s.List(ctx, prefix, "") {
			if lerr != nil {
				return lerr
			}
			there, versioned, herr := s.look(ctx, o.Key)
			if herr != nil {
				return s.explain(ctx, "look at", o.Key, herr)
			}
			if there && !versioned {
				return nil
			}
			break
		}
	}
	return fmt.Errorf("what lies under delete markers is not known (the credentials need s3:ListBucketVersions): %w", s.explain(ctx, "list versions", prefix, err))
}
