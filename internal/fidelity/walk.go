package fidelity

import (
	"context"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Inputs returns the input struct of each operation that client has as a method
// of the SDK's form, func(context.Context, *XInput, …) (*XOutput, error), by the
// operation's name. A service that declares its own shapes gives its own value.
func Inputs(client any) map[string]reflect.Type {
	out := map[string]reflect.Type{}
	t := reflect.TypeOf(client)
	for i := range t.NumMethod() {
		m := t.Method(i)
		if in := inputOf(m); in != nil {
			out[m.Name] = in
		}
	}
	return out
}

var (
	contextType = reflect.TypeFor[context.Context]()
	errorType   = reflect.TypeFor[error]()
	timeType    = reflect.TypeFor[time.Time]()
)

// inputOf is the struct that an operation's method takes, nil for other methods.
func inputOf(m reflect.Method) reflect.Type {
	t := m.Type
	if t.NumIn() < 3 || t.In(1) != contextType || t.NumOut() != 2 || t.Out(1) != errorType {
		return nil
	}
	in, out := t.In(2), t.Out(0)
	if in.Kind() != reflect.Pointer || in.Elem().Kind() != reflect.Struct || in.Elem().Name() != m.Name+"Input" ||
		out.Kind() != reflect.Pointer || out.Elem().Name() != m.Name+"Output" {
		return nil
	}
	return in.Elem()
}

// leaves yields the paths of all leaves of an input's type, in the order of its
// fields, which the SDK keeps: required ones first, then by name.
func (l *Ledger) leaves(p string, t reflect.Type, above []reflect.Type, yield func(string)) {
	switch t.Kind() {
	case reflect.Pointer:
		l.leaves(p, t.Elem(), above, yield)
		return
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			break
		}
		l.leaves(p+"[]", t.Elem(), above, yield)
		return
	case reflect.Map:
		l.leaves(p+"{}", t.Elem(), above, yield)
		return
	case reflect.Struct:
		if t == timeType {
			break
		}
		for _, a := range above {
			if a == t {
				yield(p)
				return
			}
		}
		above = append(above[:len(above):len(above)], t)
		for _, m := range l.members(t) {
			l.leaves(p+"."+m.name, t.Field(m.index).Type, above, yield)
		}
		return
	}
	yield(p)
}

// member is a field of a struct that is a member of the shape.
type member struct {
	index int
	name  string // AWS's
}

// members returns the members of a struct, remembering them.
func (l *Ledger) members(t reflect.Type) []member {
	if m, ok := l.shapes.Load(t); ok {
		return m.([]member)
	}
	var out []member
	for i := range t.NumField() {
		if f := t.Field(i); f.IsExported() && f.Name != "ResultMetadata" {
			out = append(out, member{i, l.member(f.Name)})
		}
	}
	l.shapes.Store(t, out)
	return out
}

// member is AWS's name of a Go field.
func (l *Ledger) member(field string) string {
	if l.upper {
		return field
	}
	return strings.ToLower(field[:1]) + field[1:]
}

// Refusal is a field of a request that Berth does not have.
type Refusal struct {
	// Path is the field as the user wrote it: "containerDefinitions[1].secrets".
	Path   string
	Reason string
}

// Refusals returns the refused fields that a request sets, in the order of its
// fields. A field that is unset, false, an empty string or an empty list is as
// good as absent; a number is not, zero or other, nor is a structure of which
// all is refused. A field nobody decided about is refused too.
func (l *Ledger) Refusals(op string, in any) []Refusal {
	w := &walk{ledger: l, seen: map[string]bool{}}
	w.value(op, "", reflect.ValueOf(in), nil)
	return w.out
}

// walk goes through one request.
type walk struct {
	ledger *Ledger
	out    []Refusal
	seen   map[string]bool
}

// value visits v, whose path is p in the ledger's form and shown to the user as
// shown. above is the line of the nearest union or recursion that v is in.
func (w *walk) value(p, shown string, v reflect.Value, above *line) {
	switch v.Kind() {
	case reflect.Invalid:
		return
	case reflect.Pointer:
		switch {
		case v.IsNil():
			return
		case numeric(v.Elem().Kind()):
			w.leaf(p, shown, above)
			return
		case v.Elem().Kind() == reflect.Struct && v.Elem().IsZero() && shown != "":
			w.empty(p, shown, above)
			return
		}
		w.value(p, shown, v.Elem(), above)
	case reflect.Interface:
		if v.IsNil() {
			return
		}
		if n := w.field(p); n != nil {
			above = n
		}
		variant, ok := unionVariant(v)
		if !ok {
			w.leaf(p, shown, above)
			return
		}
		name := w.ledger.member(variant)
		w.element(p+"."+name, shown+"."+name, v.Elem().Elem().FieldByName("Value"), above)
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			if v.Len() > 0 {
				w.leaf(p, shown, above)
			}
			return
		}
		for i := range v.Len() {
			w.element(p+"[]", shown+"["+strconv.Itoa(i)+"]", v.Index(i), above)
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			w.element(p+"{}", shown+"{"+it.Key().String()+"}", it.Value(), above)
		}
	case reflect.Struct:
		if v.Type() == timeType {
			if !v.IsZero() {
				w.leaf(p, shown, above)
			}
			return
		}
		// A line for the struct itself is there where it leads back into itself.
		if n := w.field(p); n != nil {
			above = n
		}
		for _, m := range w.ledger.members(v.Type()) {
			f := v.Field(m.index)
			if f.IsZero() {
				continue
			}
			at := m.name
			if shown != "" {
				at = shown + "." + m.name
			}
			w.value(p+"."+m.name, at, f, above)
		}
	default:
		if !v.IsZero() {
			w.leaf(p, shown, above)
		}
	}
}

// element visits an item of a list or map: being there is being set.
func (w *walk) element(p, shown string, v reflect.Value, above *line) {
	switch v.Kind() {
	case reflect.Struct:
		if v.IsZero() {
			w.empty(p, shown, above)
			return
		}
		w.value(p, shown, v, above)
	case reflect.Slice, reflect.Map, reflect.Interface:
		w.value(p, shown, v, above)
	default:
		w.leaf(p, shown, above)
	}
}

// empty decides about a structure that is there with nothing in it: it is
// refused where a line refuses it, or all in it.
func (w *walk) empty(p, shown string, above *line) {
	if w.field(p) != nil || above != nil {
		w.leaf(p, shown, above)
	}
}

// field is the line that counts for a path, unless that is only an operation's.
func (w *walk) field(p string) *line {
	if n := w.ledger.decide(p); n != nil && len(n.segments) > 1 {
		return n
	}
	return nil
}

// leaf decides about a leaf that is set.
func (w *walk) leaf(p, shown string, above *line) {
	n := w.field(p)
	if n == nil {
		n = above
	}
	reason := "Berth does not know this field"
	switch {
	case n == nil:
	case n.verdict != Refused:
		return
	default:
		reason = n.reason
		shown = base(n, shown)
	}
	if !w.seen[shown] {
		w.seen[shown] = true
		w.out = append(w.out, Refusal{Path: shown, Reason: reason})
	}
}

// base cuts a shown path to what a pattern that ends in ".**" names. shown lacks
// the operation; indexes and keys in it don't have dots of a pattern's own.
func base(n *line, shown string) string {
	depth := len(n.segments) - 2 // without the operation and the "**"
	if n.wide != 1 || n.segments[len(n.segments)-1] != "**" || depth < 1 {
		return shown
	}
	inKey := 0
	for i, c := range shown {
		switch c {
		case '{':
			inKey++
		case '}':
			inKey--
		case '.':
			if inKey > 0 {
				continue
			}
			if depth--; depth == 0 {
				return shown[:i]
			}
		}
	}
	return shown
}

// unionVariant is the member's name in the type of a union's value, as in
// "Alb" of *types.GatewayConfigurationMemberAlb.
func unionVariant(v reflect.Value) (string, bool) {
	e := v.Elem()
	if e.Kind() != reflect.Pointer || e.IsNil() || e.Elem().Kind() != reflect.Struct || !e.Elem().FieldByName("Value").IsValid() {
		return "", false
	}
	union := v.Type().Name()
	variant, ok := strings.CutPrefix(e.Elem().Type().Name(), union+"Member")
	return variant, ok
}

func numeric(k reflect.Kind) bool {
	return k >= reflect.Int && k <= reflect.Float64
}

// Leaf is a field that an operation's input can set, and what was decided.
type Leaf struct {
	Path    string // "RunTask.overrides.containerOverrides[].command[]"
	Verdict Verdict
	Reason  string
	// Shown is how the field is named to a user who sets it: the part of it that
	// the line refuses as a whole, without the operation and indices.
	Shown string
}

// Leaves returns the leaves of an operation's input in the order of its fields,
// but for those nobody decided about, which Audit returns.
func (l *Ledger) Leaves(op string, in reflect.Type) []Leaf {
	var out []Leaf
	l.leaves(op, in, nil, func(p string) {
		if n := l.decide(p); n != nil {
			out = append(out, Leaf{p, n.verdict, n.reason, base(n, strings.TrimPrefix(p, op+"."))})
		}
	})
	return out
}
