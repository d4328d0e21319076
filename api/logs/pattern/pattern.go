package pattern

import (
	"fmt"
	"strings"
)

// Pattern is a compiled filter pattern.
type Pattern struct {
	kind    Kind
	all     bool
	match   func(message string) bool
	fields  *fields
	names   []string
	regexes int
}

// Kind is the form of events that a pattern is for.
type Kind int

const (
	Terms     Kind = iota // any message
	JSON                  // { … }
	Delimited             // [ … ]
)

// Error says what is wrong with a pattern, and where: At is an offset in bytes.
type Error struct {
	At   int
	Text string
}

func (e *Error) Error() string { return fmt.Sprintf("%s at position %d", e.Text, e.At) }

// maxRegexes is how many regular expressions a pattern may have.
const maxRegexes = 2

// Parse compiles a pattern, or returns an *Error. The empty pattern matches all.
func Parse(text string) (*Pattern, error) {
	p := &parser{text: text}
	p.space()
	out := &Pattern{kind: Terms}
	var err error
	switch {
	case p.done():
		out.all = true
	case p.peek() == '{':
		out.kind = JSON
		var c condition
		if c, err = p.json(); err == nil {
			out.match = func(m string) bool { return matchJSON(c, m) }
		}
	case p.peek() == '[':
		out.kind = Delimited
		if out.fields, err = p.delimited(); err == nil {
			out.match = func(m string) bool { _, ok := out.fields.split(m); return ok }
		}
	default:
		out.match, err = p.terms()
		out.all = out.match == nil
	}
	if err == nil && p.regexes > maxRegexes {
		err = &Error{0, fmt.Sprintf("Invalid filter pattern: it has %d regular expressions, and may have %d", p.regexes, maxRegexes)}
	}
	if err != nil {
		return nil, err
	}
	out.regexes, out.names = p.regexes, p.names
	return out, nil
}

// Match reports whether the pattern matches the message.
func (p *Pattern) Match(message string) bool { return p.all || p.match(message) }

// All reports whether the pattern matches every message.
func (p *Pattern) All() bool { return p.all }

// Kind returns the form of events that the pattern is for.
func (p *Pattern) Kind() Kind { return p.kind }

// Regexes is how many regular expressions the pattern has.
func (p *Pattern) Regexes() int { return p.regexes }

// Names are the fields of a delimited pattern, as "$name".
func (p *Pattern) Names() []string { return p.names }

// Extract matches the message and returns the fields that a delimited pattern
// finds in it, by "$name" or, where it has none, by "$number". Other patterns find
// none (API_TestMetricFilter, MetricFilterMatchRecord).
func (p *Pattern) Extract(message string) (map[string]string, bool) {
	if p.fields == nil {
		return map[string]string{}, p.Match(message)
	}
	words, ok := p.fields.split(message)
	if !ok {
		return nil, false
	}
	return p.fields.extract(words), true
}

// parser reads a pattern from left to right.
type parser struct {
	text    string
	at      int
	regexes int
	names   []string
}

func (p *parser) done() bool { return p.at >= len(p.text) }

// peek is the next byte, 0 at the end.
func (p *parser) peek() byte {
	if p.done() {
		return 0
	}
	return p.text[p.at]
}

func (p *parser) space() {
	for !p.done() && strings.IndexByte(" \t\r\n\v\f", p.text[p.at]) >= 0 {
		p.at++
	}
}

// take skips s and reports whether it was there.
func (p *parser) take(s string) bool {
	if !strings.HasPrefix(p.text[p.at:], s) {
		return false
	}
	p.at += len(s)
	return true
}

// fail is an error at the position that was reached.
func (p *parser) fail(format string, a ...any) error {
	return &Error{p.at, "Invalid filter pattern: " + fmt.Sprintf(format, a...)}
}

// word takes the bytes that ok accepts.
func (p *parser) word(ok func(c byte) bool) string {
	from := p.at
	for !p.done() && ok(p.text[p.at]) {
		p.at++
	}
	return p.text[from:p.at]
}

func alphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// quoted reads a string in double quotes, in which \" and \\ stand for the second
// character.
func (p *parser) quoted() (string, error) {
	from := p.at
	var b strings.Builder
	for p.at++; !p.done(); p.at++ {
		switch c := p.text[p.at]; {
		case c == '"':
			p.at++
			return b.String(), nil
		case c == '\\' && p.at+1 < len(p.text) && (p.text[p.at+1] == '"' || p.text[p.at+1] == '\\'):
			p.at++
			b.WriteByte(p.text[p.at])
		default:
			b.WriteByte(c)
		}
	}
	p.at = from
	return "", p.fail("the quote is not closed")
}
