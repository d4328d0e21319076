package logs

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// parsePattern reads a filter pattern for unstructured events (CloudWatch Logs
// User Guide, "Filter pattern syntax") and returns what it matches; nil is all.
//
//	ERROR "user 7"    both are in the message, letter case and all
//	?ERROR ?WARN      one of them is
//	ERROR -DEBUG      the first is, the second is not
//
// As on AWS, terms with a question mark count for nothing beside others. Patterns
// for JSON and for space-delimited events, and regular expressions, are refused.
func parsePattern(text string) (func(message string) bool, error) {
	rest := strings.TrimSpace(text)
	switch {
	case rest == "" || rest == `""`:
		return nil, nil
	case rest[0] == '{':
		return nil, invalid("Invalid filter pattern: JSON patterns ({ … }) are not supported yet: '%s'", text)
	case rest[0] == '[':
		return nil, invalid("Invalid filter pattern: space-delimited patterns ([ … ]) are not supported yet: '%s'", text)
	case rest[0] == '%':
		return nil, invalid("Invalid filter pattern: regular expressions (%% … %%) are not supported yet: '%s'", text)
	}
	var all, some, none []string
	for rest != "" {
		to := &all
		switch rest[0] {
		case '?':
			to, rest = &some, rest[1:]
		case '-':
			to, rest = &none, rest[1:]
		}
		term, after, err := parseTerm(rest)
		if err != nil {
			return nil, err
		}
		if term != "" { // "" is in every message
			*to = append(*to, term)
		}
		rest = strings.TrimLeftFunc(after, unicode.IsSpace)
	}
	if len(all)+len(none) > 0 {
		some = nil
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

// parseTerm reads a word, or a phrase in quotes in which \" and \\ stand for the
// second character. It returns what follows.
func parseTerm(s string) (term, rest string, err error) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexFunc(s, unicode.IsSpace)
		if end < 0 {
			end = len(s)
		}
		term, rest = s[:end], s[end:]
		if term == "" {
			return "", "", invalid("Invalid filter pattern: a term is missing")
		}
		for _, c := range term {
			if c == utf8.RuneError || c != '_' && !unicode.IsLetter(c) && !unicode.IsDigit(c) {
				return "", "", invalid("Invalid character(s) in term '%s'", term)
			}
		}
		return term, rest, nil
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			if rest = s[i+1:]; rest != "" && !unicode.IsSpace(rune(rest[0])) {
				return "", "", invalid("Invalid filter pattern: a space is missing behind '%s'", s[:i+1])
			}
			return b.String(), rest, nil
		case c == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\'):
			i++
			b.WriteByte(s[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", "", invalid("Invalid filter pattern: the quote is not closed: '%s'", s)
}
