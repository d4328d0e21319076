package logstore

import (
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2"
)

// eventOverhead is what CloudWatch Logs counts for an event beside its message.
const eventOverhead = 26

// Event is one to be stored. Time is in ms since 1970.
type Event struct {
	Time    int64
	Message string
}

// Cursor is how far a source has come: a number that only it understands, and
// that only grows.
type Cursor struct {
	Source string
	Next   int64
}

// Put stores events durably and returns the sequence number of the last, or
// ErrNoGroup or ErrNoStream. Events of the same time keep the order they have
// here; otherwise their order does not matter.
//
// With a cursor it stores both or nothing, and does nothing when the source has
// come that far already: a source that repeats a put doubles no event.
func (s *Store) Put(scope Scope, group, stream string, events []Event, c *Cursor) (uint64, error) {
	s.mu.Lock()
	b := s.begin()
	g := s.groups[groupName{scope, group}]
	if g == nil {
		return 0, s.rollback(b, ErrNoGroup)
	}
	st, err := s.stream(g.id, stream)
	if err != nil {
		return 0, s.rollback(b, err)
	}
	if c != nil {
		at, err := s.cursor(g.id, st.id, c.Source)
		if err != nil || c.Next <= at {
			return st.Seq, s.rollback(b, err)
		}
		if err := b.Set(cursorKey(g.id, st.id, c.Source), be(uint64(c.Next)), nil); err != nil {
			return 0, s.rollback(b, err)
		}
	}
	now, first, due := s.now().UnixMilli(), s.seq+1, s.due(g)
	if len(events) > 0 {
		if err := s.write(b, g, &st, stream, events, now); err != nil {
			return 0, s.rollback(b, err)
		}
	}
	earlier := s.due(g) < due
	if err := s.commit(b); err != nil {
		return 0, err
	}
	if earlier {
		s.wakeUp()
	}
	s.tell(g, stream, events, first, now)
	return st.Seq, nil
}

// write puts the events, and what they change of stream and bytes, in the batch.
func (s *Store) write(b *pebble.Batch, g *Group, st *Stream, name string, events []Event, now int64) error {
	days := map[uint64]int64{} // seldom more than one
	for _, e := range events {
		if !st.HasEvents {
			st.First, st.Last, st.HasEvents = e.Time, e.Time, true
		}
		st.First, st.Last = min(st.First, e.Time), max(st.Last, e.Time)
		days[dayOf(e.Time)] += int64(len(e.Message)) + eventOverhead

		var head [binary.MaxVarintLen64]byte
		n := binary.PutVarint(head[:], now-e.Time)
		op := b.SetDeferred(eventKeyLen, n+len(e.Message))
		putEventKey(op.Key, g.id, st.id, Position{e.Time, s.next()})
		copy(op.Value, head[:n])
		copy(op.Value[n:], e.Message)
		if err := op.Finish(); err != nil {
			return err
		}
	}
	st.LastIngested, st.Seq = now, s.seq
	for d, n := range days {
		if _, err := s.count(b, g.id, 0, d, n); err != nil {
			return err
		}
		fresh, err := s.count(b, g.id, st.id, d, n)
		if err != nil {
			return err
		}
		if fresh {
			if err := b.Set(numbers('x', g.id, d, st.id), []byte(name), nil); err != nil {
				return err
			}
		}
		if oldest, ok := s.oldest[g.id]; !ok || d < oldest {
			s.oldest[g.id] = d
		}
	}
	return b.Set(streamKey(g.id, name), st.encode(), nil)
}

// dayOf numbers the days; stamps make those before 1970 sort right.
func dayOf(ms int64) uint64 { return stamp(ms) / day }

// dayStart is the first time of a day, in ms since 1970.
func dayStart(d uint64) int64 { return unstamp(d * day) }

// Cursor returns how far the source has come with a stream, 0 where it has not
// begun, or ErrNoGroup or ErrNoStream.
func (s *Store) Cursor(scope Scope, group, stream, source string) (int64, error) {
	g, err := s.group(scope, group)
	if err != nil {
		return 0, err
	}
	st, err := s.stream(g.id, stream)
	if err != nil {
		return 0, err
	}
	return s.cursor(g.id, st.id, source)
}

func (s *Store) cursor(group, stream uint64, source string) (int64, error) {
	var at uint64
	err := s.get(cursorKey(group, stream, source), func(v []byte) error {
		at, _ = number(v)
		return nil
	})
	return int64(at), err
}
