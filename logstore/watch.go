package logstore

import (
	"slices"
	"sync"
)

// watchers are told of events as they are stored.
type watchers struct {
	mu  sync.RWMutex
	all map[*watcher]struct{}
}

type watcher struct {
	groups []uint64
	got    func(group string, events []Stored)
}

// Watch calls got with the events of each put into one of the groups from now on,
// once they are durable, until stop is called, or returns ErrNoGroup. got may be
// called by many goroutines at a time and must not block: the put waits for it.
// The events are shared, and must not be changed. A call may still be under way
// when stop returns.
func (s *Store) Watch(scope Scope, groups []string, got func(group string, events []Stored)) (stop func(), err error) {
	w := &watcher{got: got}
	for _, name := range groups {
		g, err := s.group(scope, name)
		if err != nil {
			return nil, err
		}
		w.groups = append(w.groups, g.id)
	}
	s.watch.mu.Lock()
	defer s.watch.mu.Unlock()
	if s.watch.all == nil {
		s.watch.all = map[*watcher]struct{}{}
	}
	s.watch.all[w] = struct{}{}
	return func() {
		s.watch.mu.Lock()
		defer s.watch.mu.Unlock()
		delete(s.watch.all, w)
	}, nil
}

// tell passes stored events on; the first has the sequence number given.
func (s *Store) tell(g *Group, stream string, events []Event, first uint64, now int64) {
	s.watch.mu.RLock()
	defer s.watch.mu.RUnlock()
	var stored []Stored
	for w := range s.watch.all {
		if !slices.Contains(w.groups, g.id) {
			continue
		}
		if stored == nil {
			stored = make([]Stored, len(events))
			for i, e := range events {
				stored[i] = Stored{Position: Position{e.Time, first + uint64(i)}, Stream: stream, Ingested: now, Message: e.Message}
			}
		}
		w.got(g.Name, stored)
	}
}
