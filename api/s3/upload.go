package s3

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/berth/berth/blobstore"
	"github.com/berth/berth/wire"
)

// maxParts and minPart are of "Amazon S3 multipart upload limits".
const (
	maxParts = 10000
	minPart  = 5 << 20 // bytes; the last part may be smaller
)

func checkPart(n *int32) error {
	if n == nil || *n < 1 || *n > maxParts {
		return fail("InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive")
	}
	return nil
}

// CreateMultipartUpload begins an upload in parts.
func (s *Service) CreateMultipartUpload(_ context.Context, in *s3.CreateMultipartUploadInput) (*s3.CreateMultipartUploadOutput, error) {
	if err := checkKey(*in.Key, in.Metadata); err != nil {
		return nil, err
	}
	u, err := s.store.CreateUpload(*in.Bucket, blobstore.Object{Key: *in.Key, Meta: in.Metadata, Headers: keep(kept{cacheControl, in.CacheControl}, kept{contentDisposition, in.ContentDisposition}, kept{contentEncoding, in.ContentEncoding}, kept{contentLanguage, in.ContentLanguage}, kept{contentType, in.ContentType}, kept{expires, httpDate(in.Expires)}, kept{redirect, in.WebsiteRedirectLocation})})
	if err != nil {
		return nil, translate(err)
	}
	return &s3.CreateMultipartUploadOutput{Bucket: in.Bucket, Key: in.Key, UploadId: &u.ID}, nil
}

// upload returns an upload of a key.
func (s *Service) upload(bucket, key, id *string) (blobstore.Upload, []blobstore.Part, error) {
	u, parts, err := s.store.Upload(*bucket, aws.ToString(id))
	if err == nil && u.Object.Key != *key {
		err = blobstore.ErrNoUpload
	}
	return u, parts, translate(err)
}

// UploadPart makes or replaces a part.
func (s *Service) UploadPart(_ context.Context, in *s3.UploadPartInput) (*s3.UploadPartOutput, error) {
	if err := checkPart(in.PartNumber); err != nil {
		return nil, err
	}
	if err := checkSize(in.ContentLength); err != nil {
		return nil, err
	}
	if _, _, err := s.upload(in.Bucket, in.Key, in.UploadId); err != nil {
		return nil, err
	}
	body, err := newChecked(in.Body, map[string]*string{"content-md5": in.ContentMD5, "crc32": in.ChecksumCRC32, "crc32c": in.ChecksumCRC32C,
		"crc64nvme": in.ChecksumCRC64NVME, "sha1": in.ChecksumSHA1, "sha256": in.ChecksumSHA256, "sha512": in.ChecksumSHA512, "md5": in.ChecksumMD5}, string(in.ChecksumAlgorithm))
	if err != nil {
		return nil, err
	}
	blob, err := s.stage(body)
	if err != nil {
		return nil, err
	}
	p, err := s.store.PutPart(*in.Bucket, *in.UploadId, *in.PartNumber, blob)
	if err != nil {
		return nil, translate(err)
	}
	o := blobstore.Object{Headers: body.given()}
	return &s3.UploadPartOutput{ETag: quote(p.ETag()), ChecksumCRC32: header(o, sumPrefix+"crc32"), ChecksumCRC32C: header(o, sumPrefix+"crc32c"),
		ChecksumCRC64NVME: header(o, sumPrefix+"crc64nvme"), ChecksumSHA1: header(o, sumPrefix+"sha1"), ChecksumSHA256: header(o, sumPrefix+"sha256")}, nil
}

// CompleteMultipartUpload makes the object of the parts that are named.
func (s *Service) CompleteMultipartUpload(ctx context.Context, in *s3.CompleteMultipartUploadInput) (*s3.CompleteMultipartUploadOutput, error) {
	cond, err := condition(in.IfMatch, in.IfNoneMatch)
	if err != nil {
		return nil, err
	}
	_, have, err := s.upload(in.Bucket, in.Key, in.UploadId)
	if err != nil {
		return nil, err
	}
	if in.MultipartUpload == nil || len(in.MultipartUpload.Parts) == 0 {
		return nil, fail("MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema")
	}
	byNumber := map[int32]blobstore.Part{}
	for _, p := range have {
		byNumber[p.Number] = p
	}
	var parts []blobstore.Part
	if !slices.IsSortedFunc(in.MultipartUpload.Parts, func(a, b types.CompletedPart) int {
		if aws.ToInt32(a.PartNumber) == aws.ToInt32(b.PartNumber) {
			return 1 // the same twice is no order either
		}
		return cmp.Compare(aws.ToInt32(a.PartNumber), aws.ToInt32(b.PartNumber))
	}) {
		return nil, fail("InvalidPartOrder", "The list of parts was not in ascending order. The parts list must be specified in order by part number.")
	}
	for i, want := range in.MultipartUpload.Parts {
		p, ok := byNumber[aws.ToInt32(want.PartNumber)]
		if !ok || p.ETag() != strings.Trim(aws.ToString(want.ETag), `"`) {
			return nil, translate(blobstore.ErrNoPart)
		}
		if p.Size < minPart && i < len(in.MultipartUpload.Parts)-1 {
			return nil, fail("EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size")
		}
		parts = append(parts, p)
	}
	o, err := s.store.Complete(*in.Bucket, *in.UploadId, parts, cond)
	if err != nil {
		return nil, translate(err)
	}
	return &s3.CompleteMultipartUploadOutput{Bucket: in.Bucket, Key: in.Key, ETag: quote(o.ETag),
		Location: aws.String(wire.CallerFrom(ctx).Endpoint + "/" + *in.Bucket + "/" + *in.Key)}, nil
}

// AbortMultipartUpload drops an upload and its parts.
func (s *Service) AbortMultipartUpload(_ context.Context, in *s3.AbortMultipartUploadInput) (*s3.AbortMultipartUploadOutput, error) {
	if _, _, err := s.upload(in.Bucket, in.Key, in.UploadId); err != nil {
		return nil, err
	}
	return nil, translate(s.store.Abort(*in.Bucket, *in.UploadId))
}

// ListParts lists the parts of an upload, by number.
func (s *Service) ListParts(_ context.Context, in *s3.ListPartsInput) (*s3.ListPartsOutput, error) {
	_, parts, err := s.upload(in.Bucket, in.Key, in.UploadId)
	if err != nil {
		return nil, err
	}
	limit, err := limitOf(in.MaxParts)
	if err != nil {
		return nil, err
	}
	marker := int64(0)
	if in.PartNumberMarker != nil {
		if marker, err = strconv.ParseInt(*in.PartNumberMarker, 10, 32); err != nil {
			return nil, fail("InvalidArgument", "Provided part-number-marker not an integer or within integer range")
		}
	}
	out := &s3.ListPartsOutput{Bucket: in.Bucket, Key: in.Key, UploadId: in.UploadId, MaxParts: aws.Int32(int32(limit)),
		PartNumberMarker: aws.String(strconv.FormatInt(marker, 10)), IsTruncated: aws.Bool(false), StorageClass: types.StorageClassStandard}
	for _, p := range parts {
		if int64(p.Number) <= marker {
			continue
		}
		if len(out.Parts) == limit {
			out.IsTruncated = aws.Bool(true)
			break
		}
		out.Parts = append(out.Parts, types.Part{PartNumber: &p.Number, ETag: quote(p.ETag()), Size: &p.Size, LastModified: &p.Modified})
		out.NextPartNumberMarker = aws.String(strconv.Itoa(int(p.Number)))
	}
	return out, nil
}
