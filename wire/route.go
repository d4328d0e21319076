package wire

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// httpForm is where an operation of a REST service is, in the service's data file.
type httpForm struct {
	Method string `json:"method"`
	URI    string `json:"uri"`            // "/{Bucket}/{Key+}?uploads"
	Code   int    `json:"code,omitempty"` // the status of a success, 0 for 200
	// Needs are the required members in the query ("?uploadId") and in headers
	// ("x-amz-copy-source"): by these alone do some operations of S3 differ.
	Needs []string `json:"needs,omitempty"`
	// Root is the root element of the answer, where it is not the struct's name.
	Root string `json:"root,omitempty"`
}

// route is an operation's method and path, taken apart.
type route struct {
	httpForm
	op       string
	segments []string // "{Bucket}" for a label, "{Key+}" for the rest of the path
	query    [][2]string
}

// newRoutes sorts the routes so that of several that match the first is meant: the one
// that says most.
func newRoutes(forms map[string]httpForm) []route {
	var routes []route
	for op, f := range forms {
		path, query, _ := strings.Cut(f.URI, "?")
		x := route{httpForm: f, op: op, segments: split(path)}
		for q := range strings.SplitSeq(query, "&") {
			if k, v, _ := strings.Cut(q, "="); k != "" {
				x.query = append(x.query, [2]string{k, v})
			}
		}
		routes = append(routes, x)
	}
	slices.SortFunc(routes, func(a, b route) int {
		return cmp.Or(cmp.Compare(b.literals(), a.literals()), cmp.Compare(len(b.query), len(a.query)),
			cmp.Compare(len(b.Needs), len(a.Needs)), cmp.Compare(len(b.segments), len(a.segments)), strings.Compare(a.op, b.op))
	})
	return routes
}

func split(path string) []string {
	if path = strings.TrimPrefix(path, "/"); path == "" {
		return nil
	}
	return strings.Split(path, "/")
}

func isLabel(segment string) bool { return strings.HasPrefix(segment, "{") }

func (x *route) literals() int {
	n := 0
	for _, s := range x.segments {
		if !isLabel(s) {
			n++
		}
	}
	return n
}

// match returns the labels of a path, in its encoded form, false if it is not this
// route's. Needed says whether the route's needs count.
func (x *route) match(r *http.Request, path string, query url.Values, needed bool) (map[string]string, bool) {
	if r.Method != x.Method {
		return nil, false
	}
	for _, q := range x.query {
		if v, ok := query[q[0]]; !ok || q[1] != "" && v[0] != q[1] {
			return nil, false
		}
	}
	for _, n := range x.Needs {
		name, inQuery := strings.CutPrefix(n, "?")
		if needed && (inQuery && !query.Has(name) || !inQuery && r.Header.Get(name) == "") {
			return nil, false
		}
	}
	labels := map[string]string{}
	for i, s := range x.segments {
		if name, ok := strings.CutSuffix(s, "+}"); ok {
			rest, err := url.PathUnescape(strings.TrimPrefix(path, "/"))
			labels[name[1:]] = rest
			return labels, rest != "" && err == nil
		}
		var part string
		path = strings.TrimPrefix(path, "/")
		if at := strings.IndexByte(path, '/'); at >= 0 {
			part, path = path[:at], path[at:]
		} else {
			part, path = path, ""
		}
		if !isLabel(s) {
			if part != s {
				return nil, false
			}
			continue
		}
		value, err := url.PathUnescape(part)
		if err != nil || value == "" {
			return nil, false
		}
		labels[strings.Trim(x.segments[i], "{}")] = value
	}
	return labels, path == "" || path == "/"
}

// detectREST finds the operation of a request to a service that speaks REST. It is
// asked before the body is read, which may be a stream. It reports false when the request
// is none of those; the error is an *answer.
func (s *Server) detectREST(r *request) (bool, error) {
	if r.Header.Get("Smithy-Protocol") != "" || r.Header.Get("X-Amz-Target") != "" {
		return false, nil
	}
	service, bucket := s.restService(r)
	if service == nil {
		return false, nil
	}
	r.service = service
	for _, x := range service.desc.Syntaxes {
		if x == RESTJSON || x == RESTXML {
			r.syntax = x
		}
	}
	if isVersion2(r.Request) {
		return true, badBody(http.StatusBadRequest, "InvalidRequest", "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.")
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return true, malformed(r, &bindError{"the query", r.URL.RawQuery, "parameters"})
	}
	path := r.URL.EscapedPath()
	if bucket != "" {
		path = "/" + url.PathEscape(bucket) + path
	}
	for _, needed := range []bool{true, false} {
		for i := range service.routes {
			x := &service.routes[i]
			if labels, ok := x.match(r.Request, path, query, needed); ok {
				r.op, r.labels = x.op, labels
				return true, service.subresource(x, query)
			}
		}
	}
	if r.syntax == RESTXML && service.desc.BareErrors {
		return true, &answer{status: http.StatusMethodNotAllowed, code: "MethodNotAllowed",
			message: "The specified method is not allowed against this resource."}
	}
	return true, &answer{status: http.StatusNotFound, code: "UnknownOperationException",
		message: r.Method + " " + clip(r.URL.Path, maxName) + " is no operation of " + service.desc.Name}
}

// subresource refuses a request with a flag in the query, such as ?annotation, that its
// operation does not have: it is for another part of S3, which must not be taken for the
// whole object.
func (s *Service) subresource(x *route, query url.Values) error {
	op := s.operations[x.op]
	if op == nil || !s.desc.BareErrors {
		return nil
	}
	for k, v := range query {
		known := v[0] != "" || slices.ContainsFunc(x.query, func(q [2]string) bool { return q[0] == k }) ||
			slices.ContainsFunc(op.input.members, func(m boundMember) bool { return m.place == inQuery && m.name == k })
		if !known {
			return &answer{status: http.StatusNotImplemented, code: "NotImplemented",
				message: "A parameter you provided implies functionality that is not implemented: " + clip(k, maxName)}
		}
	}
	return nil
}

// isVersion2 reports whether a request has a signature of Version 2, which S3 takes for old
// buckets only.
func isVersion2(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("Authorization"), "AWS ") ||
		strings.Contains(r.URL.RawQuery, "AWSAccessKeyId=") && strings.Contains(r.URL.RawQuery, "Signature=")
}

// restService returns the REST service that a request is for: by its signature's scope,
// or else by its host. Bucket is the label of the host that is a part of the path: S3's
// virtual hosts, such as bucket.s3.eu-central-1.amazonaws.com and bucket.localhost.
func (s *Server) restService(r *request) (service *Service, bucket string) {
	host, _, _ := strings.Cut(r.Host, ":")
	name := scopeOf(r.Request).service
	for _, x := range s.Services {
		if !x.speaks(RESTJSON) && !x.speaks(RESTXML) {
			continue
		}
		own := x.signing()
		before, virtual := "", false
		if x.desc.VirtualHosts {
			for _, suffix := range []string{"." + own + ".", "." + own + "-"} {
				if at := strings.LastIndex(host, suffix); at > 0 {
					before, virtual = host[:at], true
				}
			}
			if at := strings.LastIndex(host, ".localhost"); at > 0 && at == len(host)-len(".localhost") && name == own {
				before, virtual = host[:at], before != own
				if before == own || strings.HasSuffix(before, "."+own) { // s3.localhost, bucket.s3.localhost
					before = strings.TrimSuffix(strings.TrimSuffix(before, own), ".")
				}
			}
		}
		if name == own || name == "" && (x.desc.VirtualHosts && isVersion2(r.Request) || virtual || strings.HasPrefix(host, own+".")) {
			return x, before
		}
	}
	return nil, ""
}
