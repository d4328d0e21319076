package agent

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// inbox hands work to a task's goroutine. Putting never waits.
type inbox struct {
	wake chan struct{} // holds one when there is work

	mu   sync.Mutex
	work []func()
}

func newInbox() *inbox { return &inbox{wake: make(chan struct{}, 1)} }

func (b *inbox) put(f func()) {
	b.mu.Lock()
	b.work = append(b.work, f)
	b.mu.Unlock()
	ring(b.wake)
}

func (b *inbox) take() []func() {
	b.mu.Lock()
	defer b.mu.Unlock()
	work := b.work
	b.work = nil
	return work
}

// ring leaves a token in a channel that holds one.
func ring(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// again waits before the next try of what has failed n times (from 1 on): from
// 0.1 to 30 seconds, less a random part. It reports false when ctx has ended.
func again(ctx context.Context, n int) bool {
	d := min(100*time.Millisecond<<min(n-1, 10), 30*time.Second)
	d -= rand.N(d / 4)
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
