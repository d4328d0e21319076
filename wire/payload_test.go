package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

type exampleKeys struct{}

func (exampleKeys) Lookup(context.Context, string) (Credential, bool, error) {
	return Credential{Secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", Account: "123456789012"}, true, nil
}

// chunkedExample is the example of "Signature calculations for the Authorization header:
// transferring a payload in multiple chunks" in the Amazon S3 API Reference.
func chunkedExample(t *testing.T) (*request, string) {
	t.Helper()
	r := httptest.NewRequest("PUT", "/examplebucket/chunkObject.txt", nil)
	r.Host = "s3.amazonaws.com"
	for k, v := range map[string]string{
		"X-Amz-Date": "20130524T000000Z", "X-Amz-Storage-Class": "REDUCED_REDUNDANCY", "Content-Encoding": "aws-chunked",
		"X-Amz-Decoded-Content-Length": "66560", "Content-Length": "66824", "X-Amz-Content-Sha256": signedChunks,
		"Authorization": "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request," +
			"SignedHeaders=content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class," +
			"Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
	} {
		r.Header.Set(k, v)
	}
	chunk := func(n int, signature string) string {
		return fmt.Sprintf("%x;chunk-signature=%s\r\n%s\r\n", n, signature, strings.Repeat("a", n))
	}
	return &request{Request: r}, chunk(65536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648") +
		chunk(1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497") +
		chunk(0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9")
}

func TestSignedChunks(t *testing.T) {
	r, body := chunkedExample(t)
	now := func() time.Time { return time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC) }
	read := func(body string) (int, error) {
		caller, err := Verify(exampleKeys{}, now)(r.Request, nil, "s3")
		if err != nil {
			t.Fatal(err)
		}
		r.Body = io.NopCloser(strings.NewReader(body))
		u, err := newUpload(httptest.NewRecorder(), r, caller.chunks)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(u)
		return len(b), err
	}
	if n, err := read(body); n != 66560 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	if n, err := read(strings.Replace(body, "aaaa", "aaab", 1)); n != 0 || !errors.Is(err, errSignature) {
		t.Errorf("an altered chunk: %d bytes, %v", n, err)
	}
	if n, err := read(body[:len(body)-len("0;chunk-signature=")-64-4]); n != 66560 || err == nil {
		t.Errorf("without the last chunk: %d bytes, %v", n, err)
	}
	if n, err := read(body[:70000-4000]); err == nil || n != 65536 {
		t.Errorf("cut off: %d bytes, %v", n, err)
	}
}

func upload(t testing.TB, claimed, decoded, body string) (*Upload, error) {
	r := httptest.NewRequest("PUT", "/b/k", strings.NewReader(body))
	r.Header.Set("X-Amz-Content-Sha256", claimed)
	if decoded != "" {
		r.Header.Set("X-Amz-Decoded-Content-Length", decoded)
	}
	return newUpload(httptest.NewRecorder(), &request{Request: r}, nil)
}

func TestUnsignedTrailer(t *testing.T) {
	for _, x := range []struct{ name, decoded, body, want, trailer string }{
		{"whole", "5", "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", "hello", "NhCmhg=="},
		{"two chunks", "5", "2\r\nhe\r\n3\r\nllo\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", "hello", "NhCmhg=="},
		{"no last line", "5", "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n", "hello", "NhCmhg=="},
		{"empty", "0", "0\r\n\r\n", "", ""},
		{"short", "6", "5\r\nhello\r\n0\r\n\r\n", "error", ""},
		{"long", "4", "5\r\nhello\r\n0\r\n\r\n", "error", ""},
		{"cut off", "5", "5\r\nhel", "error", ""},
		{"no size", "5", "x\r\nhello\r\n0\r\n\r\n", "error", ""},
		{"no newline", "5", "5\r\nhelloo\r\n0\r\n\r\n", "error", ""},
		{"a trailer that is none", "5", "5\r\nhello\r\n0\r\nnothing\r\n\r\n", "error", ""},
		{"endless line", "5", strings.Repeat("0", 10000), "error", ""},
	} {
		u, err := upload(t, unsignedTrailer, x.decoded, x.body)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(u)
		if got := string(b); x.want == "error" && err == nil || x.want != "error" && (err != nil || got != x.want) || u.Trailer().Get("x-amz-checksum-crc32") != x.trailer {
			t.Errorf("%s: %q, %v, %v", x.name, b, u.Trailer(), err)
		}
	}
	for claimed, decoded := range map[string]string{unsignedTrailer: "", signedChunks: "-1", "nonsense": ""} {
		if _, err := upload(t, claimed, decoded, ""); err == nil {
			t.Errorf("%s of %q is taken", claimed, decoded)
		}
	}
	u, err := upload(t, strings.Repeat("00", 32), "", "hello")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(u); !errors.Is(err, errDigest) {
		t.Errorf("a wrong digest: %v", err)
	}
}

func FuzzChunks(f *testing.F) {
	f.Add(int64(5), "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", false)
	f.Add(int64(5), "5;chunk-signature=x\r\nhello\r\n0;chunk-signature=\r\n\r\n", true)
	f.Fuzz(func(t *testing.T, n int64, body string, signed bool) {
		claimed := unsignedTrailer
		if signed {
			claimed = signedTrailer
		}
		u, err := upload(t, claimed, fmt.Sprint(n), body)
		if err != nil {
			return
		}
		b, err := io.ReadAll(u)
		var a *answer
		if err == nil && int64(len(b)) != n {
			t.Errorf("%d bytes of %d", len(b), n)
		}
		if err != nil && (!errors.As(err, &a) || a.status >= 500) {
			t.Errorf("not the client's error: %v", err)
		}
	})
}

func FuzzCBOR(f *testing.F) {
	f.Add([]byte{0xbf, 0x61, 'a', 0x9f, 0x01, 0x20, 0xff, 0x61, 'b', 0xc1, 0xfb, 0, 0, 0, 0, 0, 0, 0, 0, 0xff})
	f.Add([]byte{0x7f, 0x61, 'a', 0xff})
	f.Add(bytes.Repeat([]byte{0x81}, 200))
	service := newServiceForFuzz(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		post(t, service, "/service/GraniteServiceVersion20100801/operation/PutMetricData", body, http.Header{"Smithy-Protocol": {"rpc-v2-cbor"}, "Content-Type": {"application/cbor"}})
	})
}
