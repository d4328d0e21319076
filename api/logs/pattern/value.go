package pattern

import (
	"regexp"
	"strconv"
	"strings"
)

// operators, the longer ones first.
var operators = [...]string{"!=", "<=", ">=", "=", "<", ">"}

// operator takes one, and returns "" where there is none.
func (p *parser) operator() string {
	for _, o := range operators {
		if p.take(o) {
			return o
		}
	}
	return ""
}

// test is an operator and the value right of it.
type test struct {
	op      string
	number  float64
	numeric bool // the value is a number, without quotes
	regex   *regexp.Regexp
	glob    glob
}

// test reads an operator and a value.
func (p *parser) test() (test, error) {
	t := test{op: p.operator()}
	if t.op == "" {
		return t, p.fail("an operator is missing")
	}
	equality := t.op == "=" || t.op == "!="
	p.space()
	at := p.at
	switch {
	case p.peek() == '"':
		s, err := p.quoted()
		if err != nil {
			return t, err
		}
		t.glob = globOf(s)
	case p.peek() == '%':
		r, err := p.regex()
		if err != nil {
			return t, err
		}
		t.regex = r
	default:
		s := p.word(func(c byte) bool { return alphanumeric(c) || strings.IndexByte("_-.*+/:", c) >= 0 })
		if s == "" {
			return t, p.fail("a value is missing")
		}
		t.number, t.numeric = number(s)
		t.glob = globOf(s)
	}
	if !equality && !t.numeric {
		return t, &Error{at, "Invalid filter pattern: " + t.op + " needs a number"}
	}
	return t, nil
}

// number reads an integer or a decimal with an optional sign and exponent.
func number(s string) (float64, bool) {
	if s == "" || strings.IndexFunc(s, func(c rune) bool { return !strings.ContainsRune("0123456789+-.eE", c) }) >= 0 {
		return 0, false
	}
	n, err := strconv.ParseFloat(s, 64)
	return n, err == nil
}

// numberHolds compares numbers.
func (t *test) numberHolds(n float64) bool {
	switch t.op {
	case "=":
		return n == t.number
	case "!=":
		return n != t.number
	case "<":
		return n < t.number
	case "<=":
		return n <= t.number
	case ">":
		return n > t.number
	default:
		return n >= t.number
	}
}

// textHolds compares text, for = and !=.
func (t *test) textHolds(s string) bool {
	found := false
	if t.regex != nil {
		found = t.regex.MatchString(s)
	} else {
		found = t.glob.match(s)
	}
	return found == (t.op == "=")
}

// glob is text with a wildcard at its start, its end, or both.
type glob struct {
	text          string
	before, after bool
}

func globOf(s string) glob {
	g := glob{text: s}
	if g.text, g.before = strings.CutPrefix(s, "*"); g.text != "" {
		g.text, g.after = strings.CutSuffix(g.text, "*")
	}
	return g
}

func (g glob) match(s string) bool {
	switch {
	case g.before && g.after:
		return strings.Contains(s, g.text)
	case g.before:
		return strings.HasSuffix(s, g.text)
	case g.after:
		return strings.HasPrefix(s, g.text)
	}
	return s == g.text
}
