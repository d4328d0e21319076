package keylock

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
)

func TestLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l Locks
		ctx := t.Context()
		unlock, err := l.Lock(ctx, "a")
		if err != nil {
			t.Fatal(err)
		}
		other, err := l.Lock(ctx, "b") // doesn't wait for a
		if err != nil {
			t.Fatal(err)
		}
		short, cancel := context.WithCancel(ctx)
		failed := make(chan error, 1)
		go func() { _, err := l.Lock(short, "a"); failed <- err }()
		got := make(chan func(), 1)
		go func() { unlock, _ := l.Lock(ctx, "a"); got <- unlock }()
		synctest.Wait()
		if len(got) > 0 || len(failed) > 0 {
			t.Fatal("the lock was had twice")
		}
		cancel()
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		unlock()
		(<-got)()
		other()
		if len(l.held) > 0 {
			t.Errorf("left: %v", l.held)
		}
	})
}

func TestOneAtATime(t *testing.T) {
	var l Locks
	var all sync.WaitGroup
	n := 0
	for range 100 {
		all.Go(func() {
			unlock, err := l.Lock(context.Background(), "n")
			if err != nil {
				t.Error(err)
				return
			}
			defer unlock()
			n++
		})
	}
	all.Wait()
	if n != 100 || len(l.held) > 0 {
		t.Errorf("%d, left %v", n, l.held)
	}
}
