// Package wiretest serves wire services to real SDK clients in tests. Its
// package corpus reads AWS's own wire corpus.
package wiretest

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/berth/berth/wire"
	"github.com/berth/berth/wire/wiretest/corpus"
)

// Who the clients of Serve are.
const (
	Account     = "123456789012"
	Region      = "eu-central-1"
	AccessKeyID = "AKIAIOSFODNN7EXAMPLE"
	SecretKey   = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

// Keys has one access key: that of Account's root.
type Keys struct{}

// Lookup implements wire.Credentials.
func (Keys) Lookup(_ context.Context, accessKeyID string) (wire.Credential, bool, error) {
	return wire.Credential{Secret: SecretKey, Account: Account, ARN: "arn:aws:iam::" + Account + ":root", UserID: Account},
		accessKeyID == AccessKeyID, nil
}

// Serve serves the services on a port of this host, verifying signatures, until
// the test ends. It returns the URL, and the configuration of an SDK client which
// signs as the root of Account and does not retry.
func Serve(t testing.TB, services ...*wire.Service) (url string, cfg aws.Config) {
	t.Helper()
	srv := httptest.NewServer(&wire.Server{Services: services, Authenticate: wire.Verify(Keys{}, time.Now),
		Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	t.Cleanup(srv.Close)
	return srv.URL, aws.Config{
		Region: Region, BaseEndpoint: aws.String(srv.URL), RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: AccessKeyID, SecretAccessKey: SecretKey}, nil
		}),
	}
}

// ServeAny serves the services as Serve does, to anybody: who asks is the root of Account,
// whatever the signature. It returns the URL.
func ServeAny(t testing.TB, services ...*wire.Service) string {
	t.Helper()
	srv := httptest.NewServer(&wire.Server{Services: services, Authenticate: wire.AcceptAny(Account, Region),
		Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	t.Cleanup(srv.Close)
	return srv.URL
}

// Corpus sends s each request of the SDK's module that s implements, with every
// member filled with AWS's placeholders. Whatever the handlers make of those, a request
// must be understood: no parameter unknown, no value of a wrong kind, no failure of
// the server. It is how a service with structs of its own (EC2) shows that they are complete.
func Corpus(t *testing.T, s *wire.Service, module string) {
	t.Helper()
	srv := &wire.Server{Services: []*wire.Service{s}, Authenticate: wire.AcceptAny(Account, Region),
		Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	_, implemented := s.Operations()
	for _, snap := range corpus.Requests(t, module) {
		if !implemented[snap.Name] {
			continue
		}
		r := httptest.NewRequest(snap.Method, snap.Path, strings.NewReader(string(snap.Body)))
		r.Header = snap.Header
		r.Host = s.Name() + "." + Region + ".amazonaws.com"
		w := httptest.NewRecorder()
		srv.ServeHTTP(w, r)
		body, err := io.ReadAll(w.Result().Body)
		if err != nil {
			t.Fatal(err)
		}
		misunderstood := slices.ContainsFunc([]string{"UnknownParameter", "SerializationException", "MalformedInput", "MalformedQueryString", "Expected "},
			func(code string) bool { return strings.Contains(string(body), code) })
		if misunderstood || w.Code >= http.StatusInternalServerError {
			t.Errorf("%s %s: %d %s", module, snap.Name, w.Code, body)
		}
	}
}
