package wire

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Handlers that read their input and answer nothing.
type fuzzMetrics struct{}

func (fuzzMetrics) PutMetricData(context.Context, *cloudwatch.PutMetricDataInput) (*cloudwatch.PutMetricDataOutput, error) {
	return nil, nil
}

type fuzzClusters struct{}

func (fuzzClusters) CreateCluster(context.Context, *eks.CreateClusterInput) (*eks.CreateClusterOutput, error) {
	return nil, nil
}

func (fuzzClusters) ListClusters(context.Context, *eks.ListClustersInput) (*eks.ListClustersOutput, error) {
	return nil, nil
}

type fuzzObjects struct{}

func (fuzzObjects) DeleteObjects(context.Context, *s3.DeleteObjectsInput) (*s3.DeleteObjectsOutput, error) {
	return nil, nil
}

func (fuzzObjects) GetObject(context.Context, *s3.GetObjectInput) (*s3.GetObjectOutput, error) {
	return nil, nil
}

func (fuzzObjects) PutObject(_ context.Context, in *s3.PutObjectInput) (*s3.PutObjectOutput, error) {
	_, err := io.Copy(io.Discard, in.Body)
	return nil, err
}

func (fuzzObjects) PutBucketLifecycleConfiguration(context.Context, *s3.PutBucketLifecycleConfigurationInput) (*s3.PutBucketLifecycleConfigurationOutput, error) {
	return nil, nil
}

func newServiceForFuzz(t testing.TB) *Server {
	t.Helper()
	srv := &Server{Authenticate: AcceptAny("123456789012", "us-east-1"), Log: slog.New(slog.DiscardHandler)}
	for _, x := range []struct {
		d    Description
		impl any
	}{{CloudWatch, fuzzMetrics{}}, {EKS, fuzzClusters{}}, {S3, fuzzObjects{}}} {
		s, err := NewService(x.d, x.impl)
		if err != nil {
			t.Fatal(err)
		}
		srv.Services = append(srv.Services, s)
	}
	return srv
}

// post sends a request, which must be answered, and not by a failure of the server.
func post(t *testing.T, srv *Server, target string, body []byte, h http.Header) {
	t.Helper()
	call(t, srv, "POST", target, body, h, "monitoring")
}

func call(t *testing.T, srv *Server, method, target string, body []byte, h http.Header, service string) {
	t.Helper()
	r := &http.Request{Method: method, URL: &url.URL{Path: "/"}, Header: h, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)), Host: "127.0.0.1"}
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return
	}
	r.URL = u
	if h.Get("Authorization") == "" {
		h.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/"+service+"/aws4_request, SignedHeaders=host, Signature=00")
	}
	w := httptest.NewRecorder()
	srv.ServeHTTP(w, r.WithContext(t.Context()))
	if w.Code == http.StatusInternalServerError || w.Code == 0 {
		t.Errorf("%s %s: %d %s", method, target, w.Code, w.Body)
	}
}

func FuzzRESTXML(f *testing.F) {
	f.Add(`<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Object><Key>a</Key></Object><Quiet>true</Quiet><Object><Key>b</Key></Object></Delete>`)
	f.Add(`<LifecycleConfiguration><Rule><Filter><And><Tag><Key>a</Key></Tag></And></Filter><Expiration><Date>2026-01-01T00:00:00Z</Date></Expiration></Rule></LifecycleConfiguration>`)
	f.Add(`<!DOCTYPE a [<!ENTITY b "c">]><Delete>&b;</Delete>`)
	f.Add(strings.Repeat("<Delete>", 200))
	srv := newServiceForFuzz(f)
	f.Fuzz(func(t *testing.T, body string) {
		for _, x := range [][2]string{{"POST", "/b?delete"}, {"PUT", "/b?lifecycle"}, {"PUT", "/b/k"}} {
			call(t, srv, x[0], x[1], []byte(body), http.Header{}, "s3")
		}
	})
}

func FuzzRESTRoute(f *testing.F) {
	f.Add("GET", "/b/k?range=1&partNumber=x", "Range", "bytes=0-", "")
	f.Add("GET", "/b/%2F%zz/../k", "If-Modified-Since", "yesterday", "")
	f.Add("PUT", "/b/k", "X-Amz-Content-Sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "0\r\n\r\n")
	f.Add("GET", "/clusters?maxResults=99999999999&include=a&include=", "", "", "")
	f.Add("POST", "/clusters", "Content-Type", "application/json", `{"name":"a","resourcesVpcConfig":{"subnetIds":["a",null]},"tags":{"a":"b"}}`)
	srv := newServiceForFuzz(f)
	f.Fuzz(func(t *testing.T, method, target, name, value, body string) {
		for _, service := range []string{"s3", "eks"} {
			h := http.Header{}
			if name != "" {
				h.Set(name, value)
			}
			call(t, srv, method, target, []byte(body), h, service)
		}
	})
}
