package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/logging"

	"satchel/internal/roots"
)

// S3Config says which bucket. Credentials come by the SDK's chain: environment
// (AWS_ACCESS_KEY_ID …), shared profile, web identity, container role, the
// machine's role.
type S3Config struct {
	Bucket   string
	Prefix   string // "" is none; else all keys begin with Prefix and a slash
	Endpoint string // http(s)://host[:port]; "" is AWS
	// StudentsEndpoint stands in signed URLs in the place of Endpoint, where
	// students' servers know the S3 server by another name; "": Endpoint.
	StudentsEndpoint string
	Region           string // "": by the chain; with an Endpoint us-east-1
	// PathStyle puts the bucket into the path instead of the host name; nil:
	// where Endpoint is set.
	PathStyle *bool
	// Checksums sends and checks the SDK's CRC32, which some servers do not
	// know; nil: where Endpoint is not set.
	Checksums *bool
	// CAFile holds authorities that are trusted beside the system's, read again
	// when it changes; "": the system's alone.
	CAFile string
	// Silence is how long nothing may move on a connection; 0 is a minute.
	Silence time.Duration
	// Log hears when other credentials are used; nil: nobody does.
	Log *slog.Logger
	// Wrap is put between the SDK and the network; nil: nothing is. For tests.
	Wrap func(http.RoundTripper) http.RoundTripper
}

const (
	credentialsTime = 5 * time.Second // for the chain; a laptop's wait for a metadata service that is not there
	dialTime        = 5 * time.Second
	silence         = time.Minute
	attempts        = 3
	firstPause      = 100 * time.Millisecond // before the second attempt; thrice that before the third
)

// NewS3 makes the client. It asks nobody but the chain of credentials; Check
// asks the bucket.
func NewS3(ctx context.Context, c S3Config) (*S3, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	cfg, err := config.LoadDefaultConfig(ctx, config.WithLogger(logging.Nop{}))
	if err != nil {
		return nil, fmt.Errorf("store.s3: the AWS configuration of this machine: %s", redact(err.Error()))
	}
	if region := c.region(cfg.Region); region != "" {
		cfg.Region = region
	} else {
		return nil, errors.New("store.s3: no region is known; set store.s3.region")
	}
	if err := checkCredentials(ctx, cfg); err != nil {
		return nil, err
	}
	cfg.Credentials = followCredentials(c.Log, cfg.Credentials)
	web, err := c.httpClient(cfg)
	if err != nil {
		return nil, err
	}
	s := &S3{bucket: c.Bucket, prefix: c.prefix(), where: c.where(cfg.Region)}
	s.client = s3.NewFromConfig(cfg, func(o *s3.Options) { c.options(web, o) })
	s.signer = s3.NewPresignClient(s.client, s3.WithPresignClientFromClientOptions(func(o *s3.Options) {
		if c.StudentsEndpoint != "" {
			o.BaseEndpoint = &c.StudentsEndpoint
		}
	}))
	return s, nil
}

func (c *S3Config) check() error {
	if c.Bucket == "" || strings.ContainsAny(c.Bucket, "/ ?#") {
		return errors.New("store.s3.bucket: the bare name of a bucket is needed")
	}
	if p := c.prefix(); p != "" && CheckKey(p[:len(p)-1]) != nil {
		return errors.New("store.s3.prefix: plain names with slashes between are needed")
	}
	if err := checkEndpoint("endpoint", c.Endpoint); err != nil {
		return err
	}
	return checkEndpoint("students_endpoint", c.StudentsEndpoint)
}

func checkEndpoint(key, text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" {
		return fmt.Errorf("store.s3.%s: http://HOST or https://HOST is needed, with a port where it is not the usual one, and without a user", key)
	}
	return nil
}

func (c *S3Config) prefix() string {
	if p := strings.Trim(c.Prefix, "/"); p != "" {
		return p + "/"
	}
	return ""
}

func (c *S3Config) region(chain string) string {
	switch {
	case c.Region != "":
		return c.Region
	case chain == "" && c.Endpoint != "":
		return "us-east-1" // any will do: such servers have one
	}
	return chain
}

func (c *S3Config) where(region string) string {
	if c.Endpoint == "" {
		return fmt.Sprintf("bucket %s in %s", c.Bucket, region)
	}
	return fmt.Sprintf("bucket %s at %s", c.Bucket, c.Endpoint)
}

func (c *S3Config) options(web *http.Client, o *s3.Options) {
	if c.Endpoint != "" {
		o.BaseEndpoint = &c.Endpoint
	}
	o.UsePathStyle = or(c.PathStyle, c.Endpoint != "")
	if !or(c.Checksums, c.Endpoint == "") {
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	}
	o.DisableLogOutputChecksumValidationSkipped = true
	o.Retryer = retry.NewStandard(bounded)
	o.HTTPClient = web
}

func or(v *bool, otherwise bool) bool {
	if v != nil {
		return *v
	}
	return otherwise
}

// httpClient is the SDK's transport (with its certificates and proxies), cut
// off where nothing moves. It follows no redirect: the SDK's signature would
// go to whoever the answer names.
func (c *S3Config) httpClient(cfg aws.Config) (*http.Client, error) {
	base, ok := cfg.HTTPClient.(*awshttp.BuildableClient)
	if !ok {
		base = awshttp.NewBuildableClient()
	}
	t := base.GetTransport()
	quiet := c.Silence
	if quiet == 0 {
		quiet = silence
	}
	dialer := &net.Dialer{Timeout: dialTime}
	t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &talking{conn, quiet}, nil
	}
	t.MaxIdleConnsPerHost = 64
	var rt http.RoundTripper = t
	if c.CAFile != "" {
		var err error
		if rt, err = roots.Follow(c.CAFile, roots.Read, t); err != nil {
			return nil, err
		}
	}
	if c.Wrap != nil {
		rt = c.Wrap(rt)
	}
	return &http.Client{Transport: rt, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, nil
}

// talking is a connection that breaks when nothing moves for too long. Each
// move puts off both deadlines, for during a long upload the other direction
// is silent.
type talking struct {
	net.Conn
	quiet time.Duration
}

func (t *talking) Read(p []byte) (int, error) {
	t.SetDeadline(time.Now().Add(t.quiet))
	return t.Conn.Read(p)
}

func (t *talking) Write(p []byte) (int, error) {
	t.SetDeadline(time.Now().Add(t.quiet))
	return t.Conn.Write(p)
}

// checkCredentials asks the chain once, and not for long.
func checkCredentials(ctx context.Context, cfg aws.Config) error {
	ctx, cancel := context.WithTimeout(ctx, credentialsTime)
	defer cancel()
	if cfg.Credentials != nil {
		if _, err := cfg.Credentials.Retrieve(ctx); err == nil {
			return nil
		}
	}
	return errors.New("store.s3: no S3 credentials are found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a profile in AWS_PROFILE, or give this machine a role (environment, profile, web identity, container role and machine role were asked)")
}

// bounded makes three attempts within half a second or so: who calls has a
// longer patience of its own, and says so meanwhile.
func bounded(o *retry.StandardOptions) {
	o.MaxAttempts = attempts
	o.Backoff = retry.BackoffDelayerFunc(func(attempt int, _ error) (time.Duration, error) {
		pause := firstPause
		for range attempt - 1 {
			pause *= 3
		}
		return pause/2 + rand.N(pause), nil
	})
}

// conditionalRetryer tries again only what surely did not happen: refused
// before it was looked at, or never sent.
func conditionalRetryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		bounded(o)
		o.Retryables = []retry.IsErrorRetryable{retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
			var dial *net.OpError
			code, _ := apiError(err)
			return aws.BoolTernary(code == "SlowDown" || code == conflict ||
				errors.As(err, &dial) && dial.Op == "dial")
		})}
	})
}
