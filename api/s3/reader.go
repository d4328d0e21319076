package s3

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/aws/smithy-go"

	"github.com/berth/berth/blobstore"
)

// Reader reads objects for the platform itself, on behalf of an account: what
// tasks are given of S3 before they run.
type Reader struct{ store *blobstore.Store }

// NewReader reads from a store.
func NewReader(s *blobstore.Store) *Reader { return &Reader{s} }

// Object returns an object's content, of limit bytes at most. Errors read as
// those of AWS's agents: "NoSuchKey: The specified key does not exist. status
// code: 404".
func (r *Reader) Object(ctx context.Context, account, bucket, key string, limit int64) ([]byte, error) {
	b, err := r.store.Bucket(bucket)
	if err != nil {
		return nil, spoken(translate(err), 404)
	}
	if b.Account != account {
		return nil, spoken(fail("AccessDenied", "Access Denied"), 403)
	}
	o, f, err := r.store.Get(bucket, key)
	if err != nil {
		return nil, spoken(translate(err), 404)
	}
	defer f.Close()
	if o.Size > limit {
		return nil, fmt.Errorf("the object has %d bytes, and at most %d can be used", o.Size, limit)
	}
	content, err := io.ReadAll(f)
	if err != nil {
		return nil, fmt.Errorf("read the object %s of bucket %s: %w", key, bucket, err)
	}
	return content, ctx.Err()
}

// spoken is an API's error as one line with its status.
func spoken(err error, status int) error {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return err
	}
	return fmt.Errorf("%s: %s status code: %d", api.ErrorCode(), api.ErrorMessage(), status)
}
