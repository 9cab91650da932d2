package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// apiError gives S3's code and the answer's status; "" and 0 where there was
// no answer.
func apiError(err error) (code string, status int) {
	var api smithy.APIError
	if errors.As(err, &api) {
		code = api.ErrorCode()
	}
	if r := response(err); r != nil {
		status = r.StatusCode
	}
	return code, status
}

func response(err error) *http.Response {
	var re *smithyhttp.ResponseError
	if errors.As(err, &re) && re.Response != nil {
		return re.Response.Response
	}
	return nil
}

// lostSwap says whether an If-Match did not hold. On an absent object that is
// 404 on AWS and 412 on others; 409 is a conflict that outlasted the retries
// (AWS: "retry after re-reading").
func lostSwap(err error) bool {
	code, status := apiError(err)
	return status == http.StatusPreconditionFailed || code == conflict || code == "NoSuchKey"
}

const conflict = "ConditionalRequestConflict"

// explain gives err in words that say what to do. nil stays nil; the errors
// of this package and of the context stay what they are. The SDK's own text
// goes no further: it may hold request URLs.
func (s *S3) explain(ctx context.Context, op, key string, err error) error {
	if err == nil {
		return nil
	}
	switch ctx.Err() {
	case nil:
		err = s.cause(err)
	case context.DeadlineExceeded:
		err = fmt.Errorf("%w in time: %s: %w", ErrUnavailable, s.where, ctx.Err())
	default:
		err = ctx.Err()
	}
	return fmt.Errorf("%s %s: %w", op, key, err)
}

func (s *S3) cause(err error) error {
	code, status := apiError(err)
	switch {
	case !fromSDK(err) && code == "":
		return err // our own
	case code == "NoSuchKey":
		// Nothing else: the SDK makes NotFound of any 404, also of a proxy's
		// page, and that is not a course that was never published.
		return ErrNotFound
	case status == 0, errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: %s: %s", ErrUnavailable, s.where, noAnswer(err))
	case code == "RequestTimeTooSkewed", code == "SlowDown", full[code], status == http.StatusNotImplemented:
		return s.refusal(code, status, err)
	case status >= 500, status == http.StatusTooManyRequests, status == http.StatusRequestTimeout, code == conflict:
		return fmt.Errorf("%w: %s: %d %s", ErrUnavailable, s.where, status, redact(code))
	}
	return s.refusal(code, status, err)
}

// full are the codes by which servers say that there is no room.
var full = map[string]bool{"InsufficientStorage": true, "InsufficientCapacity": true, "QuotaExceeded": true, "XMinioStorageFull": true}

// refusal is for what an administrator must put right.
func (s *S3) refusal(code string, status int, err error) error {
	say := func(format string, a ...any) error {
		return fmt.Errorf("%s: %s (%d %s)", s.where, fmt.Sprintf(format, a...), status, redact(code))
	}
	switch code {
	case "SlowDown":
		return fmt.Errorf("%w: %w", ErrUnavailable, say("it asks to go slower"))
	case "NoSuchBucket":
		return say("there is no such bucket; make it, or correct store.s3.bucket")
	case "InvalidAccessKeyId", "InvalidAccessKey", "XAdminUserNotFound": // the last is versitygw's
		return say("the server does not know this access key; correct AWS_ACCESS_KEY_ID (or the profile, or the role)")
	case "SignatureDoesNotMatch":
		return say("the secret key does not belong to the access key; correct AWS_SECRET_ACCESS_KEY (or the profile)")
	case "ExpiredToken", "InvalidToken", "TokenRefreshRequired":
		return say("the session token is no longer valid; renew the credentials")
	case "RequestTimeTooSkewed":
		return say("this machine's clock and the server's differ by more than 15 minutes; set this machine's clock (%s)", serverDate(err))
	case "AccessDenied", "Forbidden", "AllAccessDisabled", "AccountProblem":
		return say("the credentials may not do this; allow s3:ListBucket on the bucket, and s3:GetObject, s3:PutObject and s3:DeleteObject on what is in it")
	case "PermanentRedirect", "AuthorizationHeaderMalformed", "MovedPermanently", "TemporaryRedirect", "IllegalLocationConstraintException":
		return say("it is in another region; set store.s3.region%s", regionOf(err))
	case "NotImplemented":
		return say("the server does not know a part of S3 that Satchel needs (conditional writes, perhaps); use another server, or store.dir")
	case "XAmzContentSHA256Mismatch", "InvalidChecksum":
		return say("the server does not take the SDK's checksums; set store.s3.checksums to false")
	case "InvalidRange":
		return say("the range is beyond the end")
	}
	switch {
	case code == "", code == "UnknownError", code == "NotFound":
		return say("what answers there is no S3 server; correct store.s3.endpoint")
	case full[code]:
		return say("the storage (or quota) is full; nothing was stored. Free some space")
	case status >= 300 && status < 400:
		return say("the server sends us elsewhere; correct store.s3.endpoint and store.s3.region%s", regionOf(err))
	}
	return say("%s", apiMessage(err))
}

// fromSDK says whether err came from a request, not from this package.
func fromSDK(err error) bool {
	var op *smithy.OperationError
	var n net.Error
	return errors.As(err, &op) || errors.As(err, &n) || errors.Is(err, io.ErrUnexpectedEOF)
}

// noAnswer says why, without the URL that was asked.
func noAnswer(err error) string {
	var dns *net.DNSError
	if errors.As(err, &dns) && dns.IsNotFound {
		return fmt.Sprintf("there is no host %s; correct store.s3.endpoint (or the bucket's name), or the machine's DNS", dns.Name)
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return redact(err.Error())
}

func apiMessage(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) && api.ErrorMessage() != "" {
		return redact(api.ErrorMessage())
	}
	return "the server refused it"
}

func regionOf(err error) string {
	if r := response(err); r != nil {
		if region := r.Header.Get("X-Amz-Bucket-Region"); region != "" {
			return " to " + redact(region)
		}
	}
	if m := expecting.FindStringSubmatch(apiMessage(err)); m != nil {
		return " to " + m[1]
	}
	return ""
}

var expecting = regexp.MustCompile(`expecting '([a-z0-9-]{1,40})'`)

func serverDate(err error) string {
	if r := response(err); r != nil && r.Header.Get("Date") != "" {
		return "the server says it is " + redact(r.Header.Get("Date"))
	}
	return "by NTP"
}

// signed finds what a signed URL, or a header that a server echoes, would
// give away.
var signed = regexp.MustCompile(`(?i)(x-amz-[a-z0-9-]+|signature|credential|authorization|secret[a-z_-]*|token)(["']?\s*[=:]\s*["']?)[^\s&"',;<>]+`)

// redact makes a text from outside fit for a log: no signature, no control
// characters, not endless.
func redact(text string) string {
	text = signed.ReplaceAllString(text, "$1$2[hidden]")
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
	if len(text) > 300 {
		text = strings.ToValidUTF8(text[:300], "") + "…"
	}
	return text
}
