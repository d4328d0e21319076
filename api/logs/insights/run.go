package insights

import (
	"context"
	"errors"
	"iter"
	"maps"
)

// Limits bound what a query returns and keeps.
type Limits struct {
	Rows  int // at most that many; 0 is 10,000
	Bytes int // what it may keep in memory; 0 is 64 MiB
}

// Field is a field of a result.
type Field struct{ Name, Value string }

// Results are what a query found. A field that is missing is not in its row.
type Results struct {
	Rows [][]Field
	Statistics
}

// Statistics are about the events that a query went through.
type Statistics struct {
	Matched, Scanned, Bytes float64 // those that passed the filters, all, and their bytes
}

// ErrMemory is the failure of a query that would keep too much.
var ErrMemory = errors.New("the query would keep more in memory than it may: narrow it by time, by a filter, or by a limit")

// run is one run of a query.
type run struct {
	rows    int // of results
	left    int // bytes that may still be kept
	matched float64
	err     error
}

// keep counts bytes that are kept, and reports whether they may be.
func (r *run) keep(n int) bool {
	if r.left -= n; r.left < 0 && r.err == nil {
		r.err = ErrMemory
	}
	return r.err == nil
}

// stage takes rows, which are valid during push, and passes rows on. end comes
// after the last.
type stage interface {
	push(r *row)
	end()
}

// Run runs the query over events, newest first. progress, if there is one, is
// called now and then. It ends early with ctx's error, that of events, or
// ErrMemory.
func (q *Query) Run(ctx context.Context, events iter.Seq2[Event, error], p Pointer, l Limits, progress func(Statistics)) (Results, error) {
	if l.Rows <= 0 {
		l.Rows = defaultRows
	}
	if l.Bytes <= 0 {
		l.Bytes = 64 << 20
	}
	run := &run{rows: l.Rows, left: l.Bytes}
	out := &sink{run: run, q: q}
	first, last := q.build(run, out), Statistics{}
	r := &row{wanted: q.properties(), pointer: p}
	for e, err := range events {
		if err == nil {
			err = run.err
		}
		if err == nil && int(last.Scanned)%256 == 0 {
			if err = ctx.Err(); err == nil && progress != nil {
				progress(last)
			}
		}
		if err != nil {
			return Results{Statistics: last}, err
		}
		r.begin(&e)
		first.push(r)
		last.Scanned++
		last.Bytes += float64(len(e.Message))
		last.Matched = run.matched
	}
	first.end()
	if run.err != nil {
		return Results{Statistics: last}, run.err
	}
	return Results{Rows: out.rows, Statistics: last}, nil
}

// properties are the names that an event's properties may have.
func (q *Query) properties() map[string]bool {
	out := maps.Clone(q.wanted)
	for _, name := range []string{"@timestamp", "@ingestionTime", "@message", "@logStream", "@log", "@ptr"} {
		delete(out, name)
	}
	return out
}

// build makes the chain of stages. What gets through the commands before the
// first that gathers or limits rows has matched.
func (q *Query) build(run *run, last stage) stage {
	leading := 0
	for leading < len(q.steps) && q.steps[leading].kind < limiting {
		leading++
	}
	next := last
	for i := len(q.steps); i >= 0; i-- {
		if i < len(q.steps) {
			next = q.steps[i].stage(run, next)
		}
		if i == leading {
			next = &count{run, next}
		}
	}
	return next
}

// bound is how many rows, in order, the steps from the one given can use; 0 is
// for any number.
func (q *Query) bound(from, rows int) int {
	for _, s := range q.steps[from:] {
		switch s.kind {
		case onward:
		case limiting:
			return min(rows, s.rows)
		default:
			return 0
		}
	}
	return rows
}

// count counts the rows that have matched.
type count struct {
	run  *run
	next stage
}

func (c *count) push(r *row) {
	c.run.matched++
	c.next.push(r)
}

func (c *count) end() { c.next.end() }

// sink makes results of rows.
type sink struct {
	run  *run
	q    *Query
	rows [][]Field
}

func (s *sink) push(r *row) {
	if len(s.rows) >= s.run.rows {
		return
	}
	var fields []Field
	size := 0
	add := func(name string) {
		if v := r.get(name); v.kind != null {
			fields = append(fields, Field{name, v.String()})
			size += len(name) + len(fields[len(fields)-1].Value) + 64
		}
	}
	for _, name := range s.q.columns {
		add(name)
	}
	if !s.q.grouped {
		add("@ptr")
	}
	if s.run.keep(size) {
		s.rows = append(s.rows, fields)
	}
}

func (s *sink) end() {}
