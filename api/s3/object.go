package s3

import (
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/berth/berth/blobstore"
)

// Limits of "Amazon S3 multipart upload limits" and "Creating object key names".
const (
	maxObject = 5 << 30 // bytes in one request
	maxKey    = 1024    // bytes
	maxMeta   = 2 << 10 // bytes of names and values
)

func checkKey(key string, meta map[string]string) error {
	if len(key) > maxKey {
		return fail("KeyTooLongError", "Your key is too long")
	}
	n := 0
	for k, v := range meta {
		n += len(k) + len(v)
	}
	if n > maxMeta {
		return fail("MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size")
	}
	return nil
}

func checkSize(n *int64) error {
	if n != nil && *n > maxObject {
		return fail("EntityTooLarge", "Your proposed upload exceeds the maximum allowed object size.")
	}
	return nil
}

// condition reads If-Match and If-None-Match of a write.
func condition(match, noneMatch *string) (blobstore.Condition, error) {
	c := blobstore.Condition{ETag: strings.Trim(aws.ToString(match), `"`)}
	if noneMatch != nil {
		if *noneMatch != "*" {
			return c, fail("NotImplemented", "A header you provided implies functionality that is not implemented: If-None-Match of a write takes * only")
		}
		c.Absent = true
	}
	return c, nil
}

// PutObject makes or replaces an object.
func (s *Service) PutObject(_ context.Context, in *s3.PutObjectInput) (*s3.PutObjectOutput, error) {
	if err := errors.Join(checkKey(*in.Key, in.Metadata), checkSize(in.ContentLength)); err != nil {
		return nil, err
	}
	cond, err := condition(in.IfMatch, in.IfNoneMatch)
	if err != nil {
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
	o := blobstore.Object{Key: *in.Key, Meta: in.Metadata, Headers: keep(kept{cacheControl, in.CacheControl}, kept{contentDisposition, in.ContentDisposition}, kept{contentEncoding, encoding(in.ContentEncoding)}, kept{contentLanguage, in.ContentLanguage}, kept{contentType, in.ContentType}, kept{expires, httpDate(in.Expires)}, kept{redirect, in.WebsiteRedirectLocation})}
	maps.Copy(o.Headers, body.given())
	o, err = s.store.Put(*in.Bucket, o, blob, cond)
	if err != nil {
		return nil, translate(err)
	}
	return &s3.PutObjectOutput{ETag: quote(o.ETag), ChecksumCRC32: header(o, sumPrefix+"crc32"), ChecksumCRC32C: header(o, sumPrefix+"crc32c"),
		ChecksumCRC64NVME: header(o, sumPrefix+"crc64nvme"), ChecksumSHA1: header(o, sumPrefix+"sha1"), ChecksumSHA256: header(o, sumPrefix+"sha256")}, nil
}

// encoding is a Content-Encoding without the one that is of the transfer only.
func encoding(v *string) *string {
	if v == nil {
		return nil
	}
	var all []string
	for e := range strings.SplitSeq(*v, ",") {
		if e = strings.TrimSpace(e); e != "" && e != "aws-chunked" {
			all = append(all, e)
		}
	}
	return aws.String(strings.Join(all, ","))
}

// preconditions are those of a read: RFC 9110, section 13.2.2, is the order.
func preconditions(o blobstore.Object, match, noneMatch *string, modified, unmodified *time.Time) error {
	at := o.Modified.Truncate(time.Second)
	has := func(list string) bool {
		for e := range strings.SplitSeq(list, ",") {
			if e = strings.Trim(strings.TrimSpace(e), `"`); e == o.ETag || e == "*" {
				return true
			}
		}
		return false
	}
	switch {
	case match != nil && !has(*match), match == nil && unmodified != nil && at.After(*unmodified):
		return translate(blobstore.ErrCondition)
	case noneMatch != nil && has(*noneMatch), noneMatch == nil && modified != nil && !at.After(*modified):
		return fail("NotModified", "Not Modified")
	}
	return nil
}

// span is the part of an object that is asked for.
type span struct {
	start, size int64
	text        *string // Content-Range, of a part
}

// spanOf reads a Range of one part; others ask for the whole, as S3 answers them.
func spanOf(text *string, size int64) (span, error) {
	whole := span{size: size}
	r, ok := strings.CutPrefix(aws.ToString(text), "bytes=")
	first, last, dash := strings.Cut(r, "-")
	if !ok || !dash || strings.Contains(r, ",") {
		return whole, nil
	}
	var from, to int64
	var err error
	if first == "" { // the last so many bytes
		n, err := strconv.ParseInt(last, 10, 64)
		if err != nil || n < 0 {
			return whole, nil
		}
		from, to = max(0, size-n), size-1
	} else {
		if from, err = strconv.ParseInt(first, 10, 64); err != nil || from < 0 {
			return whole, nil
		}
		to = size - 1
		if last != "" {
			n, err := strconv.ParseInt(last, 10, 64)
			if err != nil || n < from {
				return whole, nil
			}
			to = min(n, to)
		}
	}
	if from >= size || from > to {
		return whole, fail("InvalidRange", "The requested range is not satisfiable")
	}
	t := "bytes " + strconv.FormatInt(from, 10) + "-" + strconv.FormatInt(to, 10) + "/" + strconv.FormatInt(size, 10)
	return span{from, to - from + 1, &t}, nil
}

// part is a file's bytes from where it stands, and closes it.
type part struct {
	io.Reader
	*os.File
}

func (p part) Read(b []byte) (int, error) { return p.Reader.Read(b) }

// GetObject returns an object, or a part of it.
func (s *Service) GetObject(_ context.Context, in *s3.GetObjectInput) (_ *s3.GetObjectOutput, err error) {
	o, file, err := s.store.Get(*in.Bucket, *in.Key)
	if err != nil {
		return nil, translate(err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, file.Close())
		}
	}()
	if err := preconditions(o, in.IfMatch, in.IfNoneMatch, in.IfModifiedSince, in.IfUnmodifiedSince); err != nil {
		return nil, err
	}
	sp, err := spanOf(in.Range, o.Size)
	if err != nil {
		return nil, err
	}
	if _, err := file.Seek(sp.start, io.SeekStart); err != nil {
		return nil, err
	}
	out := &s3.GetObjectOutput{Body: part{io.LimitReader(file, sp.size), file}, ContentLength: &sp.size, ContentRange: sp.text,
		AcceptRanges: aws.String("bytes"), ETag: quote(o.ETag), LastModified: &o.Modified, Metadata: o.Meta,
		CacheControl:            or(in.ResponseCacheControl, header(o, cacheControl)),
		ContentDisposition:      or(in.ResponseContentDisposition, header(o, contentDisposition)),
		ContentEncoding:         or(in.ResponseContentEncoding, header(o, contentEncoding)),
		ContentLanguage:         or(in.ResponseContentLanguage, header(o, contentLanguage)),
		ContentType:             or(in.ResponseContentType, header(o, contentType)),
		ExpiresString:           or(httpDate(in.ResponseExpires), header(o, expires)),
		WebsiteRedirectLocation: header(o, redirect),
	}
	if in.ChecksumMode == types.ChecksumModeEnabled && sp.text == nil {
		out.ChecksumCRC32, out.ChecksumCRC32C, out.ChecksumCRC64NVME = header(o, sumPrefix+"crc32"), header(o, sumPrefix+"crc32c"), header(o, sumPrefix+"crc64nvme")
		out.ChecksumSHA1, out.ChecksumSHA256 = header(o, sumPrefix+"sha1"), header(o, sumPrefix+"sha256")
	}
	return out, nil
}

func or(a, b *string) *string {
	if a != nil {
		return a
	}
	return b
}

// HeadObject says what is known of an object.
func (s *Service) HeadObject(_ context.Context, in *s3.HeadObjectInput) (*s3.HeadObjectOutput, error) {
	o, err := s.store.Head(*in.Bucket, *in.Key)
	if err != nil {
		return nil, translate(err)
	}
	if err := preconditions(o, in.IfMatch, in.IfNoneMatch, in.IfModifiedSince, in.IfUnmodifiedSince); err != nil {
		return nil, err
	}
	sp, err := spanOf(in.Range, o.Size)
	if err != nil {
		return nil, err
	}
	out := &s3.HeadObjectOutput{ContentLength: &sp.size, ContentRange: sp.text, AcceptRanges: aws.String("bytes"), ETag: quote(o.ETag), LastModified: &o.Modified, Metadata: o.Meta,
		CacheControl:            or(in.ResponseCacheControl, header(o, cacheControl)),
		ContentDisposition:      or(in.ResponseContentDisposition, header(o, contentDisposition)),
		ContentEncoding:         or(in.ResponseContentEncoding, header(o, contentEncoding)),
		ContentLanguage:         or(in.ResponseContentLanguage, header(o, contentLanguage)),
		ContentType:             or(in.ResponseContentType, or(header(o, contentType), aws.String("binary/octet-stream"))),
		ExpiresString:           or(httpDate(in.ResponseExpires), header(o, expires)),
		WebsiteRedirectLocation: header(o, redirect),
	}
	if in.ChecksumMode == types.ChecksumModeEnabled {
		out.ChecksumCRC32, out.ChecksumCRC32C, out.ChecksumCRC64NVME = header(o, sumPrefix+"crc32"), header(o, sumPrefix+"crc32c"), header(o, sumPrefix+"crc64nvme")
		out.ChecksumSHA1, out.ChecksumSHA256 = header(o, sumPrefix+"sha1"), header(o, sumPrefix+"sha256")
	}
	return out, nil
}

// DeleteObject deletes an object; one that is not there is deleted too.
func (s *Service) DeleteObject(_ context.Context, in *s3.DeleteObjectInput) (*s3.DeleteObjectOutput, error) {
	cond, err := condition(in.IfMatch, nil)
	if err != nil {
		return nil, err
	}
	return nil, translate(s.store.Delete(*in.Bucket, []string{*in.Key}, cond))
}

// DeleteObjects deletes up to 1,000 objects at once.
func (s *Service) DeleteObjects(_ context.Context, in *s3.DeleteObjectsInput) (*s3.DeleteObjectsOutput, error) {
	if in.Delete == nil || len(in.Delete.Objects) == 0 || len(in.Delete.Objects) > maxKeys {
		return nil, fail("MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema")
	}
	var keys []string
	out := &s3.DeleteObjectsOutput{}
	for _, o := range in.Delete.Objects {
		if aws.ToString(o.Key) == "" {
			return nil, fail("MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema")
		}
		keys = append(keys, *o.Key)
		if !aws.ToBool(in.Delete.Quiet) {
			out.Deleted = append(out.Deleted, types.DeletedObject{Key: o.Key})
		}
	}
	if err := s.store.Delete(*in.Bucket, keys, blobstore.Condition{}); err != nil {
		return nil, translate(err)
	}
	return out, nil
}
