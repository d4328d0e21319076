package wire

import (
	"fmt"
	"math"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// constraint is what the model says of a shape. Shapes that say nothing, and lead
// to none that do, are not in the data.
type constraint struct {
	Type     string            `json:"type"`
	Required []string          `json:"required,omitempty"`
	Members  map[string]string `json:"members,omitempty"` // member → shape
	Member   string            `json:"member,omitempty"`  // of a list
	Key      string            `json:"key,omitempty"`     // of a map
	Value    string            `json:"value,omitempty"`
	Min      *float64          `json:"min,omitempty"` // of a length, or of a number
	Max      *float64          `json:"max,omitempty"`
	Pattern  string            `json:"pattern,omitempty"`
	Enum     []string          `json:"enum,omitempty"`
}

// rules checks the inputs of one service.
type rules struct {
	code   string            // of the error
	inputs map[string]string // operation → shape
	shapes map[string]*rule
}

type rule struct {
	constraint
	members []memberRule // sorted by name
	regexp  *regexp.Regexp
}

type memberRule struct {
	name, field, shape string
	required           bool
}

// unicodeEscape is Java's \u0009, which Go writes \x{0009}.
var unicodeEscape = regexp.MustCompile(`\\u([0-9A-Fa-f]{4})`)

func newRules(m *model, code string) (*rules, error) {
	r := &rules{code: code, inputs: m.Inputs, shapes: map[string]*rule{}}
	for name, c := range m.Shapes {
		x := &rule{constraint: c}
		if c.Pattern != "" {
			re, err := regexp.Compile(`^(?:` + unicodeEscape.ReplaceAllString(c.Pattern, `\x{$1}`) + `)$`)
			if err != nil {
				return nil, fmt.Errorf("pattern of %s: %w", name, err)
			}
			x.regexp = re
		}
		names := slices.Clone(c.Required)
		for n := range c.Members {
			names = append(names, n)
		}
		slices.Sort(names)
		for _, n := range slices.Compact(names) {
			x.members = append(x.members, memberRule{n, upperFirst(n), c.Members[n], slices.Contains(c.Required, n)})
		}
		r.shapes[name] = x
	}
	return r, nil
}

// check returns AWS's standing answer to an input that breaks rules of the model,
// which names all of them: "2 validation errors detected: Value null at …; Value …".
func (r *rules) check(op string, in reflect.Value) error {
	var broken []string
	r.walk(r.shapes[r.inputs[op]], in, "", &broken)
	switch len(broken) {
	case 0:
		return nil
	case 1:
		broken[0] = "1 validation error detected: " + broken[0]
	default:
		broken[0] = strconv.Itoa(len(broken)) + " validation errors detected: " + broken[0]
	}
	return &answer{status: http.StatusBadRequest, code: r.code, message: strings.Join(broken, "; ")}
}

// walk checks v, which is not nil, at path.
func (r *rules) walk(c *rule, v reflect.Value, path string, broken *[]string) {
	if c == nil {
		return
	}
	v = reflect.Indirect(v)
	switch v.Kind() {
	case reflect.Struct:
		r.members(c, v, path, broken)
	case reflect.Slice:
		c.size(v.Len(), v, path, broken)
		for i := range v.Len() {
			r.walk(r.shapes[c.Member], v.Index(i), path+"."+strconv.Itoa(i+1)+".member", broken)
		}
	case reflect.Map:
		c.size(v.Len(), v, path, broken)
		for _, k := range sortedKeys(v) {
			r.walk(r.shapes[c.Key], k, path, broken)
			r.walk(r.shapes[c.Value], v.MapIndex(k), path+"."+k.String()+".member", broken)
		}
	case reflect.String:
		c.text(v, path, broken)
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		c.number(float64(v.Int()), v, path, broken)
	case reflect.Float32, reflect.Float64:
		c.number(v.Float(), v, path, broken)
	}
}

func (r *rules) members(c *rule, v reflect.Value, path string, broken *[]string) {
	for _, m := range c.members {
		f := v.FieldByName(m.field)
		if !f.IsValid() { // newer in the data than in the SDK
			continue
		}
		at := lowerFirst(m.name)
		if path != "" {
			at = path + "." + at
		}
		switch {
		case unset(f):
			if m.required {
				*broken = append(*broken, "Value null at '"+at+"' failed to satisfy constraint: Member must not be null")
			}
		case f.CanInt() && f.IsZero(): // by value: cannot be told from unset
		default:
			r.walk(r.shapes[m.shape], f, at, broken)
		}
	}
}

// size checks a length.
func (c *rule) size(n int, v reflect.Value, path string, broken *[]string) {
	if c.Min != nil && n < int(*c.Min) {
		fail(v, path, broken, "have length greater than or equal to "+bound(*c.Min))
	}
	if c.Max != nil && n > int(*c.Max) {
		fail(v, path, broken, "have length less than or equal to "+bound(*c.Max))
	}
}

func (c *rule) text(v reflect.Value, path string, broken *[]string) {
	s := v.String()
	c.size(utf8.RuneCountInString(s), v, path, broken)
	if c.regexp != nil && !c.regexp.MatchString(s) {
		fail(v, path, broken, "satisfy regular expression pattern: "+c.Pattern)
	}
	if c.Enum != nil && !slices.Contains(c.Enum, s) {
		fail(v, path, broken, "satisfy enum value set: ["+strings.Join(c.Enum, ", ")+"]")
	}
}

func (c *rule) number(n float64, v reflect.Value, path string, broken *[]string) {
	if c.Min != nil && n < *c.Min {
		fail(v, path, broken, "have value greater than or equal to "+bound(*c.Min))
	}
	if c.Max != nil && n > *c.Max {
		fail(v, path, broken, "have value less than or equal to "+bound(*c.Max))
	}
}

func bound(f float64) string {
	if f == math.Trunc(f) {
		return strconv.FormatInt(int64(f), 10)
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

// maxShown is how many bytes of a refused value are told back.
const maxShown = 2048

func fail(v reflect.Value, path string, broken *[]string, must string) {
	*broken = append(*broken, "Value '"+clip(show(v), maxShown)+"' at '"+path+"' failed to satisfy constraint: Member must "+must)
}

// show writes a value as Java does: [a, b] and {k=v}.
func show(v reflect.Value) string {
	v = reflect.Indirect(v)
	switch v.Kind() {
	case reflect.Invalid:
		return "null"
	case reflect.Slice:
		items := make([]string, min(v.Len(), maxShown))
		for i := range items {
			items[i] = show(v.Index(i))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case reflect.Map:
		var items []string
		for _, k := range sortedKeys(v) {
			items = append(items, k.String()+"="+show(v.MapIndex(k)))
		}
		return "{" + strings.Join(items, ", ") + "}"
	case reflect.Struct:
		var items []string
		for i := range v.NumField() {
			if f := v.Type().Field(i); isMember(f) && !unset(v.Field(i)) {
				items = append(items, lowerFirst(f.Name)+"="+show(v.Field(i)))
			}
		}
		return v.Type().Name() + "(" + strings.Join(items, ", ") + ")"
	}
	if v.CanInterface() {
		return fmt.Sprint(v.Interface())
	}
	return v.String()
}

func sortedKeys(v reflect.Value) []reflect.Value {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	return keys
}
