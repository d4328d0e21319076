// Package control drives the loops that bring records in line with what is
// wanted. Each loop has a folder of its own, named by what it keeps true; they
// meet in the store and don't know each other.
package control

import (
	"context"
	"iter"
	"log/slog"
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"

	"github.com/berth/berth/store"
)

// Loop brings keys in line, one at a time.
type Loop interface {
	// Keys are all there are.
	Keys(v *store.Snapshot) iter.Seq[string]
	// Step brings one key in line with what is wanted. It is told the key and no
	// more, and may be called at any time, twice, or after a crash. A wait other
	// than zero asks for another call after that long.
	Step(ctx context.Context, key string) (wait time.Duration, err error)
}

// On says which keys an event wakes.
type On map[string]func(store.Event) (key string, ok bool)

// period is how often all keys are stepped, whatever the watch says: what was
// missed for any reason is found then.
const period = 10 * time.Minute

// Driver runs one loop and knows how it does.
type Driver struct {
	name  string
	store *store.Store
	loop  Loop
	on    On
	log   *slog.Logger

	mu     sync.Mutex
	errors map[string]error
}

// New returns a driver that wakes the loop on events of the given tables.
func New(name string, s *store.Store, loop Loop, on On, log *slog.Logger) *Driver {
	return &Driver{name: name, store: s, loop: loop, on: on, log: log.With("loop", name), errors: map[string]error{}}
}

// Run steps keys until ctx or the store ends. Errors back off key by key.
func (d *Driver) Run(ctx context.Context) error {
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[string](100*time.Millisecond, time.Minute))
	var tables []string
	for t := range d.on {
		tables = append(tables, t)
	}
	view, watch := d.store.ViewAndWatch(tables...)
	defer watch.Close()
	var work sync.WaitGroup
	defer work.Wait()
	defer queue.ShutDown()
	work.Go(func() {
		for {
			key, done := queue.Get()
			if done {
				return
			}
			d.step(ctx, queue, key)
			queue.Done(key)
		}
	})
	all := func(v *store.Snapshot) {
		for key := range d.loop.Keys(v) {
			queue.Add(key)
		}
	}
	all(view)
	work.Go(func() {
		tick := time.NewTicker(period)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				all(d.store.View())
			case <-ctx.Done():
				return
			}
		}
	})
	for {
		events, err := watch.Next(ctx)
		if err != nil {
			return err
		}
		for _, e := range events {
			if key, ok := d.on[e.Table](e); ok {
				queue.Add(key)
			}
		}
	}
}

func (d *Driver) step(ctx context.Context, queue workqueue.TypedRateLimitingInterface[string], key string) {
	wait, err := d.loop.Step(ctx, key)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil && ctx.Err() == nil {
		d.errors[key] = err
		d.log.Error("step failed", "key", key, "err", err)
		queue.AddRateLimited(key)
		return
	}
	delete(d.errors, key)
	queue.Forget(key)
	if wait > 0 {
		queue.AddAfter(key, wait)
	}
}

// Status is how a loop does.
type Status struct {
	Name string
	// Failing are the keys whose last step failed, with its error.
	Failing map[string]error
}

// Status tells how the loop does.
func (d *Driver) Status() Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := Status{Name: d.name, Failing: map[string]error{}}
	for k, err := range d.errors {
		s.Failing[k] = err
	}
	return s
}
