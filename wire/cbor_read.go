package wire

import (
	"fmt"
	"math"
	"math/big"
	"time"
	"unicode/utf8"

	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/document"
	smithytime "github.com/aws/smithy-go/time"
)

// cborReader reads a parsed CBOR value: unknown members are skipped, and members
// that are null count as left out. The first error stays.
type cborReader struct {
	value any  // what is read next
	fresh bool // whether it was not read yet
	stack []cborFrame
	err   error
}

// cborFrame is an open container: what of it is left.
type cborFrame struct {
	schema *smithy.Schema // of a struct or union
	pairs  cborMap
	items  []any
}

func validText(b []byte) (string, error) {
	if !utf8.Valid(b) {
		return "", errCBORText
	}
	return string(b), nil
}

func (r *cborReader) close() error { return r.err }

func (r *cborReader) fail(format string, a ...any) error {
	if r.err == nil {
		r.err = fmt.Errorf(format, a...)
	}
	return r.err
}

// take returns the next value.
func (r *cborReader) take() any {
	r.fresh = false
	return r.value
}

func (r *cborReader) give(v any) { r.value, r.fresh = v, true }

func (r *cborReader) mismatch(want string, got any) error {
	name := "A value"
	switch got.(type) {
	case cborInt, float64:
		name = "A number"
	case string:
		name = "A string"
	case []byte:
		name = "A byte string"
	case bool:
		name = "A boolean"
	case []any:
		name = "A list"
	case cborMap:
		name = "A map"
	case nil:
		name = "null"
	}
	return r.fail("%s can not be converted to %s", name, want)
}

func (r *cborReader) integer(bits int, want string) (int64, error) {
	v := r.take()
	if f, ok := v.(float64); ok && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		v = cborInt{f < 0, uint64(math.Abs(f))}
		if f < 0 {
			v = cborInt{true, uint64(-f) - 1}
		}
	}
	i, ok := v.(cborInt)
	if !ok {
		return 0, r.mismatch(want, v)
	}
	if i.n > 1<<(bits-1)-1 {
		return 0, r.fail("A number is out of the range of %s", want)
	}
	if i.negative {
		return -1 - int64(i.n), r.err
	}
	return int64(i.n), r.err
}

func (r *cborReader) float(want string) (float64, error) {
	switch v := r.take().(type) {
	case float64:
		return v, r.err
	case cborInt:
		if v.negative {
			return -1 - float64(v.n), r.err
		}
		return float64(v.n), r.err
	default:
		return 0, r.mismatch(want, v)
	}
}

func (r *cborReader) ReadInt8(_ *smithy.Schema, v *int8) error {
	n, err := r.integer(8, "a Byte")
	*v = int8(n)
	return err
}

func (r *cborReader) ReadInt16(_ *smithy.Schema, v *int16) error {
	n, err := r.integer(16, "a Short")
	*v = int16(n)
	return err
}

func (r *cborReader) ReadInt32(_ *smithy.Schema, v *int32) error {
	n, err := r.integer(32, "an Integer")
	*v = int32(n)
	return err
}

func (r *cborReader) ReadInt64(_ *smithy.Schema, v *int64) error {
	n, err := r.integer(64, "a Long")
	*v = n
	return err
}

func (r *cborReader) ReadFloat32(_ *smithy.Schema, v *float32) error {
	f, err := r.float("a Float")
	*v = float32(f)
	return err
}

func (r *cborReader) ReadFloat64(_ *smithy.Schema, v *float64) error {
	f, err := r.float("a Double")
	*v = f
	return err
}

func (r *cborReader) ReadBool(_ *smithy.Schema, v *bool) error {
	b, ok := r.take().(bool)
	if !ok {
		return r.mismatch("a Boolean", r.value)
	}
	*v = b
	return r.err
}

func (r *cborReader) ReadString(_ *smithy.Schema, v *string) error {
	s, ok := r.take().(string)
	if !ok {
		return r.mismatch("a String", r.value)
	}
	*v = s
	return r.err
}

func (r *cborReader) ReadBlob(_ *smithy.Schema, v *[]byte) error {
	b, ok := r.take().([]byte)
	if !ok {
		return r.mismatch("a Blob", r.value)
	}
	*v = b
	return r.err
}

// ReadTime reads tag 1: seconds since 1970, whole or not.
func (r *cborReader) ReadTime(_ *smithy.Schema, v *time.Time) error {
	t, ok := r.take().(cborTag)
	if !ok || t.tag != 1 {
		return r.mismatch("a Timestamp", r.value)
	}
	r.give(t.value)
	f, err := r.float("a Timestamp")
	if err != nil {
		return err
	}
	if math.IsNaN(f) || f < minSeconds || f > maxSeconds {
		return r.fail("A number is out of the range of a Timestamp")
	}
	*v = smithytime.ParseEpochSeconds(f)
	return nil
}

// ReadBigInt reads an integer, or tags 2 and 3, integers as bytes.
func (r *cborReader) ReadBigInt(_ *smithy.Schema, v *big.Int) error {
	switch x := r.take().(type) {
	case cborInt:
		v.SetUint64(x.n)
		if x.negative {
			v.Not(v)
		}
		return r.err
	case cborTag:
		if b, ok := x.value.([]byte); ok && (x.tag == 2 || x.tag == 3) {
			v.SetBytes(b)
			if x.tag == 3 {
				v.Not(v)
			}
			return r.err
		}
	}
	return r.mismatch("a BigInteger", r.value)
}

// ReadBigFloat reads a number; no service here has members of that kind in decimal
// fractions (tag 4), which are refused.
func (r *cborReader) ReadBigFloat(_ *smithy.Schema, v *big.Float) error {
	f, err := r.float("a BigDecimal")
	if err == nil {
		if math.IsNaN(f) {
			return r.fail("A number is out of the range of a BigDecimal")
		}
		v.SetFloat64(f)
	}
	return err
}

func (r *cborReader) ReadNil(*smithy.Schema) (bool, error) {
	if r.fresh && r.value == nil {
		r.take()
		return true, r.err
	}
	return false, r.err
}

func (r *cborReader) ReadStruct(s *smithy.Schema) error {
	v := r.take()
	m, ok := v.(cborMap)
	if !ok && v != nil {
		return r.mismatch("a structure", v)
	}
	r.stack = append(r.stack, cborFrame{schema: s, pairs: m})
	return r.err
}

// member steps to the next member that the schema has and that is not null.
func (r *cborReader) member() (*smithy.Schema, error) {
	if r.err != nil {
		return nil, r.err
	}
	top := &r.stack[len(r.stack)-1]
	for len(top.pairs) > 0 {
		p := top.pairs[0]
		top.pairs = top.pairs[1:]
		if m := top.schema.Member(p.key); m != nil && p.value != nil {
			r.give(p.value)
			return m, nil
		}
	}
	r.pop()
	return nil, nil
}

func (r *cborReader) pop() {
	r.stack = r.stack[:len(r.stack)-1]
	r.fresh = false
}

func (r *cborReader) ReadStructMember() (*smithy.Schema, error) { return r.member() }

// ReadUnion opens the union at the first call, when its value was not read yet, and
// steps through it at those that follow.
func (r *cborReader) ReadUnion(s *smithy.Schema) (*smithy.Schema, error) {
	if r.fresh {
		if err := r.ReadStruct(s); err != nil {
			return nil, err
		}
	}
	return r.member()
}

func (r *cborReader) ReadList(*smithy.Schema) error {
	v, ok := r.take().([]any)
	if !ok {
		return r.mismatch("a list", r.value)
	}
	r.stack = append(r.stack, cborFrame{items: v})
	return r.err
}

func (r *cborReader) ReadListItem(*smithy.Schema) (bool, error) {
	if r.err != nil {
		return false, r.err
	}
	top := &r.stack[len(r.stack)-1]
	if len(top.items) == 0 {
		r.pop()
		return false, nil
	}
	r.give(top.items[0])
	top.items = top.items[1:]
	return true, nil
}

func (r *cborReader) ReadMap(*smithy.Schema) error {
	v, ok := r.take().(cborMap)
	if !ok {
		return r.mismatch("a map", r.value)
	}
	r.stack = append(r.stack, cborFrame{pairs: v})
	return r.err
}

func (r *cborReader) ReadMapKey(*smithy.Schema) (string, bool, error) {
	if r.err != nil {
		return "", false, r.err
	}
	top := &r.stack[len(r.stack)-1]
	if len(top.pairs) == 0 {
		r.pop()
		return "", false, nil
	}
	p := top.pairs[0]
	top.pairs = top.pairs[1:]
	r.give(p.value)
	return p.key, true, nil
}

// ReadDocument: the protocol has no documents.
func (r *cborReader) ReadDocument(*smithy.Schema, *document.Value) error {
	return r.mismatch("a document", r.take())
}
