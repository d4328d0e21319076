package wire

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Requests of S3 in all the ways that name a bucket, and operations that differ in little.
func TestRoutes(t *testing.T) {
	srv := newServiceForFuzz(t)
	signed := "AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=00"
	for _, x := range []struct {
		method, host, target, header string
		op, labels                   string
	}{
		{"GET", "127.0.0.1:4566", "/", signed, "ListBuckets", ""},
		{"GET", "127.0.0.1:4566", "/b", signed, "ListObjects", "b"},
		{"GET", "127.0.0.1:4566", "/b/", signed, "ListObjects", "b"},
		{"GET", "127.0.0.1:4566", "/b?list-type=2", signed, "ListObjectsV2", "b"},
		{"GET", "127.0.0.1:4566", "/b?location", signed, "GetBucketLocation", "b"},
		{"GET", "127.0.0.1:4566", "/b/a%2Fb//c/", signed, "GetObject", "b a/b//c/"},
		{"GET", "b.s3.us-east-1.amazonaws.com", "/k", "", "GetObject", "b k"},
		{"GET", "b.c.s3.amazonaws.com", "/k", "", "GetObject", "b.c k"},
		{"GET", "s3.us-east-1.amazonaws.com", "/b/k", "", "GetObject", "b k"},
		{"GET", "b.localhost:4566", "/k", signed, "GetObject", "b k"},
		{"GET", "b.s3.localhost:4566", "/k", signed, "GetObject", "b k"},
		{"GET", "s3.localhost:4566", "/b/k", signed, "GetObject", "b k"},
		{"GET", "localhost:4566", "/b/k", signed, "GetObject", "b k"},
		{"PUT", "127.0.0.1", "/b/k?partNumber=1&uploadId=u", signed, "UploadPart", "b k"},
		{"GET", "127.0.0.1", "/b/k?uploadId=u", signed, "ListParts", "b k"},
		{"POST", "127.0.0.1", "/b/k?uploads", signed, "CreateMultipartUpload", "b k"},
		{"POST", "127.0.0.1", "/b/k?uploadId=u", signed, "CompleteMultipartUpload", "b k"},
		{"DELETE", "127.0.0.1", "/b/k?uploadId=u", signed, "AbortMultipartUpload", "b k"},
		{"DELETE", "127.0.0.1", "/b/k", signed, "DeleteObject", "b k"},
		{"PATCH", "127.0.0.1", "/b/k", signed, "MethodNotAllowed", ""},
		{"GET", "127.0.0.1", "/b/k?annotation=", signed, "NotImplemented", ""},
		{"GET", "127.0.0.1", "/b/k?AWSAccessKeyId=a&Signature=b&Expires=1", "", "InvalidRequest", ""},
	} {
		hr := httptest.NewRequest(x.method, x.target, nil)
		hr.Host = x.host
		if x.header != "" {
			hr.Header.Set("Authorization", x.header)
		}
		r := &request{Request: hr}
		rest, err := srv.detectREST(r)
		op := r.op
		if a, ok := err.(*answer); ok {
			op = a.code
		}
		labels := strings.TrimSpace(r.labels["Bucket"] + " " + r.labels["Key"])
		if !rest || op != x.op || err == nil && labels != x.labels {
			t.Errorf("%s %s%s: %s of %q, want %s of %q", x.method, x.host, x.target, op, labels, x.op, x.labels)
		}
	}
	if rest, err := srv.detectREST(&request{Request: httptest.NewRequest("GET", "/b/k", nil)}); rest || err != nil {
		t.Errorf("a request for nobody: %t, %v", rest, err)
	}
	copying := httptest.NewRequest("PUT", "/b/k", nil)
	copying.Header = http.Header{"Authorization": {signed}, "X-Amz-Copy-Source": {"b/j"}}
	r := &request{Request: copying}
	if _, err := srv.detectREST(r); err != nil || r.op != "CopyObject" {
		t.Errorf("a copy is %s, %v", r.op, err)
	}
}
