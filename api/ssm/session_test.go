package ssm

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"crypto/sha256"
	"encoding/hex"

	"github.com/berth/berth/state"
	"github.com/berth/berth/wire"
	"github.com/berth/berth/wire/wiretest"
)

func TestLedgerDecidesAboutEachField(t *testing.T) {
	for _, problem := range Ledger().Audit(Inputs()) {
		t.Error(problem)
	}
	for _, problem := range Ledger().AuditMethods(Inputs(), &Service{}) {
		t.Error(problem)
	}
}

// room has one session, and notes what ends.
type room struct{ ended []string }

func (r *room) Find(id string) (state.ExecSession, bool) {
	account := map[string]string{"mine": wiretest.Account, "theirs": "999999999999"}[id]
	return state.ExecSession{ID: id, Scope: state.Scope{Account: account}}, account != ""
}

func (r *room) Resume(id string) (string, bool) { return "token of " + id, true }

func (r *room) Terminate(id string) { r.ended = append(r.ended, id) }

func (r *room) URL(endpoint, id string) string { return endpoint + "/" + id }

func TestSessions(t *testing.T) {
	r := &room{}
	svc, err := wire.NewService(wire.SSM, New(r))
	if err != nil {
		t.Fatal(err)
	}
	url, cfg := wiretest.Serve(t, svc)
	call := func(operation, body string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "POST", url+"/", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Amz-Target", "AmazonSSM."+operation)
		req.Header.Set("Content-Type", "application/x-amz-json-1.1")
		keys, err := cfg.Credentials.Retrieve(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256([]byte(body))
		if err := v4.NewSigner().SignHTTP(t.Context(), aws.Credentials(keys), req, hex.EncodeToString(sum[:]), "ssm", cfg.Region, time.Now()); err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
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
	for _, test := range []struct {
		operation, body string
		code            int
		want            string
	}{
		{"ResumeSession", `{"SessionId":"mine"}`, 200, `{"SessionId":"mine","StreamUrl":"` + url + `/mine","TokenValue":"token of mine"}`},
		{"ResumeSession", `{"SessionId":"theirs"}`, 200, `{"SessionId":"theirs"}`},
		{"ResumeSession", `{"SessionId":"over"}`, 200, `{"SessionId":"over"}`},
		{"ResumeSession", `{}`, 400, `ValidationException`},
		{"TerminateSession", `{"SessionId":"mine"}`, 200, `{"SessionId":"mine"}`},
		{"TerminateSession", `{"SessionId":"theirs"}`, 200, `{"SessionId":"theirs"}`},
		{"TerminateSession", `{"SessionId":"` + strings.Repeat("x", 97) + `"}`, 400, `ValidationException`},
		{"GetParameter", `{"Name":"a"}`, 501, `GetParameter`},
	} {
		if code, got := call(test.operation, test.body); code != test.code || !strings.Contains(got, test.want) {
			t.Errorf("%s %s: %d %s, want %d %s", test.operation, test.body, code, got, test.code, test.want)
		}
	}
	if len(r.ended) != 1 || r.ended[0] != "mine" {
		t.Errorf("ended: %q", r.ended)
	}
}
