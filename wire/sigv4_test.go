package wire

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

type oneKey struct {
	Credential
	err error
}

func (k oneKey) Lookup(_ context.Context, id string) (Credential, bool, error) {
	return k.Credential, id == "AKID", k.err
}

var signTime = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// signed returns a request that AWS's own signer signed.
func signed(t testing.TB, method, url, body string, change func(*http.Request)) *http.Request {
	t.Helper()
	r := httptest.NewRequest(method, url, strings.NewReader(body))
	r.Header.Set("X-Amz-Target", "Tea.Make")
	if change != nil {
		change(r)
	}
	sum := sha256.Sum256([]byte(body))
	payload := hex.EncodeToString(sum[:])
	if p := r.Header.Get("X-Amz-Content-Sha256"); p != "" {
		payload = p
	}
	err := v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "secret", SessionToken: r.Header.Get("X-Test-Token")}, r, payload, "ecs", "eu-west-1", signTime)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func presigned(t testing.TB, url string, expires string) *http.Request {
	t.Helper()
	r := httptest.NewRequest("GET", url, nil)
	q := r.URL.Query()
	if expires != "" {
		q.Set("X-Amz-Expires", expires)
	}
	r.URL.RawQuery = q.Encode()
	sum := sha256.Sum256(nil)
	uri, _, err := v4.NewSigner().PresignHTTP(t.Context(), aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "secret"}, r, hex.EncodeToString(sum[:]), "ecs", "eu-west-1", signTime)
	if err != nil {
		t.Fatal(err)
	}
	return httptest.NewRequest("GET", uri, nil)
}

func TestVerify(t *testing.T) {
	const root = "http://ecs.eu-west-1.amazonaws.com/"
	type attempt struct {
		name string
		r    *http.Request
		body string
		want string // the code in awsJson, empty for success
		text string
		keys oneKey
		at   time.Duration
	}
	key := oneKey{Credential: Credential{Secret: "secret", Account: "123456789012", ARN: "arn:aws:iam::123456789012:root", UserID: "123456789012"}}
	token := key
	token.Token = "session"
	alter := func(r *http.Request, f func(*http.Request)) *http.Request { f(r); return r }
	header := func(from, to string) *http.Request {
		return alter(signed(t, "POST", root, "{}", nil), func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), from, to, 1))
		})
	}
	tests := []attempt{
		{name: "plain", r: signed(t, "POST", root, "{}", nil), body: "{}"},
		{name: "path and query", r: signed(t, "GET", root+"v1/a%20b/ü/c+d/?b=2&a=%20x%2By&a=1&empty", "", nil)},
		{name: "path with dots", r: signed(t, "GET", root+"v1/%2E/x", "", nil)},
		{name: "headers with spaces", r: signed(t, "POST", root, "", func(r *http.Request) {
			r.Header["X-Amz-Meta"] = []string{"  a   b ", "c"}
		})},
		{name: "unsigned payload", r: signed(t, "POST", root, "{}", func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD") }), body: "other"},
		{name: "session token", r: signed(t, "POST", root, "", func(r *http.Request) { r.Header.Set("X-Test-Token", "session") }), keys: token},
		{name: "other session token", r: signed(t, "POST", root, "", func(r *http.Request) { r.Header.Set("X-Test-Token", "old") }), keys: token, want: "UnrecognizedClientException"},
		{name: "no session token", r: signed(t, "POST", root, "", nil), keys: token, want: "UnrecognizedClientException"},
		{name: "14 minutes late", r: signed(t, "POST", root, "", nil), at: 14 * time.Minute},
		{name: "14 minutes early", r: signed(t, "POST", root, "", nil), at: -14 * time.Minute},
		{name: "16 minutes late", r: signed(t, "POST", root, "", nil), at: 16 * time.Minute, want: "InvalidSignatureException",
			text: "Signature expired: 20260304T050607Z is now earlier than 20260304T050707Z (20260304T052207Z - 15 min.)"},
		{name: "16 minutes early", r: signed(t, "POST", root, "", nil), at: -16 * time.Minute, want: "InvalidSignatureException",
			text: "Signature not yet current: 20260304T050607Z is still later than 20260304T050507Z (20260304T045007Z + 15 min.)"},
		{name: "presigned", r: presigned(t, root+"?Action=X", "60")},
		{name: "presigned for a week", r: presigned(t, root+"?Action=X", "604800"), at: 6 * 24 * time.Hour},
		{name: "presigned too long", r: presigned(t, root+"?Action=X", "604801"), want: "IncompleteSignatureException"},
		{name: "presigned and expired", r: presigned(t, root+"?Action=X", "60"), at: time.Minute + time.Second, want: "InvalidSignatureException", text: "Signature expired"},
		{name: "presigned without expiry", r: presigned(t, root+"?Action=X", ""), at: 10 * time.Minute},
		{name: "presigned and altered", r: alter(presigned(t, root+"?Action=X", "60"), func(r *http.Request) {
			r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "Action=X", "Action=Y", 1)
		}), want: "InvalidSignatureException", text: "does not match the signature you provided"},
		{name: "none", r: httptest.NewRequest("POST", root, nil), want: "MissingAuthenticationTokenException"},
		{name: "other body", r: signed(t, "POST", root, "{}", nil), body: "{ }", want: "InvalidSignatureException"},
		{name: "body and its claimed hash differ", r: signed(t, "POST", root, "", func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", strings.Repeat("0", 64)) }), want: "InvalidSignatureException"},
		{name: "other path", r: alter(signed(t, "POST", root, "", nil), func(r *http.Request) { r.URL.Path = "/x" }), want: "InvalidSignatureException"},
		{name: "other host", r: alter(signed(t, "POST", root, "", nil), func(r *http.Request) { r.Host = "x" }), want: "InvalidSignatureException"},
		{name: "other target", r: alter(signed(t, "POST", root, "", nil), func(r *http.Request) { r.Header.Set("X-Amz-Target", "Tea.Spill") }), want: "InvalidSignatureException"},
		{name: "unknown key", r: header("AKID", "AKIX"), want: "UnrecognizedClientException", text: textToken},
		{name: "wrong secret", r: signed(t, "POST", root, "", nil), keys: oneKey{Credential: Credential{Secret: "other"}}, want: "InvalidSignatureException", text: textMismatch},
		{name: "other service", r: header("/ecs/", "/sts/"), want: "InvalidSignatureException", text: "Credential should be scoped to correct service: 'ecs'. "},
		{name: "other region", r: header("/eu-west-1/", "/eu-west-2/"), want: "InvalidSignatureException"},
		{name: "no region", r: header("/eu-west-1/", "//"), want: "InvalidSignatureException", text: "valid region"},
		{name: "other day", r: header("/20260304/", "/20260305/"), want: "InvalidSignatureException", text: "'20260305' != '20260304', from '20260304T050607Z'."},
		{name: "short credential", r: header("/aws4_request", ""), want: "IncompleteSignatureException", text: "Credential must have exactly 5 slash-delimited elements"},
		{name: "no signature", r: header("Signature=", "Sig="), want: "IncompleteSignatureException", text: "Authorization header requires 'Signature' parameter."},
		{name: "other algorithm", r: header("AWS4-HMAC-SHA256", "AWS4-HMAC-MD5"), want: "IncompleteSignatureException"},
		{name: "basic", r: header("AWS4-HMAC-SHA256", "Basic"), want: "IncompleteSignatureException"},
		{name: "host not signed", r: header("host;", ""), want: "InvalidSignatureException", text: "'host' must be a 'SignedHeader'"},
		{name: "target not signed", r: header(";x-amz-target", ""), want: "InvalidSignatureException", text: "'x-amz-target' must be a 'SignedHeader'"},
		{name: "no date", r: alter(signed(t, "POST", root, "", nil), func(r *http.Request) { r.Header.Del("X-Amz-Date") }), want: "IncompleteSignatureException"},
		{name: "bad date", r: alter(signed(t, "POST", root, "", nil), func(r *http.Request) { r.Header.Set("X-Amz-Date", "today") }), want: "IncompleteSignatureException"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			keys := test.keys
			if keys.Secret == "" {
				keys = key
			}
			verify := Verify(keys, func() time.Time { return signTime.Add(test.at) })
			c, err := verify(test.r, []byte(test.body), "ecs")
			if test.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if c.Account != keys.Account || c.Region != "eu-west-1" || c.AccessKeyID != "AKID" || c.ARN != keys.ARN {
					t.Errorf("caller %+v", c)
				}
				return
			}
			var ae *authError
			if !errors.As(err, &ae) {
				t.Fatalf("got %v, %v", c, err)
			}
			if a := authAnswer(JSON, ae); a.code != test.want || !strings.Contains(a.message, test.text) || a.message == "" {
				t.Errorf("got %s: %s", a.code, a.message)
			}
		})
	}
	failing := key
	failing.err = fmt.Errorf("the store is down")
	_, err := Verify(failing, func() time.Time { return signTime })(signed(t, "POST", root, "", nil), nil, "ecs")
	var ae *authError
	if err == nil || errors.As(err, &ae) {
		t.Errorf("a failing look-up gives %v, want a plain error", err)
	}
}

// TestAuthAnswers: every kind has a code and a text in every syntax.
func TestAuthAnswers(t *testing.T) {
	for s := range syntaxes {
		for k := authMissing; k <= authExpired; k++ {
			a := authAnswer(s, authFail(k, "text"))
			if a.code == "" || a.status < 400 || a.message == "" {
				t.Errorf("%s %d: %+v", s, k, a)
			}
		}
	}
	if a := authAnswer(Query, &authError{kind: authUnknown}); a.code != "InvalidClientTokenId" || a.status != 403 {
		t.Errorf("query: %+v", a)
	}
	if a := authAnswer(EC2Query, authFail(authMismatch, "detail")); a.code != "AuthFailure" || a.message != textEC2 || a.status != 401 {
		t.Errorf("ec2: %+v", a)
	}
}
