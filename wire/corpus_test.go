package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logstypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/berth/berth/wire/wiretest/corpus"
)

// capture is an HTTP client that keeps the body of a request and sends nothing.
type capture struct{ body []byte }

func (c *capture) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		c.body = b
	}
	return nil, fmt.Errorf("captured")
}

// clients of the modules whose corpus is read, all sending to c.
func clients(c *capture) map[string]any {
	cfg := aws.Config{Region: "us-east-1", HTTPClient: c, BaseEndpoint: aws.String("http://127.0.0.1"), RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "secret"}, nil
		})}
	return map[string]any{
		"ecs": ecs.NewFromConfig(cfg), "cloudwatchlogs": cloudwatchlogs.NewFromConfig(cfg), "ecr": ecr.NewFromConfig(cfg),
		"sts": sts.NewFromConfig(cfg), "iam": iam.NewFromConfig(cfg), "elasticloadbalancingv2": elasticloadbalancingv2.NewFromConfig(cfg),
	}
}

// TestRequestCorpus decodes each request that AWS's SDK has a snapshot of and has the
// SDK write it again: the two must be the same. What differs is listed, with the reason,
// in testdata/uncovered.txt.
func TestRequestCorpus(t *testing.T) {
	c := &capture{}
	descriptions := map[string]string{"ecs": "ecs", "cloudwatchlogs": "logs", "sts": "sts"}
	uncovered := goldenList(t, "request")
	for module, client := range clients(c) {
		m, err := loadModel(descriptions[module])
		if err != nil {
			t.Fatal(err)
		}
		covered := 0
		snaps := corpus.Requests(t, module)
		for _, snap := range snaps {
			method := reflect.ValueOf(client).MethodByName(snap.Name)
			in := reflect.New(method.Type().In(1).Elem())
			b := newBinder(m.Names, []any{(*ecstypes.GatewayConfigurationMemberHostSharedAlb)(nil),
				(*ecstypes.UpdateGatewayConfigurationMemberHostSharedAlb)(nil), (*logstypes.ResourceConfigMemberOpenSearchResourceConfig)(nil)})
			err := readSnapshot(b, snap, in)
			if err == nil {
				c.body = nil
				method.Call([]reflect.Value{reflect.ValueOf(t.Context()), in})
				err = sameBody(snap.Header.Get("Content-Type"), c.body, snap.Body)
			}
			key := "request " + module + " " + snap.Name
			if _, listed := uncovered[key]; listed != (err != nil) {
				t.Errorf("%s: listed as uncovered: %t, but: %v", key, listed, err)
			}
			delete(uncovered, key)
			if err == nil {
				covered++
			}
		}
		t.Logf("%s: %d of %d requests", module, covered, len(snaps))
	}
	for key := range uncovered {
		t.Errorf("%s is in the list and not in the corpus", key)
	}
}

func readSnapshot(b *binder, snap corpus.Snapshot, in reflect.Value) error {
	if err := b.bind(in.Type(), b.schemaOf(in.Type().Elem())); err != nil {
		return err
	}
	var d reader = newJSONReader(snap.Body)
	if strings.Contains(snap.Header.Get("Content-Type"), "form") {
		form, err := parseForm(string(snap.Body))
		if err != nil {
			return err
		}
		d = newFormReader(&form, false)
	}
	if err := b.decode(d, b.schemaOf(in.Type().Elem()), in.Elem()); err != nil {
		return err
	}
	return d.close()
}

// sameBody compares two bodies by what they say.
func sameBody(contentType string, got, want []byte) error {
	var g, w any
	if strings.Contains(contentType, "json") {
		if err := json.Unmarshal(got, &g); err != nil {
			return fmt.Errorf("%q: %w", got, err)
		}
		if err := json.Unmarshal(want, &w); err != nil {
			return err
		}
	} else {
		gq, err := url.ParseQuery(string(got))
		if err != nil {
			return err
		}
		wq, err := url.ParseQuery(string(want))
		if err != nil {
			return err
		}
		g, w = gq, wq
	}
	if !reflect.DeepEqual(g, w) {
		return fmt.Errorf("got  %s\nwant %s", got, want)
	}
	return nil
}

// TestResponseCorpus reads each response with the SDK's own code and writes it: the
// body must be the one read.
func TestResponseCorpus(t *testing.T) {
	uncovered := goldenList(t, "response")
	for module, client := range clients(&capture{}) {
		if !slices.Contains([]string{"ecs", "cloudwatchlogs", "ecr"}, module) {
			continue
		}
		covered := 0
		snaps := corpus.Responses(t, module)
		for _, snap := range snaps {
			method := reflect.ValueOf(client).MethodByName(snap.Name)
			out := reflect.New(method.Type().Out(0).Elem())
			d := newJSONReader(snap.Body)
			err := out.Interface().(smithy.Deserializable).Deserialize(d)
			if err == nil {
				err = d.close()
			}
			if err == nil {
				b := newBinder(nil, nil)
				w := httptest.NewRecorder()
				jsonSyntax{}.output(w, &request{Request: &http.Request{}}, func(s smithy.ShapeSerializer) {
					err = b.encodeMembers(s, nil, out.Elem())
				})
				if err == nil {
					err = sameBody("json", w.Body.Bytes(), snap.Body)
				}
			}
			key := "response " + module + " " + snap.Name
			if _, listed := uncovered[key]; listed != (err != nil) {
				t.Errorf("%s: listed as uncovered: %t, but: %v", key, listed, err)
			}
			delete(uncovered, key)
			if err == nil {
				covered++
			}
		}
		t.Logf("%s: %d of %d responses", module, covered, len(snaps))
	}
	for key := range uncovered {
		t.Errorf("%s is in the list and not in the corpus", key)
	}
}

// TestErrorCorpus answers with each modeled error and compares status, code and members.
func TestErrorCorpus(t *testing.T) {
	registries := map[string]*smithy.TypeRegistry{"ecs": ecs.TypeRegistry, "cloudwatchlogs": cloudwatchlogs.TypeRegistry, "ecr": ecr.TypeRegistry}
	for module, registry := range registries {
		for _, snap := range corpus.Errors(t, module) {
			e, ok := registry.DeserializableError(snap.Name)
			if !ok {
				t.Errorf("%s has no error %s", module, snap.Name)
				continue
			}
			d := newJSONReader(snap.Body)
			if err := e.Deserialize(d); err != nil {
				t.Error(err)
			}
			r := &request{Request: httptest.NewRequest("POST", "/", nil), syntax: JSON, service: &Service{binder: newBinder(nil, nil)}}
			a := answerTo(r, fmt.Errorf("wrapped: %w", e))
			w := httptest.NewRecorder()
			jsonSyntax{}.failure(w, r, a)
			var got, want map[string]any
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(snap.Body, &want); err != nil {
				t.Fatal(err)
			}
			if got["__type"] != snap.Name || w.Header().Get("x-amzn-ErrorType") != snap.Name {
				t.Errorf("%s %s is answered as %v", module, snap.Name, got["__type"])
			}
			delete(got, "__type")
			delete(want, "__type")
			if !reflect.DeepEqual(got, want) || w.Code != snap.Status {
				t.Errorf("%s %s: %d %v, want %d %v", module, snap.Name, w.Code, got, snap.Status, want)
			}
		}
	}
}

// goldenList reads the lines of testdata/uncovered.txt that begin with kind:
// "kind module name: reason".
func goldenList(t *testing.T, kind string) map[string]string {
	t.Helper()
	b, err := os.ReadFile("testdata/uncovered.txt")
	if err != nil {
		t.Fatal(err)
	}
	list := map[string]string{}
	for line := range bytes.Lines(b) {
		key, reason, ok := strings.Cut(strings.TrimSpace(string(line)), ": ")
		if ok && strings.HasPrefix(key, kind+" ") {
			list[key] = reason
		}
	}
	return list
}
