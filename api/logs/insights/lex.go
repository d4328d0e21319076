package insights

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// SyntaxError is what is wrong with a query, and where: bytes [Start, End).
type SyntaxError struct {
	Start, End int
	Text       string
}

func (e *SyntaxError) Error() string { return e.Text }

type tokenKind uint8

const (
	end tokenKind = iota
	word
	quotedName // in backticks
	str
	num
	period
	symbol
)

// token is a piece of a query.
type token struct {
	kind       tokenKind
	text       string // a word or symbol as written, a string's content
	num        float64
	start, end int
}

// is reports whether the token is that keyword or symbol; letter case is nothing.
func (t token) is(s string) bool {
	return (t.kind == word || t.kind == symbol) && strings.EqualFold(t.text, s)
}

// lexer cuts a query into tokens.
type lexer struct {
	text string
	at   int
}

func (l *lexer) fail(start, end int, format string, a ...any) error {
	return &SyntaxError{start, end, fmt.Sprintf(format, a...) + l.where(start)}
}

// where says a position as line and column, from 1 and 0.
func (l *lexer) where(at int) string {
	line := 1 + strings.Count(l.text[:at], "\n")
	return fmt.Sprintf(" at line %d and position %d", line, at-strings.LastIndexByte(l.text[:at], '\n')-1)
}

// skip goes behind white space and comments.
func (l *lexer) skip() {
	for l.at < len(l.text) {
		c, n := utf8.DecodeRuneInString(l.text[l.at:])
		switch {
		case unicode.IsSpace(c):
			l.at += n
		case c == '#':
			if i := strings.IndexByte(l.text[l.at:], '\n'); i >= 0 {
				l.at += i
			} else {
				l.at = len(l.text)
			}
		default:
			return
		}
	}
}

var symbols = [...]string{"!=", "<=", ">=", "=~", "=", "<", ">", "+", "-", "*", "/", "^", "%", "(", ")", "[", "]", ",", "|"}

// next reads a token.
func (l *lexer) next() (token, error) {
	l.skip()
	start := l.at
	if start == len(l.text) {
		return token{kind: end, text: "<EOF>", start: start, end: start}, nil
	}
	switch c := l.text[start]; {
	case c == '"' || c == '\'':
		s, err := l.quoted(c)
		return token{kind: str, text: s, start: start, end: l.at}, err
	case c == '`':
		i := strings.IndexByte(l.text[start+1:], '`')
		if i < 1 {
			return token{}, l.fail(start, len(l.text), "unexpected symbol found `")
		}
		l.at += i + 2
		return token{kind: quotedName, text: l.text[start+1 : l.at-1], start: start, end: l.at}, nil
	case digit(c):
		return l.number()
	}
	for l.at < len(l.text) {
		c, n := utf8.DecodeRuneInString(l.text[l.at:])
		if c == utf8.RuneError && n <= 1 || c != '@' && c != '_' && c != '.' && c != '$' && !unicode.IsLetter(c) && !unicode.IsDigit(c) {
			break
		}
		l.at += n
	}
	if l.at > start {
		return token{kind: word, text: l.text[start:l.at], start: start, end: l.at}, nil
	}
	for _, s := range symbols {
		if strings.HasPrefix(l.text[start:], s) {
			l.at += len(s)
			return token{kind: symbol, text: s, start: start, end: l.at}, nil
		}
	}
	_, n := utf8.DecodeRuneInString(l.text[start:])
	return token{}, l.fail(start, start+n, "unexpected symbol found %s", l.text[start:start+n])
}

// quoted reads a string; a backslash takes the next character as it is.
func (l *lexer) quoted(quote byte) (string, error) {
	start := l.at
	var b strings.Builder
	for l.at++; l.at < len(l.text); l.at++ {
		switch c := l.text[l.at]; {
		case c == quote:
			l.at++
			return b.String(), nil
		case c == '\\' && l.at+1 < len(l.text):
			l.at++
			switch c := l.text[l.at]; c {
			case 'n':
				b.WriteByte('\n')
			case 't':
				b.WriteByte('\t')
			case '"', '\'', '\\', '/', '*':
				b.WriteByte(c)
			default:
				b.WriteByte('\\')
				b.WriteByte(c)
			}
		default:
			b.WriteByte(c)
		}
	}
	return "", l.fail(start, len(l.text), "unexpected symbol found %c", quote)
}

// number reads a number, or a period: a number and a unit of time.
func (l *lexer) number() (token, error) {
	start := l.at
	for l.at < len(l.text) && (digit(l.text[l.at]) || l.text[l.at] == '.' && l.at+1 < len(l.text) && digit(l.text[l.at+1])) {
		l.at++
	}
	n, err := strconv.ParseFloat(l.text[start:l.at], 64)
	if err != nil {
		return token{}, l.fail(start, l.at, "unexpected symbol found %s", l.text[start:l.at])
	}
	unit := l.at
	for l.at < len(l.text) && (unicode.IsLetter(rune(l.text[l.at])) || l.text[l.at] == '_') {
		l.at++
	}
	t := token{kind: num, text: l.text[start:l.at], num: n, start: start, end: l.at}
	if l.at > unit {
		ms, ok := units[strings.ToLower(l.text[unit:l.at])]
		if !ok || n <= 0 || n*float64(ms) > 1e15 || n != float64(int64(n)) {
			return token{}, l.fail(start, l.at, "unexpected symbol found %s", t.text)
		}
		t.kind, t.num = period, n*float64(ms)
	}
	return t, nil
}

// units of time, in ms (User Guide, "stats"). Months, quarters and years have the
// lengths that AWS gives durations of them: 30, 90 and 365 days.
var units = func() map[string]int64 {
	out := map[string]int64{}
	for names, d := range map[string]time.Duration{
		"millisecond ms msec": time.Millisecond, "second s sec": time.Second, "minute m min": time.Minute, "hour h hr": time.Hour,
		"day d": 24 * time.Hour, "week w": 7 * 24 * time.Hour, "month mo mon": 30 * 24 * time.Hour,
		"quarter q qtr": 90 * 24 * time.Hour, "year y yr": 365 * 24 * time.Hour,
	} {
		for _, n := range strings.Fields(names) {
			out[n] = d.Milliseconds()
			if len(n) > 1 {
				out[n+"s"] = d.Milliseconds()
			}
		}
	}
	return out
}()
