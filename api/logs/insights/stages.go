package insights

import (
	"container/heap"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// compute sets the fields that fields and display make.
type compute struct {
	list []column
	next stage
}

func (c *compute) push(r *row) {
	for _, x := range c.list {
		if x.made {
			r.set(x.name, x.x(r))
		}
	}
	c.next.push(r)
}

func (c *compute) end() { c.next.end() }

type filter struct {
	x    expr
	next stage
}

func (f *filter) push(r *row) {
	if f.x(r).true() {
		f.next.push(r)
	}
}

func (f *filter) end() { f.next.end() }

// extract is parse.
type extract struct {
	from  expr
	re    *regexp.Regexp
	names []string
	next  stage
}

func (e *extract) push(r *row) {
	if v := e.from(r); v.kind != null {
		s := v.String()
		if at := e.re.FindStringSubmatchIndex(s); at != nil {
			for i, name := range e.names {
				if from := at[2*i+2]; name != "" && from >= 0 {
					r.set(name, textOf(s[from:at[2*i+3]]))
				}
			}
		}
	}
	e.next.push(r)
}

func (e *extract) end() { e.next.end() }

type limit struct {
	next stage
	left int
}

func (l *limit) push(r *row) {
	if l.left > 0 {
		l.left--
		l.next.push(r)
	}
}

func (l *limit) end() { l.next.end() }

// tail passes the last rows on.
type tail struct {
	run  *run
	next stage
	n    int
	rows []*row // the newest of a ring is before at
	at   int
}

func (t *tail) push(r *row) {
	k, size := r.keep()
	if len(t.rows) < t.n {
		if t.run.keep(size) {
			t.rows = append(t.rows, k)
		}
		return
	}
	_, old := t.rows[t.at].keep()
	if t.run.keep(size - old) {
		t.rows[t.at] = k
		t.at = (t.at + 1) % t.n
	}
}

func (t *tail) end() {
	for i := range t.rows {
		t.next.push(t.rows[(t.at+i)%len(t.rows)])
	}
	t.next.end()
}

// dedup passes the first row of each combination of values on, and rows that
// lack one of them.
type dedup struct {
	run   *run
	next  stage
	names []string
	seen  map[string]struct{}
}

func (d *dedup) push(r *row) {
	key, whole := keyOf(len(d.names), func(i int) value { return r.get(d.names[i]) })
	if whole {
		if _, ok := d.seen[key]; ok || !d.run.keep(len(key)+64) {
			return
		}
		d.seen[key] = struct{}{}
	}
	d.next.push(r)
}

func (d *dedup) end() { d.next.end() }

// keyOf makes one text of values, and reports whether none is missing.
func keyOf(n int, of func(i int) value) (key string, whole bool) {
	var b strings.Builder
	whole = true
	for i := range n {
		v := of(i)
		if v.kind == null {
			whole = false
			b.WriteByte('-')
			continue
		}
		s := v.String()
		b.WriteString(strconv.Itoa(len(s)))
		b.WriteByte(':')
		b.WriteString(s)
	}
	return b.String(), whole
}

type sortKey struct {
	x          expr
	descending bool
}

// sorter passes rows on in order. Rows that are equal keep the order they came
// in. With a bound it keeps only that many.
type sorter struct {
	run   *run
	next  stage
	keys  []sortKey
	bound int
	rows  []sorted // with a bound, a heap of the last in order
	n     int
}

type sorted struct {
	row    *row
	keys   []value
	n      int // the order of arrival
	weight int
}

// before reports whether a comes before b.
func (s *sorter) before(a, b *sorted) bool {
	for i, k := range s.keys {
		x, y := a.keys[i], b.keys[i]
		c := order(x, y)
		if c != 0 && k.descending && x.kind != null && y.kind != null {
			c = -c
		}
		if c != 0 {
			return c < 0
		}
	}
	return a.n < b.n
}

func (s *sorter) Len() int           { return len(s.rows) }
func (s *sorter) Less(i, j int) bool { return s.before(&s.rows[j], &s.rows[i]) }
func (s *sorter) Swap(i, j int)      { s.rows[i], s.rows[j] = s.rows[j], s.rows[i] }
func (s *sorter) Push(x any)         { s.rows = append(s.rows, x.(sorted)) }

func (s *sorter) Pop() any {
	n := len(s.rows) - 1
	x := s.rows[n]
	s.rows = s.rows[:n]
	return x
}

func (s *sorter) push(r *row) {
	x := sorted{n: s.n, keys: make([]value, len(s.keys))}
	s.n++
	for i, k := range s.keys {
		x.keys[i] = k.x(r)
	}
	full := s.bound > 0 && len(s.rows) == s.bound
	if full && !s.before(&x, &s.rows[0]) {
		return
	}
	x.row, x.weight = r.keep()
	if full {
		s.run.keep(-heap.Pop(s).(sorted).weight)
	}
	if s.run.keep(x.weight) {
		heap.Push(s, x)
	}
}

func (s *sorter) end() {
	slices.SortFunc(s.rows, func(a, b sorted) int {
		if s.before(&a, &b) {
			return -1
		}
		return 1
	})
	for _, x := range s.rows {
		s.next.push(x.row)
	}
	s.next.end()
}

// stats makes a row of each group.
type stats struct {
	run          *run
	next         stage
	groups       []column
	columns      []column
	aggregations []aggregation
	all          map[string]*group
	order        []*group
}

type group struct {
	by      []value
	sums    []accumulator
	weights []int
}

func (s *stats) push(r *row) {
	values := make([]value, len(s.groups))
	for i, g := range s.groups {
		values[i] = g.x(r)
	}
	key, _ := keyOf(len(values), func(i int) value { return values[i] })
	g := s.all[key]
	if g == nil {
		if !s.run.keep(2*len(key) + 256) {
			return
		}
		g = s.group(values)
		s.all[key] = g
	}
	for i, a := range s.aggregations {
		v := value{}
		if a.arg != nil {
			if v = a.arg(r); v.kind == null {
				continue
			}
		}
		g.sums[i].add(v, r)
		size := g.sums[i].size()
		s.run.keep(size - g.weights[i])
		g.weights[i] = size
	}
}

func (s *stats) group(by []value) *group {
	g := &group{by: by, sums: make([]accumulator, len(s.aggregations)), weights: make([]int, len(s.aggregations))}
	for i, a := range s.aggregations {
		g.sums[i] = a.new()
	}
	s.order = append(s.order, g)
	return g
}

// end passes the groups on in the order in which they were found. Without "by"
// there is one, also of no events.
func (s *stats) end() {
	if len(s.groups) == 0 && len(s.order) == 0 {
		s.group(nil)
	}
	for _, g := range s.order {
		r := &row{}
		for i, a := range s.aggregations {
			r.set(a.name, g.sums[i].result())
		}
		for i, c := range s.groups {
			if g.by[i].kind != null {
				r.set(c.name, g.by[i])
			}
		}
		for _, c := range s.columns {
			if v := c.x(r); v.kind != null {
				r.set(c.name, v)
			}
		}
		s.next.push(r)
	}
	s.next.end()
}
