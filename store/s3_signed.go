package store

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// maxSigned is how long a signed URL may live at all (the protocol's limit).
const maxSigned = 7 * 24 * time.Hour

// Header is what a request by a signed URL must have. A server that knows
// If-Range (RFC 9110, 13.1.5; AWS is said to) sends the whole object where that
// names another ETag, whatever Range says, so it is signed too; and where the
// object is another one by now, If-Match comes first and ends the request.
func (s Section) Header() http.Header {
	return http.Header{"Range": {rangeHeader(s.Offset, s.Length)}, "If-Match": {s.ETag}, "If-Range": {s.ETag}}
}

// check refuses an ETag that is not a strong one: If-Range never holds for
// another, and then all of the object would come.
func (s Section) check() error {
	if s.Offset < 0 || s.Length <= 0 || s.Offset+s.Length < s.Length {
		return fmt.Errorf("a section of %d bytes at %d", s.Length, s.Offset)
	}
	if len(s.ETag) < 3 || s.ETag[0] != '"' || s.ETag[len(s.ETag)-1] != '"' {
		return fmt.Errorf("the server gives no strong ETag (%.100q), so no section can be signed", s.ETag)
	}
	return nil
}

// SignedURL signs without asking the server. The URL dies earlier where the
// credentials that sign it do (a role's: within hours).
func (s *S3) SignedURL(ctx context.Context, key string, sec Section, ttl time.Duration) (string, error) {
	return s.sign(ctx, s.signer, key, sec, ttl)
}

func (s *S3) sign(ctx context.Context, signer *s3.PresignClient, key string, sec Section, ttl time.Duration) (string, error) {
	if err := CheckKey(key); err != nil {
		return "", err
	}
	if err := sec.check(); err != nil {
		return "", s.explain(ctx, "sign", key, err)
	}
	if ttl < time.Second || ttl > maxSigned {
		return "", s.explain(ctx, "sign", key, errors.New("a signed URL lives between a second and seven days"))
	}
	head := sec.Header()
	in := &s3.GetObjectInput{Bucket: &s.bucket, Key: s.name(key), Range: aws.String(head.Get("Range")), IfMatch: &sec.ETag}
	r, err := signer.PresignGetObject(ctx, in, s3.WithPresignExpires(ttl), s3.WithPresignClientFromClientOptions(func(o *s3.Options) {
		o.APIOptions = append(o.APIOptions, smithyhttp.SetHeaderValue("If-Range", sec.ETag)) // the SDK knows no such field
	}))
	if err == nil {
		err = bound(r, head)
	}
	if err != nil {
		return "", s.explain(ctx, "sign", key, err)
	}
	return r.URL, nil
}

// bound makes sure that the SDK has signed each header of head as it is, for
// with one that it had left out or put into the query more could be read.
func bound(r *v4.PresignedHTTPRequest, head http.Header) error {
	u, err := url.Parse(r.URL)
	if err != nil {
		return errors.New("the signed URL is none")
	}
	signed := strings.Split(u.Query().Get("X-Amz-SignedHeaders"), ";")
	for name := range head {
		if r.SignedHeader.Get(name) != head.Get(name) || !slices.Contains(signed, strings.ToLower(name)) {
			return fmt.Errorf("the header %s is not signed", name)
		}
	}
	return nil
}
