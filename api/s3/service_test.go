package s3

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/berth/berth/blobstore"
	"github.com/berth/berth/wire"
	"github.com/berth/berth/wire/wiretest"
)

func open(t *testing.T, dir string) *blobstore.Store {
	t.Helper()
	store, err := blobstore.Open(dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// serve serves a new store, with a bucket called box.
func serve(t *testing.T) *s3.Client {
	t.Helper()
	store := open(t, t.TempDir())
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	service, err := wire.NewService(wire.S3, New(store))
	if err != nil {
		t.Fatal(err)
	}
	_, cfg := wiretest.Serve(t, service)
	c := s3.NewFromConfig(cfg)
	if _, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("box"), CreateBucketConfiguration: here()}); err != nil {
		t.Fatal(err)
	}
	return c
}

func here() *types.CreateBucketConfiguration {
	return &types.CreateBucketConfiguration{LocationConstraint: wiretest.Region}
}

func put(t *testing.T, c *s3.Client, key, body string) {
	t.Helper()
	if _, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("box"), Key: &key, Body: strings.NewReader(body)}); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, c *s3.Client, key string) string {
	t.Helper()
	out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("box"), Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	b, err := io.ReadAll(out.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// want fails unless err has the code.
func want(t *testing.T, what string, err error, code string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != code {
		t.Errorf("%s: %v, want %s", what, err, code)
	}
}

func TestBuckets(t *testing.T) {
	c := serve(t)
	ctx := t.Context()
	box := aws.String("box")
	_, err := c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: box, CreateBucketConfiguration: here()})
	want(t, "the same again", err, "BucketAlreadyOwnedByYou")
	for _, name := range []string{"Box", "10.0.0.1", "a..b", "-abc", "ab"} {
		_, err := c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &name, CreateBucketConfiguration: here()})
		want(t, name, err, "InvalidBucketName")
	}
	_, err = c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("other"), CreateBucketConfiguration: &types.CreateBucketConfiguration{LocationConstraint: "eu-west-1"}})
	want(t, "another region", err, "IllegalLocationConstraintException")
	location, err := c.GetBucketLocation(ctx, &s3.GetBucketLocationInput{Bucket: box})
	if err != nil || location.LocationConstraint != wiretest.Region {
		t.Errorf("location: %+v, %v", location, err)
	}
	head, err := c.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: box})
	if err != nil || aws.ToString(head.BucketRegion) != wiretest.Region {
		t.Errorf("head: %+v, %v", head, err)
	}
	_, err = c.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: aws.String("none")})
	want(t, "head of none", err, "NotFound")
	list, err := c.ListBuckets(ctx, &s3.ListBucketsInput{})
	if err != nil || len(list.Buckets) != 1 || *list.Buckets[0].Name != "box" || time.Since(*list.Buckets[0].CreationDate) > time.Minute {
		t.Errorf("list: %+v, %v", list, err)
	}
	put(t, c, "k", "v")
	_, err = c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: box})
	want(t, "delete of a full one", err, "BucketNotEmpty")
	if _, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: box, Key: aws.String("k")}); err != nil {
		t.Error(err)
	}
	if _, err := c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: box}); err != nil {
		t.Error(err)
	}
	_, err = c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: box})
	want(t, "list of none", err, "NoSuchBucket")
	_, err = c.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: aws.String("box")})
	want(t, "not built", err, "NotImplemented")
}

func TestObject(t *testing.T) {
	c := serve(t)
	ctx := t.Context()
	box, key := aws.String("box"), aws.String("a/ü &+?%2F//../b")
	body := strings.Repeat("0123456789", 20000)
	out, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: box, Key: key, Body: strings.NewReader(body), ContentType: aws.String("text/x"),
		CacheControl: aws.String("no-store"), Metadata: map[string]string{"Color": "blue"}, ChecksumAlgorithm: types.ChecksumAlgorithmSha256})
	if err != nil || len(aws.ToString(out.ETag)) != 34 || out.ChecksumSHA256 == nil {
		t.Fatalf("put: %+v, %v", out, err)
	}
	if got := get(t, c, *key); got != body {
		t.Errorf("read %d bytes", len(got))
	}
	head, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: box, Key: key})
	if err != nil || *head.ContentLength != int64(len(body)) || *head.ContentType != "text/x" || *head.CacheControl != "no-store" ||
		head.Metadata["color"] != "blue" || *head.ETag != *out.ETag || time.Since(*head.LastModified) > time.Minute {
		t.Errorf("head: %d %q %q %v %s %v, %v", *head.ContentLength, aws.ToString(head.ContentType), aws.ToString(head.CacheControl), head.Metadata, aws.ToString(head.ETag), head.LastModified, err)
	}
	for r, text := range map[string]string{"bytes=0-3": "0123", "bytes=199995-": "56789", "bytes=-2": "89", "bytes=5-5": "5"} {
		part, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: box, Key: key, Range: &r})
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(part.Body)
		if err != nil || string(b) != text || part.ContentRange == nil {
			t.Errorf("%s: %q, %v, %v", r, b, aws.ToString(part.ContentRange), err)
		}
	}
	_, err = c.GetObject(ctx, &s3.GetObjectInput{Bucket: box, Key: key, Range: aws.String("bytes=200000-")})
	want(t, "a range behind the end", err, "InvalidRange")
	_, err = c.GetObject(ctx, &s3.GetObjectInput{Bucket: box, Key: key, IfMatch: aws.String(`"x"`)})
	want(t, "If-Match", err, "PreconditionFailed")
	_, err = c.GetObject(ctx, &s3.GetObjectInput{Bucket: box, Key: key, IfNoneMatch: out.ETag})
	want(t, "If-None-Match", err, "NotModified")
	_, err = c.PutObject(ctx, &s3.PutObjectInput{Bucket: box, Key: key, IfNoneMatch: aws.String("*")})
	want(t, "put where there is one", err, "PreconditionFailed")
	_, err = c.PutObject(ctx, &s3.PutObjectInput{Bucket: box, Key: key, Body: strings.NewReader("x"), ChecksumCRC32: aws.String("AAAAAA==")})
	want(t, "a wrong checksum", err, "BadDigest")
	_, err = c.PutObject(ctx, &s3.PutObjectInput{Bucket: box, Key: key, ServerSideEncryption: types.ServerSideEncryptionAes256})
	want(t, "encryption", err, "NotImplemented")
	_, err = c.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("none"), Key: key})
	want(t, "put to no bucket", err, "NoSuchBucket")
	_, err = c.GetObject(ctx, &s3.GetObjectInput{Bucket: box, Key: aws.String("none")})
	want(t, "get of none", err, "NoSuchKey")
	_, err = c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: box, Key: aws.String("none")})
	want(t, "head of none", err, "NotFound")
	_, err = c.GetObject(ctx, &s3.GetObjectInput{Bucket: box, Key: key, ExpectedBucketOwner: aws.String("999999999999")})
	want(t, "another owner", err, "AccessDenied")
	copied, err := c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: box, Key: aws.String("copy"), CopySource: aws.String("box/a/%C3%BC%20%26%2B%3F%252F//../b")})
	if err != nil || aws.ToString(copied.CopyObjectResult.ETag) != *out.ETag || get(t, c, "copy") != body {
		t.Errorf("copy: %+v, %v", copied, err)
	}
	if _, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: box, Key: key}); err != nil || get(t, c, *key) != "" || get(t, c, "copy") != body {
		t.Errorf("an empty object: %v", err)
	}
}

// A page has what is asked for, and the pages together have all.
func TestList(t *testing.T) {
	c := serve(t)
	for _, k := range []string{"a", "b/1", "b/2", "b/c/3", "d", "ü/x", "z<&>"} {
		put(t, c, k, k)
	}
	names := func(prefix, delimiter string, page int32) (all []string) {
		in := &s3.ListObjectsV2Input{Bucket: aws.String("box"), MaxKeys: &page}
		if prefix != "" {
			in.Prefix = &prefix
		}
		if delimiter != "" {
			in.Delimiter = &delimiter
		}
		p := s3.NewListObjectsV2Paginator(c, in)
		for p.HasMorePages() {
			out, err := p.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if n := len(out.Contents) + len(out.CommonPrefixes); n > int(page) || n != int(*out.KeyCount) {
				t.Errorf("a page of %d of %d", n, page)
			}
			for _, o := range out.Contents {
				all = append(all, *o.Key)
			}
			for _, o := range out.CommonPrefixes {
				all = append(all, *o.Prefix)
			}
		}
		slices.Sort(all)
		return all
	}
	for _, x := range []struct{ prefix, delimiter, want string }{
		{"", "", "[a b/1 b/2 b/c/3 d z<&> ü/x]"},
		{"", "/", "[a b/ d z<&> ü/]"},
		{"b/", "/", "[b/1 b/2 b/c/]"},
		{"b", "", "[b/1 b/2 b/c/3]"},
		{"nothing", "/", "[]"},
	} {
		for _, page := range []int32{1, 2, 1000} {
			if got := fmt.Sprint(names(x.prefix, x.delimiter, page)); got != x.want {
				t.Errorf("%q by %q in pages of %d: %s, want %s", x.prefix, x.delimiter, page, got, x.want)
			}
		}
	}
	out, err := c.ListObjects(t.Context(), &s3.ListObjectsInput{Bucket: aws.String("box"), Marker: aws.String("b/2"), MaxKeys: aws.Int32(1)})
	if err != nil || len(out.Contents) != 1 || *out.Contents[0].Key != "b/c/3" || !*out.IsTruncated {
		t.Errorf("ListObjects: %+v, %v", out, err)
	}
	_, err = c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("box"), ContinuationToken: aws.String("nonsense")})
	want(t, "a token", err, "InvalidArgument")
	gone, err := c.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: aws.String("box"), Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: aws.String("a")}, {Key: aws.String("never")}}}})
	if err != nil || len(gone.Deleted) != 2 || fmt.Sprint(names("", "/", 9)) != "[b/ d z<&> ü/]" {
		t.Errorf("DeleteObjects: %+v, %v", gone, err)
	}
}

func TestUploadInParts(t *testing.T) {
	c := serve(t)
	ctx := t.Context()
	box, key := aws.String("box"), aws.String("big")
	up, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: box, Key: key, ContentType: aws.String("text/x")})
	if err != nil {
		t.Fatal(err)
	}
	bodies := [][]byte{bytes.Repeat([]byte("1"), minPart), []byte("the end")}
	var parts []types.CompletedPart
	for i, b := range bodies {
		n := int32(i + 1)
		p, err := c.UploadPart(ctx, &s3.UploadPartInput{Bucket: box, Key: key, UploadId: up.UploadId, PartNumber: &n, Body: bytes.NewReader(b)})
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, types.CompletedPart{PartNumber: &n, ETag: p.ETag})
	}
	list, err := c.ListParts(ctx, &s3.ListPartsInput{Bucket: box, Key: key, UploadId: up.UploadId})
	if err != nil || len(list.Parts) != 2 || *list.Parts[1].Size != 7 {
		t.Errorf("parts: %+v, %v", list, err)
	}
	complete := func(p ...types.CompletedPart) error {
		_, err := c.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: box, Key: key, UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: p}})
		return err
	}
	want(t, "parts in a wrong order", complete(parts[1], parts[0]), "InvalidPartOrder")
	want(t, "a part that is none", complete(parts[0], types.CompletedPart{PartNumber: aws.Int32(9), ETag: aws.String("x")}), "InvalidPart")
	if err := complete(parts...); err != nil {
		t.Fatal(err)
	}
	if got := get(t, c, "big"); got != string(bodies[0])+"the end" {
		t.Errorf("%d bytes", len(got))
	}
	head, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: box, Key: key})
	if err != nil || !strings.HasSuffix(*head.ETag, `-2"`) || *head.ContentType != "text/x" {
		t.Errorf("head: %+v, %v", head, err)
	}
	want(t, "completed again", complete(parts...), "NoSuchUpload")
	up, err = c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: box, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: box, Key: key, UploadId: up.UploadId}); err != nil {
		t.Error(err)
	}
	_, err = c.UploadPart(ctx, &s3.UploadPartInput{Bucket: box, Key: key, UploadId: up.UploadId, PartNumber: aws.Int32(1)})
	want(t, "a part of an aborted upload", err, "NoSuchUpload")
}

// Presigned requests need no key, and their signature covers what is asked.
func TestPresigned(t *testing.T) {
	c := serve(t)
	p := s3.NewPresignClient(c)
	putReq, err := p.PresignPutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("box"), Key: aws.String("a b/c")})
	if err != nil {
		t.Fatal(err)
	}
	do := func(method, url string, body string) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b)
	}
	if code, text := do("PUT", putReq.URL, "hello"); code != 200 {
		t.Fatalf("put: %d %s", code, text)
	}
	getReq, err := p.PresignGetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("box"), Key: aws.String("a b/c")})
	if err != nil {
		t.Fatal(err)
	}
	if code, text := do("GET", getReq.URL, ""); code != 200 || text != "hello" {
		t.Errorf("get: %d %s", code, text)
	}
	if code, text := do("GET", strings.Replace(getReq.URL, "/box/a", "/box/b", 1), ""); code != 403 || !strings.Contains(text, "<Code>SignatureDoesNotMatch</Code>") {
		t.Errorf("another key: %d %s", code, text)
	}
	if code, text := do("DELETE", getReq.URL, ""); code != 403 {
		t.Errorf("another method: %d %s", code, text)
	}
}

// What the corpus of the SDK asks is understood, whatever is answered.
func TestCorpus(t *testing.T) {
	store := open(t, t.TempDir())
	defer store.Close()
	service, err := wire.NewService(wire.S3, New(store))
	if err != nil {
		t.Fatal(err)
	}
	_, implemented := service.Operations()
	if n := len(implemented); n < 100 {
		t.Errorf("%d operations", n)
	}
}
