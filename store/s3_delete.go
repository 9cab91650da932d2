package store

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Delete removes the object. In a bucket with versions a plain delete only
// puts a marker over the object, and its answer says so; then all versions
// and markers of that key are removed one by one, so that what was withdrawn
// is gone, also for URLs signed before.
func (s *S3) Delete(ctx context.Context, key string) error {
	if err := CheckKey(key); err != nil {
		return err
	}
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
	if err := s.deleteVersions(ctx, key); err != nil {
		return fmt.Errorf("older versions remain in the bucket (the credentials need s3:ListBucketVersions and s3:DeleteObjectVersion): %w",
			s.explain(ctx, "delete", key, err))
	}
	return nil
}

func (s *S3) deleteVersions(ctx context.Context, key string) error {
	in := &s3.ListObjectVersionsInput{Bucket: &s.bucket, Prefix: s.name(key)}
	for p := s3.NewListObjectVersionsPaginator(s.client, in); p.HasMorePages(); {
		page, err := p.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, id := range versionsOf(page, *s.name(key)) {
			in := &s3.DeleteObjectInput{Bucket: &s.bucket, Key: s.name(key), VersionId: id}
			if _, err := s.client.DeleteObject(ctx, in); err != nil {
				return err
			}
		}
	}
	return nil
}

// versionsOf picks out of a page the versions and delete markers of exactly
// this key; the page is of all keys that begin with it.
func versionsOf(page *s3.ListObjectVersionsOutput, key string) (ids []*string) {
	for _, v := range page.Versions {
		if aws.ToString(v.Key) == key {
			ids = append(ids, v.VersionId)
		}
	}
	for _, m := range page.DeleteMarkers {
		if aws.ToString(m.Key) == key {
			ids = append(ids, m.VersionId)
		}
	}
	return ids
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
