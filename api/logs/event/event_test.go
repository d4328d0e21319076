package event

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestObject(t *testing.T) {
	nested := func(n int) string { return `{"a":` + strings.Repeat("[", n) + strings.Repeat("]", n) + "}" }
	for _, c := range []struct {
		message string
		want    bool
	}{
		{`{"a": 1}`, true}, {"\n {}", true}, {"", false}, {"[1]", false}, {"a {}", false}, {"{", false}, {`{"a": 1} x`, false},
		{nested(maxDepth - 1), true}, {nested(maxDepth), false}, {strings.Repeat("[", 1<<20), false}, {`{"a":` + strings.Repeat("[", 1<<20), false},
		{`{"a": "` + strings.Repeat(`[\"{`, 1000) + `"}`, true}, {`{"a": [` + strings.Repeat("[],{},", 1000) + `1]}`, true},
	} {
		if _, ok := Object(c.message); ok != c.want {
			t.Errorf("%.40q (%d bytes) is an object: %v", c.message, len(c.message), ok)
		}
	}
}

func FuzzObject(f *testing.F) {
	f.Add(`{"a": ["b\"", {"c": null}]}`)
	f.Fuzz(func(t *testing.T, message string) {
		if v, ok := Object(message); ok && (!json.Valid([]byte(message)) || !v.IsObject()) {
			t.Fatalf("%q is no JSON object", message)
		}
	})
}
