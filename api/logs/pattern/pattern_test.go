package pattern

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"
)

const (
	trail = `{"eventType": "UpdateTrail", "sourceIPAddress": "111.111.111.111", "arrayKey": ["value", "another value"],
		"objectList": [{"name": "a", "id": 1}, {"name": "b", "id": 2}], "SomeObject": null, "cluster.name": "c", "ThisFlag": true, "latency": 600.5}`
	users = `{"user": {"id": 1, "email": "John.Stiles@example.com"},
		"users": [{"id": 2, "email": "John.Doe@example.com"}, {"id": 3, "email": "Jane.Doe@example.com"}],
		"actions": ["GET", "PUT", "DELETE"], "coordinates": [[0, 1, 2], [4, 5, 6], [7, 8, 9]]}`
	apache404 = `127.0.0.1 - frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534`
	apache200 = `127.0.0.1 - frank [10/Oct/2000:13:25:15 -0700] "GET /apache_pb.gif HTTP/1.0" 200 999`
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, message string
		want             bool
	}{
		{"", "anything", true},
		{" ", "anything", true},
		{`""`, "anything", true},
		{"ERROR", "[ERROR 400] BAD REQUEST", true},
		{"ERROR", "UNAUTHORIZEDERRORS", true},
		{"ERROR", "an error here", false},
		{"ERROR ARGUMENTS", "[ERROR 419] MISSING ARGUMENTS", true},
		{"ERROR ARGUMENTS", "[ERROR 400] BAD REQUEST", false},
		{"?ERROR ?ARGUMENTS", "missing ARGUMENTS", true},
		{"?ERROR ?ARGUMENTS", "INFO", false},
		{`"INTERNAL SERVER ERROR"`, "[ERROR 500] INTERNAL SERVER ERROR", true},
		{"ERROR -ARGUMENTS", "[ERROR 400] BAD REQUEST", true},
		{"ERROR -ARGUMENTS", "[ERROR 419] MISSING ARGUMENTS", false},
		{"-DEBUG", "ERROR", true},
		{"?WARN INFO", "INFO", true}, // the question mark counts for nothing
		{`"user 7: \"gone\""`, `user 7: "gone"`, true},
		{`-"a b" c`, "c a b", false},
		{`"a\\b"`, `a\b`, true},
		{"straße", "Die straße", true},

		{"%AUTHORIZED%", "[ERROR 401] UNAUTHORIZED REQUEST", true},
		{"%AUTHORIZED%", "[ERROR 400] BAD REQUEST", false},
		{"%colou?r%", "the color", true},
		{"%gray|grey%", "grey", true},
		{"%^[hc]at%", "the hat", false},
		{`%10\.10\.0\.1%`, "ip 10.10.0.1", true},
		{`%10\.10\.0\.1%`, "ip 10a10.0.1", false},
		{`%\x28a\x29%`, "f(a)", true},
		{`%\d{3}\s-%`, "404 -", true},

		{`{ $.eventType = "UpdateTrail" }`, trail, true},
		{`{ $.eventType = UpdateTrail }`, trail, true},
		{`{ $.eventType = "updatetrail" }`, trail, false},
		{`{ $.eventType = %Trail$% }`, trail, true},
		{`{ $.eventType != %Trail$% }`, trail, false},
		{`{ $.sourceIPAddress != 123.123.* }`, trail, true},
		{`{ $.sourceIPAddress != 111.* }`, trail, false},
		{`{ $.sourceIPAddress = %111\.[0-9]+\.% }`, trail, true},
		{`{ $.arrayKey[0] = "value" }`, trail, true},
		{`{ $.arrayKey[1] = "*value" }`, trail, true},
		{`{ $.arrayKey[2] = "*" }`, trail, false},
		{`{ $.eventType[0] = "*" }`, trail, false},
		{`{ $.objectList[1].id = 2 }`, trail, true},
		{`{ $.objectList[1].name = "a" }`, trail, false},
		{`{ $.SomeObject IS NULL }`, trail, true},
		{`{ $.eventType IS NULL }`, trail, false},
		{`{ $.SomeOtherObject IS NULL }`, trail, false},
		{`{ $.SomeOtherObject NOT EXISTS }`, trail, true},
		{`{ $.SomeObject NOT EXISTS }`, trail, false},
		{`{ $.ThisFlag IS TRUE }`, trail, true},
		{`{ $.ThisFlag IS FALSE }`, trail, false},
		{`{ $.latency = * }`, trail, true},
		{`{ $.nothing = * }`, trail, false},
		{`{ $.nothing != "x" }`, trail, false},
		{`{ $.arrayKey = * }`, trail, false},
		{`{ $.arrayKey != "x" }`, trail, false},
		{`{ $.latency >= 500 }`, trail, true},
		{`{ $.latency < 10e3 }`, trail, true},
		{`{ $.latency < 10e-3 }`, trail, false},
		{`{ $.latency > +1000 }`, trail, false},
		{`{ $.latency = 600.50 }`, trail, true},
		{`{ $.latency != 600.5 }`, trail, false},
		{`{ $.eventType > 5 }`, trail, false},
		{`{ $.['cluster.name'] = c }`, trail, true},
		{`{ $.eventType = "UpdateTrail" }`, "UpdateTrail", false},
		{`{ $.eventType = "UpdateTrail" }`, trail + "}", false},
		{`{ $.eventType NOT EXISTS }`, "plain text", false},

		{`{ ($.user.id = 1) && ($.users[0].email = "John.Doe@example.com") }`, users, true},
		{`{ ($.user.id = 2 && $.users[0].email = "nonmatch") || $.actions[2] = "GET" }`, users, false},
		{`{ $.user.email = "John.Stiles@example.com" || $.coordinates[0][1] = nonmatch && $.actions[2] = nonmatch }`, users, true},
		{`{ ($.user.email = "John.Stiles@example.com" || $.coordinates[0][1] = nonmatch) && $.actions[2] = nonmatch }`, users, false},
		{`{ $.coordinates[2][1] = 8 }`, users, true},
		{`{$.user.id=1&&$.actions[0]=GET}`, users, true},

		// What the CDK's FilterPattern makes.
		{`{ ($.component = "HttpServer") && (($.error IS TRUE) || ($.latency > 1000)) }`, `{"component": "HttpServer", "error": false, "latency": 1001}`, true},
		{`{ ($.latency = "*") && ($.message = %bind: address already in use%) }`, `{"latency": 1, "message": "cannot bind: address already in use"}`, true},
		{`?"ERROR" ?"WARN"`, "WARN", true},
		{`[time, component = "HttpServer", ..., result_code != 200, latency]`, "1 HttpServer a b 404 7", true},

		{"[ip, user, username, timestamp, request, status_code, bytes]", apache404, true},
		{"[ip, user, username, timestamp, request, status_code]", apache404, false},
		{"[ip, user, username, timestamp, request, status_code, bytes, more]", apache404, false},
		{"[..., status_code, bytes]", apache404, true},
		{"[ip, user, ..., status_code, bytes]", apache404, true},
		{"[ip, user, ...]", apache404, true},
		{"[ip, user, username, timestamp, request, status_code, bytes > 1000]", apache404, true},
		{"[ip, user, username, timestamp, request, status_code, bytes > 1000]", apache200, false},
		{"[ip, user, username, timestamp, request, status_code = 200, bytes]", apache200, true},
		{"[ip, user, username, timestamp, request, status_code = 4*, bytes]", apache404, true},
		{"[ip, user, username, timestamp, request = *html*, status_code = 4*, bytes]", apache404, true},
		{"[ip, user, username, timestamp, request = *html*, status_code = 4*, bytes]", apache200, false},
		{"[ip, user, username, timestamp, request, status_code = 404 || status_code = 403, bytes]", apache404, true},
		{"[ip, user, username, timestamp, request, status_code = 4* && status_code != 404, bytes]", apache404, false},
		{"[ip=%127\\.0\\.0\\.[1-9]%, ...]", apache404, true},
		{"[..., status_code = 4*, ]", apache404, true},
		{"[..., (status_code = 2* || status_code = 4*) && status_code > 300, bytes]", apache404, true},
		{"[w1=ERROR, w2]", "ERROR message", true},
		{"[w1=ERROR, w2]", "ERROR WARN message", false},
		{"[w1=ERROR || w1=WARN, w2]", "WARN message", true},
		{"[w1!=ERROR&&w1!=WARN, w2]", "INFO message", true},
		{`[a="x y", b]`, `[x y] z`, true},
		{`[a, b]`, `"open z`, true},
		{`[...]`, ``, true},
	} {
		p, err := Parse(c.pattern)
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
		} else if got := p.Match(c.message); got != c.want {
			t.Errorf("%s on %q: %v", c.pattern, c.message, got)
		}
	}
}

func TestErrorsHavePositions(t *testing.T) {
	for _, c := range []struct {
		pattern, want string
	}{
		{`a.b`, "Invalid character(s) in term 'a.b' at position 1"},
		{"b a\xff", "Invalid character(s) in term 'a\xff' at position 3"},
		{`?`, "Invalid filter pattern: a term is missing at position 1"},
		{`- a`, "Invalid filter pattern: a term is missing at position 1"},
		{`a "b`, "Invalid filter pattern: the quote is not closed at position 2"},
		{`"a"b`, "Invalid filter pattern: a space is missing behind a quote at position 3"},
		{`%a`, "Invalid filter pattern: the regular expression is not closed at position 0"},
		{`%%`, "Invalid filter pattern: the regular expression is empty at position 0"},
		{`%something!%`, "Invalid filter pattern: invalid character in a regular expression at position 10"},
		{`%(a)%`, "Invalid filter pattern: invalid character in a regular expression at position 1"},
		{`%a*{%`, ""},
		{`%a[%`, "Invalid filter pattern: the regular expression cannot be compiled at position 0"},
		{`%a{2000}%`, "Invalid filter pattern: the regular expression cannot be compiled at position 0"},
		{`%\q%`, "Invalid filter pattern: invalid escape in a regular expression at position 2"},
		{`%a% b`, "Invalid filter pattern: a regular expression stands alone at position 4"},
		{`{ $.a = 1`, "If a filter pattern starts with '{' it must end with '}' at position 9"},
		{`{ a = 1 }`, "Invalid filter pattern: a property selector starts with '$.' at position 2"},
		{`{ $.a }`, "Invalid filter pattern: an operator is missing at position 6"},
		{`{ $.a = }`, "Invalid filter pattern: a value is missing at position 8"},
		{`{ $.a = a@b }`, "Invalid filter pattern: '}', && or || is missing at position 9"},
		{`{ $.a > b }`, "Invalid filter pattern: > needs a number at position 8"},
		{`{ $.a IS NOT NULL }`, "Invalid filter pattern: IS needs NULL, TRUE or FALSE at position 9"},
		{`{ $.a EXISTS }`, "Invalid filter pattern: an operator, IS or NOT EXISTS is missing at position 6"},
		{`{ ($.a = 1 }`, "Invalid filter pattern: ')' is missing at position 11"},
		{`{ $.a = 1 && }`, "Invalid filter pattern: a property selector starts with '$.' at position 13"},
		{`{ $.a[x] = 1 }`, "Invalid filter pattern: an array's index is a number at position 6"},
		{`{ $.a = %a% && $.b = %b% || $.c = %c% }`, "Invalid filter pattern: it has 3 regular expressions, and may have 2 at position 0"},
		{`[a, b`, "If a filter pattern starts with '[' it must end with ']' at position 5"},
		{`[a b]`, "Invalid filter pattern: an operator is missing at position 3"},
		{`[a, a]`, "Invalid filter pattern: two fields are named 'a' at position 4"},
		{`[..., a, ...]`, "Invalid filter pattern: there are two ellipses at position 9"},
		{`[a = 4* && b > 1000]`, "Invalid filter pattern: a condition of the field 'a' begins with its name at position 11"},
	} {
		_, err := Parse(c.pattern)
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", c.pattern, err)
			}
			continue
		}
		if fmt.Sprint(err) != c.want {
			t.Errorf("%s:\ngot  %v\nwant %s", c.pattern, err, c.want)
		}
	}
}

func TestExtract(t *testing.T) {
	p, err := Parse("[..., request=*.html*, status_code=4*,]")
	if err != nil {
		t.Fatal(err)
	}
	got, ok := p.Extract(apache404)
	want := map[string]string{"$status_code": "404", "$request": "GET /index.html HTTP/1.0", "$7": "1534", "$4": "10/Oct/2000:13:25:15 -0700", "$3": "frank", "$2": "-", "$1": "127.0.0.1"}
	if !ok || !maps.Equal(got, want) {
		t.Errorf("got %v, %v", got, ok)
	}
	if _, ok := p.Extract(apache200); ok {
		t.Error("a message that does not match has fields")
	}
	if p, err = Parse("index"); err != nil {
		t.Fatal(err)
	}
	if got, ok := p.Extract(apache404); !ok || got == nil || len(got) != 0 {
		t.Errorf("terms find %v, %v", got, ok)
	}
}

// Messages made to be slow are not.
func TestHostileMessages(t *testing.T) {
	for _, c := range []struct{ pattern, message string }{
		{"[a, ..., b]", strings.Repeat(`[a `, 1<<18)},
		{"[a, ..., b]", strings.Repeat(`"a `, 1<<18)},
		{"{ $.a.b.c = 1 }", `{"a":` + strings.Repeat(`[`, 1<<17) + strings.Repeat(`]`, 1<<17) + `}`},
		{"{ $.a NOT EXISTS }", `{"a":` + strings.Repeat(`[`, 1<<20)},
		{`%[a-z]*[a-z]*[a-z]*x$%`, strings.Repeat("a", 1<<17)},
	} {
		p, err := Parse(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		p.Match(c.message)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s takes %v on %d bytes", c.pattern, took, len(c.message))
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, p := range []string{"", "a b", "?a ?b", "-a", `"a \" b" c`, `{ $.x = 1 || ($.y[0].z IS NULL && $.['q'] NOT EXISTS) }`, `[a, ..., b = 4* && b > 3, c="x"]`, "%x[0-9]+%", `?"`, "\\", "{}", "[]", "{", "["} {
		f.Add(p, `{"x": 1, "y": [{"z": null}]}`)
		f.Add(p, `a "b c" [d] 45`)
	}
	f.Fuzz(func(t *testing.T, text, message string) {
		p, err := Parse(text)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.At < 0 || e.At > len(text) {
				t.Fatalf("%q: %v", text, err)
			}
		} else if _, ok := p.Extract(message); ok != p.Match(message) {
			t.Fatalf("%q on %q: fields are found: %v", text, message, ok)
		}
		// A quoted message always finds itself.
		quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(message) + `"`
		if p, err = Parse(quoted); err != nil || !p.Match(message) {
			t.Fatalf("%s does not match itself: %v", quoted, err)
		}
	})
}
