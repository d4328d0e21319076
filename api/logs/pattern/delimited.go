package pattern

import (
	"fmt"
	"strings"
)

// fields are those of a delimited pattern: the first stand at the start of an
// event, the last at its end; any is whether there may be more between them.
type fields struct {
	first, last []field
	any         bool
}

// field is a word of the event and what must be true of it.
type field struct {
	name string // "" for one that is skipped
	test func(word string) bool
}

// delimited reads [field, field, ...].
func (p *parser) delimited() (*fields, error) {
	if end := strings.TrimRight(p.text, " \t\r\n\v\f"); end[len(end)-1] != ']' {
		return nil, &Error{len(end), "If a filter pattern starts with '[' it must end with ']'"}
	}
	p.at++
	out := &fields{}
	for {
		p.space()
		switch at := p.at; {
		case p.take("..."):
			if out.any {
				return nil, &Error{at, "Invalid filter pattern: there are two ellipses"}
			}
			out.any = true
		default:
			f, err := p.field()
			if err != nil {
				return nil, err
			}
			if out.any {
				out.last = append(out.last, f)
			} else {
				out.first = append(out.first, f)
			}
		}
		p.space()
		if p.take(",") {
			continue
		}
		if !p.take("]") {
			return nil, p.fail("',' or ']' is missing")
		}
		if p.space(); !p.done() {
			return nil, p.fail("something is behind the ']'")
		}
		return out, nil
	}
}

// field reads a name and the conditions on it, or nothing.
func (p *parser) field() (field, error) {
	if c := p.peek(); c == ',' || c == ']' {
		return field{}, nil
	}
	at, grouped := p.at, p.peek() == '('
	for p.take("(") {
		p.space()
	}
	name := p.name()
	if name == "" {
		return field{}, p.fail("a field's name is missing")
	}
	for _, n := range p.names {
		if n == "$"+name {
			return field{}, &Error{at, "Invalid filter pattern: two fields are named '" + name + "'"}
		}
	}
	p.names = append(p.names, "$"+name)
	f := field{name: name}
	p.space()
	if c := p.peek(); !grouped && (c == ',' || c == ']') {
		return f, nil
	}
	p.at = at
	var err error
	f.test, err = p.anyOf(name)
	return f, err
}

func (p *parser) name() string {
	return p.word(func(c byte) bool { return alphanumeric(c) || c == '_' || c == '-' || c == '.' })
}

// anyOf reads conditions joined by ||, each of them on the field.
func (p *parser) anyOf(name string) (func(string) bool, error) {
	var some []func(string) bool
	for {
		c, err := p.allOf(name)
		if err != nil {
			return nil, err
		}
		if some = append(some, c); !p.take("||") {
			break
		}
	}
	return func(word string) bool {
		for _, c := range some {
			if c(word) {
				return true
			}
		}
		return false
	}, nil
}

func (p *parser) allOf(name string) (func(string) bool, error) {
	var all []func(string) bool
	for {
		c, err := p.one(name)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
		if p.space(); !p.take("&&") {
			break
		}
	}
	return func(word string) bool {
		for _, c := range all {
			if !c(word) {
				return false
			}
		}
		return true
	}, nil
}

// one reads ( conditions ) or name operator value.
func (p *parser) one(name string) (func(string) bool, error) {
	p.space()
	if p.take("(") {
		c, err := p.anyOf(name)
		if err == nil && !p.take(")") {
			err = p.fail("')' is missing")
		}
		return c, err
	}
	at := p.at
	if got := p.name(); got != name {
		p.at = at
		return nil, p.fail("a condition of the field '%s' begins with its name", name)
	}
	p.space()
	t, err := p.test()
	if err != nil {
		return nil, err
	}
	return func(word string) bool {
		if t.numeric {
			if n, ok := number(word); ok {
				return t.numberHolds(n)
			}
		}
		return t.equality() && t.textHolds(word)
	}, nil
}

// split cuts a message into words and reports whether they are those that the
// fields ask for.
func (f *fields) split(message string) ([]string, bool) {
	words := split(message)
	n := len(f.first) + len(f.last)
	if len(words) < n || len(words) > n && !f.any {
		return nil, false
	}
	for i, x := range f.first {
		if x.test != nil && !x.test(words[i]) {
			return nil, false
		}
	}
	tail := words[len(words)-len(f.last):]
	for i, x := range f.last {
		if x.test != nil && !x.test(tail[i]) {
			return nil, false
		}
	}
	return words, true
}

// extract names the words.
func (f *fields) extract(words []string) map[string]string {
	out := make(map[string]string, len(words))
	tail := len(words) - len(f.last)
	for i, w := range words {
		name := ""
		if i < len(f.first) {
			name = f.first[i].name
		} else if i >= tail {
			name = f.last[i-tail].name
		}
		if name == "" {
			name = fmt.Sprint(i + 1)
		}
		out["$"+name] = w
	}
	return out
}

// split cuts a message at white space. What is in square brackets or double
// quotes is one word, without them.
func split(s string) []string {
	var words []string
	var open [256]bool // what is not closed in the rest of s is not looked for again
	for i := 0; i < len(s); {
		c := s[i]
		if space(c) {
			i++
			continue
		}
		if (c == '[' || c == '"') && !open[c] {
			if end := closing(s, i); end > 0 {
				words = append(words, s[i+1:end])
				i = end + 1
				continue
			}
			open[c] = true
		}
		end := i
		for end < len(s) && !space(s[end]) {
			end++
		}
		words = append(words, s[i:end])
		i = end
	}
	return words
}

// closing is where the bracket or quote at i is closed, before a space or the
// end; 0 where there is none.
func closing(s string, i int) int {
	want := byte('"')
	if s[i] == '[' {
		want = ']'
	}
	for j := i + 1; j < len(s); j++ {
		if s[j] == want && s[j-1] != '\\' && (j+1 == len(s) || space(s[j+1])) {
			return j
		}
	}
	return 0
}

func space(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }
