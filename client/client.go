// Package client makes AWS clients for an installation on this host: what the
// SDK needs is read from its data directory. Berth's own commands, its tests and
// its benchmarks are clients like any other, and use no door that AWS's tools
// don't have.
package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/smithy-go/logging"

	"github.com/berth/berth/instance"
)

// Config returns what SDK clients of the installation in dir need. Where there
// is none, it is what the environment says, if that names an endpoint.
func Config(ctx context.Context, dir string) (aws.Config, error) {
	keys, err := instance.ReadKeys(dir)
	var endpoint instance.Endpoint
	if err == nil {
		endpoint, err = instance.ReadEndpoint(dir)
	}
	if errors.Is(err, fs.ErrNotExist) && os.Getenv("AWS_ENDPOINT_URL") != "" {
		return config.LoadDefaultConfig(ctx)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return aws.Config{}, fmt.Errorf("no berth has been started on %s: start one with 'berth up --data-dir %s'", dir, dir)
	}
	if err != nil {
		return aws.Config{}, err
	}
	// What matters of the SDK's warnings comes back as errors.
	cfg, err := config.LoadDefaultConfig(ctx, config.WithLogger(logging.Nop{}), config.WithRegion(endpoint.Region), config.WithBaseEndpoint(endpoint.URL),
		config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(keys.AccessKeyID, keys.SecretAccessKey, "")))
	cfg.HTTPClient = httpClient{awshttp.NewBuildableClient()}
	return cfg, err
}

// httpClient keeps the SDK from losing answers. The SDK closes a request's body
// once the answer begins; from then on the body's WriteTo returns io.EOF as an
// error, where Read would just end. A server so near that it answers before
// net/http has looked whether the body goes on makes that the request's error,
// and the connection is closed in the middle of the answer. So WriteTo is hidden.
type httpClient struct{ *awshttp.BuildableClient }

// Do sends a request.
func (c httpClient) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	return c.BuildableClient.Do(r)
}
