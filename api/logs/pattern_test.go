package logs

import (
	"strings"
	"testing"
)

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, message string
		want             bool
	}{
		{"", "anything", true},
		{`""`, "anything", true},
		{"ERROR", "an ERROR here", true},
		{"ERROR", "an error here", false},
		{"ERROR WARN", "ERROR and WARN", true},
		{"ERROR WARN", "ERROR", false},
		{"?ERROR ?WARN", "WARN", true},
		{"?ERROR ?WARN", "INFO", false},
		{"ERROR -DEBUG", "ERROR", true},
		{"ERROR -DEBUG", "ERROR DEBUG", false},
		{"-DEBUG", "ERROR", true},
		{"?WARN INFO", "INFO", true}, // the question mark counts for nothing
		{`"user 7: \"gone\""`, `user 7: "gone"`, true},
		{`-"a b" c`, "c a b", false},
		{`"a\\b"`, `a\b`, true},
		{"straße", "Die straße", true},
	} {
		match, err := parsePattern(c.pattern)
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
		} else if got := match == nil || match(c.message); got != c.want {
			t.Errorf("%s on %q: %v", c.pattern, c.message, got)
		}
	}
	for _, p := range []string{`{$.a=1}`, `[a,b]`, `%a%`, `a.b`, `?`, `- a`, `"a`, `"a"b`, "a\xff", `a "b`} {
		if _, err := parsePattern(p); err == nil {
			t.Errorf("%s is accepted", p)
		}
	}
}

func FuzzPattern(f *testing.F) {
	for _, p := range []string{"", "a b", "?a ?b", "-a", `"a \" b" c`, `{$.x = 1}`, `[a]`, "%x%", `?"`, "\\"} {
		f.Add(p, "a b")
	}
	f.Fuzz(func(t *testing.T, pattern, message string) {
		match, err := parsePattern(pattern)
		if err == nil && match != nil {
			match(message)
		}
		// A quoted message always finds itself.
		quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(message) + `"`
		match, err = parsePattern(quoted)
		if err != nil || match != nil && !match(message) {
			t.Fatalf("%s does not match itself: %v", quoted, err)
		}
	})
}
