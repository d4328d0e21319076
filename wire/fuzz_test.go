package wire

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"

	"github.com/berth/berth/wire/wiretest/corpus"
)

// FuzzJSON decodes anything as a RegisterTaskDefinition: it must not panic, and what
// encoding/json refuses as JSON must be refused.
func FuzzJSON(f *testing.F) {
	for _, s := range corpus.Requests(f, "ecs") {
		if s.Name == "RegisterTaskDefinition" || s.Name == "RunTask" || s.Name == "CreateService" {
			f.Add(s.Body)
		}
	}
	for _, s := range []string{``, `{}`, `null`, `{"a":[1,-2.5e3,{"b":null}]}`, `{"family":"\ud83d\ude00\u0000"}`, "{\"family\":\"\xff\"}",
		`{"containerDefinitions":[null,{"cpu":1.0}]}`, `{"volumes":[{}],"tags":[{"key":"a"},]}`, `{"tags":null}`} {
		f.Add([]byte(s))
	}
	b := newBinder(nil, nil)
	f.Fuzz(func(t *testing.T, data []byte) {
		in := &ecs.RegisterTaskDefinitionInput{}
		v := reflect.ValueOf(in).Elem()
		d := newJSONReader(data)
		err := b.decode(d, b.schemaOf(v.Type()), v)
		if closed := d.close(); closed != nil {
			err = closed
		}
		if err == nil && len(strings.TrimSpace(string(data))) > 0 && !json.Valid(data) {
			t.Errorf("%q is no JSON and was accepted", data)
		}
		if err != nil {
			return
		}
		w := &jsonWriter{}
		if err := b.encode(w, b.schemaOf(v.Type()), v); err != nil {
			t.Fatal(err)
		}
		again := reflect.New(v.Type())
		d = newJSONReader(w.buf)
		if err := b.decode(d, b.schemaOf(v.Type()), again.Elem()); err != nil || d.close() != nil {
			t.Fatalf("what was written is not read: %v: %s", err, w.buf)
		}
		w2 := &jsonWriter{}
		if err := b.encode(w2, b.schemaOf(v.Type()), again.Elem()); err != nil || string(w.buf) != string(w2.buf) {
			t.Errorf("written %s\nand again %s", w.buf, w2.buf)
		}
	})
}

// FuzzForm decodes anything as a form.
func FuzzForm(f *testing.F) {
	for _, s := range corpus.Requests(f, "elasticloadbalancingv2") {
		if strings.HasPrefix(s.Name, "Create") {
			f.Add(string(s.Body), false)
		}
	}
	for _, s := range []string{"", "&", "=", "a=%", "a.b.c=1&a=2", ".=1", "a..b=1", "Actions.member.1.Type=x&Actions.member.01.Type=y", "Tags=", "Tags.1=x", "Tags.member.-1.Key=a", "Priority=9e9"} {
		f.Add(s, true)
	}
	b := newBinder(nil, nil)
	f.Fuzz(func(t *testing.T, body string, ec2 bool) {
		form, err := parseForm(body)
		if err != nil {
			return
		}
		in := reflect.ValueOf(&elasticloadbalancingv2.CreateRuleInput{}).Elem()
		d := newFormReader(&form, ec2)
		if err := b.decode(d, b.schemaOf(in.Type()), in); err != nil && d.close() == nil {
			t.Errorf("the error %v was forgotten", err)
		}
	})
}

// FuzzSignature verifies any Authorization header, date and query: nothing but the
// one good signature may pass.
func FuzzSignature(f *testing.F) {
	good := signed(f, "POST", "http://ecs.eu-west-1.amazonaws.com/", "", nil)
	f.Add(good.Header.Get("Authorization"), good.Header.Get("X-Amz-Date"), "")
	f.Add("", "", presigned(f, "http://ecs.eu-west-1.amazonaws.com/", "60").URL.RawQuery)
	f.Add("AWS4-HMAC-SHA256 Credential=/////,SignedHeaders=;;,Signature=", "20260304T050607Z", "X-Amz-Algorithm=&X-Amz-Algorithm=%zz")
	f.Add("AWS4-HMAC-SHA256Credential=AKID/20260304/eu-west-1/ecs/aws4_request,SignedHeaders=host,Signature=00", "", "a;b")
	keys := oneKey{Credential: Credential{Secret: "another secret"}}
	verify := Verify(keys, func() time.Time { return signTime })
	f.Fuzz(func(t *testing.T, authorization, date, query string) {
		r := httptest.NewRequest(http.MethodPost, "http://ecs.eu-west-1.amazonaws.com/", nil)
		r.URL.RawQuery = query
		r.Header["Authorization"] = []string{authorization}
		r.Header["X-Amz-Date"] = []string{date}
		if c, err := verify(r, nil, "ecs"); err == nil {
			t.Errorf("%q passed as %+v", authorization, c)
		}
		scopeOf(r)
	})
}
