package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/berth/berth/store"
)

// shared is an engine that several stores use: closing one of them leaves it
// open.
type shared struct{ store.Backend }

func (shared) Close() error { return nil }

// gated is an engine whose commits wait for a pass each, so that a test can say
// what queues up behind one.
type gated struct {
	store.Backend
	begun chan struct{} // gets one for each commit that waits
	pass  chan error    // nil lets a commit go on, an error takes its place
	count atomic.Int32  // commits made
}

func newGated(b store.Backend) *gated {
	return &gated{Backend: b, begun: make(chan struct{}, 1000), pass: make(chan error)}
}

func (g *gated) Commit(ctx context.Context, guards []store.Guard, ops []store.Op) (int64, error) {
	g.begun <- struct{}{}
	if err := <-g.pass; err != nil {
		return 0, err
	}
	g.count.Add(1)
	return g.Backend.Commit(ctx, guards, ops)
}

var errRefused = errors.New("the disk is full")

// flaky is an engine that fails every so often: before or behind a commit, and
// saying that it doesn't know which, or refusing it.
type flaky struct {
	store.Backend
	mu  sync.Mutex
	rnd *rand.Rand
}

func (f *flaky) Commit(ctx context.Context, guards []store.Guard, ops []store.Op) (int64, error) {
	f.mu.Lock()
	luck := f.rnd.IntN(10)
	f.mu.Unlock()
	unknown := fmt.Errorf("%w: the disk is slow", store.ErrUnknown)
	switch {
	case luck == 0:
		return 0, unknown
	case luck == 1:
		if _, err := f.Backend.Commit(ctx, guards, ops); err != nil {
			return 0, err
		}
		return 0, unknown
	case luck == 2 && len(ops) > 1: // not what settles a doubt
		return 0, errRefused
	}
	return f.Backend.Commit(ctx, guards, ops)
}

// mortal is an engine whose watch fails when die is closed.
type mortal struct {
	store.Backend
	die chan struct{}
}

var errDead = errors.New("the engine has failed")

func (m *mortal) Watch(ctx context.Context, rev int64, changed func(int64, []store.Change)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	dead := make(chan struct{})
	go func() {
		select {
		case <-m.die:
			close(dead)
			cancel()
		case <-ctx.Done():
		}
	}()
	err := m.Backend.Watch(ctx, rev, changed)
	select {
	case <-dead:
		return errDead
	default:
		return err
	}
}
