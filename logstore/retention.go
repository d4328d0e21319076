package logstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/berth/berth/internal/disk"
)

// Events expire to the millisecond for those who read, and are deleted a day at a
// time: when all of a day has expired. The index of days (key x) says which
// streams have events of a day, so that deletion looks at nothing else. In
// memory is each group's oldest day, and thereby when it is due next.

// expireLoop deletes what has expired when it is due.
func (s *Store) expireLoop() {
	for {
		err := s.Expire()
		wait := time.Minute
		if err != nil {
			s.log.Error("delete expired log events", "err", err)
		} else {
			// At least every hour: the clock may have been set.
			wait = max(0, min(time.UnixMilli(s.nextDue()).Sub(s.now()), time.Hour))
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-s.wake:
		case <-s.stop:
			t.Stop()
			return
		}
		t.Stop()
	}
}

// wakeUp has the loop look again at what is due.
func (s *Store) wakeUp() {
	select {
	case s.wake <- struct{}{}:
	default: // it is about to
	}
}

// due is when the group's oldest day has expired, in ms since 1970.
func (s *Store) due(g *Group) int64 {
	oldest, ok := s.oldest[g.id]
	if !ok || g.RetentionDays == 0 {
		return math.MaxInt64
	}
	return dayStart(oldest+1) + int64(g.RetentionDays)*day
}

// nextDue is when the next group is due.
func (s *Store) nextDue() int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	next := int64(math.MaxInt64)
	for _, g := range s.groups {
		next = min(next, s.due(g))
	}
	return next
}

// Expire deletes the events of all days that are older than their groups'
// retention. The store calls it whenever a day has expired. Reads leave expired
// events out without it.
func (s *Store) Expire() error {
	now := s.now()
	s.mu.RLock()
	var groups []*Group
	for _, g := range s.groups {
		if s.due(g) <= now.UnixMilli() {
			groups = append(groups, g)
		}
	}
	s.mu.RUnlock()
	var errs []error
	for _, g := range groups {
		if err := s.expireGroup(g, dayOf(g.cutoff(now))); err != nil {
			errs = append(errs, fmt.Errorf("log group %s: %w", g.Name, err))
		}
	}
	if len(groups) > 0 {
		// Pebble drops files that deletions cover once the deletions are in files, too.
		if _, err := s.db.AsyncFlush(); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// expireGroup deletes the group's events of the days before the one given.
func (s *Store) expireGroup(g *Group, before uint64) error {
	days := map[string][][]byte{} // keys of the index, by stream
	if err := s.each(numbers('x', g.id), numbers('x', g.id, before), func(k, v []byte) error {
		days[string(v)] = append(days[string(v)], bytes.Clone(k))
		return nil
	}); err != nil {
		return err
	}
	for name, keys := range days {
		if err := s.expire(g, name, keys, before); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.findOldest(g.id)
}

// expire deletes a stream's events of the days before the one given, with their
// keys in the index. It is not synced: lost, it is done again.
func (s *Store) expire(g *Group, name string, index [][]byte, before uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	// The group or its retention may have changed since; the stream too.
	if now := s.groups[groupName{g.scope, g.Name}]; now == nil || now.id != g.id || now.RetentionDays != g.RetentionDays {
		return nil
	}
	st, err := s.stream(g.id, name)
	if errors.Is(err, ErrNoStream) {
		return nil
	}
	if err != nil {
		return err
	}
	from, to := Position{Time: dayStart(before)}, numbers('e', g.id, st.id+1)
	st.HasEvents = false
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: eventKey(g.id, st.id, from), UpperBound: to})
	if err != nil {
		return err
	}
	if it.First() {
		st.First, st.HasEvents = eventPosition(it.Key()).Time, true
	}
	if err := it.Close(); err != nil {
		return err
	}
	if err := disk.Room(s.dir, s.reserve); err != nil {
		return err
	}
	b := s.begin()
	defer b.Close()
	err = errors.Join(
		b.DeleteRange(eventKey(g.id, st.id, start), eventKey(g.id, st.id, from), nil),
		b.DeleteRange(numbers('b', g.id, st.id, 0), numbers('b', g.id, st.id, before), nil),
		b.DeleteRange(numbers('b', g.id, 0, 0), numbers('b', g.id, 0, before), nil),
		b.Set(streamKey(g.id, name), st.encode(), nil),
	)
	for _, k := range index {
		err = errors.Join(err, b.Delete(k, nil))
	}
	if err != nil {
		return err
	}
	return s.db.Apply(b, pebble.NoSync)
}

// findOldest reads the group's oldest day from the index. The caller holds mu.
func (s *Store) findOldest(group uint64) error {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: numbers('x', group), UpperBound: numbers('x', group+1)})
	if err != nil {
		return err
	}
	delete(s.oldest, group)
	if it.First() {
		s.oldest[group] = binary.BigEndian.Uint64(it.Key()[9:])
	}
	return it.Close()
}

// indexDays makes the index of days for a store from before there was one.
func (s *Store) indexDays() error {
	made := false
	if err := s.get(versionKey, func([]byte) error { made = true; return nil }); err != nil || made {
		return err
	}
	b := s.begin()
	defer b.Close()
	for _, g := range s.groups {
		names := map[uint64]string{}
		err := s.eachStream(g.id, "", func(st Stream) { names[st.id] = st.Name })
		if err == nil {
			err = s.each(numbers('b', g.id, 1), numbers('b', g.id+1), func(k, _ []byte) error {
				stream, day := binary.BigEndian.Uint64(k[9:]), binary.BigEndian.Uint64(k[17:])
				return b.Set(numbers('x', g.id, day, stream), []byte(names[stream]), nil)
			})
		}
		if err != nil {
			return err
		}
	}
	if err := b.Set(versionKey, be(1), nil); err != nil {
		return err
	}
	return s.db.Apply(b, pebble.Sync)
}
