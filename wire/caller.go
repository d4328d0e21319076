package wire

import (
	"context"

	"github.com/berth/berth/internal/arn"
)

// Caller is who made a request, and to which account and region.
type Caller struct {
	Account     string // 12 digits, of the access key
	Region      string // of the signature's scope
	ARN         string // arn:aws:iam::123456789012:root
	UserID      string
	AccessKeyID string
	SourceIP    string
	RequestID   string
	// Endpoint is what the client knows the server by: http://host:port.
	Endpoint string

	chunks *chunkKey // of an upload in signed chunks; nil where nothing is verified
}

// Partition is the partition of the caller's region: aws, aws-cn, aws-us-gov.
func (c Caller) Partition() string { return arn.Partition(c.Region) }

type callerKey struct{}

// WithCaller returns a context that carries c. The server calls it; tests of
// handlers may.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerFrom returns the caller that the server put into a handler's context.
// It panics where there is none: such a context is not a request's.
func CallerFrom(ctx context.Context) Caller { return ctx.Value(callerKey{}).(Caller) }
