package wire

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"github.com/berth/berth/wire/wiretest/corpus"
)

// kept is an HTTP client that keeps a request whole and sends nothing.
type kept struct {
	request *http.Request
	body    []byte
}

func (c *kept) Do(r *http.Request) (*http.Response, error) {
	c.request = r
	c.body = nil
	if r.Body != nil {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		c.body = b
	}
	return nil, fmt.Errorf("kept")
}

// TestRESTCorpus routes and reads each request that the SDK has a snapshot of, and has the
// SDK write it again: method, path, query, headers and body must be the same.
func TestRESTCorpus(t *testing.T) {
	c := &kept{}
	cfg := aws.Config{Region: "us-east-1", HTTPClient: c, BaseEndpoint: aws.String("http://127.0.0.1"), RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "secret"}, nil
		}),
		DisableRequestCompression:  true,
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired}
	uncovered := goldenList(t, "rest")
	for _, x := range []struct {
		module      string
		description Description
		client      any
	}{
		{"eks", EKS, eks.NewFromConfig(cfg)},
		{"cloudwatch", CloudWatch, cloudwatch.NewFromConfig(cfg)},
		{"s3", S3, s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })},
	} {
		service, err := NewService(x.description, struct{}{})
		if err != nil {
			t.Fatal(err)
		}
		covered := 0
		snaps := corpus.Requests(t, x.module)
		for _, snap := range snaps {
			key := "rest " + x.module + " " + snap.Name
			err := again(t, service, x.client, c, snap)
			if _, listed := uncovered[key]; listed != (err != nil) {
				t.Errorf("%s: listed as uncovered: %t, but: %v", key, listed, err)
			}
			delete(uncovered, key)
			if err == nil {
				covered++
			}
		}
		t.Logf("%s: %d of %d requests", x.module, covered, len(snaps))
	}
	for key := range uncovered {
		t.Errorf("%s is in the list and not in the corpus", key)
	}
}

func again(t *testing.T, service *Service, client any, c *kept, snap corpus.Snapshot) error {
	method := reflect.ValueOf(client).MethodByName(snap.Name)
	if !method.IsValid() {
		return fmt.Errorf("the client has no such method")
	}
	path := strings.ReplaceAll(snap.Path, "__Bucket__", "amzn-s3-demo-bucket")
	if service.desc.VirtualHosts && snap.Name != "ListBuckets" && snap.Name != "ListDirectoryBuckets" {
		path = "/amzn-s3-demo-bucket" + path
	}
	hr := httptest.NewRequest(snap.Method, path, strings.NewReader(string(snap.Body)))
	hr.Header = snap.Header
	hr.Host = service.signing() + ".us-east-1.amazonaws.com"
	r := &request{Request: hr, body: snap.Body, stream: strings.NewReader(string(snap.Body))}
	server := &Server{Services: []*Service{service}}
	rest, err := server.detectREST(r)
	if err == nil && !rest {
		err = server.detect(r)
	}
	if err != nil {
		return err
	}
	if r.op != snap.Name {
		return fmt.Errorf("taken for %s", r.op)
	}
	in := reflect.New(method.Type().In(1).Elem())
	op := &operation{in: in.Type().Elem(), schema: service.binder.schemaOf(in.Type().Elem())}
	if rest {
		if op.input, err = service.binder.bindHTTP(op.in); err != nil {
			return err
		}
	}
	if err := syntaxes[r.syntax].input(service.binder, r, op, in.Elem()); err != nil {
		return err
	}
	c.request = nil
	method.Call([]reflect.Value{reflect.ValueOf(t.Context()), in})
	if c.request == nil {
		return fmt.Errorf("the SDK does not send %+v", in.Elem().Interface())
	}
	want := httptest.NewRequest(snap.Method, path, nil)
	if c.request.Method != snap.Method || strings.TrimSuffix(c.request.URL.EscapedPath(), "/") != strings.TrimSuffix(want.URL.EscapedPath(), "/") {
		return fmt.Errorf("%s %s, want %s %s", c.request.Method, c.request.URL.EscapedPath(), snap.Method, want.URL.EscapedPath())
	}
	if g, w := c.request.URL.Query(), want.URL.Query(); !reflect.DeepEqual(g, w) {
		return fmt.Errorf("query %v, want %v", g, w)
	}
	for name, values := range snap.Header {
		if got := c.request.Header.Values(name); strings.ReplaceAll(strings.Join(got, ","), " ", "") != strings.ReplaceAll(strings.Join(values, ","), " ", "") && name != "Content-Length" {
			return fmt.Errorf("header %s is %q, want %q", name, got, values)
		}
	}
	return sameDocument(r.syntax, c.body, snap.Body)
}

// sameDocument compares two bodies by what they say.
func sameDocument(s Syntax, got, want []byte) error {
	if len(want) == 0 && len(got) == 0 {
		return nil
	}
	var g, w any
	var err1, err2 error
	switch s {
	case CBOR:
		g, err1 = parseCBOR(got)
		w, err2 = parseCBOR(want)
	case RESTXML:
		g, err1 = parseXML(got)
		w, err2 = parseXML(want)
		if err2 != nil { // a body of plain bytes
			g, w, err1, err2 = string(got), string(want), nil, nil
		}
	default:
		return sameBody("json", got, want)
	}
	if err1 != nil || err2 != nil {
		return fmt.Errorf("%q: %v; %q: %v", got, err1, want, err2)
	}
	if !reflect.DeepEqual(orderless(g), orderless(w)) {
		return fmt.Errorf("got  %q\nwant %q", got, want)
	}
	return nil
}

// orderless is a document without the order of members, which says nothing.
func orderless(v any) any {
	switch x := v.(type) {
	case cborMap:
		m := map[string]any{}
		for _, p := range x {
			m[p.key] = orderless(p.value)
		}
		return m
	case []any:
		for i := range x {
			x[i] = orderless(x[i])
		}
	case *xmlNode:
		for _, c := range x.children {
			orderless(c)
		}
		slices.SortStableFunc(x.children, func(a, b *xmlNode) int { return strings.Compare(a.name, b.name) })
		x.attrs = slices.DeleteFunc(x.attrs, func(a *xmlNode) bool { return a.name == "xmlns" })
	}
	return v
}

// TestRESTResponseCorpus reads each response and error with the SDK's own code and writes
// it: the body must be the one read.
func TestRESTResponseCorpus(t *testing.T) {
	for _, x := range []struct {
		module      string
		description Description
		syntax      Syntax
		client      any
		registry    *smithy.TypeRegistry
	}{
		{"eks", EKS, RESTJSON, eks.New(eks.Options{}), eks.TypeRegistry},
		{"cloudwatch", CloudWatch, CBOR, cloudwatch.New(cloudwatch.Options{}), cloudwatch.TypeRegistry},
	} {
		service, err := NewService(x.description, struct{}{})
		if err != nil {
			t.Fatal(err)
		}
		reader := func(body []byte) reader {
			if x.syntax == CBOR {
				v, err := parseCBOR(body)
				if err != nil {
					t.Fatal(err)
				}
				return &cborReader{value: v, fresh: true}
			}
			return newJSONReader(body)
		}
		for _, snap := range corpus.Responses(t, x.module) {
			out := reflect.New(reflect.ValueOf(x.client).MethodByName(snap.Name).Type().Out(0).Elem())
			body := snap.Body
			if len(body) == 0 && x.syntax == CBOR {
				body = []byte{0xa0}
			}
			d := reader(body)
			if err := out.Interface().(smithy.Deserializable).Deserialize(d); err != nil || d.close() != nil {
				t.Errorf("%s %s: %v, %v", x.module, snap.Name, err, d.close())
				continue
			}
			r := &request{Request: httptest.NewRequest("POST", "/", nil), service: service, syntax: x.syntax}
			op := &operation{status: http.StatusOK}
			if op.output, err = service.binder.bindHTTP(out.Type().Elem()); err != nil {
				t.Fatal(err)
			}
			w := httptest.NewRecorder()
			if err := syntaxes[x.syntax].output(w, service.binder, r, op, out); err != nil {
				t.Errorf("%s %s: %v", x.module, snap.Name, err)
			}
			if len(snap.Body) > 0 {
				if err := sameDocument(x.syntax, w.Body.Bytes(), snap.Body); err != nil {
					t.Errorf("%s %s: %v", x.module, snap.Name, err)
				}
			}
		}
		for _, snap := range corpus.Errors(t, x.module) {
			e, ok := x.registry.DeserializableError(snap.Name)
			if !ok {
				t.Errorf("%s has no error %s", x.module, snap.Name)
				continue
			}
			if err := e.Deserialize(reader(snap.Body)); err != nil {
				t.Error(err)
			}
			r := &request{Request: httptest.NewRequest("POST", "/", nil), service: service, syntax: x.syntax}
			a := answerTo(r, fmt.Errorf("wrapped: %w", e))
			w := httptest.NewRecorder()
			syntaxes[x.syntax].failure(w, r, a)
			body := w.Body.Bytes()
			if x.syntax == RESTJSON { // the code is in a header, and in the corpus in the body too
				body = []byte(strings.Replace(string(body), "{", `{"__type":"`+w.Header().Get("x-amzn-ErrorType")+`",`, 1))
				body = []byte(strings.Replace(string(body), `",}`, `"}`, 1))
			}
			if err := sameDocument(x.syntax, body, snap.Body); err != nil || w.Code != snap.Status {
				t.Errorf("%s %s: %d, want %d: %v", x.module, snap.Name, w.Code, snap.Status, err)
			}
		}
	}
}
