package wire

import (
	"net/http"

	"github.com/aws/smithy-go"
)

// querySyntax is awsQuery: a form with Action and Version, answered by
// <XResponse><XResult>…</XResult><ResponseMetadata>…</ResponseMetadata></XResponse>.
type querySyntax struct{}

func (querySyntax) reader(r *request) (reader, error) { return newFormReader(&r.form, false), nil }

func (querySyntax) output(w http.ResponseWriter, r *request, body func(smithy.ShapeSerializer)) {
	xw := &xmlWriter{}
	xw.buf.WriteString("<" + r.op + `Response xmlns="` + r.service.desc.Namespace + `">`)
	xw.push(r.op + "Result")
	body(xw)
	xw.pop()
	xw.push("ResponseMetadata")
	xw.text("RequestId", r.id)
	xw.pop()
	xw.end(r.op + "Response")
	send(w, http.StatusOK, "text/xml", xw.Bytes())
}

func (querySyntax) failure(w http.ResponseWriter, r *request, e *answer) {
	xw := &xmlWriter{}
	ns := ""
	if r.service != nil {
		ns = ` xmlns="` + r.service.desc.Namespace + `"`
	}
	xw.buf.WriteString("<ErrorResponse" + ns + ">")
	xw.push("Error")
	xw.text("Type", e.sender())
	xw.text("Code", e.code)
	xw.text("Message", e.message)
	if e.members != nil {
		e.members(skipMessage{xw})
	}
	xw.pop()
	xw.text("RequestId", r.id)
	xw.end("ErrorResponse")
	send(w, e.status, "text/xml", xw.Bytes())
}

// skipMessage writes the members of an error other than its message.
type skipMessage struct{ *xmlWriter }

func (w skipMessage) WriteString(s *smithy.Schema, v string) {
	if n := s.MemberName(); n != "Message" && n != "message" {
		w.xmlWriter.WriteString(s, v)
	}
}

func (querySyntax) document(*request) (smithy.ShapeSerializer, string) {
	return &xmlWriter{}, "text/xml"
}
