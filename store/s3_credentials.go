package store

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go/logging"
)

// credentials are those of the SDK's chain. The SDK reads its shared files
// (AWS_SHARED_CREDENTIALS_FILE, AWS_CONFIG_FILE) once and keeps the key for as
// long as the process lives; here they are looked at before each request, so
// that a key can be replaced while the service runs. What comes from roles and
// web identities the SDK renews by itself.
type credentials struct {
	lg    *slog.Logger
	files []string

	mu   sync.Mutex
	seen string
	from aws.CredentialsProvider
}

func followCredentials(lg *slog.Logger, from aws.CredentialsProvider) *credentials {
	if lg == nil {
		lg = slog.New(slog.DiscardHandler)
	}
	c := &credentials{lg: lg, files: sharedFiles(), from: from}
	c.seen = c.print()
	return c
}

// sharedFiles are those that the SDK would read.
func sharedFiles() []string {
	files := []string{config.DefaultSharedCredentialsFilename(), config.DefaultSharedConfigFilename()}
	if env, err := config.NewEnvConfig(); err == nil {
		for i, named := range []string{env.SharedCredentialsFile, env.SharedConfigFile} {
			if named != "" {
				files[i] = filepath.Clean(named)
			}
		}
	}
	return files
}

// print changes with the files.
func (c *credentials) print() string {
	var b strings.Builder
	for _, f := range c.files {
		if info, err := os.Stat(f); err == nil {
			fmt.Fprintf(&b, "%s %d %d\n", f, info.ModTime().UnixNano(), info.Size())
		}
	}
	return b.String()
}

// Retrieve is aws.CredentialsProvider.
func (c *credentials) Retrieve(ctx context.Context) (aws.Credentials, error) {
	return c.provider(ctx).Retrieve(ctx)
}

// provider is the chain, made anew where a file changed. With files that hold
// no credentials the former stay: they may be half written, and the rest of it
// is another change.
func (c *credentials) provider(ctx context.Context) aws.CredentialsProvider {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := c.print()
	if seen == c.seen {
		return c.from
	}
	c.seen = seen
	ctx = context.WithoutCancel(ctx) // a request that is given up says nothing of a key
	cfg, err := config.LoadDefaultConfig(ctx, config.WithLogger(logging.Nop{}))
	if err == nil {
		err = checkCredentials(ctx, cfg)
	}
	if err != nil {
		c.lg.Error("S3 credentials not taken up, the former ones stay", "error", redact(err.Error()))
		return c.from
	}
	c.from = cfg.Credentials
	v, _ := c.from.Retrieve(ctx)                                      // it was asked just now
	c.lg.Info("S3 credentials taken up", "access_key", v.AccessKeyID) // its name is no secret: it stands in each request
	return c.from
}
