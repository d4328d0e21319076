package s3

import (
	"context"
	"encoding/base64"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/berth/berth/wire"
)

// maxKeys is the most that a list has.
const maxKeys = 1000

// sealToken makes the token of a list that goes on after name.
func sealToken(name string) *string {
	return aws.String(base64.URLEncoding.EncodeToString([]byte("1" + name)))
}

func openToken(token string) (string, error) {
	if token == "" {
		return "", nil
	}
	b, err := base64.URLEncoding.DecodeString(token)
	if name, ok := strings.CutPrefix(string(b), "1"); err == nil && ok {
		return name, nil
	}
	return "", fail("InvalidArgument", "The continuation token provided is incorrect")
}

// listing is what both lists of objects have in common.
type listing struct {
	contents []types.Object
	prefixes []types.CommonPrefix
	last     string // the name of the last item
	more     bool
}

// limitOf checks a list's max-keys.
func limitOf(n *int32) (int, error) {
	if n == nil || *n > maxKeys {
		return maxKeys, nil
	}
	if *n < 0 {
		return 0, fail("InvalidArgument", "Argument maxKeys must be an integer between 0 and 2147483647")
	}
	return int(*n), nil
}

// encoder is how names are written: as they are, or encoded like URLs, for names that XML
// cannot say.
func encoder(t types.EncodingType) (func(string) string, error) {
	switch t {
	case "":
		return func(s string) string { return s }, nil
	case types.EncodingTypeUrl:
		return func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "%2F", "/") }, nil
	}
	return nil, fail("InvalidArgument", "Invalid Encoding Method specified in Request")
}

func (s *Service) list(bucket, prefix, delimiter, start string, limit int, owner *types.Owner, encode func(string) string) (l listing, err error) {
	if limit == 0 {
		return l, nil
	}
	items, more, err := s.store.List(bucket, prefix, delimiter, start, limit)
	if err != nil {
		return l, translate(err)
	}
	l.more = more
	for _, i := range items {
		l.last = i.Name()
		if i.Prefix != "" {
			l.prefixes = append(l.prefixes, types.CommonPrefix{Prefix: aws.String(encode(i.Prefix))})
			continue
		}
		l.contents = append(l.contents, types.Object{Key: aws.String(encode(i.Key)), ETag: quote(i.ETag), Size: &i.Size,
			LastModified: &i.Modified, StorageClass: types.ObjectStorageClassStandard, Owner: owner})
	}
	return l, nil
}

// ListObjectsV2 lists objects by key, and the prefixes that end with the delimiter.
func (s *Service) ListObjectsV2(ctx context.Context, in *s3.ListObjectsV2Input) (*s3.ListObjectsV2Output, error) {
	limit, err := limitOf(in.MaxKeys)
	if err != nil {
		return nil, err
	}
	encode, err := encoder(in.EncodingType)
	if err != nil {
		return nil, err
	}
	start := aws.ToString(in.StartAfter)
	if in.ContinuationToken != nil {
		if *in.ContinuationToken == "" {
			return nil, fail("InvalidArgument", "The continuation token provided is incorrect")
		}
		if start, err = openToken(*in.ContinuationToken); err != nil {
			return nil, err
		}
	}
	var owner *types.Owner
	if aws.ToBool(in.FetchOwner) {
		owner = &types.Owner{ID: aws.String(wire.CallerFrom(ctx).Account)}
	}
	l, err := s.list(*in.Bucket, aws.ToString(in.Prefix), aws.ToString(in.Delimiter), start, limit, owner, encode)
	if err != nil {
		return nil, err
	}
	out := &s3.ListObjectsV2Output{Name: in.Bucket, Prefix: aws.String(encode(aws.ToString(in.Prefix))), MaxKeys: aws.Int32(int32(limit)),
		KeyCount: aws.Int32(int32(len(l.contents) + len(l.prefixes))), IsTruncated: &l.more, Contents: l.contents, CommonPrefixes: l.prefixes,
		ContinuationToken: in.ContinuationToken, EncodingType: in.EncodingType}
	if aws.ToString(in.Delimiter) != "" {
		out.Delimiter = aws.String(encode(*in.Delimiter))
	}
	if in.StartAfter != nil {
		out.StartAfter = aws.String(encode(*in.StartAfter))
	}
	if l.more {
		out.NextContinuationToken = sealToken(l.last)
	}
	return out, nil
}

// ListObjects is the older list, which goes on after a marker.
func (s *Service) ListObjects(ctx context.Context, in *s3.ListObjectsInput) (*s3.ListObjectsOutput, error) {
	limit, err := limitOf(in.MaxKeys)
	if err != nil {
		return nil, err
	}
	encode, err := encoder(in.EncodingType)
	if err != nil {
		return nil, err
	}
	owner := &types.Owner{ID: aws.String(wire.CallerFrom(ctx).Account)}
	l, err := s.list(*in.Bucket, aws.ToString(in.Prefix), aws.ToString(in.Delimiter), aws.ToString(in.Marker), limit, owner, encode)
	if err != nil {
		return nil, err
	}
	out := &s3.ListObjectsOutput{Name: in.Bucket, Prefix: aws.String(encode(aws.ToString(in.Prefix))), Marker: aws.String(encode(aws.ToString(in.Marker))),
		MaxKeys: aws.Int32(int32(limit)), IsTruncated: &l.more, Contents: l.contents, CommonPrefixes: l.prefixes, EncodingType: in.EncodingType}
	if aws.ToString(in.Delimiter) != "" {
		out.Delimiter = aws.String(encode(*in.Delimiter))
		if l.more { // without a delimiter the last key is the marker
			out.NextMarker = aws.String(encode(l.last))
		}
	}
	return out, nil
}
