package pattern

import (
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/berth/berth/api/logs/event"
)

// condition is a node of a JSON pattern's expression.
type condition interface{ holds(event gjson.Result) bool }

type (
	either []condition
	both   []condition
	// compare is a selector and a test of its value.
	compare struct {
		path []step
		test
	}
	// is tests for null, true or false.
	is struct {
		path []step
		kind gjson.Type
	}
	missing struct{ path []step }
)

// step is a property's name or an array's index.
type step struct {
	name  string
	index int // where name is ""
}

// matchJSON applies the condition to a message that is a JSON object; others do
// not match.
func matchJSON(c condition, message string) bool {
	object, ok := event.Object(message)
	return ok && c.holds(object)
}

func (e either) holds(event gjson.Result) bool {
	for _, c := range e {
		if c.holds(event) {
			return true
		}
	}
	return false
}

func (b both) holds(event gjson.Result) bool {
	for _, c := range b {
		if !c.holds(event) {
			return false
		}
	}
	return true
}

func (c *compare) holds(event gjson.Result) bool {
	v := find(event, c.path)
	switch v.Type {
	case gjson.Number:
		if c.numeric {
			return c.numberHolds(v.Num)
		}
		return c.equality() && c.textHolds(v.Raw)
	case gjson.String:
		return c.equality() && c.textHolds(v.Str)
	case gjson.True, gjson.False:
		return c.equality() && c.textHolds(v.Raw)
	}
	return false
}

func (t *test) equality() bool { return t.op == "=" || t.op == "!=" }

func (i is) holds(event gjson.Result) bool {
	v := find(event, i.path)
	return v.Exists() && v.Type == i.kind
}

func (m missing) holds(event gjson.Result) bool { return !find(event, m.path).Exists() }

// find follows the path from the event.
func find(v gjson.Result, path []step) gjson.Result {
	for _, s := range path {
		found := gjson.Result{}
		switch {
		case s.name != "" && v.IsObject():
			v.ForEach(func(k, x gjson.Result) bool {
				if k.Str == s.name {
					found = x
					return false
				}
				return true
			})
		case s.name == "" && v.IsArray():
			i := 0
			v.ForEach(func(_, x gjson.Result) bool {
				if i == s.index {
					found = x
					return false
				}
				i++
				return true
			})
		}
		if v = found; !v.Exists() {
			break
		}
	}
	return v
}

// json reads { expression }.
func (p *parser) json() (condition, error) {
	if end := strings.TrimRight(p.text, " \t\r\n\v\f"); end[len(end)-1] != '}' {
		return nil, &Error{len(end), "If a filter pattern starts with '{' it must end with '}'"}
	}
	p.at++
	c, err := p.either()
	if err != nil {
		return nil, err
	}
	if !p.take("}") {
		return nil, p.fail("'}', && or || is missing")
	}
	if p.space(); !p.done() {
		return nil, p.fail("something is behind the '}'")
	}
	return c, nil
}

func (p *parser) either() (condition, error) {
	var e either
	for {
		c, err := p.both()
		if err != nil {
			return nil, err
		}
		if e = append(e, c); !p.take("||") {
			break
		}
	}
	if len(e) == 1 {
		return e[0], nil
	}
	return e, nil
}

func (p *parser) both() (condition, error) {
	var b both
	for {
		c, err := p.condition()
		if err != nil {
			return nil, err
		}
		b = append(b, c)
		if p.space(); !p.take("&&") {
			break
		}
	}
	if len(b) == 1 {
		return b[0], nil
	}
	return b, nil
}

// condition reads ( expression ), or a selector and what must be true of it.
func (p *parser) condition() (condition, error) {
	p.space()
	if p.take("(") {
		c, err := p.either()
		if err == nil && !p.take(")") {
			err = p.fail("')' is missing")
		}
		return c, err
	}
	path, err := p.selector()
	if err != nil {
		return nil, err
	}
	p.space()
	if !alphanumeric(p.peek()) {
		t, err := p.test()
		return &compare{path, t}, err
	}
	at := p.at
	switch strings.ToUpper(p.word(alphanumeric)) {
	case "IS":
		p.space()
		at = p.at
		switch strings.ToUpper(p.word(alphanumeric)) {
		case "NULL":
			return is{path, gjson.Null}, nil
		case "TRUE":
			return is{path, gjson.True}, nil
		case "FALSE":
			return is{path, gjson.False}, nil
		}
		p.at = at
		return nil, p.fail("IS needs NULL, TRUE or FALSE")
	case "NOT":
		p.space()
		if strings.ToUpper(p.word(alphanumeric)) == "EXISTS" {
			return missing{path}, nil
		}
		return nil, p.fail("NOT needs EXISTS")
	}
	p.at = at
	return nil, p.fail("an operator, IS or NOT EXISTS is missing")
}

// selector reads $.name.name[index] and $.['name'].
func (p *parser) selector() ([]step, error) {
	from := p.at
	if !p.take("$") {
		return nil, p.fail("a property selector starts with '$.'")
	}
	var path []step
	for {
		switch {
		case p.take(".['"), p.take("['"):
			name := p.word(func(c byte) bool { return c != '\'' })
			if name == "" || !p.take("']") {
				return nil, p.fail("a name in brackets ends with ']")
			}
			path = append(path, step{name: name})
		case p.take("."):
			name := p.word(func(c byte) bool { return alphanumeric(c) || c == '-' || c == '_' })
			if name == "" {
				return nil, p.fail("a property's name is missing")
			}
			path = append(path, step{name: name})
		case len(path) > 0 && p.take("["):
			digits := p.word(func(c byte) bool { return c >= '0' && c <= '9' })
			n, err := strconv.Atoi(digits)
			if err != nil || !p.take("]") {
				return nil, p.fail("an array's index is a number")
			}
			path = append(path, step{index: n})
		case len(path) == 0:
			p.at = from
			return nil, p.fail("a property selector starts with '$.'")
		default:
			return path, nil
		}
	}
}
