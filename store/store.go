package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Store is a process's access to the records.
type Store struct {
	backend Backend
	updates chan *update
	stop    context.CancelFunc
	done    sync.WaitGroup

	mu      sync.Mutex
	current image         // visible, durable
	moved   chan struct{} // closed and made anew when current moves on
	watches map[*Watch]struct{}

	ended  chan struct{} // closed when the store has ended
	failed error         // why it ended, set before
}

// update is one caller's transaction on its way to the committer.
type update struct {
	ctx  context.Context
	fn   func(*Tx) error
	done chan error
}

// ErrClosed is returned by a store that has been closed.
var ErrClosed = errors.New("the store is closed")

// Open loads all records from the backend and follows its changes until Close.
func Open(ctx context.Context, b Backend) (*Store, error) {
	img := newImage()
	rev, err := b.Load(ctx, func(path string, value []byte, rev int64) error {
		_, err := img.apply(rev, Change{Path: path, Value: value})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("load the records: %w", err)
	}
	img.rev = rev
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	s := &Store{
		backend: b, updates: make(chan *update, 256), stop: stop,
		current: img, moved: make(chan struct{}), watches: map[*Watch]struct{}{}, ended: make(chan struct{}),
	}
	s.done.Go(func() {
		err := b.Watch(ctx, rev, s.changed)
		if err == nil || ctx.Err() != nil {
			err = ErrClosed
		}
		s.end(err)
	})
	s.done.Go(func() { s.commitLoop(ctx) })
	return s, nil
}

// View returns the newest snapshot.
func (s *Store) View() *Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &Snapshot{image: s.current}
}

// Update runs fn in a transaction, see the package comment.
func (s *Store) Update(ctx context.Context, fn func(tx *Tx) error) error {
	u := &update{ctx: ctx, fn: fn, done: make(chan error, 1)}
	select {
	case s.updates <- u:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.ended:
		return s.failed
	}
	// Once taken, the outcome is awaited whatever the caller's context says: it
	// may be durable already.
	select {
	case err := <-u.done:
		return err
	case <-s.ended:
		select {
		case err := <-u.done:
			return err
		default:
			return s.failed
		}
	}
}

// changed takes a commit that the backend has seen, this process's or another's.
func (s *Store) changed(rev int64, changes []Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rev <= s.current.rev {
		return
	}
	img := s.current
	var events []Event
	for _, c := range changes {
		ev, err := img.apply(rev, c)
		if err != nil {
			// Going on without it would serve wrong answers.
			go s.end(err)
			return
		}
		if ev != nil {
			events = append(events, *ev)
		}
	}
	img.rev = rev
	s.publish(img, events)
}

// publish makes an image the visible one. The caller holds the lock.
func (s *Store) publish(img image, events []Event) {
	s.current = img
	close(s.moved)
	s.moved = make(chan struct{})
	for w := range s.watches {
		w.deliver(events)
	}
}

// reach waits until the visible image is of revision rev or later.
func (s *Store) reach(ctx context.Context, rev int64) error {
	for {
		s.mu.Lock()
		at, moved := s.current.rev, s.moved
		s.mu.Unlock()
		if at >= rev {
			return nil
		}
		select {
		case <-moved:
		case <-s.ended:
			return s.failed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// end makes all calls, waiting and to come, return err. The first one counts.
func (s *Store) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.ended:
	default:
		s.failed = err
		close(s.ended)
	}
}

// Close stops following the backend and closes it.
func (s *Store) Close() error {
	s.end(ErrClosed)
	s.stop()
	s.done.Wait()
	return s.backend.Close()
}
