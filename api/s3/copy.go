package s3

import (
	"context"
	"errors"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/berth/berth/blobstore"
	"github.com/berth/berth/wire"
)

// source opens what x-amz-copy-source names: "bucket/key", encoded as in URLs.
func (s *Service) source(ctx context.Context, text string) (blobstore.Object, *os.File, error) {
	path, query, _ := strings.Cut(text, "?")
	name, err := url.PathUnescape(strings.TrimPrefix(path, "/"))
	bucket, key, ok := strings.Cut(name, "/")
	if err != nil || !ok || bucket == "" || key == "" {
		return blobstore.Object{}, nil, fail("InvalidArgument", "Invalid copy source object key")
	}
	if query != "" {
		return blobstore.Object{}, nil, fail("NotImplemented", "A header you provided implies functionality that is not implemented: versions of objects are not built yet.")
	}
	b, err := s.store.Bucket(bucket)
	if err != nil {
		return blobstore.Object{}, nil, translate(err)
	}
	if b.Account != wire.CallerFrom(ctx).Account {
		return blobstore.Object{}, nil, fail("AccessDenied", "Access Denied")
	}
	o, file, err := s.store.Get(bucket, key)
	return o, file, translate(err)
}

// CopyObject makes or replaces an object with the bytes of another.
func (s *Service) CopyObject(ctx context.Context, in *s3.CopyObjectInput) (_ *s3.CopyObjectOutput, err error) {
	if err := checkKey(*in.Key, in.Metadata); err != nil {
		return nil, err
	}
	cond, err := condition(in.IfMatch, in.IfNoneMatch)
	if err != nil {
		return nil, err
	}
	from, file, err := s.source(ctx, *in.CopySource)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := preconditions(from, in.CopySourceIfMatch, in.CopySourceIfNoneMatch, in.CopySourceIfModifiedSince, in.CopySourceIfUnmodifiedSince); err != nil {
		return nil, translate(blobstore.ErrCondition)
	}
	o := blobstore.Object{Key: *in.Key, Headers: from.Headers, Meta: from.Meta}
	switch in.MetadataDirective {
	case "", types.MetadataDirectiveCopy:
		if bucket, key, _ := strings.Cut(strings.TrimPrefix(*in.CopySource, "/"), "/"); bucket == *in.Bucket && from.Key == *in.Key && key != "" {
			return nil, fail("InvalidRequest", "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.")
		}
	case types.MetadataDirectiveReplace:
		o.Meta = in.Metadata
		o.Headers = keep(kept{cacheControl, in.CacheControl}, kept{contentDisposition, in.ContentDisposition}, kept{contentEncoding, in.ContentEncoding}, kept{contentLanguage, in.ContentLanguage}, kept{contentType, in.ContentType}, kept{expires, httpDate(in.Expires)})
		for k, v := range from.Headers {
			if strings.HasPrefix(k, sumPrefix) {
				o.Headers[k] = v
			}
		}
	default:
		return nil, fail("InvalidArgument", "Unknown metadata directive.")
	}
	blob, err := s.store.Stage(file)
	if err != nil {
		return nil, err
	}
	if o, err = s.store.Put(*in.Bucket, o, blob, cond); err != nil {
		return nil, translate(err)
	}
	return &s3.CopyObjectOutput{CopyObjectResult: &types.CopyObjectResult{ETag: quote(o.ETag), LastModified: &o.Modified}}, nil
}

// UploadPartCopy makes a part of an upload with the bytes of an object, or of a range of it.
func (s *Service) UploadPartCopy(ctx context.Context, in *s3.UploadPartCopyInput) (_ *s3.UploadPartCopyOutput, err error) {
	if err := checkPart(in.PartNumber); err != nil {
		return nil, err
	}
	from, file, err := s.source(ctx, *in.CopySource)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := preconditions(from, in.CopySourceIfMatch, in.CopySourceIfNoneMatch, in.CopySourceIfModifiedSince, in.CopySourceIfUnmodifiedSince); err != nil {
		return nil, translate(blobstore.ErrCondition)
	}
	sp, err := spanOf(in.CopySourceRange, from.Size)
	if err != nil {
		return nil, err
	}
	if in.CopySourceRange != nil && sp.text == nil {
		return nil, fail("InvalidArgument", "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy")
	}
	if _, err := file.Seek(sp.start, io.SeekStart); err != nil {
		return nil, err
	}
	blob, err := s.store.Stage(io.LimitReader(file, sp.size))
	if err != nil {
		return nil, err
	}
	p, err := s.store.PutPart(*in.Bucket, *in.UploadId, *in.PartNumber, blob)
	if err != nil {
		return nil, translate(err)
	}
	return &s3.UploadPartCopyOutput{CopyPartResult: &types.CopyPartResult{ETag: quote(p.ETag()), LastModified: aws.Time(p.Modified)}}, nil
}
