package wire

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
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

// maxDepth is how deep a request's values may be nested. The deepest request of
// the services here has eleven levels.
const maxDepth = 100

// The seconds since 1970 of times that AWS can say in any of its formats: years 1 to 9999.
const minSeconds, maxSeconds = -62135596800, 253402300799

// jsonReader reads AWS's JSON: unknown members are skipped, and members that are
// null count as left out. The texts of its errors are those of AWS's front end.
//
// The first error stays: every later Read fails with it.
type jsonReader struct {
	data  []byte
	pos   int
	stack []jsonFrame
	err   error
}

type jsonFrame struct {
	schema *smithy.Schema // of a struct or union
	some   bool           // whether an element was read
	union  bool
	empty  bool // a null in place of a struct
}

// newJSONReader reads data; an empty body is an empty struct.
func newJSONReader(data []byte) *jsonReader {
	r := &jsonReader{data: data}
	if !utf8.Valid(data) {
		r.fail("The request body is not valid UTF-8")
	}
	if r.skipSpace(); r.pos == len(data) {
		r.data, r.pos = []byte("{}"), 0
	}
	return r
}

func (r *jsonReader) close() error {
	if r.err == nil {
		if r.skipSpace(); r.pos < len(r.data) {
			r.syntax("end of input")
		}
	}
	return r.err
}

// fail keeps the first error.
func (r *jsonReader) fail(format string, a ...any) error {
	if r.err == nil {
		r.err = fmt.Errorf(format, a...)
	}
	return r.err
}

func (r *jsonReader) syntax(want string) error {
	if r.pos >= len(r.data) {
		return r.fail("Unexpected end of JSON input: expected %s", want)
	}
	return r.fail("Invalid JSON at byte %d: expected %s", r.pos, want)
}

func (r *jsonReader) skipSpace() {
	for r.pos < len(r.data) {
		switch r.data[r.pos] {
		case ' ', '\t', '\n', '\r':
			r.pos++
		default:
			return
		}
	}
}

// peek returns the first byte of the next token, 0 at the end.
func (r *jsonReader) peek() byte {
	if r.skipSpace(); r.err != nil || r.pos >= len(r.data) {
		return 0
	}
	return r.data[r.pos]
}

// literal reads word if it is the next token.
func (r *jsonReader) literal(word string) bool {
	r.skipSpace()
	end := r.pos + len(word)
	if r.err != nil || end > len(r.data) || string(r.data[r.pos:end]) != word {
		return false
	}
	r.pos = end
	return true
}

// mismatch is the error of a value of the wrong kind.
func (r *jsonReader) mismatch(want string) error {
	switch c := r.peek(); {
	case c == '{':
		return r.fail("Start of structure or map found where not expected.")
	case c == '[':
		return r.fail("Start of list found where not expected")
	case c == '"':
		return r.fail("STRING_VALUE can not be converted to %s", want)
	case c == '-' || c >= '0' && c <= '9':
		return r.fail("NUMBER_VALUE can not be converted to %s", want)
	case r.literal("true"):
		return r.fail("TRUE_VALUE can not be converted to %s", want)
	case r.literal("false"):
		return r.fail("FALSE_VALUE can not be converted to %s", want)
	case r.literal("null"):
		return r.fail("NULL_VALUE can not be converted to %s", want)
	}
	return r.syntax("a value")
}

// text reads a string token.
func (r *jsonReader) text() (string, error) {
	start := r.pos
	escaped := false
	for i := start + 1; i < len(r.data); i++ {
		switch c := r.data[i]; {
		case c == '\\':
			escaped = true
			i++
		case c < ' ':
			r.pos = i
			return "", r.syntax("no control character in a string")
		case c == '"':
			r.pos = i + 1
			if !escaped {
				return string(r.data[start+1 : i]), nil
			}
			var s string
			if err := json.Unmarshal(r.data[start:r.pos], &s); err != nil {
				r.pos = start
				return "", r.syntax("a string")
			}
			return s, nil
		}
	}
	r.pos = len(r.data)
	return "", r.syntax(`'"'`)
}

// number reads a number token and checks its form.
func (r *jsonReader) number(want string) (string, error) {
	if c := r.peek(); c != '-' && (c < '0' || c > '9') {
		return "", r.mismatch(want)
	}
	start := r.pos
	for r.pos < len(r.data) {
		c := r.data[r.pos]
		if c != '-' && c != '+' && c != '.' && c != 'e' && c != 'E' && (c < '0' || c > '9') {
			break
		}
		r.pos++
	}
	tok := r.data[start:r.pos]
	if !json.Valid(tok) {
		r.pos = start
		return "", r.syntax("a number")
	}
	return string(tok), nil
}

func (r *jsonReader) integer(bits int, want string) (int64, error) {
	tok, err := r.number(want)
	if err != nil {
		return 0, err
	}
	if n, err := strconv.ParseInt(tok, 10, bits); err == nil {
		return n, nil
	}
	// 1.0 and 1e3 are integers too.
	f, err := strconv.ParseFloat(tok, 64)
	if err == nil && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		if n, err := strconv.ParseInt(strconv.FormatInt(int64(f), 10), 10, bits); err == nil {
			return n, nil
		}
	}
	return 0, r.fail("NUMBER_VALUE can not be converted to %s: %s", want, tok)
}

func (r *jsonReader) float() (float64, error) {
	switch {
	case r.literal(`"NaN"`):
		return math.NaN(), nil
	case r.literal(`"Infinity"`):
		return math.Inf(1), nil
	case r.literal(`"-Infinity"`):
		return math.Inf(-1), nil
	}
	tok, err := r.number("a Double")
	if err != nil {
		return 0, err
	}
	f, err := strconv.ParseFloat(tok, 64)
	if err != nil {
		return 0, r.fail("NUMBER_VALUE can not be converted to a Double: %s", tok)
	}
	return f, nil
}

func (r *jsonReader) ReadInt8(_ *smithy.Schema, v *int8) error {
	n, err := r.integer(8, "a Byte")
	*v = int8(n)
	return err
}

func (r *jsonReader) ReadInt16(_ *smithy.Schema, v *int16) error {
	n, err := r.integer(16, "a Short")
	*v = int16(n)
	return err
}

func (r *jsonReader) ReadInt32(_ *smithy.Schema, v *int32) error {
	n, err := r.integer(32, "an Integer")
	*v = int32(n)
	return err
}

func (r *jsonReader) ReadInt64(_ *smithy.Schema, v *int64) error {
	n, err := r.integer(64, "a Long")
	*v = n
	return err
}

func (r *jsonReader) ReadFloat32(_ *smithy.Schema, v *float32) error {
	f, err := r.float()
	*v = float32(f)
	return err
}

func (r *jsonReader) ReadFloat64(_ *smithy.Schema, v *float64) error {
	f, err := r.float()
	*v = f
	return err
}

func (r *jsonReader) ReadBool(_ *smithy.Schema, v *bool) error {
	switch {
	case r.literal("true"):
		*v = true
	case r.literal("false"):
		*v = false
	default:
		return r.mismatch("a Boolean")
	}
	return nil
}

func (r *jsonReader) ReadString(_ *smithy.Schema, v *string) error {
	if r.peek() != '"' {
		return r.mismatch("a String")
	}
	s, err := r.text()
	*v = s
	return err
}

func (r *jsonReader) ReadBlob(_ *smithy.Schema, v *[]byte) error {
	if r.peek() != '"' {
		return r.mismatch("a Blob")
	}
	s, err := r.text()
	if err != nil {
		return err
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return r.fail("STRING_VALUE can not be converted to a Blob: it is not base64")
	}
	*v = b
	return nil
}

func (r *jsonReader) ReadTime(s *smithy.Schema, v *time.Time) error {
	format, _ := smithy.SchemaTrait[*traits.TimestampFormat](s)
	parse := smithytime.ParseDateTime
	switch {
	case format != nil && format.Format == "http-date":
		parse = smithytime.ParseHTTPDate
	case format != nil && format.Format == "date-time":
	default:
		f, err := r.float()
		if err != nil {
			return err
		}
		if math.IsNaN(f) || f < minSeconds || f > maxSeconds {
			return r.fail("NUMBER_VALUE can not be converted to a Timestamp")
		}
		*v = smithytime.ParseEpochSeconds(f)
		return nil
	}
	var text string
	if err := r.ReadString(s, &text); err != nil {
		return err
	}
	t, err := parse(text)
	if err != nil {
		return r.fail("STRING_VALUE can not be converted to a Timestamp")
	}
	*v = t
	return nil
}

func (r *jsonReader) ReadBigInt(_ *smithy.Schema, v *big.Int) error {
	tok, err := r.number("a BigInteger")
	if err == nil {
		if _, ok := v.SetString(tok, 10); !ok {
			return r.fail("NUMBER_VALUE can not be converted to a BigInteger")
		}
	}
	return err
}

func (r *jsonReader) ReadBigFloat(_ *smithy.Schema, v *big.Float) error {
	tok, err := r.number("a BigDecimal")
	if err == nil {
		if _, ok := v.SetString(tok); !ok {
			return r.fail("NUMBER_VALUE can not be converted to a BigDecimal")
		}
	}
	return err
}

func (r *jsonReader) ReadNil(*smithy.Schema) (bool, error) { return r.literal("null"), r.err }

// open reads the start of a container.
func (r *jsonReader) open(char byte, f jsonFrame, want string) error {
	if r.err != nil {
		return r.err
	}
	if r.peek() != char {
		if c := r.peek(); c == '{' || c == '[' || c == 0 {
			return r.mismatch(want)
		}
		return r.fail("Expected %s or null", want)
	}
	if len(r.stack) == maxDepth {
		return r.fail("The request is nested too deeply")
	}
	r.pos++
	r.stack = append(r.stack, f)
	return nil
}

// next steps to the next element of the container and reports whether there is one.
func (r *jsonReader) next(end byte) (bool, error) {
	if r.err != nil {
		return false, r.err
	}
	top := &r.stack[len(r.stack)-1]
	if top.empty {
		r.stack = r.stack[:len(r.stack)-1]
		return false, nil
	}
	switch c := r.peek(); {
	case c == end:
		r.pos++
		r.stack = r.stack[:len(r.stack)-1]
		return false, nil
	case !top.some:
		top.some = true
		return true, nil
	case c == ',':
		r.pos++
		if r.peek() == end {
			return false, r.syntax("a value")
		}
		return true, nil
	}
	return false, r.syntax("',' or '" + string(end) + "'")
}

// key reads a name and its colon.
func (r *jsonReader) key() (string, error) {
	if r.peek() != '"' {
		return "", r.syntax("a name in quotes")
	}
	k, err := r.text()
	if err != nil {
		return "", err
	}
	if r.peek() != ':' {
		return "", r.syntax("':'")
	}
	r.pos++
	return k, nil
}

// member steps to the next member that the schema has and that is not null.
func (r *jsonReader) member() (*smithy.Schema, error) {
	for {
		more, err := r.next('}')
		if !more || err != nil {
			return nil, err
		}
		k, err := r.key()
		if err != nil {
			return nil, err
		}
		m := r.stack[len(r.stack)-1].schema.Member(k)
		if m == nil {
			if err := r.skip(len(r.stack)); err != nil {
				return nil, err
			}
			continue
		}
		if r.literal("null") {
			continue
		}
		return m, nil
	}
}

func (r *jsonReader) ReadStruct(s *smithy.Schema) error {
	if r.literal("null") {
		r.stack = append(r.stack, jsonFrame{schema: s, empty: true})
		return nil
	}
	return r.open('{', jsonFrame{schema: s}, "structure")
}

func (r *jsonReader) ReadStructMember() (*smithy.Schema, error) { return r.member() }

// ReadUnion opens the union at the first call and is then called until it returns
// nil. A variant's value may be a union of the same schema: it begins with '{', which
// never follows a variant that was read.
func (r *jsonReader) ReadUnion(s *smithy.Schema) (*smithy.Schema, error) {
	if top := len(r.stack) - 1; top < 0 || !r.stack[top].union || r.stack[top].schema != s || r.peek() == '{' {
		if err := r.open('{', jsonFrame{schema: s, union: true}, "structure"); err != nil {
			return nil, err
		}
	}
	return r.member()
}

func (r *jsonReader) ReadList(*smithy.Schema) error { return r.open('[', jsonFrame{}, "list") }

func (r *jsonReader) ReadListItem(*smithy.Schema) (bool, error) { return r.next(']') }

func (r *jsonReader) ReadMap(*smithy.Schema) error { return r.open('{', jsonFrame{}, "map") }

func (r *jsonReader) ReadMapKey(*smithy.Schema) (string, bool, error) {
	more, err := r.next('}')
	if !more || err != nil {
		return "", false, err
	}
	k, err := r.key()
	return k, err == nil, err
}

// ReadDocument reads any value, as encoding/json reads into an any.
func (r *jsonReader) ReadDocument(_ *smithy.Schema, v *document.Value) error {
	r.skipSpace()
	start := r.pos
	if err := r.skip(len(r.stack)); err != nil {
		return err
	}
	var x any
	if err := json.Unmarshal(r.data[start:r.pos], &x); err != nil {
		r.pos = start
		return r.syntax("a value")
	}
	*v = document.Opaque{Value: x}
	return nil
}

// skip reads over a value of any kind, checking its syntax.
func (r *jsonReader) skip(depth int) error {
	switch c := r.peek(); {
	case c == '"':
		_, err := r.text()
		return err
	case c == '-' || c >= '0' && c <= '9':
		_, err := r.number("")
		return err
	case r.literal("true"), r.literal("false"), r.literal("null"):
		return nil
	case c == '[', c == '{':
		return r.skipContainer(c, depth+1)
	}
	return r.syntax("a value")
}

func (r *jsonReader) skipContainer(c byte, depth int) error {
	if depth > maxDepth {
		return r.fail("The request is nested too deeply")
	}
	r.pos++
	end := c + 2 // ']' follows '[' by two, and '}' follows '{'
	r.stack = append(r.stack, jsonFrame{})
	for {
		more, err := r.next(end)
		if !more || err != nil {
			return err
		}
		if c == '{' {
			if _, err := r.key(); err != nil {
				return err
			}
		}
		if err := r.skip(depth); err != nil {
			return err
		}
	}
}
