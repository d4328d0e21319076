package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"math/big"
	"strconv"
	"time"

	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/document"
	smithytime "github.com/aws/smithy-go/time"
	"github.com/aws/smithy-go/traits"
)

// xmlWriter writes values as XML elements with the names of one of the query protocols.
type xmlWriter struct {
	buf   bytes.Buffer
	ec2   bool
	bare  bool // texts are written without an element
	stack []xmlFrame
}

// xmlFrame is an open element, or a flattened list, which has none of its own.
type xmlFrame struct {
	name  string // empty for a flattened list
	entry bool   // an <entry> of a map is open inside
	flat  string // the name of a flattened list's items
}

func (w *xmlWriter) Bytes() []byte { return w.buf.Bytes() }

// text writes a whole element.
func (w *xmlWriter) text(name, value string) {
	if w.bare {
		_ = xml.EscapeText(&w.buf, []byte(value)) // a buffer has no errors
		return
	}
	w.buf.WriteByte('<')
	w.buf.WriteString(name)
	w.buf.WriteByte('>')
	// The buffer has no errors; what XML cannot say (control characters) is replaced.
	_ = xml.EscapeText(&w.buf, []byte(value))
	w.end(name)
}

func (w *xmlWriter) end(name string) {
	w.buf.WriteString("</")
	w.buf.WriteString(name)
	w.buf.WriteByte('>')
}

// name is the element of a value of schema s. The items of a flattened list are
// named as the list.
func (w *xmlWriter) name(s *smithy.Schema) string {
	if top := len(w.stack) - 1; top >= 0 && w.stack[top].flat != "" {
		return w.stack[top].flat
	}
	if t, ok := smithy.SchemaDirectTrait[*traits.XMLName](s); ok {
		return t.Name
	}
	name := s.MemberName()
	if w.ec2 {
		if name == "member" {
			return "item"
		}
		return lowerFirst(name)
	}
	return name
}

// push opens the element of a container.
func (w *xmlWriter) push(name string) {
	w.buf.WriteByte('<')
	w.buf.WriteString(name)
	w.buf.WriteByte('>')
	w.stack = append(w.stack, xmlFrame{name: name})
}

// pop closes it.
func (w *xmlWriter) pop() {
	top := w.stack[len(w.stack)-1]
	w.stack = w.stack[:len(w.stack)-1]
	if top.entry {
		w.end("entry")
	}
	if top.name != "" {
		w.end(top.name)
	}
}

func (w *xmlWriter) WriteStruct(s *smithy.Schema) { w.push(w.name(s)) }
func (w *xmlWriter) CloseStruct()                 { w.pop() }

func (w *xmlWriter) WriteList(s *smithy.Schema) {
	name := w.name(s)
	if _, flat := smithy.SchemaTrait[*traits.XMLFlattened](s); flat && !w.ec2 {
		w.stack = append(w.stack, xmlFrame{flat: elementName(s)})
		return
	}
	if _, flat := smithy.SchemaTrait[*traits.XMLFlattened](s); flat {
		w.stack = append(w.stack, xmlFrame{flat: name})
		return
	}
	w.push(name)
}

func (w *xmlWriter) CloseList() { w.pop() }

func (w *xmlWriter) WriteMap(s *smithy.Schema) { w.push(w.name(s)) }

func (w *xmlWriter) WriteKey(s *smithy.Schema, key string) {
	top := &w.stack[len(w.stack)-1]
	if top.entry {
		w.end("entry")
	}
	top.entry = true
	w.buf.WriteString("<entry>")
	w.text(w.name(s), key)
}

func (w *xmlWriter) CloseMap() { w.pop() }

func (w *xmlWriter) WriteUnion(s, _ *smithy.Schema) { w.push(w.name(s)) }
func (w *xmlWriter) CloseUnion()                    { w.pop() }

func (w *xmlWriter) WriteInt8(s *smithy.Schema, v int8)   { w.WriteInt64(s, int64(v)) }
func (w *xmlWriter) WriteInt16(s *smithy.Schema, v int16) { w.WriteInt64(s, int64(v)) }
func (w *xmlWriter) WriteInt32(s *smithy.Schema, v int32) { w.WriteInt64(s, int64(v)) }

func (w *xmlWriter) WriteInt64(s *smithy.Schema, v int64) {
	w.text(w.name(s), strconv.FormatInt(v, 10))
}

func (w *xmlWriter) WriteFloat32(s *smithy.Schema, v float32) {
	w.text(w.name(s), strconv.FormatFloat(float64(v), 'g', -1, 32))
}

func (w *xmlWriter) WriteFloat64(s *smithy.Schema, v float64) {
	w.text(w.name(s), strconv.FormatFloat(v, 'g', -1, 64))
}

func (w *xmlWriter) WriteBool(s *smithy.Schema, v bool) { w.text(w.name(s), strconv.FormatBool(v)) }

func (w *xmlWriter) WriteString(s *smithy.Schema, v string) { w.text(w.name(s), v) }

func (w *xmlWriter) WriteBigInt(s *smithy.Schema, v *big.Int) { w.text(w.name(s), v.String()) }

func (w *xmlWriter) WriteBigFloat(s *smithy.Schema, v *big.Float) {
	w.text(w.name(s), v.Text('g', -1))
}

func (w *xmlWriter) WriteBlob(s *smithy.Schema, v []byte) {
	w.text(w.name(s), base64.StdEncoding.EncodeToString(v))
}

// WriteTime writes ISO 8601 in UTC: EC2 always with milliseconds, the others with
// as many digits as there are.
func (w *xmlWriter) WriteTime(s *smithy.Schema, v time.Time) {
	if w.ec2 {
		w.text(w.name(s), v.UTC().Format("2006-01-02T15:04:05.000Z"))
		return
	}
	if t, ok := smithy.SchemaTrait[*traits.TimestampFormat](s); ok && t.Format == "http-date" {
		w.text(w.name(s), smithytime.FormatHTTPDate(v))
		return
	}
	w.text(w.name(s), smithytime.FormatDateTime(v))
}

// WriteDocument: the query protocols have no documents.
func (w *xmlWriter) WriteDocument(*smithy.Schema, document.Value) {}

// WriteNil: XML says null by leaving out.
func (w *xmlWriter) WriteNil(*smithy.Schema) {}
