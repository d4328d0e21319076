package query

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// MaxLength is how long an expression may be, in characters (SDK,
// types.PlacementConstraint.Expression).
const MaxLength = 2000

// maxDepth bounds how deep parentheses and negations may nest.
const maxDepth = 100

// Expr is a parsed expression.
type Expr struct{ root node }

// Parse reads an expression. The error is a *SyntaxError.
func Parse(text string) (*Expr, error) {
	p := &parser{scanner: scanner{text: text}}
	if n := utf8.RuneCountInString(text); n > MaxLength {
		return nil, &SyntaxError{Column: MaxLength + 1, Message: fmt.Sprintf("an expression has at most %d characters, not %d", MaxLength, n)}
	}
	if p.space() == len(text) {
		return nil, p.fail(p.at, "the expression is empty")
	}
	root, err := p.or(0)
	if err != nil {
		return nil, err
	}
	if p.space() < len(text) {
		return nil, p.fail(p.at, "expected && or || or the end, not %q", firstRune(text[p.at:]))
	}
	return &Expr{root}, nil
}

type parser struct{ scanner }

func (p *parser) or(depth int) (node, error) { return p.chain(depth, "||", "or", p.and) }

func (p *parser) and(depth int) (node, error) { return p.chain(depth, "&&", "and", p.unary) }

// chain reads one or more operands with an operator between them.
func (p *parser) chain(depth int, sign, word string, operand func(int) (node, error)) (node, error) {
	first, err := operand(depth)
	if err != nil {
		return nil, err
	}
	all := []node{first}
	for p.take(sign) || p.keyword(word) {
		next, err := operand(depth)
		if err != nil {
			return nil, err
		}
		all = append(all, next)
	}
	if len(all) == 1 {
		return first, nil
	}
	return &junction{or: word == "or", of: all}, nil
}

func (p *parser) unary(depth int) (node, error) {
	at := p.space()
	if depth > maxDepth {
		return nil, p.fail(at, "more than %d parentheses and negations are open", maxDepth)
	}
	switch {
	case p.take("("):
		inner, err := p.or(depth + 1)
		if err != nil {
			return nil, err
		}
		if !p.take(")") {
			return nil, p.fail(at, "the parenthesis is not closed")
		}
		return inner, nil
	case p.take("!"), p.keyword("not"):
		inner, err := p.unary(depth + 1)
		if err != nil {
			return nil, err
		}
		return &negation{inner}, nil
	}
	return p.comparison()
}

// operator is a comparison, by its sign; word is its other form.
type operator struct{ sign, word string }

// The operators. One that begins as another does is before it.
var operators = []operator{
	{"==", "equals"}, {"!=", "not_equals"}, {">=", "greater_than_equal"}, {"<=", "less_than_equal"}, {">", "greater_than"}, {"<", "less_than"},
	{"=~", "matches"}, {"!~", "not_matches"}, {"!exists", "not_exists"}, {"exists", "exists"}, {"!in", "not_in"}, {"in", "in"},
}

// The operators that each kind of subject has.
var (
	ofOrder = []string{"==", "!=", ">", ">=", "<", "<="}
	ofText  = []string{"==", "!=", "in", "!in", "=~", "!~"}
)

// subjects are those that are not attributes, with their operators.
var subjects = map[string][]string{
	"agentConnected": ofText, "agentVersion": ofOrder, "ec2InstanceId": ofText, "registeredAt": ofOrder,
	"runningTasksCount": ofOrder, "pendingTasksCount": ofOrder, "task:group": ofText,
}

// attributePrefix begins the subjects that are attributes.
const attributePrefix = "attribute:"

func (p *parser) comparison() (node, error) {
	at := p.space()
	if at == len(p.text) {
		return nil, p.fail(at, "a subject is missing")
	}
	subject := p.name()
	if subject == "" {
		return nil, p.fail(at, "expected a subject, not %q", firstRune(p.text[at:]))
	}
	name, attribute := strings.CutPrefix(subject, attributePrefix)
	allowed, known := subjects[subject]
	switch {
	case attribute && name == "":
		return nil, p.fail(at, "the attribute's name is missing")
	case !attribute && !known:
		return nil, p.fail(at, "unknown subject %q: subjects are agentConnected, agentVersion, attribute:NAME, ec2InstanceId, pendingTasksCount, registeredAt, runningTasksCount and task:group", subject)
	}
	at = p.space()
	op, ok := p.operator()
	switch {
	case !ok && at == len(p.text):
		return nil, p.fail(at, "an operator is missing after %q", subject)
	case !ok:
		return nil, p.fail(at, "expected an operator after %q, not %q", subject, firstRune(p.text[at:]))
	case known && !slices.Contains(allowed, op):
		return nil, p.fail(at, "the operator %s is not valid for %s: valid are %s", op, subject, strings.Join(allowed, ", "))
	}
	return p.argument(&comparison{subject: subject, attribute: name, isAttribute: attribute, op: op})
}

func (p *parser) operator() (string, bool) {
	for _, o := range operators {
		signed := p.take
		if inName(o.sign[len(o.sign)-1]) {
			signed = p.keyword
		}
		if signed(o.sign) || p.keyword(o.word) {
			return o.sign, true
		}
	}
	return "", false
}

// argument reads what the operator is to compare with, and checks that it is
// something that the subject can be compared with.
func (p *parser) argument(c *comparison) (node, error) {
	var err error
	switch c.op {
	case "exists", "!exists":
		return c, nil
	case "in", "!in":
		if c.args, err = p.list(); err != nil {
			return nil, err
		}
		return c, nil
	}
	at := p.space()
	arg, err := p.value("")
	if err != nil {
		return nil, err
	}
	c.args = []string{arg}
	switch {
	case c.op == "=~" || c.op == "!~":
		// By itself first: in the parentheses "a)|(b" would be something else.
		if _, err = regexp.Compile(arg); err == nil {
			c.pattern, err = regexp.Compile(`^(?:` + arg + `)$`)
		}
		if err != nil {
			return nil, p.fail(at, "%q is not a regular expression that can be used here: %v", arg, err)
		}
	case c.subject == "registeredAt":
		if c.time, err = parseTime(arg); err != nil {
			return nil, p.fail(at, "%q is not a date: valid are 2018-06-18T22:28:28+00:00, 2018-06-18T22:28:28Z, 2018-06-18T22:28:28 and 2018-06-18", arg)
		}
	case c.subject == "runningTasksCount" || c.subject == "pendingTasksCount":
		if c.number, err = strconv.Atoi(arg); err != nil {
			return nil, p.fail(at, "%q is not a number", arg)
		}
	}
	return c, nil
}

// list reads "[a, b]".
func (p *parser) list() ([]string, error) {
	at := p.space()
	if !p.take("[") {
		return nil, p.fail(at, "expected a list, [argument1, argument2]")
	}
	var out []string
	for {
		arg, err := p.value("[],")
		if err != nil {
			return nil, err
		}
		out = append(out, arg)
		switch {
		case p.take(","):
		case p.take("]"):
			return out, nil
		default:
			return nil, p.fail(at, "the list is not closed by ]")
		}
	}
}

// parseTime reads the forms of a date that the guide has. One without a zone is
// in UTC.
func parseTime(text string) (time.Time, error) {
	var t time.Time
	var err error
	for _, form := range []string{time.RFC3339, "2006-01-02T15:04:05", time.DateOnly} {
		if t, err = time.Parse(form, text); err == nil {
			return t, nil
		}
	}
	return t, err
}
