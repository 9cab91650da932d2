package store

import (
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	smithymiddleware "github.com/aws/smithy-go/middleware"
)

// S3 is the store in a bucket of any server that speaks S3 and honours
// If-None-Match and If-Match on PutObject (CheckConditions proves it). It
// keeps nothing but connections.
//
// A conditional write whose answer is lost is not tried again here: the second
// try would meet the first one's object and call it somebody else's. Its
// caller reads and decides (SwapRecord does).
type S3 struct {
	client *s3.Client
	signer *s3.PresignClient
	bucket string
	prefix string // "" or with a slash at its end
	where  string // for sentences: the bucket and its server
}

func (s *S3) name(key string) *string { return aws.String(s.prefix + key) }

func (s *S3) Get(ctx context.Context, key string) (io.ReadCloser, Object, error) {
	return s.get(ctx, key, nil)
}

func (s *S3) get(ctx context.Context, key string, span *string) (io.ReadCloser, Object, error) {
	if err := CheckKey(key); err != nil {
		return nil, Object{}, err
	}
	in := &s3.GetObjectInput{Bucket: &s.bucket, Key: s.name(key), Range: span}
	out, err := s.client.GetObject(ctx, in, func(o *s3.Options) {
		if span != nil { // some servers send the whole object's checksum with a part
			o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		}
	})
	if err != nil {
		return nil, Object{}, s.explain(ctx, "get", key, err)
	}
	o := Object{
		Key: key, Size: aws.ToInt64(out.ContentLength), ETag: aws.ToString(out.ETag),
		Modified: aws.ToTime(out.LastModified), Now: serverTime(out.ResultMetadata),
	}
	if span != nil {
		o.Size, err = wholeSize(aws.ToString(out.ContentRange))
		if err != nil {
			out.Body.Close()
			return nil, o, s.explain(ctx, "get", key, err)
		}
	}
	return &body{out.Body, func(err error) error { return s.explain(ctx, "get", key, err) }}, o, nil
}

func (s *S3) GetRange(ctx context.Context, key string, offset, length int64) (io.ReadCloser, Object, error) {
	if offset < 0 || length <= 0 {
		return s.emptyRange(ctx, key, offset, length)
	}
	span := rangeHeader(offset, length)
	r, o, err := s.get(ctx, key, &span)
	if err != nil {
		return nil, o, err
	}
	if err := checkRange(o.Size, offset, length); err != nil {
		r.Close()
		return nil, o, s.explain(ctx, "get", key, err)
	}
	return r, o, nil
}

// emptyRange answers what HTTP cannot ask for.
func (s *S3) emptyRange(ctx context.Context, key string, offset, length int64) (io.ReadCloser, Object, error) {
	o, err := s.Head(ctx, key)
	if err == nil {
		err = checkRange(o.Size, offset, length)
	}
	return io.NopCloser(strings.NewReader("")), o, err
}

func (s *S3) Head(ctx context.Context, key string) (Object, error) {
	if err := CheckKey(key); err != nil {
		return Object{}, err
	}
	out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.bucket, Key: s.name(key)})
	if _, status := apiError(err); status >= 300 && status < 500 {
		// Such an answer has no body that says what was wrong: what is not
		// found may be the bucket, the user (versitygw) or a proxy's page.
		r, o, err := s.get(ctx, key, nil)
		if err == nil {
			r.Close()
		}
		return o, err
	}
	if err != nil {
		return Object{}, s.explain(ctx, "head", key, err)
	}
	return Object{
		Key: key, Size: aws.ToInt64(out.ContentLength), ETag: aws.ToString(out.ETag),
		Modified: aws.ToTime(out.LastModified), Now: serverTime(out.ResultMetadata),
	}, nil
}

func (s *S3) Put(ctx context.Context, key string, body io.ReadSeeker) error {
	_, err := s.put(ctx, key, body, &s3.PutObjectInput{})
	return s.explain(ctx, "put", key, err)
}

func (s *S3) PutIfAbsent(ctx context.Context, key string, body io.ReadSeeker) error {
	_, err := s.put(ctx, key, body, &s3.PutObjectInput{IfNoneMatch: aws.String("*")})
	if _, status := apiError(err); status == http.StatusPreconditionFailed {
		err = ErrExists
	}
	return s.explain(ctx, "put", key, err)
}

func (s *S3) CompareAndSwap(ctx context.Context, key, etag string, data []byte) (string, error) {
	in := &s3.PutObjectInput{IfNoneMatch: aws.String("*")}
	if etag != "" {
		in = &s3.PutObjectInput{IfMatch: &etag}
	}
	out, err := s.put(ctx, key, strings.NewReader(string(data)), in)
	if lostSwap(err) {
		err = ErrChanged
	}
	if err == nil && aws.ToString(out.ETag) == "" {
		err = errors.New("the server gives no ETag, so nothing can be swapped safely")
	}
	if err != nil {
		return "", s.explain(ctx, "swap", key, err)
	}
	return *out.ETag, nil
}

// put sends body from its beginning. in says under which condition.
func (s *S3) put(ctx context.Context, key string, body io.ReadSeeker, in *s3.PutObjectInput) (*s3.PutObjectOutput, error) {
	if err := CheckKey(key); err != nil {
		return nil, err
	}
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	in.Bucket, in.Key, in.Body = &s.bucket, s.name(key), body
	in.ContentType = aws.String("application/octet-stream") // so no browser runs it by a signed URL
	if in.IfMatch == nil && in.IfNoneMatch == nil {
		return s.client.PutObject(ctx, in)
	}
	return s.client.PutObject(ctx, in, func(o *s3.Options) { o.Retryer = conditionalRetryer() })
}

// List asks page by page. Most servers take 1,000 keys a page; whatever they
// take, after is where the next one begins.
func (s *S3) List(ctx context.Context, prefix, after string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		if err := checkPrefix(prefix); err != nil {
			yield(Object{}, err)
			return
		}
		in := &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: s.name(prefix)}
		if after != "" {
			in.StartAfter = s.name(after)
		}
		for p := s3.NewListObjectsV2Paginator(s.client, in); p.HasMorePages(); {
			page, err := p.NextPage(ctx)
			if err != nil {
				yield(Object{}, s.explain(ctx, "list", prefix, err))
				return
			}
			if !s.yieldPage(page, yield) {
				return
			}
		}
	}
}

func (s *S3) yieldPage(page *s3.ListObjectsV2Output, yield func(Object, error) bool) bool {
	now := serverTime(page.ResultMetadata)
	for _, c := range page.Contents {
		key, ok := strings.CutPrefix(aws.ToString(c.Key), s.prefix)
		if !ok || CheckKey(key) != nil {
			continue // not ours: somebody put it there by hand
		}
		if !yield(Object{Key: key, Size: aws.ToInt64(c.Size), Modified: aws.ToTime(c.LastModified), Now: now}, nil) {
			return false
		}
	}
	return true
}

// serverTime is the Date of an answer.
func serverTime(m smithymiddleware.Metadata) time.Time {
	t, _ := middleware.GetServerTime(m)
	return t
}
