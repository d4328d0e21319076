package store

import (
	"context"
	"sync"

	"github.com/berth/berth/state"
)

// Event is one committed change of one record.
type Event struct {
	Table string // Table.Name
	Key   state.Key
	// Old and New are *T of the table; Old is nil when the record was made, New
	// when it was deleted.
	Old, New any
}

// Watch delivers changes in the order of their commits. What its reader has not
// taken yet is kept in memory, without bound: a slow reader delays nobody, and
// misses nothing.
type Watch struct {
	store  *Store
	tables map[string]bool // empty: all

	mu    sync.Mutex
	queue []Event
	ready chan struct{} // has a value while queue may not be empty
}

// ViewAndWatch returns a snapshot and a watch of all changes to the named
// tables (none: all) after that snapshot, and only those.
func (s *Store) ViewAndWatch(names ...string) (*Snapshot, *Watch) {
	w := &Watch{store: s, tables: map[string]bool{}, ready: make(chan struct{}, 1)}
	for _, t := range names {
		if tables[t] == nil {
			panic("no table is named " + t)
		}
		w.tables[t] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watches[w] = struct{}{}
	return s.View(), w
}

// Next waits for changes and returns all that are there. It returns an error
// only when ctx or the store ended.
func (w *Watch) Next(ctx context.Context) ([]Event, error) {
	for {
		w.mu.Lock()
		events := w.queue
		w.queue = nil
		w.mu.Unlock()
		if len(events) > 0 {
			return events, nil
		}
		select {
		case <-w.ready:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-w.store.ended:
			return nil, w.store.failed
		}
	}
}

// Close ends the watch.
func (w *Watch) Close() {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	delete(w.store.watches, w)
}

func (w *Watch) deliver(events []Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := len(w.queue)
	for _, e := range events {
		if len(w.tables) == 0 || w.tables[e.Table] {
			w.queue = append(w.queue, e)
		}
	}
	if len(w.queue) == before {
		return
	}
	select {
	case w.ready <- struct{}{}:
	default:
	}
}
