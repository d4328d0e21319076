package wire

import (
	"encoding/binary"
	"math"
	"math/big"
	"time"

	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/document"
)

// cborWriter writes CBOR with containers of lengths that are not told, as AWS does. In a
// struct a value is preceded by its member's name.
type cborWriter struct {
	buf   []byte
	stack []byte // of '{' struct, 'm' map, '[' list, 'u' union
}

func (w *cborWriter) Bytes() []byte { return w.buf }

// head writes a major type and its argument in the shortest form.
func (w *cborWriter) head(major byte, n uint64) {
	major <<= 5
	switch {
	case n < 24:
		w.buf = append(w.buf, major|byte(n))
	case n <= math.MaxUint8:
		w.buf = append(w.buf, major|24, byte(n))
	case n <= math.MaxUint16:
		w.buf = binary.BigEndian.AppendUint16(append(w.buf, major|25), uint16(n))
	case n <= math.MaxUint32:
		w.buf = binary.BigEndian.AppendUint32(append(w.buf, major|26), uint32(n))
	default:
		w.buf = binary.BigEndian.AppendUint64(append(w.buf, major|27), n)
	}
}

func (w *cborWriter) text(s string) {
	w.head(3, uint64(len(s)))
	w.buf = append(w.buf, s...)
}

// value prepares for a value of schema s.
func (w *cborWriter) value(s *smithy.Schema) {
	if top := len(w.stack) - 1; top >= 0 && w.stack[top] == '{' {
		w.text(s.MemberName())
	}
}

func (w *cborWriter) open(kind byte) {
	mark := byte(0xbf)
	if kind == '[' {
		mark = 0x9f
	}
	w.buf = append(w.buf, mark)
	w.stack = append(w.stack, kind)
}

func (w *cborWriter) shut() {
	w.buf = append(w.buf, 0xff)
	w.stack = w.stack[:len(w.stack)-1]
}

func (w *cborWriter) WriteStruct(s *smithy.Schema) { w.value(s); w.open('{') }
func (w *cborWriter) CloseStruct()                 { w.shut() }
func (w *cborWriter) WriteList(s *smithy.Schema)   { w.value(s); w.open('[') }
func (w *cborWriter) CloseList()                   { w.shut() }
func (w *cborWriter) WriteMap(s *smithy.Schema)    { w.value(s); w.open('m') }
func (w *cborWriter) CloseMap()                    { w.shut() }

func (w *cborWriter) WriteKey(_ *smithy.Schema, key string) { w.text(key) }

func (w *cborWriter) WriteUnion(s, variant *smithy.Schema) {
	w.value(s)
	w.open('u')
	w.text(variant.MemberName())
}

func (w *cborWriter) CloseUnion() { w.shut() }

func (w *cborWriter) WriteInt8(s *smithy.Schema, v int8)   { w.WriteInt64(s, int64(v)) }
func (w *cborWriter) WriteInt16(s *smithy.Schema, v int16) { w.WriteInt64(s, int64(v)) }
func (w *cborWriter) WriteInt32(s *smithy.Schema, v int32) { w.WriteInt64(s, int64(v)) }

func (w *cborWriter) WriteInt64(s *smithy.Schema, v int64) {
	w.value(s)
	if v < 0 {
		w.head(1, uint64(-1-v))
		return
	}
	w.head(0, uint64(v))
}

func (w *cborWriter) WriteFloat32(s *smithy.Schema, v float32) {
	w.value(s)
	w.buf = binary.BigEndian.AppendUint32(append(w.buf, 0xfa), math.Float32bits(v))
}

func (w *cborWriter) WriteFloat64(s *smithy.Schema, v float64) {
	w.value(s)
	w.float(v)
}

func (w *cborWriter) float(v float64) {
	w.buf = binary.BigEndian.AppendUint64(append(w.buf, 0xfb), math.Float64bits(v))
}

func (w *cborWriter) WriteBool(s *smithy.Schema, v bool) {
	w.value(s)
	if v {
		w.buf = append(w.buf, 0xf5)
		return
	}
	w.buf = append(w.buf, 0xf4)
}

func (w *cborWriter) WriteString(s *smithy.Schema, v string) {
	w.value(s)
	w.text(v)
}

// WriteBigInt writes an integer as bytes: tag 2, or 3 where it is negative.
func (w *cborWriter) WriteBigInt(s *smithy.Schema, v *big.Int) {
	w.value(s)
	tag, n := uint64(2), v
	if v.Sign() < 0 {
		tag, n = 3, new(big.Int).Not(v)
	}
	w.head(6, tag)
	w.head(2, uint64(len(n.Bytes())))
	w.buf = append(w.buf, n.Bytes()...)
}

func (w *cborWriter) WriteBigFloat(s *smithy.Schema, v *big.Float) {
	w.value(s)
	f, _ := v.Float64()
	w.float(f)
}

func (w *cborWriter) WriteBlob(s *smithy.Schema, v []byte) {
	w.value(s)
	w.head(2, uint64(len(v)))
	w.buf = append(w.buf, v...)
}

// WriteTime writes tag 1: seconds since 1970, with milliseconds.
func (w *cborWriter) WriteTime(s *smithy.Schema, v time.Time) {
	w.value(s)
	w.head(6, 1)
	w.float(float64(v.UnixMilli()) / 1000)
}

// WriteDocument: the protocol has no documents.
func (w *cborWriter) WriteDocument(s *smithy.Schema, _ document.Value) { w.WriteNil(s) }

func (w *cborWriter) WriteNil(s *smithy.Schema) {
	w.value(s)
	w.buf = append(w.buf, 0xf6)
}
