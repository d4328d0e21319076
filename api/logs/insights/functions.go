package insights

import (
	"math"
	"net/netip"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tidwall/gjson"
)

// function is one of the guide's: how many arguments it takes, and what it makes
// of them.
type function struct {
	min, max int // max 0: any number
	call     func(args []value) value
}

func numeric(f func(x float64) float64) function {
	return function{1, 1, func(a []value) value {
		if x, ok := a[0].number(); ok {
			return numberOf(f(x))
		}
		return value{}
	}}
}

// ofText is a function of a text; of what is missing it makes nothing.
func ofText(f func(s string) value) function {
	return function{1, 1, func(a []value) value {
		if a[0].kind == null {
			return value{}
		}
		return f(a[0].String())
	}}
}

// trim removes white space, or the characters of a second argument.
func trim(space func(s string, f func(rune) bool) string, cut func(s, set string) string) function {
	return function{1, 2, func(a []value) value {
		if a[0].kind == null {
			return value{}
		}
		if len(a) == 2 {
			return textOf(cut(a[0].String(), a[1].String()))
		}
		return textOf(space(a[0].String(), unicode.IsSpace))
	}}
}

// best keeps the argument that better prefers, among those that are numbers.
func best(better func(x, y float64) bool) function {
	return function{1, 0, func(a []value) value {
		out := value{}
		for _, v := range a {
			if x, ok := v.number(); ok && (out.kind == null || better(x, out.num)) {
				out = numberOf(x)
			}
		}
		return out
	}}
}

// functions by their names in lower case (User Guide, "Boolean, comparison,
// numeric, datetime, and other functions").
var functions = map[string]function{
	"abs": numeric(math.Abs), "ceil": numeric(math.Ceil), "floor": numeric(math.Floor), "log": numeric(math.Log), "sqrt": numeric(math.Sqrt),
	"greatest": best(func(x, y float64) bool { return x > y }),
	"least":    best(func(x, y float64) bool { return x < y }),

	"coalesce": {1, 0, func(a []value) value {
		for _, v := range a {
			if v.kind != null {
				return v
			}
		}
		return value{}
	}},
	"if": {3, 3, func(a []value) value {
		if a[0].true() {
			return a[1]
		}
		return a[2]
	}},
	"ispresent": {1, 1, func(a []value) value { return truthOf(a[0].kind != null) }},
	"isempty":   {1, 1, func(a []value) value { return truthOf(a[0].String() == "") }},
	"isblank":   {1, 1, func(a []value) value { return truthOf(strings.TrimSpace(a[0].String()) == "") }},
	"concat": {1, 0, func(a []value) value {
		var b strings.Builder
		for _, v := range a {
			b.WriteString(v.String())
		}
		return textOf(b.String())
	}},
	"trim": trim(strings.TrimFunc, strings.Trim), "ltrim": trim(strings.TrimLeftFunc, strings.TrimLeft), "rtrim": trim(strings.TrimRightFunc, strings.TrimRight),
	"strlen":  ofText(func(s string) value { return numberOf(float64(utf8.RuneCountInString(s))) }),
	"toupper": ofText(func(s string) value { return textOf(strings.ToUpper(s)) }),
	"tolower": ofText(func(s string) value { return textOf(strings.ToLower(s)) }),
	"substr":  {2, 3, substr},
	"replace": {3, 3, func(a []value) value {
		s, old, to := a[0].String(), a[1].String(), a[2].String()
		// What a query can make of one event is bounded, also by doubling.
		if a[0].kind == null || len(s)+strings.Count(s, old)*len(to) > maxText {
			return value{}
		}
		return textOf(strings.ReplaceAll(s, old, to))
	}},
	"strcontains": {2, 2, func(a []value) value {
		return numberOf(float64(btoi(a[0].kind != null && strings.Contains(a[0].String(), a[1].String()))))
	}},
	"jsonparse": ofText(func(s string) value {
		if gjson.Valid(s) {
			return textOf(s)
		}
		return value{}
	}),
	"jsonstringify": ofText(textOf),

	"datefloor": {2, 2, func(a []value) value { return rounded(a, false) }},
	"dateceil":  {2, 2, func(a []value) value { return rounded(a, true) }},
	"frommillis": {1, 1, func(a []value) value {
		if x, ok := a[0].number(); ok && math.Abs(x) < 1<<53 {
			return momentOf(int64(x))
		}
		return value{}
	}},
	"tomillis": {1, 1, func(a []value) value {
		if a[0].kind == moment {
			return numberOf(a[0].num)
		}
		if t, err := time.Parse(timeLayout, a[0].String()); err == nil {
			return numberOf(float64(t.UnixMilli()))
		}
		return value{}
	}},

	"isvalidip":      ofText(func(s string) value { _, err := netip.ParseAddr(s); return truthOf(err == nil) }),
	"isvalidipv4":    ofText(func(s string) value { a, err := netip.ParseAddr(s); return truthOf(err == nil && a.Is4()) }),
	"isvalidipv6":    ofText(func(s string) value { a, err := netip.ParseAddr(s); return truthOf(err == nil && a.Is6()) }),
	"isipinsubnet":   {2, 2, func(a []value) value { return truthOf(inSubnet(a, true, true)) }},
	"isipv4insubnet": {2, 2, func(a []value) value { return truthOf(inSubnet(a, true, false)) }},
	"isipv6insubnet": {2, 2, func(a []value) value { return truthOf(inSubnet(a, false, true)) }},
}

// maxText is how long a text may become, in bytes.
const maxText = 4 << 20

// substr takes code points from an index, from 0, and at most as many as a third
// argument says.
func substr(a []value) value {
	from, ok := a[1].number()
	if a[0].kind == null || !ok {
		return value{}
	}
	s := []rune(a[0].String())
	i := int(min(max(from, 0), float64(len(s))))
	s = s[i:]
	if len(a) == 3 {
		n, ok := a[2].number()
		if !ok {
			return value{}
		}
		s = s[:int(min(max(n, 0), float64(len(s))))]
	}
	return textOf(string(s))
}

// rounded takes a time to the start of its period, or of the next.
func rounded(a []value, up bool) value {
	at, ok := a[0].number()
	size := a[1].num
	if !ok || size <= 0 {
		return value{}
	}
	floor := math.Floor(at/size) * size
	if up && floor != at {
		floor += size
	}
	return momentOf(int64(floor))
}

func inSubnet(a []value, v4, v6 bool) bool {
	ip, err := netip.ParseAddr(a[0].String())
	net, e := netip.ParsePrefix(a[1].String())
	return err == nil && e == nil && net.Contains(ip) && (ip.Is4() && v4 || ip.Is6() && v6)
}

// call reads a function's arguments; the token is the opening parenthesis behind
// its name.
func (p *parser) call(name token) (expr, error) {
	lower := strings.ToLower(name.text)
	if aggregate, ok := aggregates[lower]; ok {
		return p.aggregate(name, lower, aggregate)
	}
	switch lower {
	case "bin":
		return p.bin(name)
	case "now":
		now := p.now.Unix()
		_, err := p.list(")")
		return constant(numberOf(float64(now))), err
	}
	f, ok := functions[lower]
	if !ok {
		return nil, p.lex.fail(name.start, name.end, "Invalid function %s", name.text)
	}
	var args []expr
	var err error
	if strings.HasPrefix(lower, "date") {
		args, err = p.timeAndPeriod()
	} else {
		args, err = p.list(")")
	}
	if err != nil {
		return nil, err
	}
	if len(args) < f.min || f.max > 0 && len(args) > f.max {
		return nil, p.lex.fail(name.start, p.tok.start, "Invalid number of arguments for function %s", name.text)
	}
	return func(r *row) value {
		var few [4]value
		values := few[:0]
		size := 0
		for _, a := range args {
			v := a(r)
			if size += len(v.text); size > maxText {
				return value{}
			}
			values = append(values, v)
		}
		return f.call(values)
	}, nil
}

// bin reads bin(period) and bin(time, period).
func (p *parser) bin(name token) (expr, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	at := expr(func(r *row) value { return r.get("@timestamp") })
	if p.tok.kind != period {
		x, err := p.expression()
		if err != nil {
			return nil, err
		}
		if !p.tok.is(",") {
			return nil, p.unexpected()
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
		at = x
	} else if p.known != nil && !p.known["@timestamp"] {
		return nil, p.lex.fail(name.start, name.end, "Unknown symbols found in or after stats: @timestamp")
	}
	size, err := p.period()
	if err != nil {
		return nil, err
	}
	return func(r *row) value { return rounded([]value{at(r), size}, false) }, nil
}

// timeAndPeriod reads (time, period).
func (p *parser) timeAndPeriod() ([]expr, error) {
	at, err := p.after(p.expression)
	if err != nil {
		return nil, err
	}
	if !p.tok.is(",") {
		return nil, p.unexpected()
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	size, err := p.period()
	return []expr{at, constant(size)}, err
}

// period reads a period and the closing parenthesis.
func (p *parser) period() (value, error) {
	if p.tok.kind != period {
		return value{}, p.unexpected()
	}
	v := numberOf(p.tok.num)
	if err := p.advance(); err != nil {
		return value{}, err
	}
	if !p.tok.is(")") {
		return value{}, p.unexpected()
	}
	return v, p.advance()
}
