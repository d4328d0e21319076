package logstore

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Stream is a log stream. Times are in ms since 1970.
type Stream struct {
	Name    string
	Created int64
	// First and Last are the times of its events, LastIngested when the last put
	// came. They mean something only where HasEvents is true.
	First, Last, LastIngested int64
	HasEvents                 bool
	// Seq is the sequence number of its last put.
	Seq uint64

	id uint64
}

const streamLen = 6*8 + 1

func (st *Stream) encode() []byte {
	b := make([]byte, 0, streamLen)
	for _, n := range [...]uint64{st.id, stamp(st.Created), stamp(st.First), stamp(st.Last), stamp(st.LastIngested), st.Seq} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	if st.HasEvents {
		return append(b, 1)
	}
	return append(b, 0)
}

func decodeStream(name, b []byte) (Stream, error) {
	if len(b) != streamLen {
		return Stream{}, fmt.Errorf("log stream %q has %d bytes, not %d", name, len(b), streamLen)
	}
	at := func(i int) uint64 { return binary.BigEndian.Uint64(b[8*i:]) }
	return Stream{
		Name: string(name), id: at(0), Created: unstamp(at(1)), First: unstamp(at(2)), Last: unstamp(at(3)),
		LastIngested: unstamp(at(4)), Seq: at(5), HasEvents: b[48] == 1,
	}, nil
}

// stream reads one stream, or returns ErrNoStream.
func (s *Store) stream(group uint64, name string) (Stream, error) {
	st, found := Stream{}, false
	err := s.get(streamKey(group, name), func(v []byte) (err error) {
		found = true
		st, err = decodeStream([]byte(name), v)
		return err
	})
	if err == nil && !found {
		err = ErrNoStream
	}
	return st, err
}

// CreateStream makes a stream, or returns ErrNoGroup or ErrStreamExists.
func (s *Store) CreateStream(scope Scope, group, name string) error {
	s.mu.Lock()
	b := s.begin()
	g := s.groups[groupName{scope, group}]
	if g == nil {
		return s.rollback(b, ErrNoGroup)
	}
	_, err := s.stream(g.id, name)
	if err == nil {
		err = ErrStreamExists
	}
	if err != ErrNoStream {
		return s.rollback(b, err)
	}
	st := Stream{Created: s.now().UnixMilli(), id: s.next()}
	if err := b.Set(streamKey(g.id, name), st.encode(), nil); err != nil {
		return s.rollback(b, err)
	}
	return s.commit(b)
}

// DeleteStream deletes a stream with its events, or returns ErrNoGroup or
// ErrNoStream.
func (s *Store) DeleteStream(scope Scope, group, name string) error {
	s.mu.Lock()
	b := s.begin()
	g := s.groups[groupName{scope, group}]
	if g == nil {
		return s.rollback(b, ErrNoGroup)
	}
	st, err := s.stream(g.id, name)
	if err != nil {
		return s.rollback(b, err)
	}
	err = s.each(numbers('b', g.id, st.id), numbers('b', g.id, st.id+1), func(k, v []byte) error {
		n, _ := number(v)
		d := binary.BigEndian.Uint64(k[17:])
		if err := b.Delete(numbers('x', g.id, d, st.id), nil); err != nil {
			return err
		}
		_, err := s.count(b, g.id, 0, d, -int64(n))
		return err
	})
	for _, kind := range []byte("ecb") {
		if err == nil {
			err = deleteRange(b, kind, g.id, st.id)
		}
	}
	if err == nil {
		err = b.Delete(streamKey(g.id, name), nil)
	}
	if err != nil {
		return s.rollback(b, err)
	}
	return s.commit(b)
}

// count adds to the bytes of a stream's day (or, with stream 0, of its group's),
// and reports whether there were none. The key is written once in a batch: what
// the batch holds is not read.
func (s *Store) count(b *pebble.Batch, group, stream, day uint64, add int64) (fresh bool, err error) {
	k := numbers('b', group, stream, day)
	fresh = true
	var sum uint64
	if err := s.get(k, func(v []byte) error {
		sum, _ = number(v)
		fresh = false
		return nil
	}); err != nil {
		return false, err
	}
	// What expired meanwhile is not subtracted twice.
	total := max(int64(sum)+add, 0)
	if total == 0 {
		return fresh, b.Delete(k, nil)
	}
	return fresh, b.Set(k, be(uint64(total)), nil)
}

// Stream returns one stream, or ErrNoGroup or ErrNoStream.
func (s *Store) Stream(scope Scope, group, name string) (Stream, error) {
	g, err := s.group(scope, group)
	if err != nil {
		return Stream{}, err
	}
	return s.stream(g.id, name)
}

// Streams returns the group's streams whose names begin with the prefix, by
// name, or ErrNoGroup.
func (s *Store) Streams(scope Scope, group, prefix string) ([]Stream, error) {
	g, err := s.group(scope, group)
	if err != nil {
		return nil, err
	}
	var all []Stream
	err = s.eachStream(g.id, prefix, func(st Stream) { all = append(all, st) })
	return all, err
}

// StreamsAfter is Streams of the names behind the one given, at most limit of
// them.
func (s *Store) StreamsAfter(scope Scope, group, prefix, name string, limit int) ([]Stream, error) {
	g, err := s.group(scope, group)
	if err != nil {
		return nil, err
	}
	from, to := streamKey(g.id, prefix), numbers('s', g.id+1)
	if prefix != "" {
		to = after(from)
	}
	if name >= prefix && name != "" {
		from = append(streamKey(g.id, name), 0)
	}
	var all []Stream
	err = s.each(from, to, func(k, v []byte) error {
		st, err := decodeStream(k[9:], v)
		if err != nil {
			return err
		}
		if all = append(all, st); len(all) == limit {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return all, err
}

// errEnough ends a walk.
var errEnough = errors.New("enough")

func (s *Store) eachStream(group uint64, prefix string, f func(Stream)) error {
	from, to := streamKey(group, prefix), numbers('s', group+1)
	if prefix != "" {
		to = after(from)
	}
	return s.each(from, to, func(k, v []byte) error {
		st, err := decodeStream(k[9:], v)
		if err == nil {
			f(st)
		}
		return err
	})
}

// after returns the first key behind all that start with the prefix, whose
// first byte is a letter.
func after(prefix []byte) []byte {
	k := append([]byte(nil), prefix...)
	for i := len(k) - 1; ; i-- {
		if k[i]++; k[i] != 0 {
			return k[:i+1]
		}
	}
}
