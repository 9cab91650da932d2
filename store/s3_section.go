package store

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// ErrSections means: by a signed URL the server gives more than the section
// that it was signed for.
var ErrSections = errors.New("this S3 server does not hold a signed URL to its section, so whoever has one could read all of a bundle; use a server that checks signed headers (AWS S3, versitygw), or delivery: service")

// CheckSection proves that the server gives a section of an object by its
// signed URL, and nothing by the same URL with other headers: ErrSections when
// it does. It asks by the name under which this service knows the server.
func (s *S3) CheckSection(ctx context.Context, key string, sec Section) error {
	link, err := s.sign(ctx, s3.NewPresignClient(s.client), key, sec, time.Minute)
	if err != nil {
		return err
	}
	ask := func(change func(http.Header)) (int, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
		if err != nil {
			return 0, errors.New("the signed URL is none")
		}
		req.Header = sec.Header()
		change(req.Header)
		resp, err := s.client.Options().HTTPClient.Do(req)
		if err != nil {
			return 0, err
		}
		return resp.StatusCode, resp.Body.Close()
	}
	switch status, err := ask(func(http.Header) {}); {
	case err != nil:
		return s.explain(ctx, "read by a signed URL", key, err)
	case status != http.StatusPartialContent:
		return fmt.Errorf("the S3 server answers %d to a URL that was signed a moment ago", status)
	}
	for _, change := range []func(http.Header){
		func(h http.Header) { h.Del("Range") },
		func(h http.Header) { h.Set("Range", rangeHeader(0, sec.Offset+sec.Length+1)) },
		func(h http.Header) { h.Set("If-Range", `"another"`) },
		func(h http.Header) { clear(h) },
	} {
		switch status, err := ask(change); {
		case err != nil:
			return s.explain(ctx, "read by a signed URL", key, err)
		case status < http.StatusMultipleChoices:
			return ErrSections
		}
	}
	return nil
}
