package agent

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/berth/berth/state"
)

// Containers stop in the reverse order of dependsOn.
func TestStopOrder(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for _, n := range []string{"db", "app", "web"} {
			w.host.programs[n] = &program{slow: 2 * time.Second}
		}
		id := w.run(define("db"), define("app", after("db", onStart)), define("web", after("app", onStart)))
		w.stop(id)
		w.wantState(id, state.Stopping)
		pass(7 * time.Second)
		w.wantStop(id, "", "")
		w.wantEvents("start db", "start app", "start web",
			"signal web SIGTERM", "exit web 0", "signal app SIGTERM", "exit app 0", "signal db SIGTERM", "exit db 0", "detach eni-"+id)
		w.gone()
	})
}

// Those that don't depend on one another stop at the same time.
func TestStopTimeout(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.host.images["app"].config.StopSignal = "SIGQUIT"
		w.host.programs["a"], w.host.programs["b"] = &program{deaf: true}, &program{deaf: true}
		id := w.run(define("a", stopTimeout(5)), define("b"))
		w.stop(id)
		pass(4 * time.Second)
		log := w.host.log()
		slices.Sort(log) // neither waits for the other
		if want := []string{"signal a SIGQUIT", "signal b SIGQUIT", "start a", "start b"}; !slices.Equal(log, want) {
			t.Errorf("events %q, want %q", log, want)
		}
		pass(2 * time.Second)
		w.wantExit(id, "a", 137, "")
		pass(23 * time.Second)
		w.wantState(id, state.Stopping)
		pass(2 * time.Second) // 30 seconds where the definition says nothing
		w.wantExit(id, "b", 137, "")
		w.wantStop(id, "", "")
		w.gone()
	})
}

// The end of an essential container ends the others, in order and in their time.
func TestEssentialExit(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.host.programs["web"] = &program{exitAfter: 10 * time.Second, code: 3}
		w.host.programs["side"] = &program{slow: 4 * time.Second}
		id := w.run(define("web"), define("side", optional))
		pass(11 * time.Second)
		w.wantState(id, state.Stopping)
		pass(4 * time.Second)
		w.wantStop(id, exited, "Essential container in task exited")
		w.wantExit(id, "web", 3, "")
		w.wantExit(id, "side", 0, "")
		r := w.report(id)
		if r.ExecutionStoppedAt.Sub(r.StartedAt) != 10*time.Second || r.StoppedAt.Sub(r.StartedAt) != 14*time.Second {
			t.Errorf("execution stopped %s and the task %s after its start", r.ExecutionStoppedAt.Sub(r.StartedAt), r.StoppedAt.Sub(r.StartedAt))
		}
		w.gone()
	})
}

// A container that ends while the task is stopped is not the reason of the stop.
func TestStopThenExit(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.host.programs["web"] = &program{slow: time.Second}
		id := w.run(define("web"))
		w.stop(id)
		w.host.end("web", 1)
		pass(0)
		w.wantStop(id, "", "")
		w.wantExit(id, "web", 1, "")
	})
}

func TestOutOfMemory(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.host.programs["web"] = &program{exitAfter: time.Second, code: 137, oom: true}
		id := w.run(define("web"))
		pass(2 * time.Second)
		w.wantStop(id, exited, "Essential container in task exited")
		w.wantExit(id, "web", 137, "OutOfMemoryError: Container killed due to memory usage")
	})
}

// A stop is taken at once, whatever the task is at.
func TestStopDuringLaunch(t *testing.T) {
	t.Run("pull", func(t *testing.T) {
		inWorld(t, func(t *testing.T, w *world) {
			w.host.images["app"].delay = time.Hour
			id := w.run(define("web"))
			w.wantState(id, state.Pending)
			w.stop(id)
			w.wantStop(id, "", "")
			w.wantExit(id, "web", -1, "")
			w.gone()
		})
	})
	t.Run("dependency", func(t *testing.T) {
		inWorld(t, func(t *testing.T, w *world) {
			id := w.run(define("init", optional), define("web", after("init", onComplete)))
			w.wantState(id, state.Activating)
			w.stop(id)
			w.wantStop(id, "", "")
			w.wantExit(id, "web", -1, "")
			w.wantExit(id, "init", 143, "")
			w.gone()
		})
	})
	t.Run("before the first step", func(t *testing.T) {
		inWorld(t, func(t *testing.T, w *world) {
			id := w.runWith(func(as *state.Assignment) { as.Task.Desired = state.Stopped }, define("web"))
			w.wantStop(id, "", "")
			if log := w.host.log(); len(log) != 0 {
				t.Errorf("events %q", log)
			}
			w.gone()
		})
	})
	for _, at := range []int{2, 7, 12} { // attach and prepare, create, start
		t.Run(fmt.Sprintf("what can't be cut short, after %d s", at), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.host.late = 5 * time.Second
				id := w.run(define("web"))
				pass(time.Duration(at) * time.Second)
				w.stop(id)
				if r := w.report(id); r.State >= state.Deprovisioning {
					t.Errorf("%s while something is still being made", r.State)
				}
				pass(time.Minute)
				w.wantStop(id, "", "")
				w.gone()
			})
		})
	}
	t.Run("network", func(t *testing.T) {
		inWorld(t, func(t *testing.T, w *world) {
			w.host.mu.Lock()
			w.host.netSlow = time.Hour
			w.host.mu.Unlock()
			w.full()
			id := w.run(define("web"))
			w.wantState(id, state.Provisioning)
			w.stop(id)
			w.wantStop(id, "", "")
		})
	})
}
