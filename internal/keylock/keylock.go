// Package keylock locks by name, so that work on one container or image waits
// only for work on the same one.
package keylock

import (
	"context"
	"sync"
)

// Locks is a set of named locks. The zero value is ready.
type Locks struct {
	mu   sync.Mutex
	held map[string]*lock
}

type lock struct {
	sem   chan struct{} // holds one value while the lock is taken
	users int           // who hold it or wait for it
}

// Lock waits for the lock of that name, or for the end of ctx. The function
// that it returns gives the lock back.
func (l *Locks) Lock(ctx context.Context, name string) (unlock func(), err error) {
	l.mu.Lock()
	if l.held == nil {
		l.held = map[string]*lock{}
	}
	k := l.held[name]
	if k == nil {
		k = &lock{sem: make(chan struct{}, 1)}
		l.held[name] = k
	}
	k.users++
	l.mu.Unlock()

	select {
	case k.sem <- struct{}{}:
		return func() { <-k.sem; l.leave(name, k) }, nil
	case <-ctx.Done():
		l.leave(name, k)
		return nil, ctx.Err()
	}
}

func (l *Locks) leave(name string, k *lock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k.users--; k.users == 0 {
		delete(l.held, name)
	}
}
