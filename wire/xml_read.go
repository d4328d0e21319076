package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/document"
	"github.com/aws/smithy-go/traits"
)

// errXML is S3's text for all that it can't read.
var errXML = errors.New("The XML you provided was not well-formed or did not validate against our published schema")

// xmlNode is an element, or an attribute, which has a text only.
type xmlNode struct {
	name     string
	text     string
	children []*xmlNode
	attrs    []*xmlNode
}

// parseXML reads one element and all that is in it.
func parseXML(body []byte) (*xmlNode, error) {
	d := xml.NewDecoder(bytes.NewReader(body))
	var stack []*xmlNode
	root := &xmlNode{}
	stack = append(stack, root)
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, errXML
		}
		top := stack[len(stack)-1]
		switch t := token.(type) {
		case xml.StartElement:
			if len(stack) > maxDepth {
				return nil, errXML
			}
			n := &xmlNode{name: t.Name.Local}
			for _, a := range t.Attr {
				n.attrs = append(n.attrs, &xmlNode{name: a.Name.Local, text: a.Value})
			}
			top.children = append(top.children, n)
			stack = append(stack, n)
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		case xml.CharData:
			top.text += string(t)
		case xml.Directive: // a document type, whose entities could be anything
			return nil, errXML
		}
	}
	if len(root.children) != 1 || strings.TrimSpace(root.text) != "" {
		return nil, errXML
	}
	return root.children[0], nil
}

// xmlReader reads a parsed element: unknown elements are skipped. The first error stays.
type xmlReader struct {
	nodes []*xmlNode // what is read next: the items of a flattened list, else one
	fresh bool       // whether it was not read yet
	stack []xmlReadFrame
	err   error
}

// xmlReadFrame is an open container: what of it is left.
type xmlReadFrame struct {
	members map[string]*smithy.Schema // of a struct, by name of the element
	attrs   map[string]*smithy.Schema
	left    []*xmlNode
	leftAtt []*xmlNode
}

// newXMLReader reads body, whose root element must be called root, unless that is empty.
func newXMLReader(body []byte, root string) (*xmlReader, error) {
	n, err := parseXML(body)
	if err != nil {
		return nil, err
	}
	if root != "" && n.name != root {
		return nil, errXML
	}
	r := &xmlReader{}
	r.give(n)
	return r, nil
}

func (r *xmlReader) close() error { return r.err }

func (r *xmlReader) give(n ...*xmlNode) { r.nodes, r.fresh = n, true }

func (r *xmlReader) fail(want string) error {
	if r.err == nil {
		r.err = fmt.Errorf("%w: <%s> can not be converted to %s", errXML, clip(r.nodes[0].name, maxName), want)
	}
	return r.err
}

// value returns the text of the next element.
func (r *xmlReader) value() string {
	r.fresh = false
	return r.nodes[0].text
}

func (r *xmlReader) integer(bits int) (int64, error) {
	n, err := strconv.ParseInt(strings.TrimSpace(r.value()), 10, bits)
	if err != nil {
		return 0, r.fail("an integer")
	}
	return n, r.err
}

func (r *xmlReader) float(bits int) (float64, error) {
	f, err := strconv.ParseFloat(strings.TrimSpace(r.value()), bits)
	if err != nil {
		return 0, r.fail("a number")
	}
	return f, r.err
}

func (r *xmlReader) ReadInt8(_ *smithy.Schema, v *int8) error {
	n, err := r.integer(8)
	*v = int8(n)
	return err
}

func (r *xmlReader) ReadInt16(_ *smithy.Schema, v *int16) error {
	n, err := r.integer(16)
	*v = int16(n)
	return err
}

func (r *xmlReader) ReadInt32(_ *smithy.Schema, v *int32) error {
	n, err := r.integer(32)
	*v = int32(n)
	return err
}

func (r *xmlReader) ReadInt64(_ *smithy.Schema, v *int64) error {
	n, err := r.integer(64)
	*v = n
	return err
}

func (r *xmlReader) ReadFloat32(_ *smithy.Schema, v *float32) error {
	f, err := r.float(32)
	*v = float32(f)
	return err
}

func (r *xmlReader) ReadFloat64(_ *smithy.Schema, v *float64) error {
	f, err := r.float(64)
	*v = f
	return err
}

func (r *xmlReader) ReadBool(_ *smithy.Schema, v *bool) error {
	switch strings.TrimSpace(r.value()) {
	case "true", "1":
		*v = true
	case "false", "0":
		*v = false
	default:
		return r.fail("a boolean")
	}
	return r.err
}

func (r *xmlReader) ReadString(_ *smithy.Schema, v *string) error {
	if len(r.nodes[0].children) > 0 {
		return r.fail("a string")
	}
	*v = r.value()
	return r.err
}

func (r *xmlReader) ReadBlob(_ *smithy.Schema, v *[]byte) error {
	b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(r.value()))
	if err != nil {
		return r.fail("base64")
	}
	*v = b
	return r.err
}

func (r *xmlReader) ReadTime(s *smithy.Schema, v *time.Time) error {
	format := "date-time"
	if t, ok := smithy.SchemaTrait[*traits.TimestampFormat](s); ok {
		format = t.Format
	}
	t, err := parseTime(format, strings.TrimSpace(r.value()))
	if err != nil {
		return r.fail("a time")
	}
	*v = t
	return r.err
}

func (r *xmlReader) ReadBigInt(_ *smithy.Schema, v *big.Int) error {
	if _, ok := v.SetString(strings.TrimSpace(r.value()), 10); !ok {
		return r.fail("an integer")
	}
	return r.err
}

func (r *xmlReader) ReadBigFloat(_ *smithy.Schema, v *big.Float) error {
	if _, ok := v.SetString(strings.TrimSpace(r.value())); !ok {
		return r.fail("a number")
	}
	return r.err
}

// ReadNil: XML says null by leaving out.
func (r *xmlReader) ReadNil(*smithy.Schema) (bool, error) { return false, r.err }

// elementName is the name of a member's elements, which for a flattened list is that
// of its items where they have one.
func elementName(m *smithy.Schema) string {
	if _, flat := smithy.SchemaTrait[*traits.XMLFlattened](m); flat {
		if t, ok := smithy.SchemaDirectTrait[*traits.XMLName](m.ListMember()); ok {
			return t.Name
		}
	}
	if t, ok := smithy.SchemaDirectTrait[*traits.XMLName](m); ok {
		return t.Name
	}
	return m.MemberName()
}

func (r *xmlReader) ReadStruct(s *smithy.Schema) error {
	n := r.nodes[0]
	r.fresh = false
	if strings.TrimSpace(n.text) != "" {
		return r.fail("a structure")
	}
	f := xmlReadFrame{members: map[string]*smithy.Schema{}, attrs: map[string]*smithy.Schema{}, left: n.children, leftAtt: n.attrs}
	for _, m := range s.Members() {
		if _, ok := smithy.SchemaTrait[*traits.XMLAttribute](m); ok {
			name := elementName(m)
			f.attrs[name[strings.IndexByte(name, ':')+1:]] = m
			continue
		}
		f.members[elementName(m)] = m
	}
	r.stack = append(r.stack, f)
	return r.err
}

func (r *xmlReader) ReadStructMember() (*smithy.Schema, error) {
	if r.err != nil {
		return nil, r.err
	}
	top := &r.stack[len(r.stack)-1]
	for len(top.leftAtt) > 0 {
		n := top.leftAtt[0]
		top.leftAtt = top.leftAtt[1:]
		if m := top.attrs[n.name]; m != nil {
			r.give(n)
			return m, nil
		}
	}
	for len(top.left) > 0 {
		n := top.left[0]
		top.left = top.left[1:]
		m := top.members[n.name]
		if m == nil {
			continue
		}
		if _, flat := smithy.SchemaTrait[*traits.XMLFlattened](m); !flat {
			r.give(n)
			return m, nil
		}
		// All its items are one member, wherever they are.
		items, others := []*xmlNode{n}, []*xmlNode(nil)
		for _, x := range top.left {
			if x.name == n.name {
				items = append(items, x)
			} else {
				others = append(others, x)
			}
		}
		top.left = others
		r.give(items...)
		return m, nil
	}
	r.pop()
	return nil, nil
}

func (r *xmlReader) pop() {
	r.stack = r.stack[:len(r.stack)-1]
	r.fresh = false
}

// ReadUnion opens the union at the first call, when its element was not read yet.
func (r *xmlReader) ReadUnion(s *smithy.Schema) (*smithy.Schema, error) {
	if r.fresh {
		if err := r.ReadStruct(s); err != nil {
			return nil, err
		}
	}
	return r.ReadStructMember()
}

func (r *xmlReader) ReadList(s *smithy.Schema) error {
	r.fresh = false
	items := r.nodes
	if _, flat := smithy.SchemaTrait[*traits.XMLFlattened](s); !flat {
		items = r.nodes[0].children
		for _, n := range items {
			if n.name != elementName(s.ListMember()) {
				return r.fail("a list")
			}
		}
	}
	r.stack = append(r.stack, xmlReadFrame{left: items})
	return r.err
}

func (r *xmlReader) ReadListItem(*smithy.Schema) (bool, error) {
	if r.err != nil {
		return false, r.err
	}
	top := &r.stack[len(r.stack)-1]
	if len(top.left) == 0 {
		r.pop()
		return false, nil
	}
	r.give(top.left[0])
	top.left = top.left[1:]
	return true, nil
}

// ReadMap reads <entry><key>…</key><value>…</value></entry>….
func (r *xmlReader) ReadMap(*smithy.Schema) error {
	r.fresh = false
	r.stack = append(r.stack, xmlReadFrame{left: r.nodes[0].children})
	return r.err
}

func (r *xmlReader) ReadMapKey(s *smithy.Schema) (string, bool, error) {
	if r.err != nil {
		return "", false, r.err
	}
	top := &r.stack[len(r.stack)-1]
	if len(top.left) == 0 {
		r.pop()
		return "", false, nil
	}
	entry := top.left[0]
	top.left = top.left[1:]
	key, value := "", (*xmlNode)(nil)
	for _, n := range entry.children {
		switch n.name {
		case "key":
			key = n.text
		case "value":
			value = n
		}
	}
	if value == nil {
		r.nodes = []*xmlNode{entry}
		return "", false, r.fail("an entry with key and value")
	}
	r.give(value)
	return key, true, nil
}

// ReadDocument: the protocol has no documents.
func (r *xmlReader) ReadDocument(*smithy.Schema, *document.Value) error { return r.fail("a document") }
