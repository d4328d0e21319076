package control

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
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

// On says, by table, which keys an event wakes.
type On map[string]func(e store.Event, wake func(key string))

// Settings of every driver.
const (
	// period is how often all keys are stepped, whatever the watch says: what was
	// missed for any reason is found then.
	period = 10 * time.Minute
	// A key that fails is tried again after retryFirst, and then after twice as
	// long each time, up to retryMost.
	retryFirst = 100 * time.Millisecond
	retryMost  = time.Minute
)

// Driver runs one loop and knows how it does.
type Driver struct {
	name  string
	store *store.Store
	loop  Loop
	on    On
	log   *slog.Logger

	mu     sync.Mutex
	steps  int64
	errors map[string]error
}

// New returns a driver that wakes the loop on events of the given tables.
func New(name string, s *store.Store, loop Loop, on On, log *slog.Logger) *Driver {
	return &Driver{name: name, store: s, loop: loop, on: on, log: log.With("loop", name), errors: map[string]error{}}
}

// Run steps keys, one at a time, until ctx or the store ends, and returns that
// one's error.
func (d *Driver) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[string](retryFirst, retryMost))
	view, watch := d.store.ViewAndWatch(slices.Sorted(maps.Keys(d.on))...)
	defer watch.Close()
	var work sync.WaitGroup
	defer work.Wait()
	defer queue.ShutDown()
	defer cancel()
	work.Go(func() {
		for {
			key, ended := queue.Get()
			if ended {
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
			d.on[e.Table](e, queue.Add)
		}
	}
}

func (d *Driver) step(ctx context.Context, queue workqueue.TypedRateLimitingInterface[string], key string) {
	if ctx.Err() != nil {
		return
	}
	wait, err := d.call(ctx, key)
	if ctx.Err() != nil {
		return // cut off: the next process takes it up
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.steps++
	if err != nil {
		d.errors[key] = err
		d.log.Error("step failed", "key", key, "tries", queue.NumRequeues(key)+1, "err", err)
		queue.AddRateLimited(key)
		return
	}
	delete(d.errors, key)
	queue.Forget(key)
	if wait > 0 {
		queue.AddAfter(key, wait)
	}
}

// call calls the step. A panic of it is an error: other keys, and other loops, go
// on.
func (d *Driver) call(ctx context.Context, key string) (wait time.Duration, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return d.loop.Step(ctx, key)
}

// Status is how a loop does.
type Status struct {
	Name string
	// Keys is how many keys there are, Steps how many were taken by this process.
	Keys  int
	Steps int64
	// Failing are the keys whose last step failed, with its error.
	Failing map[string]error
}

// Status tells how the loop does.
func (d *Driver) Status() Status {
	s := Status{Name: d.name}
	for range d.loop.Keys(d.store.View()) {
		s.Keys++
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s.Steps, s.Failing = d.steps, maps.Clone(d.errors)
	return s
}
