// Package memory is a store engine that keeps everything in the process's
// memory: for tests and simulation. Several stores may share one, as several
// processes share an etcd.
package memory

import (
	"context"
	"sync"

	"github.com/berth/berth/store"
)

// Backend is the engine.
type Backend struct {
	mu    sync.Mutex
	rev   int64
	pairs map[string]pair
	log   []commit      // all commits, for watches
	grew  chan struct{} // closed and made anew when log grows
}

type pair struct {
	value []byte
	rev   int64
}

type commit struct {
	rev     int64
	changes []store.Change
}

// New returns an empty engine.
func New() *Backend { return &Backend{pairs: map[string]pair{}, grew: make(chan struct{})} }

// Load implements store.Backend.
func (b *Backend) Load(ctx context.Context, each func(path string, value []byte, rev int64) error) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for path, p := range b.pairs {
		if err := each(path, p.value, p.rev); err != nil {
			return 0, err
		}
	}
	return b.rev, nil
}

// Commit implements store.Backend.
func (b *Backend) Commit(ctx context.Context, guards []store.Guard, ops []store.Op) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, g := range guards {
		if b.pairs[g.Path].rev != g.Rev {
			return 0, store.ErrConflict
		}
	}
	b.rev++
	for _, op := range ops {
		if op.Value == nil {
			delete(b.pairs, op.Path)
		} else {
			b.pairs[op.Path] = pair{value: op.Value, rev: b.rev}
		}
	}
	b.log = append(b.log, commit{rev: b.rev, changes: ops})
	close(b.grew)
	b.grew = make(chan struct{})
	return b.rev, nil
}

// Watch implements store.Backend.
func (b *Backend) Watch(ctx context.Context, rev int64, changed func(rev int64, changes []store.Change)) error {
	for at := rev; ; {
		b.mu.Lock()
		log, grew := b.log[at:], b.grew
		b.mu.Unlock()
		for _, c := range log {
			changed(c.rev, c.changes)
			at = c.rev
		}
		select {
		case <-grew:
		case <-ctx.Done():
			return nil
		}
	}
}

// Close implements store.Backend. The contents stay, for the next store.
func (b *Backend) Close() error { return nil }
