package wire

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Authenticate says who signed a request. Body is the body as sent, nil for one that is
// read later: then the digest that the request claims is taken, and wire holds the body
// to it. Service is the signing name of the service that the request is for.
type Authenticate func(r *http.Request, body []byte, service string) (Caller, error)

// Credentials knows the access keys.
type Credentials interface {
	// Lookup returns the credential of an access key, false if there is none. An
	// error is an internal failure.
	Lookup(ctx context.Context, accessKeyID string) (Credential, bool, error)
}

// Credential is an access key and whose it is.
type Credential struct {
	Secret  string
	Token   string // the session token, for temporary keys: must come with the request
	Account string // 12 digits
	ARN     string // arn:aws:iam::123456789012:root
	UserID  string
}

// maxSkew is how far a signature's time may be from now, and maxExpires how long a
// presigned request may be valid. Both from "Signature Version 4" in the AWS
// General Reference.
const (
	maxSkew    = 15 * time.Minute
	maxExpires = 7 * 24 * time.Hour
	amzTime    = "20060102T150405Z"
	algorithm  = "AWS4-HMAC-SHA256"
)

// AcceptAny returns an Authenticate that verifies nothing: every request is the
// root of account, in the region of the scope it claims, or else in region. Its
// use is to be announced loudly.
func AcceptAny(account, region string) Authenticate {
	return func(r *http.Request, _ []byte, _ string) (Caller, error) {
		s := scopeOf(r)
		c := Caller{Account: account, Region: cmp.Or(s.region, region), UserID: account, AccessKeyID: s.key}
		c.ARN = "arn:" + c.Partition() + ":iam::" + account + ":root"
		return c, nil
	}
}

// Verify returns an Authenticate that verifies Signature Version 4, in the
// Authorization header or the query, against the keys of c. Now tells the time.
func Verify(c Credentials, now func() time.Time) Authenticate {
	return func(r *http.Request, body []byte, service string) (Caller, error) {
		s, err := parseSignature(r)
		if err != nil {
			return Caller{}, err
		}
		if err := s.inTime(now()); err != nil {
			return Caller{}, err
		}
		if s.scope.service != service {
			return Caller{}, authFail(authMismatch, "Credential should be scoped to correct service: '%s'. ", service)
		}
		key, ok, err := c.Lookup(r.Context(), s.scope.key)
		if err != nil {
			return Caller{}, fmt.Errorf("look up access key %s: %w", s.scope.key, err)
		}
		if !ok || !hmac.Equal([]byte(key.Token), []byte(s.token)) {
			return Caller{}, &authError{kind: authUnknown}
		}
		want, err := s.compute(r, body, key.Secret)
		if err != nil {
			return Caller{}, err
		}
		if !hmac.Equal([]byte(want), []byte(s.signature)) {
			return Caller{}, &authError{kind: authMismatch}
		}
		return Caller{chunks: s.chunkKey(key.Secret), Account: key.Account, Region: s.scope.region, ARN: key.ARN, UserID: key.UserID, AccessKeyID: s.scope.key}, nil
	}
}

// signature is a request's signature taken apart.
type signature struct {
	scope     scope
	headers   []string // signed, in lower case, sorted
	signature string   // hexadecimal
	time      time.Time
	token     string
	presigned bool
	expires   time.Duration // of a presigned one
	query     url.Values
}

// parseSignature reads the signature of r. The error is an *authError.
func parseSignature(r *http.Request) (*signature, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, authFail(authIncomplete, "The query string is not URL-encoded")
	}
	s := &signature{query: query}
	var credential, signed, date string
	switch header := r.Header.Get("Authorization"); {
	case header != "":
		rest, ok := strings.CutPrefix(header, algorithm)
		if !ok {
			return nil, authFail(authIncomplete, "Unsupported AWS 'algorithm': '%s'.", firstWord(header))
		}
		parts := map[string]string{}
		for p := range strings.SplitSeq(rest, ",") {
			k, v, _ := strings.Cut(strings.TrimSpace(p), "=")
			parts[k] = v
		}
		if err := require("Authorization header", parts, "Credential", "SignedHeaders", "Signature"); err != nil {
			return nil, err
		}
		credential, signed, s.signature = parts["Credential"], parts["SignedHeaders"], parts["Signature"]
		s.token = r.Header.Get("X-Amz-Security-Token")
		if date = r.Header.Get("X-Amz-Date"); date == "" {
			if t, err := http.ParseTime(r.Header.Get("Date")); err == nil {
				date = t.UTC().Format(amzTime)
			}
		}
		if date == "" {
			return nil, authFail(authIncomplete, "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
		}
	case query.Has("X-Amz-Algorithm"):
		s.presigned = true
		if a := query.Get("X-Amz-Algorithm"); a != algorithm {
			return nil, authFail(authIncomplete, "Unsupported AWS 'algorithm': '%s'.", a)
		}
		parts := map[string]string{}
		for _, k := range []string{"X-Amz-Credential", "X-Amz-SignedHeaders", "X-Amz-Signature", "X-Amz-Date", "X-Amz-Expires"} {
			parts[k] = query.Get(k)
		}
		if parts["X-Amz-Expires"] == "" {
			parts["X-Amz-Expires"] = strconv.Itoa(int(maxSkew / time.Second)) // what AWS takes where it is not given
		}
		if err := require("AWS query-string parameters", parts, "X-Amz-Credential", "X-Amz-SignedHeaders", "X-Amz-Signature", "X-Amz-Date"); err != nil {
			return nil, err
		}
		credential, signed, s.signature = parts["X-Amz-Credential"], parts["X-Amz-SignedHeaders"], parts["X-Amz-Signature"]
		date, s.token = parts["X-Amz-Date"], query.Get("X-Amz-Security-Token")
		n, err := strconv.Atoi(parts["X-Amz-Expires"])
		if err != nil || n < 0 || n > int(maxExpires/time.Second) {
			return nil, authFail(authIncomplete, "X-Amz-Expires must be a number of seconds between 0 and %d", int(maxExpires/time.Second))
		}
		s.expires = time.Duration(n) * time.Second
	default:
		return nil, &authError{kind: authMissing}
	}
	var ok bool
	if s.scope, ok = parseScope(credential); !ok {
		return nil, authFail(authIncomplete, "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '%s'", credential)
	}
	if s.time, err = time.Parse(amzTime, date); err != nil {
		return nil, authFail(authIncomplete, "Date must be in ISO-8601 'basic format'. Got '%s'. See http://en.wikipedia.org/wiki/ISO_8601", date)
	}
	if day := s.time.Format("20060102"); day != s.scope.date {
		return nil, authFail(authMismatch, "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%s', from '%s'.", s.scope.date, day, date)
	}
	if s.scope.region == "" {
		return nil, authFail(authMismatch, "Credential should be scoped to a valid region. ")
	}
	s.headers = strings.Split(strings.ToLower(signed), ";")
	slices.Sort(s.headers)
	return s, s.covers(r)
}

// covers checks that the headers which choose host, time and operation are signed.
func (s *signature) covers(r *http.Request) error {
	must := []string{"host"}
	for _, h := range []string{"x-amz-date", "x-amz-target", "x-amz-security-token"} {
		if r.Header.Get(h) != "" {
			must = append(must, h)
		}
	}
	for _, h := range must {
		if !slices.Contains(s.headers, h) {
			return authFail(authMismatch, "'%s' must be a 'SignedHeader' in the AWS Authorization.", h)
		}
	}
	return nil
}

func require(where string, parts map[string]string, names ...string) error {
	var missing []string
	for _, n := range names {
		if parts[n] == "" {
			missing = append(missing, where+" requires '"+n+"' parameter.")
		}
	}
	if missing != nil {
		return authFail(authIncomplete, "%s", strings.Join(missing, " "))
	}
	return nil
}

func firstWord(s string) string {
	w, _, _ := strings.Cut(s, " ")
	return w
}

// inTime checks the signature's age.
func (s *signature) inTime(now time.Time) error {
	signed, at := s.time.Format(amzTime), now.UTC().Format(amzTime)
	limit := maxSkew
	if s.presigned {
		limit = s.expires
	}
	if oldest := now.Add(-limit); s.time.Before(oldest) {
		return authFail(authExpired, "Signature expired: %s is now earlier than %s (%s - %d min.)", signed, oldest.UTC().Format(amzTime), at, int(limit.Minutes()))
	}
	if newest := now.Add(maxSkew); s.time.After(newest) {
		return authFail(authExpired, "Signature not yet current: %s is still later than %s (%s + %d min.)", signed, newest.UTC().Format(amzTime), at, int(maxSkew.Minutes()))
	}
	return nil
}

// compute returns the signature that r must have.
func (s *signature) compute(r *http.Request, body []byte, secret string) (string, error) {
	digest := sha256.Sum256(body)
	payload := hex.EncodeToString(digest[:])
	claimed := cmp.Or(r.Header.Get("X-Amz-Content-Sha256"), s.query.Get("X-Amz-Content-Sha256"))
	if claimed == "" && s.presigned && s.scope.service == "s3" {
		claimed = unsignedPayload
	}
	if claimed == "" && body == nil {
		return "", authFail(authIncomplete, "Missing required header for this request: x-amz-content-sha256")
	}
	if claimed == unsignedPayload || body == nil {
		payload = claimed
	} else if claimed != "" && claimed != payload {
		return "", authFail(authMismatch, "The provided 'x-amz-content-sha256' header does not match what was computed.")
	}
	canonical := sha256.Sum256([]byte(strings.Join([]string{
		r.Method, s.canonicalPath(r.URL), s.canonicalQuery(), s.canonicalHeaders(r), strings.Join(s.headers, ";"), payload,
	}, "\n")))
	k := s.chunkKey(secret)
	toSign := strings.Join([]string{algorithm, k.time, k.scope, hex.EncodeToString(canonical[:])}, "\n")
	return hex.EncodeToString(sign(k.key, toSign)), nil
}

// chunkKey is what the chunks that follow s are signed with.
func (s *signature) chunkKey(secret string) *chunkKey {
	key := []byte("AWS4" + secret)
	parts := []string{s.scope.date, s.scope.region, s.scope.service, "aws4_request"}
	for _, part := range parts {
		key = sign(key, part)
	}
	return &chunkKey{key: key, time: s.time.Format(amzTime), scope: strings.Join(parts, "/"), previous: s.signature}
}

func sign(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// canonicalPath encodes the path once more than it was sent and removes dots; S3
// does neither.
func (s *signature) canonicalPath(u *url.URL) string {
	p := u.EscapedPath()
	if p == "" {
		return "/"
	}
	if s.scope.service == "s3" {
		return uriEncode(u.Path, true)
	}
	clean := path.Clean(p)
	if strings.HasSuffix(p, "/") && clean != "/" {
		clean += "/"
	}
	return uriEncode(clean, true)
}

func (s *signature) canonicalQuery() string {
	var pairs []string
	for k, vs := range s.query {
		if k == "X-Amz-Signature" && s.presigned {
			continue
		}
		for _, v := range vs {
			pairs = append(pairs, uriEncode(k, false)+"="+uriEncode(v, false))
		}
	}
	slices.SortFunc(pairs, func(a, b string) int {
		ak, av, _ := strings.Cut(a, "=")
		bk, bv, _ := strings.Cut(b, "=")
		return cmp.Or(strings.Compare(ak, bk), strings.Compare(av, bv))
	})
	return strings.Join(pairs, "&")
}

func (s *signature) canonicalHeaders(r *http.Request) string {
	var b strings.Builder
	for _, h := range s.headers {
		values := slices.Clone(r.Header.Values(h))
		switch {
		case h == "host":
			values = []string{r.Host}
		case h == "content-length" && len(values) == 0 && r.ContentLength >= 0:
			values = []string{strconv.FormatInt(r.ContentLength, 10)}
		}
		for i, v := range values {
			values[i] = strings.Join(strings.Fields(v), " ")
		}
		b.WriteString(h + ":" + strings.Join(values, ",") + "\n")
	}
	return b.String()
}

// uriEncode is the encoding of Signature Version 4: all but unreserved characters,
// in capitals, and slashes unless they are kept.
func uriEncode(s string, keepSlash bool) string {
	const hexes = "0123456789ABCDEF"
	b := make([]byte, 0, len(s)+16)
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9',
			c == '-', c == '_', c == '.', c == '~', c == '/' && keepSlash:
			b = append(b, c)
		default:
			b = append(b, '%', hexes[c>>4], hexes[c&15])
		}
	}
	return string(b)
}
