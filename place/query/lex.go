package query

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// SyntaxError is what is wrong with an expression.
type SyntaxError struct {
	// Column is the place in the text, in characters from 1.
	Column  int
	Message string
}

// Error says what and where.
func (e *SyntaxError) Error() string { return fmt.Sprintf("column %d: %s", e.Column, e.Message) }

// scanner goes through an expression's text.
type scanner struct {
	text string
	at   int // byte
}

// fail is an error at a place in the text.
func (s *scanner) fail(at int, format string, args ...any) error {
	return &SyntaxError{Column: utf8.RuneCountInString(s.text[:at]) + 1, Message: fmt.Sprintf(format, args...)}
}

// space skips white space and returns where it ends.
func (s *scanner) space() int {
	for s.at < len(s.text) && strings.IndexByte(" \t\r\n", s.text[s.at]) >= 0 {
		s.at++
	}
	return s.at
}

// take takes the text if it comes next.
func (s *scanner) take(text string) bool {
	s.space()
	if !strings.HasPrefix(s.text[s.at:], text) {
		return false
	}
	s.at += len(text)
	return true
}

// keyword takes the word if it comes next, and ends there.
func (s *scanner) keyword(word string) bool {
	s.space()
	rest, ok := strings.CutPrefix(s.text[s.at:], word)
	if !ok || rest != "" && inName(rest[0]) {
		return false
	}
	s.at += len(word)
	return true
}

// inName reports whether a byte may be in a subject: letters, digits and what
// attributes' names have besides (SDK, types.Attribute), and the colon.
func inName(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(`_./\-:`, c) >= 0
}

// name takes what may be a subject; empty if none comes next.
func (s *scanner) name() string {
	from := s.space()
	for s.at < len(s.text) && inName(s.text[s.at]) {
		s.at++
	}
	return s.text[from:s.at]
}

// value takes an argument: a quoted text, or all up to white space, a
// parenthesis, && or ||, or any of the bytes in until.
func (s *scanner) value(until string) (string, error) {
	from := s.space()
	if from == len(s.text) {
		return "", s.fail(from, "an argument is missing after the operator")
	}
	if quote := s.text[from]; quote == '\'' || quote == '"' {
		end := strings.IndexByte(s.text[from+1:], quote)
		if end < 0 {
			return "", s.fail(from, "the quote %c is not closed", quote)
		}
		s.at = from + end + 2
		return s.text[from+1 : s.at-1], nil
	}
	for s.at < len(s.text) {
		rest := s.text[s.at:]
		if strings.IndexByte(" \t\r\n()"+until, rest[0]) >= 0 || strings.HasPrefix(rest, "&&") || strings.HasPrefix(rest, "||") {
			break
		}
		s.at++
	}
	if s.at == from {
		return "", s.fail(from, "an argument is missing before %q", firstRune(s.text[from:]))
	}
	return s.text[from:s.at], nil
}

func firstRune(text string) string {
	_, n := utf8.DecodeRuneInString(text)
	return text[:n]
}
