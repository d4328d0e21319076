package pattern

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// terms reads words, phrases in quotes, exclusions and alternatives, or one
// regular expression. It returns nil where every message matches.
func (p *parser) terms() (func(string) bool, error) {
	if p.peek() == '%' {
		r, err := p.regex()
		if err != nil {
			return nil, err
		}
		if p.space(); !p.done() {
			return nil, p.fail("a regular expression stands alone")
		}
		return r.MatchString, nil
	}
	var all, some, none []string
	for p.space(); !p.done(); p.space() {
		to := &all
		switch p.peek() {
		case '?':
			to = &some
			p.at++
		case '-':
			to = &none
			p.at++
		}
		term, err := p.term()
		if err != nil {
			return nil, err
		}
		if term != "" { // "" is in every message
			*to = append(*to, term)
		}
	}
	if len(all)+len(none) > 0 {
		some = nil
	}
	if len(all)+len(none)+len(some) == 0 {
		return nil, nil
	}
	return func(message string) bool {
		for _, t := range all {
			if !strings.Contains(message, t) {
				return false
			}
		}
		for _, t := range none {
			if strings.Contains(message, t) {
				return false
			}
		}
		for _, t := range some {
			if strings.Contains(message, t) {
				return true
			}
		}
		return len(some) == 0
	}, nil
}

// term reads a word of letters, digits and underscores, or a phrase.
func (p *parser) term() (string, error) {
	if p.peek() == '"' {
		s, err := p.quoted()
		if err == nil && !p.done() && !unicode.IsSpace(rune(p.peek())) {
			err = p.fail("a space is missing behind a quote")
		}
		return s, err
	}
	rest := p.text[p.at:]
	end := strings.IndexFunc(rest, unicode.IsSpace)
	if end < 0 {
		end = len(rest)
	}
	if end == 0 {
		return "", p.fail("a term is missing")
	}
	for i, c := range rest[:end] {
		if c == utf8.RuneError || c != '_' && !unicode.IsLetter(c) && !unicode.IsDigit(c) {
			return "", &Error{p.at + i, "Invalid character(s) in term '" + rest[:end] + "'"}
		}
	}
	p.at += end
	return rest[:end], nil
}
