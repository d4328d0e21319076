package wire

import (
	"encoding/base64"
	"fmt"
	"math/big"
	"net/url"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/document"
	smithytime "github.com/aws/smithy-go/time"
	"github.com/aws/smithy-go/traits"
)

// formTree is a form as a tree: Filter.1.Name=x is the child "Filter", its child
// "1" and so on.
type formTree struct {
	name     string
	path     string // the whole parameter's name up to here
	value    string
	children []*formTree
	read     bool // asked for by a reader
}

// maxParameters bounds the work of one form.
const maxParameters = 20000

// parseForm reads a form body. The error is the client's.
func parseForm(body string) (formTree, error) {
	root := formTree{}
	if strings.Count(body, "&") > maxParameters {
		return root, fmt.Errorf("The request has more than %d parameters", maxParameters)
	}
	index := map[string]*formTree{"": &root}
	for body != "" {
		var pair string
		pair, body, _ = strings.Cut(body, "&")
		if pair == "" {
			continue
		}
		k, v, _ := strings.Cut(pair, "=")
		key, err := url.QueryUnescape(k)
		if err != nil {
			return root, fmt.Errorf("The parameter name %s is not URL-encoded", strconv.Quote(clip(k, maxShown)))
		}
		value, err := url.QueryUnescape(v)
		if err != nil {
			return root, fmt.Errorf("The value of parameter %s is not URL-encoded", clip(key, maxShown))
		}
		if !utf8.ValidString(key) || !utf8.ValidString(value) {
			return root, fmt.Errorf("The parameter %s is not valid UTF-8", strconv.QuoteToASCII(clip(key, maxShown)))
		}
		if strings.Count(key, ".") > maxDepth {
			return root, fmt.Errorf("The parameter %s is nested too deeply", clip(key, 64))
		}
		node(index, key).value = value
	}
	return root, nil
}

// node returns the node of key, making it and its parents.
func node(index map[string]*formTree, key string) *formTree {
	if n := index[key]; n != nil {
		return n
	}
	parent, name := index[""], key
	if i := strings.LastIndexByte(key, '.'); i >= 0 && key[:i] != "" {
		parent, name = node(index, key[:i]), key[i+1:]
	}
	n := &formTree{name: name, path: key}
	parent.children = append(parent.children, n)
	index[key] = n
	return n
}

func (t *formTree) child(name string) *formTree {
	for _, c := range t.children {
		if c.name == name {
			return c
		}
	}
	return nil
}

// take returns the value of a top-level parameter and marks it read.
func (t *formTree) take(name string) string {
	if c := t.child(name); c != nil {
		c.read = true
		return c.value
	}
	return ""
}

// items returns the numbered children in the order of their numbers.
func (t *formTree) items() []*formTree {
	var items []*formTree
	numbers := map[*formTree]int{}
	for _, c := range t.children {
		if n, err := strconv.Atoi(c.name); err == nil && n >= 0 {
			items = append(items, c)
			numbers[c] = n
		}
	}
	sort.SliceStable(items, func(i, j int) bool { return numbers[items[i]] < numbers[items[j]] })
	return items
}

// formReader reads a form with the names of one of the query protocols.
type formReader struct {
	ec2   bool
	root  *formTree
	at    *formTree // the value that the next Read reads
	stack []formFrame
	err   error
}

func newFormReader(root *formTree, ec2 bool) *formReader {
	return &formReader{ec2: ec2, root: root, at: root}
}

type formFrame struct {
	node    *formTree
	schema  *smithy.Schema
	members map[string]*smithy.Schema // of a struct, by name in the form
	todo    []*formTree
	union   bool
}

// close refuses, in EC2's syntax, parameters that no Read asked for: EC2 does so,
// the other services don't mind them.
func (r *formReader) close() error {
	if r.err == nil && r.ec2 {
		if n := r.root.unread(); n != nil {
			r.err = &unknownParameter{n.path}
		}
	}
	return r.err
}

// unread returns a node under t that was not asked for.
func (t *formTree) unread() *formTree {
	for _, c := range t.children {
		if !c.read {
			return c
		}
		if n := c.unread(); n != nil {
			return n
		}
	}
	return nil
}

// formError is a client's error that names the parameter.
type formError struct{ path, text string }

func (e *formError) Error() string { return e.text }

// mismatch is the error of a value that is not of the member's kind.
func (r *formReader) mismatch(want string) error {
	if r.err == nil {
		r.err = &formError{r.at.path, fmt.Sprintf("Value (%s) for parameter %s is invalid. Expected %s", clip(r.at.value, maxShown), clip(r.at.path, maxShown), want)}
	}
	return r.err
}

func (r *formReader) integer(bits int) (int64, error) {
	n, err := strconv.ParseInt(r.at.value, 10, bits)
	if err != nil {
		return 0, r.mismatch("an integer")
	}
	return n, r.err
}

func (r *formReader) ReadInt8(_ *smithy.Schema, v *int8) error {
	n, err := r.integer(8)
	*v = int8(n)
	return err
}

func (r *formReader) ReadInt16(_ *smithy.Schema, v *int16) error {
	n, err := r.integer(16)
	*v = int16(n)
	return err
}

func (r *formReader) ReadInt32(_ *smithy.Schema, v *int32) error {
	n, err := r.integer(32)
	*v = int32(n)
	return err
}

func (r *formReader) ReadInt64(_ *smithy.Schema, v *int64) error {
	n, err := r.integer(64)
	*v = n
	return err
}

func (r *formReader) ReadFloat32(s *smithy.Schema, v *float32) error {
	var f float64
	err := r.ReadFloat64(s, &f)
	*v = float32(f)
	return err
}

func (r *formReader) ReadFloat64(_ *smithy.Schema, v *float64) error {
	f, err := strconv.ParseFloat(r.at.value, 64)
	if err != nil {
		return r.mismatch("a number")
	}
	*v = f
	return r.err
}

// ReadBool takes true and false in any case: Terraform and old tools write True.
func (r *formReader) ReadBool(_ *smithy.Schema, v *bool) error {
	switch {
	case strings.EqualFold(r.at.value, "true"):
		*v = true
	case strings.EqualFold(r.at.value, "false"):
		*v = false
	default:
		return r.mismatch("a boolean")
	}
	return r.err
}

func (r *formReader) ReadString(_ *smithy.Schema, v *string) error {
	*v = r.at.value
	return r.err
}

func (r *formReader) ReadBlob(_ *smithy.Schema, v *[]byte) error {
	b, err := base64.StdEncoding.DecodeString(r.at.value)
	if err != nil {
		return r.mismatch("base64")
	}
	*v = b
	return r.err
}

func (r *formReader) ReadTime(_ *smithy.Schema, v *time.Time) error {
	t, err := smithytime.ParseDateTime(r.at.value)
	if err != nil {
		return r.mismatch("a timestamp")
	}
	*v = t
	return r.err
}

func (r *formReader) ReadBigInt(_ *smithy.Schema, v *big.Int) error {
	if _, ok := v.SetString(r.at.value, 10); !ok {
		return r.mismatch("an integer")
	}
	return r.err
}

func (r *formReader) ReadBigFloat(_ *smithy.Schema, v *big.Float) error {
	if _, ok := v.SetString(r.at.value); !ok {
		return r.mismatch("a number")
	}
	return r.err
}

// ReadNil: a form has no null.
func (r *formReader) ReadNil(*smithy.Schema) (bool, error) { return false, r.err }

// ReadDocument: the query protocols have no documents.
func (r *formReader) ReadDocument(*smithy.Schema, *document.Value) error {
	return r.mismatch("no document")
}

func (r *formReader) ReadStruct(s *smithy.Schema) error {
	if r.err != nil {
		return r.err
	}
	f := formFrame{node: r.at, schema: s, todo: r.at.children, members: make(map[string]*smithy.Schema, len(s.Members()))}
	for _, m := range s.Members() {
		f.members[r.formName(m)] = m
	}
	r.stack = append(r.stack, f)
	return nil
}

// formName is the name of a member in a form. EC2's rule: the ec2QueryName, else
// the xmlName with a capital, else the name with a capital. awsQuery's: the xmlName
// or the name.
func (r *formReader) formName(m *smithy.Schema) string {
	if r.ec2 {
		if t, ok := smithy.SchemaDirectTrait[*traits.EC2QueryName](m); ok {
			return t.Name
		}
	}
	name := m.MemberName()
	if t, ok := smithy.SchemaDirectTrait[*traits.XMLName](m); ok {
		name = t.Name
	}
	if r.ec2 {
		return upperFirst(name)
	}
	return name
}

// pop leaves a container; the value at hand is then the container itself.
func (r *formReader) pop() {
	top := len(r.stack) - 1
	r.at = r.stack[top].node
	r.stack = r.stack[:top]
}

func (r *formReader) ReadStructMember() (*smithy.Schema, error) {
	f := &r.stack[len(r.stack)-1]
	for r.err == nil && len(f.todo) > 0 {
		c := f.todo[0]
		f.todo = f.todo[1:]
		if m := f.members[c.name]; m != nil {
			c.read = true
			r.at = c
			return m, nil
		}
	}
	r.pop()
	return nil, r.err
}

// unknownParameter is EC2's refusal of a parameter.
type unknownParameter struct{ name string }

func (e *unknownParameter) Error() string {
	return fmt.Sprintf("The parameter %s is not recognized", clip(e.name, maxShown))
}

func (r *formReader) ReadUnion(s *smithy.Schema) (*smithy.Schema, error) {
	if top := len(r.stack) - 1; top < 0 || !r.stack[top].union || r.stack[top].schema != s {
		if err := r.ReadStruct(s); err != nil {
			return nil, err
		}
		r.stack[len(r.stack)-1].union = true
	}
	return r.ReadStructMember()
}

// ReadList finds the items: Name.1 in EC2 and in flattened lists, else
// Name.member.1 or Name.<item's name>.1. "Name=" is an empty list.
func (r *formReader) ReadList(s *smithy.Schema) error {
	if r.err != nil {
		return r.err
	}
	at := r.at
	_, flat := smithy.SchemaTrait[*traits.XMLFlattened](s)
	if !r.ec2 && !flat {
		item := "member"
		if t, ok := smithy.SchemaDirectTrait[*traits.XMLName](s.ListMember()); ok {
			item = t.Name
		}
		if c := at.child(item); c != nil {
			at = c
		}
	}
	items := at.items()
	if len(items) == 0 && (at.value != "" || len(at.children) > 0) {
		return r.mismatch("a list with numbered members")
	}
	r.stack = append(r.stack, formFrame{node: r.at, todo: items})
	return nil
}

func (r *formReader) ReadListItem(*smithy.Schema) (bool, error) {
	f := &r.stack[len(r.stack)-1]
	if r.err != nil || len(f.todo) == 0 {
		r.pop()
		return false, r.err
	}
	r.at = f.todo[0]
	r.at.read = true
	f.todo = f.todo[1:]
	return true, nil
}

// ReadMap finds the entries: Name.entry.1.key and Name.entry.1.value.
func (r *formReader) ReadMap(s *smithy.Schema) error {
	if r.err != nil {
		return r.err
	}
	at := r.at
	if c := at.child("entry"); c != nil {
		at = c
	}
	r.stack = append(r.stack, formFrame{node: r.at, schema: s, todo: at.items()})
	return nil
}

func (r *formReader) ReadMapKey(*smithy.Schema) (string, bool, error) {
	f := &r.stack[len(r.stack)-1]
	if r.err != nil || len(f.todo) == 0 {
		r.pop()
		return "", false, r.err
	}
	entry := f.todo[0]
	f.todo = f.todo[1:]
	k, v := entry.child("key"), entry.child("value")
	r.at = entry
	if k == nil || v == nil {
		return "", false, r.mismatch("an entry with key and value")
	}
	r.at = v
	return k.value, true, nil
}
