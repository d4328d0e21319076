package wire

import (
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// detect finds the syntax, the service and the operation of a request. The syntax
// is the request's property: a service may speak several. The error is an *answer.
func (s *Server) detect(r *request) error {
	scope := scopeOf(r.Request)
	r.syntax = JSON // in which errors are answered until we know better
	if protocol := r.Header.Get("Smithy-Protocol"); protocol != "" {
		if r.service = s.named(scope.service, r.Host); r.service == nil { // unsigned, and by no name: the path has one
			for _, x := range s.Services {
				if x.desc.Target != "" && strings.Contains(r.URL.Path, "/service/"+x.desc.Target+"/") {
					r.service = x
				}
			}
		}
		if protocol != "rpc-v2-cbor" || r.service == nil || !r.service.speaks(CBOR) {
			return unspoken(r, protocol)
		}
		return detectCBOR(r)
	}
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		prefix, op, _ := strings.Cut(target, ".")
		r.op = clip(op, maxName)
		for _, x := range s.Services {
			if x.desc.Target == prefix && prefix != "" {
				r.service = x
			}
		}
		if r.service == nil || r.Method != http.MethodPost || !r.service.speaks(JSON) {
			r.op = clip(target, maxName)
			return unknownOperation(r)
		}
		return nil
	}
	if form, ok := formOf(r); ok {
		return s.detectForm(r, scope, form)
	}
	r.service = s.named(scope.service, r.Host)
	if r.service != nil && (r.URL.Path != "/" || r.Method != http.MethodPost) {
		return &answer{status: http.StatusNotFound, code: "UnknownOperationException",
			message: r.Method + " " + r.URL.Path + " is no operation of " + r.service.desc.Name}
	}
	if scope.service == "" {
		return authAnswer(r.syntax, &authError{kind: authMissing})
	}
	return unknownOperation(r)
}

// detectCBOR finds the operation in the path: /service/<target>/operation/<name>.
func detectCBOR(r *request) error {
	r.syntax = CBOR
	parts := strings.Split(r.URL.Path, "/")
	n := len(parts)
	if n < 5 || parts[n-4] != "service" || parts[n-2] != "operation" || r.Method != http.MethodPost {
		r.op = clip(r.URL.Path, maxName)
		return unknownOperation(r)
	}
	r.op = clip(parts[n-1], maxName)
	if media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); media != "application/cbor" && len(r.body) > 0 {
		return badBody(http.StatusUnsupportedMediaType, "UnsupportedMediaTypeException", "The Content-Type of "+r.op+" must be application/cbor")
	}
	return nil
}

// formOf returns the encoded form of a request of the query protocols: a form
// body, or, as in presigned requests, a query with an Action.
func formOf(r *request) (string, bool) {
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	body := string(r.body)
	switch {
	case media == "application/x-www-form-urlencoded":
	case r.Method == http.MethodGet, r.Method == http.MethodPost && len(body) == 0:
		body = ""
	default:
		return "", false
	}
	if query := r.URL.RawQuery; strings.HasPrefix(query, "Action=") || strings.Contains(query, "&Action=") {
		return query + "&" + body, true
	}
	return body, media == "application/x-www-form-urlencoded"
}

func (s *Server) detectForm(r *request, scope scope, encoded string) error {
	r.syntax = Query
	form, err := parseForm(encoded)
	r.form = form
	r.version = r.form.take("Version")
	r.op = clip(r.form.take("Action"), maxName)
	r.service = s.named(scope.service, r.Host)
	if r.service == nil { // unsigned, and by no name: the versions differ
		for _, x := range s.Services {
			if x.desc.Version == r.version && (x.speaks(Query) || x.speaks(EC2Query)) {
				r.service = x
			}
		}
	}
	if r.service != nil && r.service.speaks(EC2Query) {
		r.syntax = EC2Query
	}
	if err != nil {
		return malformed(r, err)
	}
	// The parts of a presigned signature are no parameters of the operation.
	for _, c := range r.form.children {
		c.read = c.read || strings.HasPrefix(c.name, "X-Amz-")
	}
	switch {
	case r.service == nil || !r.service.speaks(r.syntax):
		return unknownOperation(r)
	case r.syntax == Query && r.version != r.service.desc.Version:
		return unknownOperation(r)
	}
	return nil
}

// named returns the service of a signing name, or else of the first label of the
// host: ecs.us-east-1.amazonaws.com.
func (s *Server) named(name, host string) *Service {
	if name == "" {
		name, _, _ = strings.Cut(host, ".")
	}
	for _, x := range s.Services {
		if x.signing() == name {
			return x
		}
	}
	return nil
}

// maxName is how much of an operation's name is told back, in bytes; the longest
// of AWS's has 61.
const maxName = 128

// clip cuts s to at most n bytes, at a character.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}

func (s *Service) speaks(x Syntax) bool { return slices.Contains(s.desc.Syntaxes, x) }

// unspoken is the answer to a protocol that has no syntax here.
func unspoken(r *request, protocol string) *answer {
	name := "this service"
	if r.service != nil {
		name = r.service.desc.Name
	}
	return &answer{status: http.StatusNotImplemented, code: "NotImplemented",
		message: "The protocol " + protocol + " is not implemented by this server for " + name + "."}
}

// scope is where a signature is valid: AKIA…/20260101/us-east-1/ecs/aws4_request.
type scope struct {
	key, date, region, service string
}

// scopeOf returns the scope that the request claims, the zero scope if none.
func scopeOf(r *http.Request) scope {
	credential := ""
	if _, after, ok := strings.Cut(r.Header.Get("Authorization"), "Credential="); ok {
		credential, _, _ = strings.Cut(after, ",")
	} else if strings.Contains(r.URL.RawQuery, "X-Amz-Credential=") {
		query, err := url.ParseQuery(r.URL.RawQuery)
		if err == nil {
			credential = query.Get("X-Amz-Credential")
		}
	}
	s, _ := parseScope(strings.TrimSpace(credential))
	return s
}

func parseScope(credential string) (scope, bool) {
	p := strings.Split(credential, "/")
	if len(p) != 5 || p[4] != "aws4_request" {
		return scope{}, false
	}
	return scope{p[0], p[1], p[2], p[3]}, true
}
