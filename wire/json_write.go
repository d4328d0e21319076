package wire

import (
	"encoding/base64"
	"math"
	"math/big"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/document"
	smithytime "github.com/aws/smithy-go/time"
	"github.com/aws/smithy-go/traits"
)

// jsonWriter writes AWS's JSON. In a struct a value is preceded by its schema's
// member name, in a union by the variant's, in a map by the last key.
type jsonWriter struct {
	buf   []byte
	stack []byte // of '{' struct, 'm' map, '[' list, 'u' union
	some  []bool // whether the container has content
}

func (w *jsonWriter) Bytes() []byte { return w.buf }

// value prepares for a value of schema s: comma and name.
func (w *jsonWriter) value(s *smithy.Schema) {
	top := len(w.stack) - 1
	if top < 0 || w.stack[top] == 'm' || w.stack[top] == 'u' {
		return
	}
	w.comma()
	if w.stack[top] == '{' {
		w.name(s.MemberName())
	}
}

func (w *jsonWriter) comma() {
	top := len(w.some) - 1
	if w.some[top] {
		w.buf = append(w.buf, ',')
	}
	w.some[top] = true
}

func (w *jsonWriter) name(s string) {
	w.buf = appendString(w.buf, s)
	w.buf = append(w.buf, ':')
}

func (w *jsonWriter) open(kind, char byte) {
	w.buf = append(w.buf, char)
	w.stack = append(w.stack, kind)
	w.some = append(w.some, false)
}

func (w *jsonWriter) shut(char byte) {
	w.buf = append(w.buf, char)
	w.stack = w.stack[:len(w.stack)-1]
	w.some = w.some[:len(w.some)-1]
}

func (w *jsonWriter) WriteStruct(s *smithy.Schema) { w.value(s); w.open('{', '{') }
func (w *jsonWriter) CloseStruct()                 { w.shut('}') }
func (w *jsonWriter) WriteList(s *smithy.Schema)   { w.value(s); w.open('[', '[') }
func (w *jsonWriter) CloseList()                   { w.shut(']') }
func (w *jsonWriter) WriteMap(s *smithy.Schema)    { w.value(s); w.open('m', '{') }
func (w *jsonWriter) CloseMap()                    { w.shut('}') }

func (w *jsonWriter) WriteKey(_ *smithy.Schema, key string) {
	w.comma()
	w.name(key)
}

func (w *jsonWriter) WriteUnion(s, variant *smithy.Schema) {
	w.value(s)
	w.open('u', '{')
	w.name(variant.MemberName())
}

func (w *jsonWriter) CloseUnion() { w.shut('}') }

func (w *jsonWriter) WriteInt8(s *smithy.Schema, v int8)   { w.WriteInt64(s, int64(v)) }
func (w *jsonWriter) WriteInt16(s *smithy.Schema, v int16) { w.WriteInt64(s, int64(v)) }
func (w *jsonWriter) WriteInt32(s *smithy.Schema, v int32) { w.WriteInt64(s, int64(v)) }

func (w *jsonWriter) WriteInt64(s *smithy.Schema, v int64) {
	w.value(s)
	w.buf = strconv.AppendInt(w.buf, v, 10)
}

func (w *jsonWriter) WriteFloat32(s *smithy.Schema, v float32) {
	w.value(s)
	w.float(float64(v), 32)
}

func (w *jsonWriter) WriteFloat64(s *smithy.Schema, v float64) {
	w.value(s)
	w.float(v, 64)
}

// float writes v as a number, or as the strings that AWS uses for the values that
// JSON has no number for.
func (w *jsonWriter) float(v float64, bits int) {
	switch {
	case math.IsNaN(v):
		w.buf = append(w.buf, `"NaN"`...)
	case math.IsInf(v, 1):
		w.buf = append(w.buf, `"Infinity"`...)
	case math.IsInf(v, -1):
		w.buf = append(w.buf, `"-Infinity"`...)
	case v == math.Trunc(v) && math.Abs(v) < 1e15:
		w.buf = strconv.AppendFloat(w.buf, v, 'f', 1, bits) // 12.0: AWS's clients tell floats by the point
	default:
		w.buf = strconv.AppendFloat(w.buf, v, 'g', -1, bits)
	}
}

func (w *jsonWriter) WriteBool(s *smithy.Schema, v bool) {
	w.value(s)
	w.buf = strconv.AppendBool(w.buf, v)
}

func (w *jsonWriter) WriteString(s *smithy.Schema, v string) {
	w.value(s)
	w.buf = appendString(w.buf, v)
}

func (w *jsonWriter) WriteBigInt(s *smithy.Schema, v *big.Int) {
	w.value(s)
	w.buf = v.Append(w.buf, 10)
}

func (w *jsonWriter) WriteBigFloat(s *smithy.Schema, v *big.Float) {
	w.value(s)
	w.buf = v.Append(w.buf, 'g', -1)
}

func (w *jsonWriter) WriteBlob(s *smithy.Schema, v []byte) {
	w.value(s)
	w.buf = append(w.buf, '"')
	w.buf = base64.StdEncoding.AppendEncode(w.buf, v)
	w.buf = append(w.buf, '"')
}

// WriteTime writes seconds since 1970 with milliseconds, AWS JSON's form, unless
// the member names another.
func (w *jsonWriter) WriteTime(s *smithy.Schema, v time.Time) {
	w.value(s)
	format, _ := smithy.SchemaTrait[*traits.TimestampFormat](s)
	switch {
	case format != nil && format.Format == "date-time":
		w.buf = appendString(w.buf, smithytime.FormatDateTime(v))
	case format != nil && format.Format == "http-date":
		w.buf = appendString(w.buf, smithytime.FormatHTTPDate(v))
	default:
		w.buf = strconv.AppendFloat(w.buf, float64(v.UnixMilli())/1000, 'f', -1, 64)
	}
}

// WriteDocument writes a document, which is JSON by its nature. One that cannot be
// marshaled becomes null.
func (w *jsonWriter) WriteDocument(s *smithy.Schema, v document.Value) {
	w.value(s)
	raw := []byte("null")
	if o, ok := v.(*document.Opaque); ok {
		if m, ok := o.Value.(document.Marshaler); ok {
			if b, err := m.MarshalSmithyDocument(); err == nil {
				raw = b
			}
		}
	}
	w.buf = append(w.buf, raw...)
}

func (w *jsonWriter) WriteNil(s *smithy.Schema) {
	w.value(s)
	w.buf = append(w.buf, "null"...)
}

// appendString appends s as a JSON string. What is not UTF-8 is replaced.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	done := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c < ' ' || c == '"' || c == '\\' {
				b = append(b, s[done:i]...)
				switch c {
				case '"', '\\':
					b = append(b, '\\', c)
				case '\n':
					b = append(b, '\\', 'n')
				case '\r':
					b = append(b, '\\', 'r')
				case '\t':
					b = append(b, '\\', 't')
				default:
					b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
				}
				done = i + 1
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			b = append(b, s[done:i]...)
			b = utf8.AppendRune(b, utf8.RuneError)
			done = i + 1
		}
		i += n
	}
	b = append(b, s[done:]...)
	return append(b, '"')
}
