package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"

	"github.com/berth/berth/internal/id"
	"github.com/berth/berth/place"
)

// Store is a process's access to the records.
type Store struct {
	id      string // begins the marks of this store's commits
	backend Backend
	updates chan *update
	closing chan struct{} // closed when Close begins
	once    sync.Once
	commits int64         // only the committer counts
	packer  *zstd.Encoder // of changes; the committer's

	current atomic.Pointer[image] // visible, durable; written under mu

	mu      sync.Mutex
	moved   chan struct{} // closed and made anew when current moves on
	watches map[*Watch]struct{}
	awaited string // mark of the commit under way
	arrived int64  // its revision, once the backend's watch has shown it

	unwatch   context.CancelFunc
	watcher   sync.WaitGroup
	committer sync.WaitGroup

	ended  chan struct{} // closed when the store has ended
	failed error         // why it ended, set before
}

// ErrClosed is returned by a store that has been closed.
var ErrClosed = errors.New("the store is closed")

// Open loads all records from the backend and follows its changes until Close,
// which closes the backend too.
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
	loaded := &Snapshot{image: img}
	img.places = place.NewIndex(Nodes.All(loaded), Instances.All(loaded), Tasks.All(loaded))
	packer, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("make room to pack changes: %w", err)
	}
	s := &Store{packer: packer,
		id: id.Hex(8), backend: b, updates: make(chan *update, 256), closing: make(chan struct{}),
		moved: make(chan struct{}), watches: map[*Watch]struct{}{}, ended: make(chan struct{}),
	}
	s.current.Store(&img)
	ctx, s.unwatch = context.WithCancel(context.WithoutCancel(ctx))
	s.watcher.Go(func() {
		err := b.Watch(ctx, rev, s.changed)
		switch {
		case ctx.Err() != nil:
			err = ErrClosed
		case err == nil:
			err = errors.New("the store's engine has ended")
		}
		s.end(err)
	})
	s.committer.Go(s.commitLoop)
	return s, nil
}

// View returns the newest snapshot.
func (s *Store) View() *Snapshot { return &Snapshot{image: *s.current.Load()} }

// Update runs fn in a transaction, see the package comment. It returns ctx's
// error only when fn has left nothing.
func (s *Store) Update(ctx context.Context, fn func(tx *Tx) error) error {
	u := &update{ctx: ctx, fn: fn, done: make(chan error, 1)}
	select {
	case s.updates <- u:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closing:
		return ErrClosed
	case <-s.ended:
		return s.failed
	}
	select {
	case err := <-u.done:
		return err
	case <-s.ended:
		return u.orElse(s.failed)
	case <-ctx.Done():
		if u.state.CompareAndSwap(queued, dropped) {
			return ctx.Err()
		}
	}
	// Once taken, the outcome is awaited whatever ctx says: it may be durable.
	select {
	case err := <-u.done:
		return err
	case <-s.ended:
		return u.orElse(s.failed)
	}
}

// orElse is the update's outcome if it is there, else err.
func (u *update) orElse(err error) error {
	select {
	case err := <-u.done:
		return err
	default:
		return err
	}
}

// changed takes a commit that the backend has seen, this process's or another's.
func (s *Store) changed(rev int64, changes []Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range changes {
		if string(c.Value) == s.awaited && strings.HasPrefix(c.Path, fencePath("")) {
			s.arrived = rev
		}
	}
	img := *s.current.Load()
	if rev <= img.rev {
		return
	}
	var events []Event
	for _, c := range changes {
		ev, err := img.apply(rev, c)
		if err != nil {
			// Going on without it would serve wrong answers.
			s.endLocked(err)
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
	s.current.Store(&img)
	close(s.moved)
	s.moved = make(chan struct{})
	for w := range s.watches {
		w.deliver(events)
	}
}

// reach waits until the visible image is of revision rev or later.
func (s *Store) reach(rev int64) error {
	for {
		s.mu.Lock()
		at, moved := s.current.Load().rev, s.moved
		s.mu.Unlock()
		if at >= rev {
			return nil
		}
		select {
		case <-moved:
		case <-s.ended:
			return s.failed
		}
	}
}

// end makes all calls, waiting and to come, return err. The first one counts.
func (s *Store) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endLocked(err)
}

func (s *Store) endLocked(err error) {
	select {
	case <-s.ended:
	default:
		s.failed = err
		close(s.ended)
	}
}

// Ended is closed when the store can't be used any more: it was closed, or its
// engine failed.
func (s *Store) Ended() <-chan struct{} { return s.ended }

// Err is why the store has ended, nil while it hasn't.
func (s *Store) Err() error {
	select {
	case <-s.ended:
		return s.failed
	default:
		return nil
	}
}

// Close lets the commit that is under way finish, stops following the backend
// and closes it. Updates that have not begun fail with ErrClosed.
func (s *Store) Close() error {
	first := false
	s.once.Do(func() { first = true; close(s.closing) })
	s.committer.Wait()
	s.unwatch()
	s.watcher.Wait()
	if !first {
		return nil
	}
	return s.backend.Close()
}
