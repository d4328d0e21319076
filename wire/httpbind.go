package wire

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/aws/smithy-go"
	smithytime "github.com/aws/smithy-go/time"
	"github.com/aws/smithy-go/traits"
)

// place is the part of an HTTP message that a member is in.
type place int

const (
	inBody place = iota
	inLabel
	inQuery
	inQueryParams // all parameters that no other member has
	inHeader
	inHeaders // all headers with a prefix
	inStatus
	inPayload // the whole body
)

// binding says which members of a struct are in which part of an HTTP message.
type binding struct {
	members []boundMember
	payload *field         // of the member that is the whole body, if there is one
	body    *smithy.Schema // of the members that no other part has
	fields  map[*smithy.Schema]int
}

type boundMember struct {
	field
	place place
	name  string // of the label, parameter or header, or the prefix
}

var (
	readerType     = reflect.TypeFor[io.Reader]()
	readCloserType = reflect.TypeFor[io.ReadCloser]()
)

// bindHTTP makes the binding of struct type t.
func (b *binder) bindHTTP(t reflect.Type) (*binding, error) {
	sh, err := b.shapeOf(t, nil)
	if err != nil {
		return nil, err
	}
	x := &binding{fields: map[*smithy.Schema]int{}}
	x.body = smithy.NewSchema(sh.schema.ID(), smithy.ShapeTypeStructure, len(sh.fields))
	for _, f := range sh.fields {
		p, name := placeOf(f.member)
		switch p {
		case inBody:
			// The same member: what is inside of it is found by its schema.
			x.body.Members()[f.member.MemberName()] = f.member
			x.fields[f.member] = f.index
		case inPayload:
			x.payload = &f
		default:
			x.members = append(x.members, boundMember{f, p, name})
		}
	}
	return x, nil
}

func placeOf(m *smithy.Schema) (place, string) {
	if _, ok := smithy.SchemaTrait[*traits.HTTPLabel](m); ok {
		return inLabel, m.MemberName()
	}
	if t, ok := smithy.SchemaTrait[*traits.HTTPQuery](m); ok {
		return inQuery, t.Name
	}
	if _, ok := smithy.SchemaTrait[*traits.HTTPQueryParams](m); ok {
		return inQueryParams, ""
	}
	if t, ok := smithy.SchemaTrait[*traits.HTTPHeader](m); ok {
		return inHeader, t.Name
	}
	if t, ok := smithy.SchemaTrait[*traits.HTTPPrefixHeaders](m); ok {
		return inHeaders, t.Prefix
	}
	if _, ok := smithy.SchemaTrait[*traits.HTTPResponseCode](m); ok {
		return inStatus, ""
	}
	if _, ok := smithy.SchemaTrait[*traits.HTTPPayload](m); ok {
		return inPayload, ""
	}
	return inBody, ""
}

// streams reports whether the payload is a stream of bytes, of struct type t.
func (x *binding) streams(t reflect.Type) bool {
	if x == nil || x.payload == nil {
		return false
	}
	ft := t.Field(x.payload.index).Type
	return ft == readerType || ft == readCloserType
}

// bindError is an error in a label, parameter or header, or in a payload of text.
type bindError struct{ name, value, want string }

func (e *bindError) Error() string {
	return fmt.Sprintf("Invalid value %q of %s: it can not be converted to %s", clip(e.value, maxName), e.name, e.want)
}

// read sets the members of in that are not in the body.
func (x *binding) read(r *request, in reflect.Value) error {
	var query url.Values
	for _, m := range x.members {
		var values []string
		switch m.place {
		case inLabel:
			if v, ok := r.labels[m.name]; ok {
				values = []string{v}
			}
		case inQuery, inQueryParams:
			if query == nil {
				var err error
				if query, err = url.ParseQuery(r.URL.RawQuery); err != nil {
					return &bindError{"the query", r.URL.RawQuery, "parameters"}
				}
			}
			if m.place == inQueryParams {
				x.readParams(query, in.Field(m.index))
				continue
			}
			values = query[m.name]
		case inHeader:
			values = headerValues(r.Request, m.name)
		case inHeaders:
			readPrefix(r.Header, m.name, in.Field(m.index))
			continue
		}
		if len(values) > 0 {
			if err := setText(in.Field(m.index), m, values); err != nil {
				return err
			}
		}
	}
	return nil
}

// headerValues includes those that net/http takes out of the headers.
func headerValues(r *http.Request, name string) []string {
	switch v := r.Header.Values(name); {
	case len(v) > 0:
		return v
	case strings.EqualFold(name, "Content-Length") && r.ContentLength >= 0:
		return []string{strconv.FormatInt(r.ContentLength, 10)}
	case strings.EqualFold(name, "Host"):
		return []string{r.Host}
	}
	return nil
}

// readParams fills a map, of strings or of lists of them, with the parameters that are
// not bound otherwise.
func (x *binding) readParams(query url.Values, v reflect.Value) {
	v.Set(reflect.MakeMap(v.Type()))
	for k, values := range query {
		bound := false
		for _, m := range x.members {
			bound = bound || m.place == inQuery && m.name == k
		}
		if bound {
			continue
		}
		x := reflect.ValueOf(values[0])
		if v.Type().Elem().Kind() == reflect.Slice {
			x = reflect.ValueOf(values)
		}
		v.SetMapIndex(reflect.ValueOf(k), x)
	}
}

// readPrefix fills a map with the headers that begin with prefix. Their names are in
// lower case, as HTTP does not tell cases apart.
func readPrefix(h http.Header, prefix string, v reflect.Value) {
	for k, values := range h {
		name, ok := strings.CutPrefix(strings.ToLower(k), strings.ToLower(prefix))
		if !ok || name == "" {
			continue
		}
		if v.IsNil() {
			v.Set(reflect.MakeMap(v.Type()))
		}
		v.SetMapIndex(reflect.ValueOf(name), reflect.ValueOf(strings.Join(values, ",")))
	}
}

// setText sets v, of member m, from the values that a part of the message has for it.
func setText(v reflect.Value, m boundMember, values []string) error {
	text := values[0]
	bad := func(want string) error { return &bindError{m.name, text, want} }
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return setText(v.Elem(), m, values)
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return bad("a boolean")
		}
		v.SetBool(text == "true")
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, v.Type().Bits())
		if err != nil {
			return bad("an integer")
		}
		v.SetInt(n)
	case reflect.Float32, reflect.Float64:
		f, err := strconv.ParseFloat(text, v.Type().Bits())
		if err != nil {
			return bad("a number")
		}
		v.SetFloat(f)
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			b, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				return bad("base64")
			}
			v.SetBytes(b)
			return nil
		}
		if m.place == inHeader {
			values = strings.Split(strings.Join(values, ","), ",")
		}
		list := reflect.MakeSlice(v.Type(), len(values), len(values))
		for i, x := range values {
			if err := setText(list.Index(i), m, []string{strings.TrimSpace(x)}); err != nil {
				return err
			}
		}
		v.Set(list)
	case reflect.Struct:
		t, err := parseTime(formatOf(m), text)
		if v.Type() != timeType || err != nil {
			return bad("a time")
		}
		v.Set(reflect.ValueOf(t))
	default:
		return fmt.Errorf("%s has no form in %s", v.Type(), m.name)
	}
	return nil
}

// formatOf is the format of a bound member that is a time.
func formatOf(m boundMember) string {
	if t, ok := smithy.SchemaTrait[*traits.TimestampFormat](m.member); ok {
		return t.Format
	}
	if m.place == inHeader {
		return "http-date"
	}
	return "date-time"
}

func parseTime(format, text string) (time.Time, error) {
	switch format {
	case "http-date":
		return smithytime.ParseHTTPDate(text)
	case "epoch-seconds":
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || !(f >= minSeconds && f <= maxSeconds) {
			return time.Time{}, fmt.Errorf("%s is no time", text)
		}
		return smithytime.ParseEpochSeconds(f), nil
	}
	return smithytime.ParseDateTime(text)
}

// write sets the headers of a response from the members of out, and returns its
// status, which is the operation's unless a member says otherwise.
func (x *binding) write(h http.Header, status int, out reflect.Value) (int, error) {
	for _, m := range x.members {
		v := out.Field(m.index)
		if unset(v) {
			continue
		}
		switch m.place {
		case inStatus:
			if n := reflect.Indirect(v).Int(); n != 0 {
				status = int(n)
			}
		case inHeaders:
			for _, k := range sortedKeys(v) {
				h[m.name+k.String()] = []string{v.MapIndex(k).String()} // in the letters that were given
			}
		case inHeader:
			text, err := textOf(v, m)
			if err != nil {
				return 0, err
			}
			h.Set(m.name, text)
		}
	}
	return status, nil
}

func textOf(v reflect.Value, m boundMember) (string, error) {
	switch v.Kind() {
	case reflect.Pointer:
		return textOf(v.Elem(), m)
	case reflect.String:
		return v.String(), nil
	case reflect.Bool:
		return strconv.FormatBool(v.Bool()), nil
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.FormatInt(v.Int(), 10), nil
	case reflect.Float32, reflect.Float64:
		return strconv.FormatFloat(v.Float(), 'g', -1, v.Type().Bits()), nil
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return base64.StdEncoding.EncodeToString(v.Bytes()), nil
		}
		var all []string
		for i := range v.Len() {
			s, err := textOf(v.Index(i), m)
			if err != nil {
				return "", err
			}
			all = append(all, s)
		}
		return strings.Join(all, ", "), nil
	case reflect.Struct:
		if t, ok := v.Interface().(time.Time); ok {
			switch formatOf(m) {
			case "http-date":
				return smithytime.FormatHTTPDate(t), nil
			case "epoch-seconds":
				return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', -1, 64), nil
			}
			return smithytime.FormatDateTime(t), nil
		}
	}
	return "", fmt.Errorf("%s has no form in the header %s", v.Type(), m.name)
}
