package control

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
	"github.com/berth/berth/store/memory"
)

// families is a loop over families: it notes when it stepped which, and does
// what the test says.
type families struct {
	mu    sync.Mutex
	steps []string
	do    func(key string) (time.Duration, error)
	began time.Time
}

func (f *families) Keys(v *store.Snapshot) iter.Seq[string] {
	return func(yield func(string) bool) {
		for r := range store.Families.All(v) {
			if !yield(r.Name) {
				return
			}
		}
	}
}

func (f *families) Step(ctx context.Context, key string) (time.Duration, error) {
	f.mu.Lock()
	f.steps = append(f.steps, key+"@"+time.Since(f.began).String())
	f.mu.Unlock()
	return f.do(key)
}

func (f *families) take() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := strings.Join(f.steps, " ")
	f.steps = nil
	return s
}

var on = On{store.Families.Name(): func(e store.Event, wake func(string)) {
	if e.New != nil {
		wake(e.Key.ID)
	}
}}

// drive runs the loop in a bubble with a family "old", and calls test when all
// is quiet.
func drive(t *testing.T, do func(key string) (time.Duration, error), test func(f *families, d *Driver, put func(string))) {
	synctest.Test(t, func(t *testing.T) {
		s, err := store.Open(t.Context(), memory.New())
		if err != nil {
			t.Fatal(err)
		}
		put := func(name string) {
			err := s.Update(t.Context(), func(tx *store.Tx) error {
				store.Families.Put(tx, &state.Family{Name: name})
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		put("old")
		f := &families{do: do, began: time.Now()}
		d := New("test", s, f, on, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- d.Run(ctx) }()
		synctest.Wait()
		test(f, d, put)
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v", err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

func sleep(d time.Duration) {
	time.Sleep(d) // in the bubble's time
	synctest.Wait()
}

func expect(t *testing.T, f *families, want string) {
	t.Helper()
	if got := f.take(); got != want {
		t.Errorf("it stepped %q, want %q", got, want)
	}
}

func TestWakes(t *testing.T) {
	nothing := func(string) (time.Duration, error) { return 0, nil }
	drive(t, nothing, func(f *families, d *Driver, put func(string)) {
		expect(t, f, "old@0s") // at start
		sleep(time.Second)
		put("new") // by an event
		expect(t, f, "new@1s")
		sleep(period)
		expect(t, f, "new@10m0s old@10m0s") // all, from time to time
		if s := d.Status(); s.Keys != 2 || s.Steps != 4 || len(s.Failing) != 0 {
			t.Errorf("the status is %+v", s)
		}
	})
}

func TestWaits(t *testing.T) {
	waits := []time.Duration{3 * time.Second, 5 * time.Second}
	drive(t, func(string) (time.Duration, error) {
		if len(waits) == 0 {
			return 0, nil
		}
		w := waits[0]
		waits = waits[1:]
		return w, nil
	}, func(f *families, d *Driver, put func(string)) {
		sleep(time.Minute)
		expect(t, f, "old@0s old@3s old@8s")
	})
}

func TestBacksOffByKey(t *testing.T) {
	boom := errors.New("boom")
	var healed atomic.Bool
	drive(t, func(key string) (time.Duration, error) {
		if key == "old" && !healed.Load() {
			return 0, boom
		}
		return 0, nil
	}, func(f *families, d *Driver, put func(string)) {
		sleep(time.Second)
		expect(t, f, "old@0s old@100ms old@300ms old@700ms")
		if s := d.Status(); len(s.Failing) != 1 || s.Failing["old"] != boom {
			t.Errorf("the status is %+v", s)
		}
		put("new") // is not kept up by old
		expect(t, f, "new@1s")
		sleep(5 * time.Minute)
		steps := strings.Fields(f.take())
		if len(steps) < 9 || len(steps) > 13 {
			t.Errorf("in 5 minutes it tried %v", steps)
		}
		healed.Store(true)
		sleep(time.Minute)
		if s := d.Status(); len(s.Failing) != 0 {
			t.Errorf("the status is %+v", s)
		}
		f.take()
		sleep(time.Minute)
		expect(t, f, "")
	})
}

func TestPanics(t *testing.T) {
	n := 0
	drive(t, func(string) (time.Duration, error) {
		if n++; n == 1 {
			panic("ouch")
		}
		return 0, nil
	}, func(f *families, d *Driver, put func(string)) {
		if err := d.Status().Failing["old"]; err == nil || !strings.Contains(err.Error(), "ouch") {
			t.Errorf("the error is %v", err)
		}
		sleep(time.Second)
		expect(t, f, "old@0s old@100ms")
	})
}
