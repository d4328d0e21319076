package insights

import (
	"cmp"
	"math"
	"strconv"
	"strings"
	"time"
)

// value is what a field or an expression has. The zero value is that of a field
// that is missing.
type value struct {
	kind kind
	text string  // of a text
	num  float64 // of a number or truth (0 or 1), or of a time, in ms since 1970
}

type kind uint8

const (
	null kind = iota
	text
	number
	truth
	moment
)

func textOf(s string) value { return value{kind: text, text: s} }

func numberOf(n float64) value {
	if math.IsNaN(n) || math.IsInf(n, 0) {
		return value{}
	}
	return value{kind: number, num: n}
}

func truthOf(b bool) value {
	if b {
		return value{kind: truth, num: 1}
	}
	return value{kind: truth}
}

func momentOf(ms int64) value { return value{kind: moment, num: float64(ms)} }

// timeLayout is how Insights shows times.
const timeLayout = "2006-01-02 15:04:05.000"

func (v value) String() string {
	switch v.kind {
	case text:
		return v.text
	case number, truth:
		return strconv.FormatFloat(v.num, 'f', -1, 64)
	case moment:
		return time.UnixMilli(int64(v.num)).UTC().Format(timeLayout)
	}
	return ""
}

// number is the value as one, where it is one or a text of one.
func (v value) number() (float64, bool) {
	switch v.kind {
	case text:
		return parseNumber(v.text)
	case null:
		return 0, false
	}
	return v.num, true
}

func parseNumber(s string) (float64, bool) {
	if s == "" || len(s) > 64 || s[0] > '9' {
		return 0, false
	}
	n, err := strconv.ParseFloat(s, 64)
	return n, err == nil && !math.IsInf(n, 0) && !math.IsNaN(n)
}

// true reports whether a condition holds.
func (v value) true() bool {
	return v.kind != null && (v.kind != text && v.num != 0 || v.text == "true")
}

// compare orders two values that are not missing: numbers as such, else as text.
func compare(a, b value) int {
	if x, ok := a.number(); ok {
		if y, ok := b.number(); ok {
			return cmp.Compare(x, y)
		}
	}
	return strings.Compare(a.String(), b.String())
}

// order is that of sort: what is no number comes before numbers, and is ordered
// piece by piece, digits by length first (User Guide, "sort"). What is missing
// comes last.
func order(a, b value) int {
	if a.kind == null || b.kind == null {
		return cmp.Compare(btoi(a.kind == null), btoi(b.kind == null))
	}
	x, okx := a.number()
	y, oky := b.number()
	if okx && oky {
		return cmp.Compare(x, y)
	}
	if okx != oky {
		return cmp.Compare(btoi(okx), btoi(oky))
	}
	return natural(a.String(), b.String())
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// natural compares texts in which runs of digits count as numbers.
func natural(a, b string) int {
	for a != "" && b != "" {
		x, y := chunk(a), chunk(b)
		p, q := a[:x], b[:y]
		if digit(p[0]) && digit(q[0]) {
			p, q = strings.TrimLeft(p, "0"), strings.TrimLeft(q, "0")
			if c := cmp.Compare(len(p), len(q)); c != 0 {
				return c
			}
		}
		if c := strings.Compare(p, q); c != 0 {
			return c
		}
		a, b = a[x:], b[y:]
	}
	return cmp.Compare(len(a), len(b))
}

// chunk is how many bytes of s are digits like the first, or are not like the first.
func chunk(s string) int {
	n := 1
	for n < len(s) && digit(s[n]) == digit(s[0]) {
		n++
	}
	return n
}

func digit(c byte) bool { return c >= '0' && c <= '9' }
