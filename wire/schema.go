package wire

import (
	"cmp"
	"reflect"
	"unicode"
	"unicode/utf8"

	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/traits"
)

// wireName is how a member is named where that differs from the rule.
type wireName struct {
	Query string `json:"query,omitempty"` // in a form
	XML   string `json:"xml,omitempty"`   // in a response
	Item  string `json:"item,omitempty"`  // the items of a list in a response

	// Of the REST syntaxes: in "uri", "querystring", "header", "headers", "statusCode" or
	// "payload", of the name XML there.
	In   string `json:"in,omitempty"`
	Flat bool   `json:"flat,omitempty"` // the list has no element of its own
	Attr bool   `json:"attr,omitempty"` // the member is an attribute
	Time string `json:"time,omitempty"` // the format, as in Smithy
}

// traits are what the SDK's schemas would say.
func (n wireName) traits(field string) []smithy.Trait {
	var ts []smithy.Trait
	wire := cmp.Or(n.XML, field)
	switch n.In {
	case "uri":
		ts = append(ts, &traits.HTTPLabel{})
	case "querystring":
		ts = append(ts, &traits.HTTPQuery{Name: wire})
	case "header":
		ts = append(ts, &traits.HTTPHeader{Name: wire})
	case "headers":
		ts = append(ts, &traits.HTTPPrefixHeaders{Prefix: wire})
	case "statusCode":
		ts = append(ts, &traits.HTTPResponseCode{})
	case "payload":
		ts = append(ts, &traits.HTTPPayload{})
	}
	if n.XML != "" {
		ts = append(ts, &traits.XMLName{Name: n.XML})
	}
	if n.Query != "" {
		ts = append(ts, &traits.EC2QueryName{Name: n.Query})
	}
	if n.Flat {
		ts = append(ts, &traits.XMLFlattened{})
	}
	if n.Attr {
		ts = append(ts, &traits.XMLAttribute{})
	}
	if n.Time != "" {
		ts = append(ts, &traits.TimestampFormat{Format: n.Time})
	}
	return ts
}

// schemaOf returns the schema of struct type t: the SDK's, where its module has
// them, else one made up from the fields of t by the naming rules of the query
// protocols and the names of the service's data file. Empty inputs and outputs have
// no schema in the SDK either.
func (b *binder) schemaOf(t reflect.Type) *smithy.Schema {
	if x, ok := reflect.New(t).Interface().(smithy.Serializable); ok {
		p := &probe{}
		if x.Serialize(p); p.schema != nil {
			return p.schema
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.makeSchema(t)
}

// probe keeps the schema with which a value opens. It is given zero values, which
// write few members, and forgets those.
type probe struct {
	jsonWriter
	schema *smithy.Schema
}

func (p *probe) WriteStruct(s *smithy.Schema) {
	if p.schema == nil {
		p.schema = s
	}
}

func (p *probe) CloseStruct() {}

// makeSchema makes the schema of any type. Those of structs are kept, before their
// members are added: structs may contain themselves.
func (b *binder) makeSchema(t reflect.Type) *smithy.Schema {
	if t.Kind() == reflect.Pointer {
		return b.makeSchema(t.Elem())
	}
	if s, ok := b.schemas[t]; ok {
		return s
	}
	s := smithy.NewSchema(smithy.ShapeID{Namespace: "berth", Name: t.Name()}, shapeType(t), t.NumMethod())
	switch t.Kind() {
	case reflect.Struct:
		if t == timeType {
			break
		}
		b.schemas[t] = s
		for i := range t.NumField() {
			if f := t.Field(i); isMember(f) {
				b.addMember(s, t, f)
			}
		}
	case reflect.Slice:
		s.AddMember("member", b.makeSchema(t.Elem()))
	case reflect.Map:
		s.AddMember("key", b.makeSchema(t.Key()))
		s.AddMember("value", b.makeSchema(t.Elem()))
	}
	return s
}

// addMember adds field f of struct t. The rule of awsQuery is the field's own name
// in both directions, with <member> for items; that of EC2 is a small first letter
// in responses, with <item>.
func (b *binder) addMember(s *smithy.Schema, t reflect.Type, f reflect.StructField) {
	name := b.names[t.Name()][f.Name]
	target := b.makeSchema(f.Type)
	if f.Type.Kind() == reflect.Slice && name.Item != "" {
		target = smithy.NewSchema(target.ID(), smithy.ShapeTypeList, 1)
		target.AddMember("member", b.makeSchema(f.Type.Elem()), &traits.XMLName{Name: name.Item})
	}
	s.AddMember(f.Name, target, name.traits(f.Name)...)
}

func shapeType(t reflect.Type) smithy.ShapeType {
	switch t.Kind() {
	case reflect.Bool:
		return smithy.ShapeTypeBoolean
	case reflect.Int32:
		return smithy.ShapeTypeInteger
	case reflect.Int64:
		return smithy.ShapeTypeLong
	case reflect.Float32:
		return smithy.ShapeTypeFloat
	case reflect.Float64:
		return smithy.ShapeTypeDouble
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return smithy.ShapeTypeBlob
		}
		return smithy.ShapeTypeList
	case reflect.Map:
		return smithy.ShapeTypeMap
	case reflect.Struct:
		if t == timeType {
			return smithy.ShapeTypeTimestamp
		}
		return smithy.ShapeTypeStructure
	case reflect.Interface:
		if t == readerType || t == readCloserType {
			return smithy.ShapeTypeBlob
		}
		return smithy.ShapeTypeUnion
	}
	return smithy.ShapeTypeString
}

// lowerFirst is how EC2 names the element of a member.
func lowerFirst(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToLower(r)) + s[n:]
}
