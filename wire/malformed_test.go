package wire_test

import (
	"bytes"
	"compress/gzip"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/berth/berth/wire"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func serve(h http.Handler, method, target string, headers map[string]string, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for k, v := range headers {
		r.Header.Set(k, v)
	}
	if h := headers["Host"]; h != "" {
		r.Host = h
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// post sends a JSON request to s and returns the body of the answer.
func post(t *testing.T, s *wire.Service, target, body string) string {
	t.Helper()
	return serve(anyServer(s), "POST", "/", map[string]string{"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"}, body).Body.String()
}

func anyServer(s ...*wire.Service) *wire.Server {
	return &wire.Server{Services: s, Authenticate: wire.AcceptAny("123456789012", "us-east-1"), Log: quiet()}
}

// operationsOf lists the operations of an SDK client by its methods.
func operationsOf(client any) []string {
	var ops []string
	t := reflect.TypeOf(client)
	for i := range t.NumMethod() {
		if m := t.Method(i); m.Type.NumIn() >= 3 && m.Type.In(2).Kind() == reflect.Pointer && strings.HasSuffix(m.Type.In(2).Elem().Name(), "Input") {
			ops = append(ops, m.Name)
		}
	}
	slices.Sort(ops)
	return ops
}

// TestMalformed sends what no client sends. Each gets an error of AWS's, and none
// is the server's fault.
func TestMalformed(t *testing.T) {
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write([]byte(`{"cluster":7}`)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	var bomb bytes.Buffer
	z = gzip.NewWriter(&bomb)
	if _, err := z.Write(make([]byte, 20<<20)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	srv := anyServer(newService(t, wire.ECS, ecsService{}), newService(t, wire.STS, stsService{}), newService(t, wire.EC2, ec2Service{}))
	const run = "AmazonEC2ContainerServiceV20141113.RunTask"
	json := func(target, body string, more ...string) func() *httptest.ResponseRecorder {
		h := map[string]string{"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"}
		for i := 0; i < len(more); i += 2 {
			h[more[i]] = more[i+1]
		}
		return func() *httptest.ResponseRecorder { return serve(srv, "POST", "/", h, body) }
	}
	form := func(body string) func() *httptest.ResponseRecorder {
		return func() *httptest.ResponseRecorder {
			return serve(srv, "POST", "/", map[string]string{"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}, body)
		}
	}
	get := func(method, target string, more ...string) func() *httptest.ResponseRecorder {
		h := map[string]string{}
		for i := 0; i < len(more); i += 2 {
			h[more[i]] = more[i+1]
		}
		return func() *httptest.ResponseRecorder { return serve(srv, method, target, h, "") }
	}
	const sts, ec2 = "&Version=2011-06-15", "&Version=2016-11-15"
	tests := []struct {
		name   string
		send   func() *httptest.ResponseRecorder
		status int
		want   string
	}{
		{"cut off", json(run, `{"cluster":`), 400, `"SerializationException","message":"Unexpected end of JSON input`},
		{"no JSON", json(run, `hello`), 400, "SerializationException"},
		{"a list", json(run, `[]`), 400, "SerializationException"},
		{"a string", json(run, `"x"`), 400, "Expected structure or null"},
		{"garbage after", json(run, `{} x`), 400, "SerializationException"},
		{"trailing comma", json(run, `{"cluster":"a",}`), 400, "SerializationException"},
		{"number for string", json(run, `{"cluster":7}`), 400, "NUMBER_VALUE can not be converted to a String"},
		{"boolean for string", json(run, `{"cluster":true}`), 400, "TRUE_VALUE can not be converted to a String"},
		{"string for number", json(run, `{"count":"7"}`), 400, "STRING_VALUE can not be converted to an Integer"},
		{"too large a number", json(run, `{"count":99999999999}`), 400, "NUMBER_VALUE can not be converted to an Integer"},
		{"fraction", json(run, `{"count":1.5}`), 400, "NUMBER_VALUE can not be converted to an Integer"},
		{"structure for string", json(run, `{"cluster":{}}`), 400, "Start of structure or map found where not expected."},
		{"list for string", json(run, `{"cluster":[]}`), 400, "Start of list found where not expected"},
		{"string for list", json(run, `{"tags":"x"}`), 400, "Expected list or null"},
		{"number in list of structures", json(run, `{"tags":[1]}`), 400, "Expected structure or null"},
		{"list cut off", json(run, `{"tags":[{"key":"a"}`), 400, "SerializationException"},
		{"list without comma", json(run, `{"tags":[{"key":"a"} {"key":"b"}]}`), 400, "SerializationException"},
		{"deep", json(run, `{"x":`+strings.Repeat("[", 1<<20)), 400, "nested too deeply"},
		{"deep objects", json(run, strings.Repeat(`{"overrides":`, 100000)), 400, "SerializationException"},
		{"not UTF-8", json(run, "{\"cluster\":\"\xff\"}"), 400, "not valid UTF-8"},
		{"bad escape", json(run, `{"cluster":"\x"}`), 400, "SerializationException"},
		{"control character", json(run, "{\"cluster\":\"a\nb\"}"), 400, "SerializationException"},
		{"bad number", json(run, `{"count":-}`), 400, "SerializationException"},
		{"bad unknown member", json(run, `{"zzz":{"a":[1,2,{]}}`), 400, "SerializationException"},
		{"empty body is empty input", json("AmazonEC2ContainerServiceV20141113.DescribeClusters", ``), 200, "clusters"},
		{"unknown members are ignored", json("AmazonEC2ContainerServiceV20141113.DescribeClusters", `{"zzz":{"a":[1,2,{"b":null}]},"clusters":null}`), 200, "clusters"},
		{"null in list", json("AmazonEC2ContainerServiceV20141113.DescribeClusters", `{"clusters":[null]}`), 200, "clusters"},
		{"too large", json(run, strings.Repeat(" ", 9<<20)), 413, "RequestEntityTooLargeException"},
		{"gzip", json(run, zipped.String(), "Content-Encoding", "gzip"), 400, "NUMBER_VALUE"},
		{"no gzip", json(run, "{}", "Content-Encoding", "gzip"), 400, "SerializationException"},
		{"gzip bomb", json(run, bomb.String(), "Content-Encoding", "gzip"), 413, "RequestEntityTooLargeException"},
		{"other encoding", json(run, "{}", "Content-Encoding", "br"), 415, "UnsupportedMediaTypeException"},
		{"unknown operation", json("AmazonEC2ContainerServiceV20141113.MakeTea", `{}`), 400, "UnknownOperationException"},
		{"operation without name", json("AmazonEC2ContainerServiceV20141113.", `{}`), 400, "UnknownOperationException"},
		{"unknown target", json("Tea_20200101.MakeTea", `{}`), 400, "UnknownOperationException"},
		{"target without dot", json("RunTask", `{}`), 400, "UnknownOperationException"},
		{"empty prefix", json(".RunTask", `{}`), 400, "UnknownOperationException"},
		{"CBOR", json(run, `{}`, "Smithy-Protocol", "rpc-v2-cbor", "Host", "ecs.us-east-1.amazonaws.com"), 501, "The protocol rpc-v2-cbor is not implemented by this server for ecs."},
		{"unknown action", form("Action=MakeTea" + sts), 400, "<Code>InvalidAction</Code><Message>Could not find operation MakeTea for version 2011-06-15</Message>"},
		{"no action", form("Version=2011-06-15"), 400, "<Code>MissingAction</Code>"},
		{"unknown version", form("Action=GetCallerIdentity&Version=2000-01-01"), 400, "<Code>InvalidAction</Code>"},
		{"no version", form("Action=GetCallerIdentity"), 400, "for version NO_VERSION_SPECIFIED"},
		{"bad percent", form("Action=GetCallerIdentity" + sts + "&X=%zz"), 400, "<Code>MalformedQueryString</Code>"},
		{"form not UTF-8", form("Action=GetCallerIdentity" + sts + "&X=%ff"), 400, "<Code>MalformedQueryString</Code>"},
		{"deep form", form("Action=GetCallerIdentity" + sts + "&" + strings.Repeat("a.", 5000) + "=1"), 400, "nested too deeply"},
		{"many parameters", form("Action=GetCallerIdentity" + sts + strings.Repeat("&a=1", 30000)), 400, "more than 20000"},
		{"text for number", form("Action=AssumeRole&DurationSeconds=x" + sts), 400, "<Code>MalformedInput</Code>"},
		{"unknown parameters are ignored", form("Action=GetCallerIdentity&Zzz.1=2" + sts), 200, "<Account>123456789012</Account>"},
		{"ec2 unknown action", form("Action=MakeTea" + ec2), 400, "<Code>InvalidAction</Code><Message>The action MakeTea is not valid for this web service.</Message>"},
		{"ec2 not implemented", form("Action=RunInstances" + ec2), 501, "<Code>NotImplemented</Code><Message>ec2:RunInstances is not implemented by this server.</Message>"},
		{"ec2 unknown parameter", form("Action=DescribeVpcs&Color=red" + ec2), 400, "<Code>UnknownParameter</Code><Message>The parameter Color is not recognized</Message>"},
		{"ec2 unknown parameter in a list", form("Action=DescribeVpcs&Filter.1.Colour=red" + ec2), 400, "The parameter Filter.1.Colour is not recognized"},
		{"ec2 list without number", form("Action=DescribeVpcs&Filter.one.Name=red" + ec2), 400, "<Code>InvalidParameterValue</Code>"},
		{"ec2 list by its name", form("Action=DescribeVpcs&VpcId=vpc-1" + ec2), 400, "<Code>InvalidParameterValue</Code>"},
		{"ec2 children of a boolean", form("Action=DescribeVpcs&DryRun=true&DryRun.1=x" + ec2), 400, "The parameter DryRun.1 is not recognized"},
		{"ec2 text for number", form("Action=DescribeVpcs&MaxResults=x" + ec2), 400, "Value (x) for parameter MaxResults is invalid. Expected an integer"},
		{"ec2 text for boolean", form("Action=DescribeVpcs&DryRun=maybe" + ec2), 400, "<Code>InvalidParameterValue</Code>"},
		{"GET a path", get("GET", "/hello"), 400, "MissingAuthenticationTokenException"},
		{"GET a path of a service", get("GET", "/hello", "Host", "ecs.us-east-1.amazonaws.com"), 404, "UnknownOperationException"},
		{"GET a query", get("GET", "/?Action=GetCallerIdentity"+sts), 200, "<Account>"},
		{"PUT", get("PUT", "/"), 400, "MissingAuthenticationTokenException"},
		{"GET a target", get("GET", "/", "X-Amz-Target", run), 400, "UnknownOperationException"},
		{"bad query", get("GET", "/?Action=%zz"), 400, "MalformedQueryString"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := test.send()
			if w.Code != test.status || !strings.Contains(w.Body.String(), test.want) {
				t.Errorf("got %d %.500s", w.Code, w.Body)
			}
			if w.Header().Get("x-amzn-RequestId") == "" {
				t.Error("no request ID")
			}
		})
	}
}
