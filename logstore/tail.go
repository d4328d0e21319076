package logstore

import (
	"sync"
	"sync/atomic"
)

// tailBuffer is how many puts a slow tail may lag behind.
const tailBuffer = 256

// Tail receives a group's events as they are stored.
type Tail struct {
	// C has the events of one put each, as soon as they are durable. It is closed
	// by Close, with the store, and when the group is deleted.
	C       <-chan []Stored
	c       chan []Stored
	dropped atomic.Int64
	group   uint64
	tails   *tails
}

// Dropped returns how many events were not sent because nobody took them.
func (t *Tail) Dropped() int64 { return t.dropped.Load() }

// Close ends the tail.
func (t *Tail) Close() {
	t.tails.mu.Lock()
	defer t.tails.mu.Unlock()
	t.tails.close(t)
}

// Tail starts to follow a group, or returns ErrNoGroup. Puts never wait for it.
func (s *Store) Tail(scope Scope, group string) (*Tail, error) {
	s.mu.RLock() // so that the group is not deleted before its tail is known
	defer s.mu.RUnlock()
	g := s.groups[groupName{scope, group}]
	if g == nil {
		return nil, ErrNoGroup
	}
	c := make(chan []Stored, tailBuffer)
	t := &Tail{C: c, c: c, group: g.id, tails: &s.tails}
	s.tails.mu.Lock()
	defer s.tails.mu.Unlock()
	if s.tails.all == nil {
		s.tails.all = map[uint64]map[*Tail]bool{}
	}
	if s.tails.all[g.id] == nil {
		s.tails.all[g.id] = map[*Tail]bool{}
	}
	s.tails.all[g.id][t] = true
	return t, nil
}

// tails are the open ones, by group ID.
type tails struct {
	mu  sync.Mutex
	all map[uint64]map[*Tail]bool
}

// send hands the events of a put, whose first sequence number is first, to the
// group's tails.
func (ts *tails) send(group uint64, stream string, events []Event, first uint64, now int64) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if len(ts.all[group]) == 0 || len(events) == 0 {
		return
	}
	sent := make([]Stored, len(events))
	for i, e := range events {
		sent[i] = Stored{Stream: stream, Position: Position{e.Time, first + uint64(i)}, Ingested: now, Message: e.Message}
	}
	for t := range ts.all[group] {
		select {
		case t.c <- sent:
		default:
			t.dropped.Add(int64(len(sent)))
		}
	}
}

func (ts *tails) closeGroup(group uint64) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for t := range ts.all[group] {
		ts.close(t)
	}
}

func (ts *tails) closeAll() {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for _, group := range ts.all {
		for t := range group {
			ts.close(t)
		}
	}
}

// close ends a tail once. The caller holds mu.
func (ts *tails) close(t *Tail) {
	if !ts.all[t.group][t] {
		return
	}
	close(t.c)
	delete(ts.all[t.group], t)
	if len(ts.all[t.group]) == 0 {
		delete(ts.all, t.group)
	}
}
