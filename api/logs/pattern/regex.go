package pattern

import (
	"regexp"
	"strings"
)

// regex reads an expression between percent signs. The guide's list says what may
// be in it, and AWS's own examples have spaces as well; Go's expressions mean the same by these and take time that is
// linear in the message.
func (p *parser) regex() (*regexp.Regexp, error) {
	from := p.at
	for p.at++; !p.done() && p.text[p.at] != '%'; p.at++ {
		c := p.text[p.at]
		if !alphanumeric(c) && strings.IndexByte(` :_#=@/;,-^$?[]{}|\*+.`, c) < 0 {
			return nil, &Error{p.at, "Invalid filter pattern: invalid character in a regular expression"}
		}
		if c == '\\' {
			if err := p.escape(); err != nil {
				return nil, err
			}
		}
	}
	if p.done() {
		p.at = from
		return nil, p.fail("the regular expression is not closed")
	}
	text := p.text[from+1 : p.at]
	p.at++
	if text == "" {
		return nil, &Error{from, "Invalid filter pattern: the regular expression is empty"}
	}
	r, err := regexp.Compile(text)
	if err != nil {
		return nil, &Error{from, "Invalid filter pattern: the regular expression cannot be compiled"}
	}
	p.regexes++
	return r, nil
}

// escape moves to the second character of an escape: a class (\d, \s, \w and
// their opposites), two hexadecimal digits (\x28), or a character that is
// supported and would mean something else.
func (p *parser) escape() error {
	if p.at++; p.done() {
		return nil // "not closed" is what is wrong
	}
	switch c := p.text[p.at]; {
	case strings.IndexByte("dDsSwW", c) >= 0:
	case c == 'x':
		if len(p.text)-p.at < 3 || !hex(p.text[p.at+1]) || !hex(p.text[p.at+2]) {
			return p.fail(`\x in a regular expression needs two hexadecimal digits`)
		}
	case strings.IndexByte(`:_#=@/;,-^$?[]{}|\*+.`, c) >= 0:
	default:
		return p.fail("invalid escape in a regular expression")
	}
	return nil
}

func hex(c byte) bool { return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f' }
