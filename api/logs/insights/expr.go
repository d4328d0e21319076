package insights

import (
	"math"
	"regexp"
	"strings"
)

// expr is a compiled expression.
type expr func(r *row) value

// expression reads one: or, and, not, comparisons, sums, products, powers.
func (p *parser) expression() (expr, error) {
	if p.depth++; p.depth > maxNesting {
		return nil, p.unexpected()
	}
	defer func() { p.depth-- }()
	left, err := p.conjunction()
	for err == nil && p.tok.is("or") {
		var right expr
		if right, err = p.after(p.conjunction); err == nil {
			a, b := left, right
			left = func(r *row) value { return truthOf(a(r).true() || b(r).true()) }
		}
	}
	return left, err
}

// maxNesting is how deep expressions may be in each other.
const maxNesting = 100

// after skips a token and reads what read reads.
func (p *parser) after(read func() (expr, error)) (expr, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	return read()
}

func (p *parser) conjunction() (expr, error) {
	left, err := p.negation()
	for err == nil && p.tok.is("and") {
		var right expr
		if right, err = p.after(p.negation); err == nil {
			a, b := left, right
			left = func(r *row) value { return truthOf(a(r).true() && b(r).true()) }
		}
	}
	return left, err
}

func (p *parser) negation() (expr, error) {
	if !p.tok.is("not") {
		return p.comparison()
	}
	if p.depth++; p.depth > maxNesting {
		return nil, p.unexpected()
	}
	defer func() { p.depth-- }()
	x, err := p.after(p.negation)
	return func(r *row) value { return truthOf(!x(r).true()) }, err
}

// comparisons say what the order of two values must be.
var comparisons = map[string]func(c int) bool{
	"=": func(c int) bool { return c == 0 }, "!=": func(c int) bool { return c != 0 },
	"<": func(c int) bool { return c < 0 }, "<=": func(c int) bool { return c <= 0 },
	">": func(c int) bool { return c > 0 }, ">=": func(c int) bool { return c >= 0 },
}

func (p *parser) comparison() (expr, error) {
	left, err := p.sum()
	if err != nil {
		return nil, err
	}
	if p.tok.kind == symbol && comparisons[p.tok.text] != nil {
		holds, unequal := comparisons[p.tok.text], p.tok.text == "!="
		right, err := p.after(p.sum)
		return func(r *row) value {
			a, b := left(r), right(r)
			if a.kind == null || b.kind == null {
				return truthOf(unequal && a.kind != b.kind)
			}
			return truthOf(holds(compare(a, b)))
		}, err
	}
	not := p.tok.is("not")
	if not {
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
	var test expr
	switch {
	case p.tok.is("like"), p.tok.is("=~") && !not:
		test, err = p.like(left)
	case p.tok.is("in"):
		test, err = p.in(left)
	case not:
		return nil, p.unexpected()
	default:
		return left, nil
	}
	if err != nil || !not {
		return test, err
	}
	return func(r *row) value { return truthOf(!test(r).true()) }, nil
}

// like reads a string that must be in the value, or a regular expression.
func (p *parser) like(left expr) (expr, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.tok.is("/") {
		re, err := p.regex()
		return func(r *row) value {
			v := left(r)
			return truthOf(v.kind != null && re.MatchString(v.String()))
		}, err
	}
	if p.tok.kind != str {
		return nil, p.unexpected()
	}
	part := p.tok.text
	return func(r *row) value {
		v := left(r)
		return truthOf(v.kind != null && strings.Contains(v.String(), part))
	}, p.advance()
}

// in reads a list of values, one of which must be equal.
func (p *parser) in(left expr) (expr, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	if !p.tok.is("[") {
		return nil, p.unexpected()
	}
	list, err := p.list("]")
	return func(r *row) value {
		v := left(r)
		for _, x := range list {
			if y := x(r); v.kind != null && y.kind != null && compare(v, y) == 0 {
				return truthOf(true)
			}
		}
		return truthOf(false)
	}, err
}

// list reads expressions between an opening symbol, which is the token, and a
// closing one.
func (p *parser) list(closing string) (list []expr, err error) {
	for {
		if err := p.advance(); err != nil {
			return nil, err
		}
		if p.tok.is(closing) && len(list) == 0 {
			return nil, p.advance()
		}
		x, err := p.expression()
		if err != nil {
			return nil, err
		}
		list = append(list, x)
		if p.tok.is(closing) {
			return list, p.advance()
		}
		if !p.tok.is(",") {
			return nil, p.unexpected()
		}
	}
}

// binary makes an expression of two numbers.
func binary(a, b expr, f func(x, y float64) float64) expr {
	return func(r *row) value {
		x, ok := a(r).number()
		y, also := b(r).number()
		if !ok || !also {
			return value{}
		}
		return numberOf(f(x, y))
	}
}

var arithmetic = map[string]func(x, y float64) float64{
	"+": func(x, y float64) float64 { return x + y }, "-": func(x, y float64) float64 { return x - y },
	"*": func(x, y float64) float64 { return x * y }, "/": func(x, y float64) float64 { return x / y },
	"%": math.Mod, "^": math.Pow,
}

func (p *parser) sum() (expr, error) { return p.chain(p.product, "+", "-") }

func (p *parser) product() (expr, error) { return p.chain(p.power, "*", "/", "%") }

func (p *parser) power() (expr, error) { return p.chain(p.unary, "^") }

// chain reads operands joined by one of the operators, from left to right.
func (p *parser) chain(operand func() (expr, error), operators ...string) (expr, error) {
	left, err := operand()
	for err == nil {
		var f func(x, y float64) float64
		for _, o := range operators {
			if p.tok.is(o) {
				f = arithmetic[o]
			}
		}
		if f == nil {
			break
		}
		var right expr
		if right, err = p.after(operand); err == nil {
			left = binary(left, right, f)
		}
	}
	return left, err
}

func (p *parser) unary() (expr, error) {
	if !p.tok.is("-") {
		return p.primary()
	}
	if p.depth++; p.depth > maxNesting {
		return nil, p.unexpected()
	}
	defer func() { p.depth-- }()
	x, err := p.after(p.unary)
	return binary(constant(numberOf(0)), x, arithmetic["-"]), err
}

func constant(v value) expr { return func(*row) value { return v } }

func (p *parser) primary() (expr, error) {
	t := p.tok
	switch {
	case t.kind == num:
		return constant(numberOf(t.num)), p.advance()
	case t.kind == str:
		return constant(textOf(t.text)), p.advance()
	case t.is("("):
		x, err := p.after(p.expression)
		if err != nil {
			return nil, err
		}
		if !p.tok.is(")") {
			return nil, p.unexpected()
		}
		return x, p.advance()
	case t.kind == word:
		if err := p.advance(); err != nil {
			return nil, err
		}
		if p.tok.is("(") {
			return p.call(t)
		}
		if t.is("true") || t.is("false") {
			return constant(truthOf(t.is("true"))), nil
		}
		return p.field(t)
	case t.kind == quotedName:
		if err := p.advance(); err != nil {
			return nil, err
		}
		return p.field(t)
	}
	return nil, p.unexpected()
}

// field makes an expression of a field's name.
func (p *parser) field(t token) (expr, error) {
	if keywords[strings.ToLower(t.text)] && t.kind == word {
		return nil, p.lex.fail(t.start, t.end, "unexpected symbol found %s", t.text)
	}
	if p.known != nil && !p.known[t.text] {
		return nil, p.lex.fail(t.start, t.end, "Unknown symbols found in or after stats: %s", t.text)
	}
	if p.outside {
		return nil, p.lex.fail(t.start, t.end, "Unknown symbols found in or after stats: %s", t.text)
	}
	p.wanted[t.text] = true
	name := t.text
	return func(r *row) value { return r.get(name) }, nil
}

// keywords can be no field without backticks.
var keywords = map[string]bool{"and": true, "or": true, "not": true, "in": true, "like": true, "as": true, "by": true, "asc": true, "desc": true}

// regex reads a regular expression; the token is its first slash.
func (p *parser) regex() (*regexp.Regexp, error) {
	start := p.tok.start
	at := start + 1
	for at < len(p.lex.text) && p.lex.text[at] != '/' {
		if p.lex.text[at] == '\\' {
			at++
		}
		at++
	}
	if at >= len(p.lex.text) {
		return nil, p.lex.fail(start, len(p.lex.text), "unexpected symbol found /")
	}
	re, err := regexp.Compile(strings.ReplaceAll(p.lex.text[start+1:at], `\/`, `/`))
	if err != nil {
		return nil, p.lex.fail(start, at+1, "Invalid regular expression %s", p.lex.text[start:at+1])
	}
	p.lex.at = at + 1
	return re, p.advance()
}
