package wire

import (
	"net/http"
	"strings"

	"github.com/aws/smithy-go"
)

// jsonSyntax is awsJson 1.0 and 1.1: POST / with X-Amz-Target, JSON both ways.
type jsonSyntax struct{}

func (jsonSyntax) reader(r *request) (reader, error) { return newJSONReader(r.body), nil }

func (jsonSyntax) output(w http.ResponseWriter, r *request, body func(smithy.ShapeSerializer)) {
	jw := &jsonWriter{buf: make([]byte, 0, 1024)}
	jw.open('{', '{')
	body(jw)
	jw.shut('}')
	send(w, http.StatusOK, jsonType(r), jw.buf)
}

// failure writes {"__type":"ClusterNotFoundException","message":"Cluster not found."}
// and the members of modeled errors.
func (jsonSyntax) failure(w http.ResponseWriter, r *request, e *answer) {
	jw := &jsonWriter{}
	jw.open('{', '{')
	jw.comma()
	jw.name("__type")
	jw.buf = appendString(jw.buf, e.code)
	if e.members != nil {
		e.members(jw)
	} else if e.message != "" {
		jw.comma()
		jw.name("message")
		jw.buf = appendString(jw.buf, e.message)
	}
	jw.shut('}')
	w.Header().Set("x-amzn-ErrorType", e.code)
	queryError(w, r, e)
	send(w, e.status, jsonType(r), jw.buf)
}

// jsonType is the content type of the request, so that 1.0 is answered in 1.0.
func jsonType(r *request) string {
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-amz-json-1.0") {
		return "application/x-amz-json-1.0"
	}
	return "application/x-amz-json-1.1"
}

func (jsonSyntax) document(r *request) (smithy.ShapeSerializer, string) {
	return &jsonWriter{buf: make([]byte, 0, 1024)}, jsonType(r)
}
