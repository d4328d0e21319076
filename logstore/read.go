package logstore

import (
	"cmp"
	"container/heap"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/cockroachdb/pebble/v2"
)

// Stored is an event that is stored.
type Stored struct {
	Position
	Stream   string
	Ingested int64 // ms since 1970
	Message  string
}

// ID is the event's own for ever: 56 digits like AWS's, which sort by time.
func (e Stored) ID() string { return "3" + e.Position.String()[1:] }

// Query says which of a group's events to read.
type Query struct {
	// Streams are the names of those to read, each of which must exist; or Prefix
	// is what their names begin with.
	Streams []string
	Prefix  string
	// Start and End bound the time in ms since 1970: Start <= time < End.
	Start, End int64
	// From is where to go on: the Next of an earlier page.
	From *Position
	// Backward reads from the end to the start.
	Backward bool
	// Match chooses messages; nil takes all.
	Match func(message string) bool
	// Limit is the number of events, MaxBytes what they may have together, counted
	// as StoredBytes does. One event is returned however long it is.
	Limit, MaxBytes int
	// Scan is how many bytes to look through at most, counted likewise.
	Scan int
	// Buffer is how many bytes a read over many streams may hold of them at a
	// time; 0 is 4 MiB.
	Buffer int
}

// Page is what a read returns.
type Page struct {
	// Events are in order of time, or against it for a backward read.
	Events []Stored
	// Next is where the next page begins. It is never behind an event that was
	// not looked at.
	Next Position
	// More is false when all events there are have been looked at.
	More bool
}

// mergeBuffer is the Buffer of a query that names none.
const mergeBuffer = 4 << 20

// Read returns the next page of events, or ErrNoGroup or ErrNoStream. It stops
// early with an error when ctx ends.
func (s *Store) Read(ctx context.Context, scope Scope, group string, q Query) (Page, error) {
	r, err := s.reader(scope, group, q)
	if err != nil {
		return Page{}, err
	}
	page, err := r.page(ctx)
	if err := errors.Join(err, r.it.Close()); err != nil {
		return Page{}, fmt.Errorf("read log events: %w", err)
	}
	return page, nil
}

// Scan returns all events that a query chooses, without its limits, until one
// comes with an error: ErrNoGroup, ErrNoStream, or that of ctx. While it runs,
// deleted events keep their space.
func (s *Store) Scan(ctx context.Context, scope Scope, group string, q Query) iter.Seq2[Stored, error] {
	return func(yield func(Stored, error) bool) {
		r, err := s.reader(scope, group, q)
		if err != nil {
			yield(Stored{}, err)
			return
		}
		defer r.it.Close() // what it may find wrong, reading has found
		for {
			e, ok, err := r.next()
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				yield(Stored{}, fmt.Errorf("read log events: %w", err))
				return
			}
			if !ok {
				return
			}
			r.advance()
			if (q.Match == nil || q.Match(e.Message)) && !yield(e, nil) {
				return
			}
		}
	}
}

// reader opens a reader at the beginning of a query's range.
func (s *Store) reader(scope Scope, group string, q Query) (*reader, error) {
	g, err := s.group(scope, group)
	if err != nil {
		return nil, err
	}
	r := &reader{
		q: q, group: g.id,
		lo: Position{Time: max(q.Start, g.cutoff(s.now()))},
		hi: Position{Time: q.End},
	}
	if r.q.Buffer == 0 {
		r.q.Buffer = mergeBuffer
	}
	if q.From != nil && q.Backward && q.From.Before(r.hi) {
		r.hi = *q.From
	} else if q.From != nil && !q.Backward && r.lo.Before(*q.From) {
		r.lo = *q.From
	}
	if err := r.choose(s); err != nil {
		return nil, err
	}
	if r.it, err = s.db.NewIter(&pebble.IterOptions{LowerBound: numbers('e', g.id), UpperBound: numbers('e', g.id+1)}); err != nil {
		return nil, fmt.Errorf("read log events: %w", err)
	}
	return r, nil
}

// reader merges streams into one order.
type reader struct {
	q      Query
	group  uint64
	lo, hi Position // lo <= event < hi
	it     *pebble.Iterator
	// waiting are streams that begin behind what was read so far, in the order
	// in which they begin; live is a heap of those that are being read.
	waiting []Stream
	live    merge
}

// source is one stream that is being read.
type source struct {
	Stream
	events []Stored // read, and not yet taken
	next   Position // where to read on
	done   bool     // nothing is behind events
}

// choose finds the streams that have events in the range.
func (r *reader) choose(s *Store) error {
	add := func(st Stream) {
		if st.HasEvents && st.Last >= r.lo.Time && (st.First < r.hi.Time || st.First == r.hi.Time && r.hi.Seq > 0) {
			r.waiting = append(r.waiting, st)
		}
	}
	if r.q.Streams == nil {
		if err := s.eachStream(r.group, r.q.Prefix, add); err != nil {
			return fmt.Errorf("read log streams: %w", err)
		}
	}
	for _, name := range r.q.Streams {
		st, err := s.stream(r.group, name)
		if err != nil {
			return err
		}
		add(st)
	}
	// Sorted so that the next to begin is last.
	slices.SortFunc(r.waiting, func(a, b Stream) int {
		if r.q.Backward {
			return cmp.Compare(a.Last, b.Last)
		}
		return cmp.Compare(b.First, a.First)
	})
	r.live.backward = r.q.Backward
	return nil
}

// page takes events in order until one of the limits is reached.
func (r *reader) page(ctx context.Context) (Page, error) {
	p := Page{Next: r.lo}
	if r.q.Backward {
		p.Next = r.hi
	}
	bytes, scanned := 0, 0
	for {
		e, ok, err := r.next()
		if err != nil || !ok {
			return p, err
		}
		if err := ctx.Err(); err != nil {
			return Page{}, err
		}
		size := len(e.Message) + eventOverhead
		if scanned += size; scanned > r.q.Scan && p.Next != r.begin() {
			p.More = true
			return p, nil
		}
		if r.q.Match == nil || r.q.Match(e.Message) {
			if n := len(p.Events); n > 0 && (n == r.q.Limit || bytes+size > r.q.MaxBytes) {
				p.More = true
				return p, nil
			}
			bytes += size
			p.Events = append(p.Events, e)
		}
		if p.Next = e.Position; !r.q.Backward {
			p.Next.Seq++
		}
		r.advance()
	}
}

// next returns the next event, and false at the end.
func (r *reader) next() (Stored, bool, error) {
	if err := r.fill(); err != nil || r.live.Len() == 0 {
		return Stored{}, false, err
	}
	return r.live.sources[0].events[0], true, nil
}

// advance goes behind the event that next returned.
func (r *reader) advance() {
	src := r.live.sources[0]
	src.events = src.events[1:]
	heap.Fix(&r.live, 0)
}

// begin is the position at which the read began.
func (r *reader) begin() Position {
	if r.q.Backward {
		return r.hi
	}
	return r.lo
}

// fill makes the heap's first source the one with the next event: it starts
// streams that begin before that, reads on in the one that has run out, and
// drops it at its end.
func (r *reader) fill() error {
	for {
		if r.live.Len() > 0 && len(r.live.sources[0].events) == 0 {
			src := r.live.sources[0]
			if !src.done {
				if err := r.read(src); err != nil {
					return err
				}
			}
			if len(src.events) == 0 {
				heap.Pop(&r.live)
			} else {
				heap.Fix(&r.live, 0)
			}
			continue
		}
		n := len(r.waiting)
		if n == 0 || r.live.Len() > 0 && !r.begins(r.waiting[n-1], r.live.sources[0].events[0]) {
			return nil
		}
		src := &source{Stream: r.waiting[n-1], next: r.begin()}
		r.waiting = r.waiting[:n-1]
		heap.Push(&r.live, src) // without events it comes first, and is read
	}
}

// begins reports whether the stream may have events before e.
func (r *reader) begins(st Stream, e Stored) bool {
	if r.q.Backward {
		return st.Last >= e.Time
	}
	return st.First <= e.Time
}

// read reads on in one stream, for its share of mergeBuffer.
func (r *reader) read(src *source) error {
	share := r.q.Buffer / r.live.Len()
	k := eventKey(r.group, src.id, src.next)
	step := r.it.Next
	var ok bool
	if r.q.Backward {
		step = r.it.Prev
		ok = r.it.SeekLT(k)
	} else {
		ok = r.it.SeekGE(k)
	}
	src.events = src.events[:0]
	for size := 0; ; ok = step() {
		if !ok {
			src.done = true
			return r.it.Error()
		}
		k := r.it.Key()
		if len(k) != eventKeyLen {
			return fmt.Errorf("event key of %d bytes", len(k))
		}
		at := eventPosition(k)
		if binary.BigEndian.Uint64(k[9:]) != src.id || at.Before(r.lo) || !at.Before(r.hi) {
			src.done = true
			return nil
		}
		if size >= share || len(src.events) >= readAhead {
			return nil
		}
		v, err := r.it.ValueAndErr()
		if err != nil {
			return err
		}
		delay, n := binary.Varint(v)
		if n <= 0 {
			return fmt.Errorf("event %v without ingestion time", at)
		}
		src.events = append(src.events, Stored{Position: at, Stream: src.Name, Ingested: at.Time + delay, Message: string(v[n:])})
		size += len(v)
		if src.next = at; !r.q.Backward {
			src.next.Seq++
		}
	}
}

// readAhead is the most events read of a stream at a time.
const readAhead = 512

// merge is a heap of sources by their next event. Those without events come
// first.
type merge struct {
	sources  []*source
	backward bool
}

func (m *merge) Len() int      { return len(m.sources) }
func (m *merge) Swap(i, j int) { m.sources[i], m.sources[j] = m.sources[j], m.sources[i] }
func (m *merge) Push(x any)    { m.sources = append(m.sources, x.(*source)) }

func (m *merge) Pop() any {
	n := len(m.sources) - 1
	x := m.sources[n]
	m.sources = m.sources[:n]
	return x
}

func (m *merge) Less(i, j int) bool {
	a, b := m.sources[i].events, m.sources[j].events
	if len(a) == 0 || len(b) == 0 {
		return len(a) == 0
	}
	if m.backward {
		a, b = b, a
	}
	return a[0].Before(b[0].Position)
}
