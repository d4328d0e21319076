package insights

import (
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Query is a parsed query. It may be run by many goroutines.
type Query struct {
	steps  []step // in the order of the query
	wanted map[string]bool
	// columns are the names of what is shown, in order; grouped is whether stats
	// made the rows, which then have no @ptr.
	columns []string
	grouped bool
}

// maxQuery is how long a query may be (API_StartQuery).
const maxQuery = 10_000

// defaultRows is the limit of a query that names none.
const defaultRows = 10_000

// maxRows is the highest limit.
const maxRows = 100_000

// parser reads a query from left to right, one token ahead.
type parser struct {
	lex  lexer
	tok  token
	last int // the end of the token before
	now  time.Time

	q            *Query
	wanted       map[string]bool
	known        map[string]bool // fields behind stats; nil before
	outside      bool            // in stats, not in an aggregate: no field may be named
	aggregations []aggregation
	depth        int
	listed       bool // fields has named columns
	displayed    bool // display has
}

// Parse reads a query, or returns a *SyntaxError. now is what now() is.
func Parse(text string, now time.Time) (*Query, error) {
	if len(text) > maxQuery {
		return nil, &SyntaxError{maxQuery, len(text), "The query is too long"}
	}
	if !utf8.ValidString(text) {
		return nil, &SyntaxError{0, len(text), "The query is not valid UTF-8"}
	}
	q := &Query{wanted: map[string]bool{}}
	p := &parser{lex: lexer{text: text}, now: now, q: q, wanted: q.wanted}
	if err := p.advance(); err != nil {
		return nil, err
	}
	for p.tok.kind != end {
		if err := p.command(); err != nil {
			return nil, err
		}
		if p.tok.kind == end {
			break
		}
		if !p.tok.is("|") {
			return nil, p.unexpected()
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
	if !p.listed && !p.displayed && !q.grouped {
		q.columns = append([]string{"@timestamp", "@message"}, q.columns...)
	}
	return q, nil
}

// advance reads the next token.
func (p *parser) advance() (err error) {
	p.last = p.tok.end
	p.tok, err = p.lex.next()
	return err
}

// unexpected is the error of a token that may not be here.
func (p *parser) unexpected() error {
	return p.lex.fail(p.tok.start, p.tok.end, "unexpected symbol found %s", p.tok.text)
}

// unbuilt are commands of the language that this package lacks.
var unbuilt = []string{"pattern", "diff", "anomaly", "unmask", "unnest", "filterindex", "source", "lookup", "join", "search", "addtotals", "union"}

// command reads one.
func (p *parser) command() error {
	t := p.tok
	if t.kind != word {
		return p.unexpected()
	}
	name := strings.ToLower(t.text)
	if slices.Contains(unbuilt, name) {
		return p.lex.fail(t.start, t.end, "The command %s is not supported", t.text)
	}
	read := map[string]func() error{
		"fields": p.fields, "display": p.display, "filter": p.filter, "where": p.filter, "stats": p.stats, "sort": p.sort, "order": p.sort,
		"limit": p.limit, "head": p.limit, "tail": p.tail, "parse": p.parse, "dedup": p.dedup,
	}[name]
	if read == nil {
		return p.lex.fail(t.start, t.end, "mismatched input '%s' expecting {K_PARSE, K_FIELDS, K_DISPLAY, K_FILTER, K_STATS, K_SORT, K_ORDER, K_HEAD, K_LIMIT, K_TAIL, K_DEDUP}", t.text)
	}
	if err := p.advance(); err != nil {
		return err
	}
	return read()
}

// step is a command of a query.
type step struct {
	kind  stepKind
	rows  int // of a limit
	stage func(run *run, next stage) stage
}

type stepKind uint8

const (
	onward    stepKind = iota // a row in, a row out
	filtering                 // or none
	limiting
	gathering // rows out at the end
)

func (p *parser) step(k stepKind, s func(run *run, next stage) stage) {
	p.q.steps = append(p.q.steps, step{kind: k, stage: s})
}

// column is an expression with the name it is shown by.
type column struct {
	name string
	x    expr
	made bool // it is not the field of that name as it is
}

// namedList reads expressions with "as" and names, separated by commas.
func (p *parser) namedList() (list []column, err error) {
	for {
		first := p.tok
		x, err := p.expression()
		if err != nil {
			return nil, err
		}
		c := column{name: p.lex.text[first.start:p.last], x: x, made: true}
		if (first.kind == word || first.kind == quotedName) && first.end == p.last {
			c.name, c.made = first.text, false
		}
		if p.tok.is("as") {
			if c.name, err = p.alias(); err != nil {
				return nil, err
			}
			c.made = true
		}
		list = append(list, c)
		if !p.tok.is(",") {
			return list, nil
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
}

// alias reads "as name"; the token is "as".
func (p *parser) alias() (string, error) {
	if err := p.advance(); err != nil {
		return "", err
	}
	return p.name()
}

// name reads a name.
func (p *parser) name() (string, error) {
	t := p.tok
	if t.kind != word && t.kind != quotedName || t.kind == word && keywords[strings.ToLower(t.text)] {
		return "", p.unexpected()
	}
	return t.text, p.advance()
}

// names reads names separated by commas.
func (p *parser) names() (list []string, err error) {
	for {
		n, err := p.name()
		if err != nil {
			return nil, err
		}
		list = append(list, n)
		if !p.tok.is(",") {
			return list, nil
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
}

// know makes names known behind stats.
func (p *parser) know(names ...string) {
	for _, n := range names {
		if p.known != nil {
			p.known[n] = true
		}
	}
}

// show adds columns that are not there yet.
func (p *parser) show(names ...string) {
	for _, n := range names {
		if !p.displayed && !slices.Contains(p.q.columns, n) {
			p.q.columns = append(p.q.columns, n)
		}
	}
}

func (p *parser) fields() error {
	list, err := p.namedList()
	if err != nil {
		return err
	}
	if !p.listed && !p.q.grouped && !p.displayed {
		p.listed = true
	}
	for _, c := range list {
		p.show(c.name)
		p.know(c.name)
	}
	p.step(onward, func(_ *run, next stage) stage { return &compute{list, next} })
	return nil
}

func (p *parser) display() error {
	list, err := p.namedList()
	if err != nil {
		return err
	}
	p.q.columns = nil
	for _, c := range list {
		p.displayed = false
		p.show(c.name)
		p.know(c.name)
	}
	p.displayed = true
	p.step(onward, func(_ *run, next stage) stage { return &compute{list, next} })
	return nil
}

func (p *parser) filter() error {
	x, err := p.expression()
	p.step(filtering, func(_ *run, next stage) stage { return &filter{x, next} })
	return err
}

func (p *parser) stats() error {
	p.aggregations = nil
	var groups []column
	p.outside = true
	columns, err := p.namedList()
	p.outside = false
	if err == nil && p.tok.is("by") {
		if err = p.advance(); err == nil {
			groups, err = p.namedList()
		}
	}
	if err != nil {
		return err
	}
	aggregations := p.aggregations
	p.known, p.q.columns, p.q.grouped, p.displayed = map[string]bool{}, nil, true, false
	for _, c := range append(slices.Clone(groups), columns...) {
		p.know(c.name)
		p.show(c.name)
	}
	p.step(gathering, func(run *run, next stage) stage {
		return &stats{run: run, next: next, groups: groups, columns: columns, aggregations: aggregations, all: map[string]*group{}}
	})
	return nil
}

func (p *parser) sort() error {
	if p.tok.is("by") {
		if err := p.advance(); err != nil {
			return err
		}
	}
	var keys []sortKey
	for {
		x, err := p.expression()
		if err != nil {
			return err
		}
		k := sortKey{x: x}
		if p.tok.is("asc") || p.tok.is("desc") {
			k.descending = p.tok.is("desc")
			if err := p.advance(); err != nil {
				return err
			}
		}
		keys = append(keys, k)
		if !p.tok.is(",") {
			break
		}
		if err := p.advance(); err != nil {
			return err
		}
	}
	q, at := p.q, len(p.q.steps)+1
	p.step(gathering, func(run *run, next stage) stage {
		return &sorter{run: run, next: next, keys: keys, bound: q.bound(at, run.rows)}
	})
	return nil
}

// count reads the number of a limit.
func (p *parser) count() (int, error) {
	t := p.tok
	if t.kind != num || t.num != float64(int(t.num)) || t.num < 1 || t.num > maxRows {
		return 0, p.unexpected()
	}
	return int(t.num), p.advance()
}

func (p *parser) limit() error {
	n, err := p.count()
	p.q.steps = append(p.q.steps, step{limiting, n, func(_ *run, next stage) stage { return &limit{next: next, left: n} }})
	return err
}

func (p *parser) tail() error {
	n, err := p.count()
	p.step(gathering, func(run *run, next stage) stage { return &tail{run: run, next: next, n: n} })
	return err
}

func (p *parser) dedup() error {
	at := p.tok
	names, err := p.names()
	if err != nil {
		return err
	}
	for _, n := range names {
		if p.known != nil && !p.known[n] {
			return p.lex.fail(at.start, p.tok.start, "Unknown symbols found in or after stats: %s", n)
		}
		p.wanted[n] = true
	}
	if p.tok.is("|") { // only limit may follow
		ahead := p.lex
		if t, err := ahead.next(); err == nil && !t.is("limit") && !t.is("head") {
			return p.lex.fail(t.start, t.end, "unexpected symbol found %s", t.text)
		}
	}
	p.step(gathering, func(run *run, next stage) stage {
		return &dedup{run: run, next: next, names: names, seen: map[string]struct{}{}}
	})
	return nil
}

// parse reads parse [field] "glob" as names, or parse [field] /regex/ [as names].
func (p *parser) parse() error {
	from := func(r *row) value { return r.get("@message") }
	if p.tok.kind != str && !p.tok.is("/") {
		x, err := p.primary()
		if err != nil {
			return err
		}
		from = x
	} else if p.known != nil && !p.known["@message"] {
		return p.lex.fail(p.tok.start, p.tok.end, "Unknown symbols found in or after stats: @message")
	}
	at := p.tok
	var re *regexp.Regexp
	var err error
	switch {
	case p.tok.is("/"):
		re, err = p.regex()
	case p.tok.kind == str:
		re = globRegexp(p.tok.text)
		err = p.advance()
	default:
		err = p.unexpected()
	}
	if err != nil {
		return err
	}
	names := slices.Clone(re.SubexpNames()[1:])
	if p.tok.is("as") {
		if err := p.advance(); err != nil {
			return err
		}
		given, err := p.names()
		if err != nil {
			return err
		}
		if len(given) != len(names) {
			return p.lex.fail(at.start, p.tok.start, "The number of fields, %d, is not that of the wildcards or groups, %d,", len(given), len(names))
		}
		names = given
	}
	named := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == "" })
	if len(named) == 0 {
		return p.unexpected()
	}
	p.know(named...)
	p.show(named...)
	p.step(onward, func(_ *run, next stage) stage { return &extract{from, re, names, next} })
	return nil
}

// globRegexp makes an expression of a text in which each * stands for a field: as
// little as can be, but the last to the end of the value.
func globRegexp(glob string) *regexp.Regexp {
	var b strings.Builder
	b.WriteString("(?s)")
	parts := strings.Split(glob, "*")
	if parts[0] == "" && len(parts) > 1 {
		b.WriteString("^")
	}
	for i, s := range parts {
		b.WriteString(regexp.QuoteMeta(s))
		switch {
		case i == len(parts)-1:
		case i == len(parts)-2 && parts[i+1] == "":
			b.WriteString("(.*)")
		default:
			b.WriteString("(.*?)")
		}
	}
	return regexp.MustCompile(b.String())
}
