package wire

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"time"

	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/traits"
)

// documents is the form of the bodies of a REST syntax: JSON or XML.
type documents interface {
	// read returns the reader of a body that is not empty. Root is the name that the
	// root element must have where the form has one, empty for any.
	read(body []byte, root string) (reader, error)
	// document returns an empty document and its media type.
	document(r *request) (smithy.ShapeSerializer, string)
	// write writes a body with the struct that encode writes the members of.
	write(r *request, root *smithy.Schema, encode func(smithy.ShapeSerializer) error) (body []byte, media string, err error)
	failure(w http.ResponseWriter, r *request, e *answer)
}

// restSyntax is restJson1 and restXml: operations are methods and paths, and members are
// in the parts of HTTP messages.
type restSyntax struct{ documents }

func (x restSyntax) input(b *binder, r *request, op *operation, in reflect.Value) error {
	bound := op.input
	if bound.payload != nil {
		if err := x.readPayload(b, r, bound, in.Field(bound.payload.index)); err != nil {
			return err
		}
	} else if len(r.body) > 0 && len(bound.fields) > 0 {
		d, err := x.read(r.body, "")
		if err != nil {
			return err
		}
		err = smithy.ReadStruct(d, bound.body, func(m *smithy.Schema) error {
			return b.decode(d, m, in.Field(bound.fields[m]))
		})
		if closed := d.close(); closed != nil {
			err = closed
		}
		if err != nil {
			return err
		}
	}
	return bound.read(r, in)
}

func (x restSyntax) readPayload(b *binder, r *request, bound *binding, v reflect.Value) error {
	schema := bound.payload.member
	switch t := v.Type(); {
	case t == readerType, t == readCloserType:
		v.Set(reflect.ValueOf(r.stream))
		return nil
	case len(r.body) == 0:
		return nil
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		v.SetBytes(r.body)
		return nil
	case t.Kind() == reflect.String:
		v.SetString(string(r.body))
		return nil
	case t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.String:
		s := string(r.body)
		v.Set(reflect.ValueOf(&s))
		return nil
	}
	root := schema.MemberName()
	if t, ok := smithy.SchemaTrait[*traits.XMLName](schema); ok {
		root = t.Name
	}
	d, err := x.read(r.body, root)
	if err != nil {
		return err
	}
	err = b.decode(d, schema, v)
	if closed := d.close(); closed != nil {
		return closed
	}
	return err
}

func (x restSyntax) output(w http.ResponseWriter, b *binder, r *request, op *operation, out reflect.Value) error {
	if out.IsNil() {
		out = reflect.New(out.Type().Elem())
	}
	v, bound := out.Elem(), op.output
	status, err := bound.write(w.Header(), op.status, v)
	if err != nil {
		return err
	}
	if bound.payload != nil {
		return x.writePayload(w, b, r, bound, status, v.Field(bound.payload.index))
	}
	if r.Method == http.MethodHead || bound.empty(v) && (len(bound.fields) == 0 || r.syntax == RESTXML && op.root == "") {
		w.WriteHeader(status)
		return nil
	}
	body, media, err := x.write(r, op.rootSchema(bound.body), func(s smithy.ShapeSerializer) error {
		sh, err := b.shapeOf(v.Type(), nil)
		if err != nil {
			return err
		}
		for _, f := range sh.fields {
			if _, ok := bound.fields[f.member]; ok && !unset(v.Field(f.index)) {
				if err := b.encode(s, f.member, v.Field(f.index)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	send(w, status, media, body)
	return nil
}

// empty reports whether no member of the body is set in v.
func (x *binding) empty(v reflect.Value) bool {
	for _, i := range x.fields {
		if !unset(v.Field(i)) {
			return false
		}
	}
	return true
}

// rootSchema is the schema whose name the root element of an output has.
func (op *operation) rootSchema(body *smithy.Schema) *smithy.Schema {
	if op.root == "" {
		return body
	}
	return smithy.NewSchema(smithy.ShapeID{Name: op.root}, smithy.ShapeTypeStructure, 0)
}

func (x restSyntax) writePayload(w http.ResponseWriter, b *binder, r *request, bound *binding, status int, v reflect.Value) error {
	schema := bound.payload.member
	switch p := v.Interface().(type) {
	case nil: // a stream that there is none of
		w.WriteHeader(status)
		return nil
	case io.ReadCloser:
		return sendStream(w, r, status, p)
	case []byte:
		send(w, status, contentType(w, "application/octet-stream"), p)
		return nil
	case *string:
		if p != nil {
			send(w, status, contentType(w, "text/plain"), []byte(*p))
			return nil
		}
	}
	if v.Kind() == reflect.Pointer && v.IsNil() {
		w.WriteHeader(status)
		return nil
	}
	sv := reflect.Indirect(v)
	if sv.Kind() != reflect.Struct {
		return fmt.Errorf("%s has no form as a payload", v.Type())
	}
	body, media, err := x.write(r, schema, func(s smithy.ShapeSerializer) error { return b.encodeMembers(s, schema, sv) })
	if err != nil {
		return err
	}
	send(w, status, media, body)
	return nil
}

// contentType is what a member of the output said, or else otherwise.
func contentType(w http.ResponseWriter, otherwise string) string {
	if t := w.Header().Get("Content-Type"); t != "" {
		return t
	}
	return otherwise
}

// streamTimeout is how long a client may take to receive or send one piece of a
// stream of bytes; a stream as a whole may take any time.
const streamTimeout = time.Minute

// sendStream copies body to the client and closes it. The output's Content-Length, if
// it has one, must be the body's. An error of body breaks the connection off, which is
// how HTTP says that an answer is not whole.
func sendStream(w http.ResponseWriter, r *request, status int, body io.ReadCloser) (err error) {
	defer func() { err = errors.Join(err, body.Close()) }()
	w.Header().Set("Content-Type", contentType(w, "binary/octet-stream"))
	r.started = true
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return nil
	}
	control := http.NewResponseController(w)
	buf := make([]byte, 128<<10)
	for {
		n, readErr := body.Read(buf)
		// What is no connection (a test's recorder) has no deadlines.
		if err := control.SetWriteDeadline(time.Now().Add(streamTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return nil // the client has gone
		}
		if _, err := w.Write(buf[:n]); err != nil {
			return nil
		}
		if readErr == io.EOF {
			return nil
		}
		if readErr != nil {
			r.broken = true
			return fmt.Errorf("read the body to send: %w", readErr)
		}
	}
}

// restJSON is the JSON of restJson1.
type restJSON struct{}

func (restJSON) read(body []byte, _ string) (reader, error) { return newJSONReader(body), nil }

func (restJSON) document(*request) (smithy.ShapeSerializer, string) {
	return &jsonWriter{buf: make([]byte, 0, 1024)}, "application/json"
}

func (restJSON) write(_ *request, _ *smithy.Schema, encode func(smithy.ShapeSerializer) error) ([]byte, string, error) {
	jw := &jsonWriter{buf: make([]byte, 0, 1024)}
	jw.open('{', '{')
	err := encode(jw)
	jw.shut('}')
	return jw.buf, "application/json", err
}

// failure writes the error's name into a header, and its members into the body.
func (restJSON) failure(w http.ResponseWriter, _ *request, e *answer) {
	jw := &jsonWriter{}
	jw.open('{', '{')
	if e.members != nil {
		e.members(jw)
	} else if e.message != "" {
		jw.comma()
		jw.name("message")
		jw.buf = appendString(jw.buf, e.message)
	}
	jw.shut('}')
	w.Header().Set("x-amzn-ErrorType", e.code)
	send(w, e.status, "application/json", jw.buf)
}

// restXML is the XML of restXml.
type restXML struct{}

func (restXML) read(body []byte, root string) (reader, error) { return newXMLReader(body, root) }

func (restXML) document(*request) (smithy.ShapeSerializer, string) {
	return &xmlWriter{}, "application/xml"
}

const xmlHead = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"

func (restXML) write(r *request, root *smithy.Schema, encode func(smithy.ShapeSerializer) error) ([]byte, string, error) {
	name := root.ID().Name
	if t, ok := smithy.SchemaTrait[*traits.XMLName](root); ok {
		name = t.Name
	} else if root.MemberName() != "" {
		name = root.MemberName()
	}
	xw := &xmlWriter{}
	xw.buf.WriteString(xmlHead + "<" + name + ` xmlns="` + r.service.desc.Namespace + `">`)
	if r.service.desc.Unwrapped == r.op {
		xw.bare = true
	}
	err := encode(xw)
	xw.end(name)
	return xw.Bytes(), "application/xml", err
}

// failure writes S3's <Error> for services with bare errors, and
// <ErrorResponse><Error>…</Error></ErrorResponse> for the others.
func (restXML) failure(w http.ResponseWriter, r *request, e *answer) {
	bare := r.service != nil && r.service.desc.BareErrors
	if r.Method == http.MethodHead || e.status == http.StatusNotModified {
		w.WriteHeader(e.status)
		return
	}
	xw := &xmlWriter{}
	xw.buf.WriteString(xmlHead)
	if !bare {
		xw.push("ErrorResponse")
	}
	xw.push("Error")
	if !bare {
		xw.text("Type", e.sender())
	}
	xw.text("Code", e.code)
	xw.text("Message", e.message)
	if e.members != nil {
		e.members(skipMessage{xw})
	}
	if bare {
		xw.text("Resource", r.URL.Path)
		xw.text("RequestId", r.id)
	}
	xw.pop()
	if !bare {
		xw.text("RequestId", r.id)
		xw.pop()
	}
	w.Header().Del("Content-Length") // of an output that came to nothing
	send(w, e.status, "application/xml", xw.Bytes())
}
