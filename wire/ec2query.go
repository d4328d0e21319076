package wire

import (
	"net/http"

	"github.com/aws/smithy-go"
)

// ec2Syntax is ec2Query: a form with other rules for names than awsQuery's,
// answered by <XResponse><requestId>…</requestId>…</XResponse>.
type ec2Syntax struct{}

func (ec2Syntax) reader(r *request) (reader, error) {
	return newFormReader(&r.form, true), nil
}

func (ec2Syntax) output(w http.ResponseWriter, r *request, body func(smithy.ShapeSerializer)) {
	xw := &xmlWriter{ec2: true}
	xw.buf.WriteString(xmlHeader + "<" + r.op + `Response xmlns="` + r.service.desc.Namespace + `">`)
	xw.text("requestId", r.id)
	empty := xw.buf.Len()
	body(xw)
	if xw.buf.Len() == empty {
		xw.text("return", "true")
	}
	xw.end(r.op + "Response")
	send(w, http.StatusOK, "text/xml;charset=UTF-8", xw.Bytes())
}

func (ec2Syntax) failure(w http.ResponseWriter, r *request, e *answer) {
	xw := &xmlWriter{ec2: true}
	xw.buf.WriteString(xmlHeader)
	xw.push("Response")
	xw.push("Errors")
	xw.push("Error")
	xw.text("Code", e.code)
	xw.text("Message", e.message)
	xw.pop()
	xw.pop()
	xw.text("RequestID", r.id)
	xw.pop()
	send(w, e.status, "text/xml;charset=UTF-8", xw.Bytes())
}

const xmlHeader = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"

func (ec2Syntax) document(*request) (smithy.ShapeSerializer, string) {
	return &xmlWriter{ec2: true}, "text/xml"
}
