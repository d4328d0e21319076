package logstore

import (
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/berth/berth/internal/disk"
)

func (s *Store) expireLoop() {
	t := time.NewTicker(expireEvery)
	defer t.Stop()
	for {
		if err := s.Expire(); err != nil {
			s.log.Error("delete expired log events", "err", err)
		}
		select {
		case <-t.C:
		case <-s.stop:
			return
		}
	}
}

// Expire deletes all events that are older than their groups' retention. The
// store calls it every hour. Reads leave such events out without it.
func (s *Store) Expire() error {
	s.mu.RLock()
	var groups []*Group
	for _, g := range s.groups {
		if g.RetentionDays != 0 {
			groups = append(groups, g)
		}
	}
	s.mu.RUnlock()
	now := s.now()
	var errs []error
	for _, g := range groups {
		cutoff := g.cutoff(now)
		var old []string
		err := s.eachStream(g.id, "", func(st Stream) {
			if st.HasEvents && st.First < cutoff {
				old = append(old, st.Name)
			}
		})
		for _, name := range old {
			if err == nil {
				err = s.expire(g, name, cutoff)
			}
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("log group %s: %w", g.Name, err))
		}
	}
	return errors.Join(errs...)
}

// expire deletes a stream's events before the cutoff. It is not synced: lost, it
// is done again.
func (s *Store) expire(g *Group, name string, cutoff int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	// The group or its retention may have changed since; the stream too.
	now := s.groups[groupName{g.scope, g.Name}]
	if now == nil || now.id != g.id || now.RetentionDays != g.RetentionDays {
		return nil
	}
	st, err := s.stream(g.id, name)
	if errors.Is(err, ErrNoStream) {
		return nil
	}
	if err != nil {
		return err
	}
	from, to := Position{Time: cutoff}, numbers('e', g.id, st.id+1)
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
		b.DeleteRange(numbers('b', g.id, st.id, 0), numbers('b', g.id, st.id, dayOf(cutoff)), nil),
		b.DeleteRange(numbers('b', g.id, 0, 0), numbers('b', g.id, 0, dayOf(cutoff)), nil),
		b.Set(streamKey(g.id, name), st.encode(), nil),
	)
	if err != nil {
		return err
	}
	return s.db.Apply(b, pebble.NoSync)
}
