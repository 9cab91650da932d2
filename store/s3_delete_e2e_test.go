//go:build e2e

package store_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"satchel/internal/s3server"
	"satchel/store"
)

func (b beside) versioning(status types.BucketVersioningStatus) {
	b.t.Helper()
	_, err := b.PutBucketVersioning(b.t.Context(), &s3.PutBucketVersioningInput{
		Bucket: &b.bucket, VersioningConfiguration: &types.VersioningConfiguration{Status: status},
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// TestVersitygwDeleteThatBreaksOff, for each way in which a key can have had
// versions.
func TestVersitygwDeleteThatBreaksOff(t *testing.T) {
	endpoint, access, secret := s3server.StartVersioned(t)
	for name, how := range map[string]struct {
		hides bool // a marker comes over it, or is there already
		fill  func(raw beside, s store.Store, key string)
	}{
		"versions": {false, func(raw beside, s store.Store, key string) {
			raw.versioning(types.BucketVersioningStatusEnabled)
			threeVersions(t)(s, key)
		}},
		"under a marker": {true, func(raw beside, s store.Store, key string) {
			raw.versioning(types.BucketVersioningStatusEnabled)
			threeVersions(t)(s, key)
			raw.cover(key)
		}},
		"a version under a marker under others": {false, func(raw beside, s store.Store, key string) {
			raw.versioning(types.BucketVersioningStatusEnabled)
			put(t, s, key, "secret")
			raw.cover(key)
			threeVersions(t)(s, key)
		}},
		"older than the bucket's versions": {true, func(raw beside, s store.Store, key string) {
			raw.versioning(types.BucketVersioningStatusSuspended)
			put(t, s, key, "secret")
			raw.versioning(types.BucketVersioningStatusEnabled)
		}},
		"written while versions were suspended": {true, func(raw beside, s store.Store, key string) {
			raw.versioning(types.BucketVersioningStatusEnabled)
			threeVersions(t)(s, key)
			raw.versioning(types.BucketVersioningStatusSuspended)
			put(t, s, key, "secret")
		}},
		"deleted while versions are suspended": {false, func(raw beside, s store.Store, key string) {
			raw.versioning(types.BucketVersioningStatusEnabled)
			threeVersions(t)(s, key)
			raw.versioning(types.BucketVersioningStatusSuspended)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			c := s3server.Bucket(t, endpoint, access, secret)
			raw := besideOf(t, c)
			breakDeleteOff(t, c, how.hides, func(s store.Store, key string) { how.fill(raw, s, key) })
		})
	}
}

// TestVersitygwObjectLock: what the bucket holds fast stays listed, and goes
// when it is let go.
func TestVersitygwObjectLock(t *testing.T) {
	endpoint, access, secret := s3server.StartVersioned(t)
	c := s3server.Bucket(t, endpoint, access, secret)
	c.Bucket += "-locked"
	raw := besideOf(t, c)
	_, err := raw.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &c.Bucket, ObjectLockEnabledForBucket: aws.Bool(true)})
	if err != nil {
		t.Fatal(err)
	}
	s := newS3(t, c)
	key := "courses/x/bundles/ab"
	threeVersions(t)(s, key)
	ids, _ := raw.left(key)
	if len(ids) != 3 {
		t.Fatalf("%q", ids)
	}
	hold := func(status types.ObjectLockLegalHoldStatus) {
		t.Helper()
		_, err := raw.PutObjectLegalHold(t.Context(), &s3.PutObjectLegalHoldInput{
			Bucket: &c.Bucket, Key: &key, VersionId: &ids[1], LegalHold: &types.ObjectLockLegalHold{Status: status},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	hold(types.ObjectLockLegalHoldStatusOn)
	for range 2 {
		if err := s.Delete(t.Context(), key); err == nil || !strings.Contains(err.Error(), "Object Lock") || listed(t, s, key) {
			t.Errorf("%v; listed %v", err, listed(t, s, key))
		}
	}
	if left, markers := raw.left(key); len(left) > 3 || markers > 1 {
		t.Errorf("%q, %d markers", left, markers)
	}
	hold(types.ObjectLockLegalHoldStatusOff)
	if err := s.Delete(t.Context(), key); err != nil {
		t.Error(err)
	}
	if left, markers := raw.left(key); len(left)+markers > 0 {
		t.Errorf("%q, %d markers are left", left, markers)
	}
}

// TestVersitygwCoveredWithoutVersions: a server that keeps none has nothing
// under markers.
func TestVersitygwCoveredWithoutVersions(t *testing.T) {
	endpoint, access, secret := s3server.Start(t)
	s := newS3(t, s3server.Bucket(t, endpoint, access, secret))
	put(t, s, "courses/x/bundles/ab", "x")
	if all := covered(t, s, "courses/x/bundles/"); len(all) > 0 {
		t.Errorf("%q", all)
	}
}
