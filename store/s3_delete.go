package store

import (
	"context"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Delete removes the object with all its versions, so that what was withdrawn
// is gone, also for URLs signed before. A plain delete in a bucket with versions
// only puts a marker over the object, under which no listing finds it; so there
// the versions go one by one, the newest last: whatever breaks this off, the key
// stays listed until all is gone, and who lists it can begin again.
//
// In a bucket without versions it is a plain delete, after a look. Should the
// look not tell (some servers name no version of an object that is older than
// the bucket's versions), the answer to the plain delete does, and Covered finds
// what breaks off then.
func (s *S3) Delete(ctx context.Context, key string) error {
	if err := CheckKey(key); err != nil {
		return err
	}
	there, versioned, err := s.look(ctx, key)
	if err != nil {
		return s.explain(ctx, "delete", key, err)
	}
	if there && !versioned {
		return s.deletePlainly(ctx, key)
	}
	ids, err := s.versions(ctx, key)
	switch {
	case err == nil && (len(ids) > 0 || !there):
		err = s.deleteVersions(ctx, key, ids)
	case err == nil, knowsNoVersions(err), !there && refused(err):
		return s.deletePlainly(ctx, key)
	}
	if there && refused(err) { // no URL that was signed gives it any more, at least; Covered finds it
		_, _ = s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: s.name(key)})
	}
	return s.remains(ctx, key, err)
}

// look says whether there is an object, and whether the bucket keeps versions
// of it. Whatever refuses to tell will refuse the rest in better words.
func (s *S3) look(ctx context.Context, key string) (there, versioned bool, err error) {
	out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.bucket, Key: s.name(key)})
	_, status := apiError(err)
	switch {
	case err == nil:
		return true, aws.ToString(out.VersionId) != "", nil
	case status == http.StatusNotFound: // or under a marker
		return false, false, nil
	case refused(err):
		return true, false, nil
	}
	return false, false, err
}

func (s *S3) deletePlainly(ctx context.Context, key string) error {
	out, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: s.name(key)})
	if code, _ := apiError(err); code == "NoSuchKey" {
		return nil // AWS says 204, some others this
	}
	if err != nil {
		return s.explain(ctx, "delete", key, err)
	}
	if aws.ToString(out.VersionId) == "" && !aws.ToBool(out.DeleteMarker) {
		return nil
	}
	ids, err := s.versions(ctx, key)
	if err == nil {
		err = s.deleteVersions(ctx, key, ids)
	}
	return s.remains(ctx, key, err)
}

func (s *S3) remains(ctx context.Context, key string, err error) error {
	if err == nil || !refused(err) {
		return s.explain(ctx, "delete", key, err)
	}
	return fmt.Errorf("versions of it remain in the bucket (the credentials need s3:ListBucketVersions and s3:DeleteObjectVersion, and no Object Lock may hold it): %w",
		s.explain(ctx, "delete", key, err))
}

// versions gives the ids of the key's versions and delete markers, the newest
// last.
func (s *S3) versions(ctx context.Context, key string) (ids []*string, err error) {
	name := s.name(key)
	var newest []*string
	in := &s3.ListObjectVersionsInput{Bucket: &s.bucket, Prefix: name}
	for p := s3.NewListObjectVersionsPaginator(s.client, in); p.HasMorePages(); {
		page, err := p.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		add := func(of, id *string, latest *bool) {
			switch { // the page is of all keys that begin with this one
			case aws.ToString(of) != *name:
			case aws.ToBool(latest):
				newest = append(newest, id)
			default:
				ids = append(ids, id)
			}
		}
		for _, v := range page.Versions {
			add(v.Key, v.VersionId, v.IsLatest)
		}
		for _, m := range page.DeleteMarkers {
			add(m.Key, m.VersionId, m.IsLatest)
		}
	}
	return append(ids, newest...), nil
}

// deleteVersions stops at the first that stays, so that the newest does too.
func (s *S3) deleteVersions(ctx context.Context, key string, ids []*string) error {
	for _, id := range ids {
		_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: s.name(key), VersionId: id})
		if code, _ := apiError(err); err != nil && code != "NoSuchVersion" && code != "NoSuchKey" {
			return err
		}
	}
	return nil
}

// refused is an answer that will not change by itself.
func refused(err error) bool {
	_, status := apiError(err)
	return status >= 300 && status < 500 && status != http.StatusTooManyRequests && status != http.StatusRequestTimeout
}

// knowsNoVersions is said by servers that give an object a version's id and know
// nothing else of versions.
func knowsNoVersions(err error) bool {
	code, status := apiError(err)
	return status == http.StatusNotImplemented || status == http.StatusMethodNotAllowed || code == "NotImplemented"
}

// MakeBucket makes the bucket unless it is there already.
func (s *S3) MakeBucket(ctx context.Context) error {
	in := &s3.CreateBucketInput{Bucket: &s.bucket}
	if r := s.client.Options().Region; r != "us-east-1" { // the one region that must not be named
		in.CreateBucketConfiguration = &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(r)}
	}
	_, err := s.client.CreateBucket(ctx, in)
	if code, _ := apiError(err); code == "BucketAlreadyOwnedByYou" {
		return nil
	}
	return s.explain(ctx, "make bucket", s.bucket, err)
}
