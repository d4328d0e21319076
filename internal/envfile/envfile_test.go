package envfile

import (
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for text, want := range map[string][]Variable{
		"":                      nil,
		"A=1":                   {{"A", "1"}},
		"A=1\nB=2\n":            {{"A", "1"}, {"B", "2"}},
		"A=1\r\nB=2\r\n":        {{"A", "1"}, {"B", "2"}},
		"\ufeffA=1":             {{"A", "1"}},
		"#A=1\n#\nB=#2":         {{"B", "#2"}},
		"A=b=c==":               {{"A", "b=c=="}},
		"A= \"x y\" $B 'z'\\n ": {{"A", " \"x y\" $B 'z'\\n "}},
		"A=\n=1\nB\n\n \nC=3":   {{"C", "3"}},
		"A=1\nB=2\nA=3":         {{"A", "3"}, {"B", "2"}},
		"Ü=ö":                   {{"Ü", "ö"}},
	} {
		if got, err := Parse([]byte(text)); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{"A=1\nB=\xff": "line 2 is not UTF-8", "A=\x00": "line 1 has a null character"} {
		if got, err := Parse([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

// Whatever comes out can be an environment, and is read again as it was.
func FuzzParse(f *testing.F) {
	f.Add("A=1\n#x\r\nB = 2\n")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := Parse([]byte(text))
		if err != nil {
			return
		}
		var again strings.Builder
		for _, v := range got {
			if v.Name == "" || strings.ContainsAny(v.Name, "=\x00\n") || v.Value == "" || strings.ContainsAny(v.Value, "\x00\n") {
				t.Fatalf("%q sets %q", text, v)
			}
			again.WriteString(v.Name + "=" + v.Value + "\n")
		}
		if slices.ContainsFunc(got, func(v Variable) bool {
			return strings.HasSuffix(v.Value, "\r") || strings.HasPrefix(v.Name, "\ufeff")
		}) {
			return // what ends a line, or begins a file, doesn't come back
		}
		if back, err := Parse([]byte(again.String())); err != nil || !slices.Equal(back, got) {
			t.Fatalf("%q is %q, and again %q, %v", text, got, back, err)
		}
	})
}
