package envfile

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Variable is one line of a file.
type Variable struct{ Name, Value string }

// Parse takes a file apart (Amazon ECS Developer Guide, "Pass environment
// variables to an Amazon ECS container"): UTF-8, lines that begin with # are
// comments, spaces and quotes are part of the value. Lines without "=", without
// a name or without a value set nothing. Of two lines with the same name the
// last holds.
func Parse(content []byte) ([]Variable, error) {
	content = bytes.TrimPrefix(content, []byte("\ufeff"))
	var out []Variable
	at := map[string]int{}
	n := 0
	for line := range strings.Lines(string(content)) {
		n++
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		if strings.HasPrefix(line, "#") {
			continue
		}
		switch {
		case !utf8.ValidString(line):
			return nil, fmt.Errorf("line %d is not UTF-8", n)
		case strings.Contains(line, "\x00"):
			return nil, fmt.Errorf("line %d has a null character", n)
		}
		name, value, _ := strings.Cut(line, "=")
		if name == "" || value == "" {
			continue
		}
		i, again := at[name]
		if !again {
			i = len(out)
			at[name] = i
			out = append(out, Variable{Name: name})
		}
		out[i].Value = value
	}
	return out, nil
}
