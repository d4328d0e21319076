package insights

import (
	"container/heap"
	"fmt"
	"hash/maphash"
	"math"
	"slices"
)

// aggregates are the functions of stats, by name in lower case.
var aggregates = map[string]func(args float64) accumulator{
	"count":          func(float64) accumulator { return &counter{} },
	"count_distinct": func(float64) accumulator { return &distinct{seen: map[uint64]struct{}{}} },
	"sum":            func(float64) accumulator { return &moment2{want: "sum"} },
	"avg":            func(float64) accumulator { return &moment2{want: "avg"} },
	"stddev":         func(float64) accumulator { return &moment2{want: "stddev"} },
	"min":            func(float64) accumulator { return &extreme{keep: func(c int) bool { return c < 0 }} },
	"max":            func(float64) accumulator { return &extreme{keep: func(c int) bool { return c > 0 }} },
	"pct":            func(p float64) accumulator { return &percentile{p: p} },
	"percentile":     func(p float64) accumulator { return &percentile{p: p} },
	"median":         func(float64) accumulator { return &percentile{p: 50} },
	"earliest":       func(float64) accumulator { return &timed{later: false} },
	"latest":         func(float64) accumulator { return &timed{later: true} },
	"sortsfirst":     func(float64) accumulator { return &sorts{keep: func(c int) bool { return c < 0 }} },
	"sortslast":      func(float64) accumulator { return &sorts{keep: func(c int) bool { return c > 0 }} },
}

// accumulator is an aggregate of a group's rows. size is about how many bytes it
// has.
type accumulator interface {
	add(v value, r *row)
	result() value
	size() int
}

// aggregation is one in a query: its value for each row, and its name among what
// stats makes of a group.
type aggregation struct {
	arg  expr // nil for count(*)
	new  func() accumulator
	name string
}

// aggregate reads the arguments of an aggregate; the token is the opening
// parenthesis.
func (p *parser) aggregate(name token, lower string, make func(float64) accumulator) (expr, error) {
	if !p.outside {
		return nil, p.lex.fail(name.start, name.end, "Aggregate function %s is allowed only in stats, and not in another", name.text)
	}
	a := aggregation{name: fmt.Sprintf("\x00%d", len(p.aggregations))}
	p.outside = false
	defer func() { p.outside = true }()
	if err := p.advance(); err != nil {
		return nil, err
	}
	percent := 0.0
	switch {
	case lower == "count" && (p.tok.is("*") || p.tok.is(")")):
		if p.tok.is("*") {
			if err := p.advance(); err != nil {
				return nil, err
			}
		}
	default:
		x, err := p.expression()
		if err != nil {
			return nil, err
		}
		a.arg = x
		if lower == "pct" || lower == "percentile" {
			if !p.tok.is(",") {
				return nil, p.unexpected()
			}
			if err := p.advance(); err != nil {
				return nil, err
			}
			if percent = p.tok.num; p.tok.kind != num || percent < 0 || percent > 100 {
				return nil, p.unexpected()
			}
			if err := p.advance(); err != nil {
				return nil, err
			}
		}
	}
	if !p.tok.is(")") {
		return nil, p.unexpected()
	}
	a.new = func() accumulator { return make(percent) }
	p.aggregations = append(p.aggregations, a)
	return func(r *row) value { return r.get(a.name) }, p.advance()
}

type counter struct{ n float64 }

func (c *counter) add(value, *row) { c.n++ }
func (c *counter) result() value   { return numberOf(c.n) }
func (c *counter) size() int       { return 16 }

// moment2 sums numbers and their squares, the latter about a running mean.
type moment2 struct {
	want             string
	n, sum, mean, m2 float64
}

func (m *moment2) add(v value, _ *row) {
	x, ok := v.number()
	if !ok {
		return
	}
	m.n++
	m.sum += x
	d := x - m.mean
	m.mean += d / m.n
	m.m2 += d * (x - m.mean)
}

func (m *moment2) result() value {
	switch {
	case m.n == 0:
		return value{}
	case m.want == "sum":
		return numberOf(m.sum)
	case m.want == "avg":
		return numberOf(m.sum / m.n)
	}
	return numberOf(math.Sqrt(m.m2 / m.n))
}

func (m *moment2) size() int { return 64 }

// extreme is the smallest or largest value: of numbers, or of texts where there
// are some.
type extreme struct {
	keep func(c int) bool
	v    value
}

func (e *extreme) add(v value, _ *row) {
	if e.v.kind == null || e.keep(compare(v, e.v)) {
		e.v = v
	}
}

func (e *extreme) result() value {
	if n, ok := e.v.number(); ok && e.v.kind == text {
		return numberOf(n)
	}
	return e.v
}

func (e *extreme) size() int { return 64 + len(e.v.text) }

// sorts is the value that sort would put first or last.
type sorts struct {
	keep func(c int) bool
	v    value
}

func (s *sorts) add(v value, _ *row) {
	if s.v.kind == null || s.keep(order(v, s.v)) {
		s.v = v
	}
}
func (s *sorts) result() value { return s.v }
func (s *sorts) size() int     { return 64 + len(s.v.text) }

// timed is the value of the row with the earliest or latest @timestamp.
type timed struct {
	later bool
	at    float64
	v     value
}

func (t *timed) add(v value, r *row) {
	at, ok := r.get("@timestamp").number()
	if !ok {
		return
	}
	if t.v.kind == null || t.later && at > t.at || !t.later && at <= t.at {
		t.at, t.v = at, v
	}
}
func (t *timed) result() value { return t.v }
func (t *timed) size() int     { return 64 + len(t.v.text) }

// exactly is how many values are kept as they are.
const exactly = 4096

// percentile keeps values, and when there are many the number of values in
// buckets, each 2 percent wide.
type percentile struct {
	p       float64
	values  []float64
	buckets map[int]float64
	n       float64
}

const bucketWidth = 1.02

// bucket numbers the buckets in order; 0 has its own.
func bucket(x float64) int {
	const middle = 1 << 20
	b := int(math.Ceil(math.Log(math.Abs(x))/math.Log(bucketWidth))) + middle
	switch {
	case x == 0:
		return 0
	case x < 0:
		return -b
	}
	return b
}

// bucketValue is a value within 1 percent of all in the bucket.
func bucketValue(b int) float64 {
	const middle = 1 << 20
	switch {
	case b == 0:
		return 0
	case b < 0:
		return -bucketValue(-b)
	}
	return 2 * math.Pow(bucketWidth, float64(b-middle)) / (bucketWidth + 1)
}

func (p *percentile) add(v value, _ *row) {
	x, ok := v.number()
	if !ok {
		return
	}
	p.n++
	if p.buckets == nil {
		if p.values = append(p.values, x); len(p.values) <= exactly {
			return
		}
		p.buckets = map[int]float64{}
		for _, x := range p.values {
			p.buckets[bucket(x)]++
		}
		p.values = nil
		return
	}
	p.buckets[bucket(x)]++
}

// result is the value at the nearest rank.
func (p *percentile) result() value {
	if p.n == 0 {
		return value{}
	}
	rank := max(math.Ceil(p.p/100*p.n), 1)
	if p.buckets == nil {
		slices.Sort(p.values)
		return numberOf(p.values[int(rank)-1])
	}
	var order []int
	for b := range p.buckets {
		order = append(order, b)
	}
	slices.Sort(order)
	for _, b := range order {
		if rank -= p.buckets[b]; rank <= 0 {
			return numberOf(bucketValue(b))
		}
	}
	return value{}
}

func (p *percentile) size() int { return 64 + 8*cap(p.values) + 32*len(p.buckets) }

// distinct keeps the smallest hashes of what it has seen: as long as those are
// all, their number is exact.
type distinct struct {
	seen  map[uint64]struct{}
	large hashes // the same, the largest first
}

var seed = maphash.MakeSeed()

func (d *distinct) add(v value, _ *row) {
	h := maphash.String(seed, v.String())
	if _, ok := d.seen[h]; ok || len(d.large) == exactly && h > d.large[0] {
		return
	}
	d.seen[h] = struct{}{}
	if heap.Push(&d.large, h); len(d.large) > exactly {
		delete(d.seen, heap.Pop(&d.large).(uint64))
	}
}

func (d *distinct) result() value {
	if len(d.large) < exactly {
		return numberOf(float64(len(d.large)))
	}
	return numberOf(math.Round((exactly - 1) / (float64(d.large[0]) / math.MaxUint64)))
}

func (d *distinct) size() int { return 64 + 40*len(d.large) }

// hashes is a heap of the largest.
type hashes []uint64

func (h hashes) Len() int           { return len(h) }
func (h hashes) Less(i, j int) bool { return h[i] > h[j] }
func (h hashes) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *hashes) Push(x any)        { *h = append(*h, x.(uint64)) }

func (h *hashes) Pop() any {
	n := len(*h) - 1
	x := (*h)[n]
	*h = (*h)[:n]
	return x
}
