package wire

import (
	"fmt"
	"math/big"
	"reflect"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/document"
)

// binder walks the values of one service between Go structs and syntaxes. It knows
// which member of a schema each struct field is: member fooBar is field FooBar.
type binder struct {
	names  map[string]map[string]wireName // for shapes without schemas, see schema.go
	unions []reflect.Type                 // pointers to variants, see Description.Unions
	shapes sync.Map                       // reflect.Type of a struct → *shape

	mu      sync.Mutex
	schemas map[reflect.Type]*smithy.Schema // made up, see schema.go
}

func newBinder(names map[string]map[string]wireName, unions []any) *binder {
	b := &binder{names: names, schemas: map[reflect.Type]*smithy.Schema{}}
	for _, u := range unions {
		b.unions = append(b.unions, reflect.TypeOf(u))
	}
	return b
}

// shape is a struct type and its fields that are members, in Go's order.
type shape struct {
	schema  *smithy.Schema
	fields  []field
	indexes map[*smithy.Schema]int // member → index of the struct field
}

type field struct {
	index  int
	member *smithy.Schema
}

var timeType = reflect.TypeFor[time.Time]()

// shapeOf binds struct type t to schema, or to the schema of t itself where schema
// is nil. The result is kept: a type has the members of one schema.
func (b *binder) shapeOf(t reflect.Type, schema *smithy.Schema) (*shape, error) {
	if s, ok := b.shapes.Load(t); ok {
		return s.(*shape), nil
	}
	if schema == nil {
		schema = b.schemaOf(t)
	}
	s := &shape{schema: schema, indexes: map[*smithy.Schema]int{}}
	members := make(map[string]*smithy.Schema, len(schema.Members()))
	for name, m := range schema.Members() {
		members[upperFirst(name)] = m
	}
	for i := range t.NumField() {
		if f := t.Field(i); isMember(f) {
			m := members[f.Name]
			if m == nil {
				return nil, fmt.Errorf("%s.%s is no member of %s", t, f.Name, schema.ID())
			}
			delete(members, f.Name)
			s.fields = append(s.fields, field{i, m})
			s.indexes[m] = i
		}
	}
	b.shapes.Store(t, s)
	return s, nil
}

// isMember reports whether a field of an SDK struct is a member of the shape. The
// others are what the client adds: the result's metadata, an error's code.
func isMember(f reflect.StructField) bool {
	return f.IsExported() && !f.Anonymous && f.Name != "ResultMetadata" && f.Name != "ErrorCodeOverride"
}

// bind binds t and all that it contains, so that a mismatch is found at the start.
func (b *binder) bind(t reflect.Type, schema *smithy.Schema) error {
	switch {
	case t.Kind() == reflect.Pointer:
		return b.bind(t.Elem(), schema)
	case t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8:
		return b.bind(t.Elem(), schema.ListMember())
	case t.Kind() == reflect.Map:
		return b.bind(t.Elem(), schema.MapValue())
	case t.Kind() == reflect.Interface && len(schema.Members()) == 0 && schema.Type() == smithy.ShapeTypeUnion:
		return fmt.Errorf("%s is a union without a schema", t)
	case t.Kind() == reflect.Struct && t != timeType:
		if _, ok := b.shapes.Load(t); ok {
			return nil
		}
		s, err := b.shapeOf(t, schema)
		if err != nil {
			return err
		}
		for _, f := range s.fields {
			if err := b.bind(t.Field(f.index).Type, f.member); err != nil {
				return err
			}
		}
	}
	return nil
}

// encode writes v, a value of schema.
func (b *binder) encode(s smithy.ShapeSerializer, schema *smithy.Schema, v reflect.Value) error {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			s.WriteNil(schema)
			return nil
		}
		return b.encode(s, schema, v.Elem())
	case reflect.String:
		s.WriteString(schema, v.String())
	case reflect.Bool:
		s.WriteBool(schema, v.Bool())
	case reflect.Int8:
		s.WriteInt8(schema, int8(v.Int()))
	case reflect.Int16:
		s.WriteInt16(schema, int16(v.Int()))
	case reflect.Int32:
		s.WriteInt32(schema, int32(v.Int()))
	case reflect.Int64:
		s.WriteInt64(schema, v.Int())
	case reflect.Float32:
		s.WriteFloat32(schema, float32(v.Float()))
	case reflect.Float64:
		s.WriteFloat64(schema, v.Float())
	case reflect.Slice:
		return b.encodeList(s, schema, v)
	case reflect.Map:
		s.WriteMap(schema)
		for _, k := range sortedKeys(v) {
			s.WriteKey(schema.MapKey(), k.String())
			if err := b.encode(s, schema.MapValue(), v.MapIndex(k)); err != nil {
				return err
			}
		}
		s.CloseMap()
	case reflect.Struct:
		return b.encodeStruct(s, schema, v)
	case reflect.Interface:
		return b.encodeUnion(s, schema, v)
	default:
		return fmt.Errorf("%s has no form in %s", v.Type(), schema.ID())
	}
	return nil
}

func (b *binder) encodeList(s smithy.ShapeSerializer, schema *smithy.Schema, v reflect.Value) error {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		s.WriteBlob(schema, v.Bytes())
		return nil
	}
	s.WriteList(schema)
	for i := range v.Len() {
		if err := b.encode(s, schema.ListMember(), v.Index(i)); err != nil {
			return err
		}
	}
	s.CloseList()
	return nil
}

func (b *binder) encodeStruct(s smithy.ShapeSerializer, schema *smithy.Schema, v reflect.Value) error {
	switch x := v.Interface().(type) {
	case time.Time:
		s.WriteTime(schema, x)
		return nil
	case big.Int:
		s.WriteBigInt(schema, &x)
		return nil
	case big.Float:
		s.WriteBigFloat(schema, &x)
		return nil
	}
	s.WriteStruct(schema)
	if err := b.encodeMembers(s, schema, v); err != nil {
		return err
	}
	s.CloseStruct()
	return nil
}

// encodeMembers writes the members of struct v that are set.
func (b *binder) encodeMembers(s smithy.ShapeSerializer, schema *smithy.Schema, v reflect.Value) error {
	sh, err := b.shapeOf(v.Type(), schema)
	if err != nil {
		return err
	}
	for _, f := range sh.fields {
		fv := v.Field(f.index)
		if unset(fv) {
			continue
		}
		if err := b.encode(s, f.member, fv); err != nil {
			return err
		}
	}
	return nil
}

// unset reports whether a field is left out. Numbers and booleans by value never
// are: AWS writes runningCount: 0, and clients rely on it.
func unset(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
		return v.IsNil()
	case reflect.String:
		return v.Len() == 0
	}
	return false
}

// encodeUnion writes an interface: a document, or a union by its concrete type,
// which is *types.<Union>Member<Variant>{Value: …}.
func (b *binder) encodeUnion(s smithy.ShapeSerializer, schema *smithy.Schema, v reflect.Value) error {
	if d, ok := v.Interface().(document.Marshaler); ok {
		s.WriteDocument(schema, &document.Opaque{Value: d})
		return nil
	}
	concrete := v.Elem()
	if concrete.Kind() == reflect.Pointer {
		concrete = concrete.Elem()
	}
	name, ok := strings.CutPrefix(concrete.Type().Name(), v.Type().Name()+"Member")
	if !ok {
		return fmt.Errorf("%s is no variant of union %s", concrete.Type(), v.Type())
	}
	variant := memberOf(schema, name)
	if variant == nil {
		return fmt.Errorf("%s is no variant of %s", concrete.Type(), schema.ID())
	}
	s.WriteUnion(schema, variant)
	if err := b.encode(s, variant, concrete.FieldByName("Value")); err != nil {
		return err
	}
	s.CloseUnion()
	return nil
}

// memberOf returns the member that Go calls name.
func memberOf(schema *smithy.Schema, name string) *smithy.Schema {
	if m := schema.Member(name); m != nil {
		return m
	}
	for n, m := range schema.Members() {
		if upperFirst(n) == name {
			return m
		}
	}
	return nil
}

// decode reads a value of schema into v, which can be set. Types that the SDK can
// read are handed to its own code: it knows the variants of unions.
func (b *binder) decode(d smithy.ShapeDeserializer, schema *smithy.Schema, v reflect.Value) error {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return b.decode(d, schema, v.Elem())
	case reflect.String:
		var x string
		err := d.ReadString(schema, &x)
		v.SetString(x)
		return err
	case reflect.Bool:
		var x bool
		err := d.ReadBool(schema, &x)
		v.SetBool(x)
		return err
	case reflect.Int8:
		var x int8
		err := d.ReadInt8(schema, &x)
		v.SetInt(int64(x))
		return err
	case reflect.Int16:
		var x int16
		err := d.ReadInt16(schema, &x)
		v.SetInt(int64(x))
		return err
	case reflect.Int32:
		var x int32
		err := d.ReadInt32(schema, &x)
		v.SetInt(int64(x))
		return err
	case reflect.Int64:
		var x int64
		err := d.ReadInt64(schema, &x)
		v.SetInt(x)
		return err
	case reflect.Float32, reflect.Float64:
		var x float64
		err := d.ReadFloat64(schema, &x)
		v.SetFloat(x)
		return err
	case reflect.Slice:
		return b.decodeList(d, schema, v)
	case reflect.Map:
		return b.decodeMap(d, schema, v)
	case reflect.Struct:
		return b.decodeStruct(d, schema, v)
	case reflect.Interface:
		return b.decodeUnion(d, schema, v)
	}
	return fmt.Errorf("%s has no form in %s", v.Type(), schema.ID())
}

func (b *binder) decodeStruct(d smithy.ShapeDeserializer, schema *smithy.Schema, v reflect.Value) error {
	switch x := v.Addr().Interface().(type) {
	case *time.Time:
		return d.ReadTime(schema, x)
	case *big.Int:
		return d.ReadBigInt(schema, x)
	case *big.Float:
		return d.ReadBigFloat(schema, x)
	case smithy.Deserializable:
		return x.Deserialize(d)
	}
	sh, err := b.shapeOf(v.Type(), schema)
	if err != nil {
		return err
	}
	if schema == nil {
		schema = sh.schema
	}
	return smithy.ReadStruct(d, schema, func(m *smithy.Schema) error {
		if i, ok := sh.indexes[m]; ok {
			return b.decode(d, m, v.Field(i))
		}
		return nil
	})
}

func (b *binder) decodeList(d smithy.ShapeDeserializer, schema *smithy.Schema, v reflect.Value) error {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		var x []byte
		err := d.ReadBlob(schema, &x)
		v.SetBytes(x)
		return err
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	item := schema.ListMember()
	return smithy.ReadList(d, schema, func() error {
		v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
		if null, err := d.ReadNil(item); null || err != nil {
			return err
		}
		return b.decode(d, item, v.Index(v.Len()-1))
	})
}

func (b *binder) decodeMap(d smithy.ShapeDeserializer, schema *smithy.Schema, v reflect.Value) error {
	v.Set(reflect.MakeMap(v.Type()))
	value := schema.MapValue()
	return smithy.ReadMap(d, schema, func(key string) error {
		x := reflect.New(v.Type().Elem()).Elem()
		if null, err := d.ReadNil(value); err != nil {
			return err
		} else if !null {
			if err := b.decode(d, value, x); err != nil {
				return err
			}
		}
		v.SetMapIndex(reflect.ValueOf(key).Convert(v.Type().Key()), x)
		return nil
	})
}

// decodeUnion reads a union that is a member of an input itself.
func (b *binder) decodeUnion(d smithy.ShapeDeserializer, schema *smithy.Schema, v reflect.Value) error {
	return smithy.ReadUnion(d, schema, func(m *smithy.Schema) error {
		name := v.Type().Name() + "Member" + upperFirst(m.MemberName())
		for _, t := range b.unions {
			if t.Elem().Name() == name && t.Implements(v.Type()) {
				x := reflect.New(t.Elem())
				v.Set(x)
				return b.decode(d, m, x.Elem().FieldByName("Value"))
			}
		}
		return fmt.Errorf("%s is not among the description's unions", name)
	})
}

// upperFirst is how the SDK names the field of a member.
func upperFirst(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if unicode.IsUpper(r) {
		return s
	}
	return string(unicode.ToUpper(r)) + s[n:]
}
