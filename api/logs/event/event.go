// Package event reads log events that are JSON, for the two languages that look
// into them: package pattern and package insights. It is pure.
package event

import (
	"strings"

	"github.com/tidwall/gjson"
)

// maxDepth is how deep objects and arrays may be in each other: reading them
// recurses, and a message may have a megabyte of brackets.
const maxDepth = 512

// Object returns a message that is a JSON object as such, and false for any other,
// and for one that is nested too deep.
func Object(message string) (gjson.Result, bool) {
	start := strings.TrimLeft(message, " \t\r\n")
	if start == "" || start[0] != '{' || tooDeep(start) || !gjson.Valid(start) {
		return gjson.Result{}, false
	}
	return gjson.Parse(start), true
}

func tooDeep(s string) bool {
	if strings.Count(s, "{")+strings.Count(s, "[") <= maxDepth {
		return false
	}
	depth := 0
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			i++
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}
