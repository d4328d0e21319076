package agent

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/state"
)

const (
	onStart    = types.ContainerConditionStart
	onComplete = types.ContainerConditionComplete
	onSuccess  = types.ContainerConditionSuccess
	onHealthy  = types.ContainerConditionHealthy

	exited   = types.TaskStopCodeEssentialContainerExited
	notBegun = types.TaskStopCodeTaskFailedToStart
)

func TestDependsOn(t *testing.T) {
	type step struct {
		after  time.Duration
		states map[string]state.TaskState // of containers
	}
	const pending, running, stopped = state.Pending, state.Running, state.Stopped
	after10 := func(code int) *program { return &program{exitAfter: 10 * time.Second, code: code} }
	healthyAt := func(n int) *program {
		return &program{health: func(i int) (int, time.Duration) {
			if i < n {
				return 1, 0
			}
			return 0, 0
		}}
	}
	tests := map[string]struct {
		first   types.ContainerDefinition
		prog    *program
		edits   []func(*types.ContainerDefinition) // of the second
		steps   []step
		code    types.TaskStopCode // empty: it doesn't stop
		reason  string
		because string // is in the second's reason
	}{
		"START": {
			first: define("a"), edits: edits(after("a", onStart)),
			steps: []step{{0, map[string]state.TaskState{"a": running, "b": running}}},
		},
		"COMPLETE": {
			first: define("a", optional), prog: after10(3), edits: edits(after("a", onComplete)),
			steps: []step{{9 * time.Second, map[string]state.TaskState{"a": running, "b": pending}}, {2 * time.Second, map[string]state.TaskState{"a": stopped, "b": running}}},
		},
		"SUCCESS": {
			first: define("a", optional), prog: after10(0), edits: edits(after("a", onSuccess)),
			steps: []step{{9 * time.Second, map[string]state.TaskState{"b": pending}}, {2 * time.Second, map[string]state.TaskState{"a": stopped, "b": running}}},
		},
		"SUCCESS is missed": {
			first: define("a", optional), prog: after10(3), edits: edits(after("a", onSuccess)),
			steps: []step{{11 * time.Second, map[string]state.TaskState{"a": stopped, "b": stopped}}},
			code:  notBegun, reason: "Task failed to start: container b depends on a reaching SUCCESS", because: "it exited with code 3",
		},
		"HEALTHY": {
			first: define("a", optional, checked(5, 2, 3, 0)), prog: healthyAt(2), edits: edits(after("a", onHealthy)),
			steps: []step{{9 * time.Second, map[string]state.TaskState{"b": pending}}, {2 * time.Second, map[string]state.TaskState{"b": running}}},
		},
		"HEALTHY after UNHEALTHY": {
			first: define("a", optional, checked(5, 2, 1, 0)), prog: healthyAt(4), edits: edits(after("a", onHealthy)),
			steps: []step{{19 * time.Second, map[string]state.TaskState{"b": pending}}, {2 * time.Second, map[string]state.TaskState{"b": running}}},
		},
		"HEALTHY is missed by the end": {
			first: define("a", optional, checked(30, 2, 1, 0)), prog: after10(0), edits: edits(after("a", onHealthy)),
			steps: []step{{11 * time.Second, map[string]state.TaskState{"b": stopped}}},
			code:  notBegun, reason: "Task failed to start", because: "CannotStartContainerError",
		},
		"startTimeout for HEALTHY": {
			first: define("a", optional, checked(5, 2, 1, 0), startTimeout(12)), prog: healthyAt(4), edits: edits(after("a", onHealthy)),
			steps: []step{{11 * time.Second, map[string]state.TaskState{"a": running, "b": pending}}, {2 * time.Second, map[string]state.TaskState{"a": stopped, "b": stopped}}},
			code:  notBegun, reason: "Task failed to start", because: "didn't within its startTimeout of 12 seconds",
		},
		"startTimeout for COMPLETE": {
			first: define("a", optional, startTimeout(5)), edits: edits(after("a", onComplete)),
			steps: []step{{6 * time.Second, map[string]state.TaskState{"a": stopped, "b": stopped}}},
			code:  notBegun, reason: "Task failed to start", because: "startTimeout of 5 seconds",
		},
		"startTimeout doesn't concern START": {
			first: define("a", startTimeout(5)), edits: edits(after("a", onStart)),
			steps: []step{{60 * time.Second, map[string]state.TaskState{"a": running, "b": running}}},
		},
		"startTimeout is the other container's": {
			first: define("a", optional), prog: after10(0), edits: edits(after("a", onComplete), startTimeout(5)),
			steps: []step{{11 * time.Second, map[string]state.TaskState{"a": stopped, "b": running}}},
		},
		"an optional container that can't start is left out": {
			first: define("a"), edits: edits(optional, after("a", onHealthy)),
			steps: []step{{0, map[string]state.TaskState{"a": running, "b": stopped}}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				if tt.prog != nil {
					w.host.programs["a"] = tt.prog
				}
				id := w.run(tt.first, define("b", tt.edits...))
				for _, s := range tt.steps {
					pass(s.after)
					for name, want := range s.states {
						if c := w.container(id, name); c.Last != want {
							t.Fatalf("%s later, container %s is %s, want %s (%s)", s.after, name, c.Last, want, c.Reason)
						}
					}
				}
				if tt.code == "" {
					w.wantState(id, state.Running)
					return
				}
				w.wantStop(id, tt.code, tt.reason)
				w.wantExit(id, "b", -1, tt.because)
				w.gone()
			})
		})
	}
}

func edits(e ...func(*types.ContainerDefinition)) []func(*types.ContainerDefinition) { return e }

// A task is RUNNING when all of its containers have been started.
func TestRunningWaitsForAll(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.host.programs["init"] = &program{exitAfter: 10 * time.Second}
		id := w.run(define("init", optional), define("web", after("init", onSuccess)), define("side", optional, after("web", onStart)))
		w.wantState(id, state.Activating)
		pass(11 * time.Second)
		w.wantState(id, state.Running)
		if r := w.report(id); r.StartedAt.Sub(r.PullStoppedAt) != 10*time.Second {
			t.Errorf("started %s after the pull", r.StartedAt.Sub(r.PullStoppedAt))
		}
		w.host.end("side", 9) // its end is nobody's business
		pass(time.Minute)
		w.wantState(id, state.Running)
		w.wantExit(id, "side", 9, "")
		w.host.end("web", 7)
		pass(0)
		w.wantStop(id, exited, "Essential container in task exited")
		w.wantExit(id, "web", 7, "")
		w.gone()
	})
}

func TestHealth(t *testing.T) {
	tests := map[string]struct {
		check func(*types.ContainerDefinition)
		codes []int // of each check; the last goes on
		takes time.Duration
		want  map[time.Duration]types.HealthStatus
	}{
		"healthy at the first success": {
			checked(10, 5, 3, 0), []int{0}, 0,
			map[time.Duration]types.HealthStatus{9: "UNKNOWN", 11: "HEALTHY"},
		},
		"unhealthy after retries": {
			checked(10, 5, 3, 0), []int{0, 1}, 0,
			map[time.Duration]types.HealthStatus{39: "HEALTHY", 41: "UNHEALTHY"},
		},
		"unhealthy without a success": {
			checked(10, 5, 2, 0), []int{1}, 0,
			map[time.Duration]types.HealthStatus{19: "UNKNOWN", 21: "UNHEALTHY"},
		},
		"a success resets the count": {
			checked(10, 5, 2, 0), []int{0, 1, 0, 1, 0, 1, 1}, 0,
			map[time.Duration]types.HealthStatus{61: "HEALTHY", 69: "HEALTHY", 71: "UNHEALTHY"},
		},
		"healthy again": {
			checked(10, 5, 1, 0), []int{1, 1, 0}, 0,
			map[time.Duration]types.HealthStatus{11: "UNHEALTHY", 29: "UNHEALTHY", 31: "HEALTHY"},
		},
		"failures in the start period don't count": {
			checked(10, 5, 2, 35), []int{1}, 0, // checks at 10, 20, 30 don't, at 40 and 50 do
			map[time.Duration]types.HealthStatus{49: "UNKNOWN", 51: "UNHEALTHY"},
		},
		"after a success in the start period they do": {
			checked(10, 5, 2, 100), []int{0, 1}, 0,
			map[time.Duration]types.HealthStatus{29: "HEALTHY", 31: "UNHEALTHY"},
		},
		"a check that takes too long has failed": {
			checked(10, 2, 1, 0), []int{0}, 3 * time.Second,
			map[time.Duration]types.HealthStatus{11: "UNKNOWN", 13: "UNHEALTHY"},
		},
		"the interval begins after the check": {
			checked(10, 5, 2, 0), []int{1}, 4 * time.Second, // 10 to 14, 24 to 28
			map[time.Duration]types.HealthStatus{27: "UNKNOWN", 29: "UNHEALTHY"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.host.programs["web"] = &program{health: func(n int) (int, time.Duration) {
					return tt.codes[min(n, len(tt.codes))-1], tt.takes
				}}
				id := w.run(define("web", tt.check))
				var now time.Duration
				for at := time.Duration(1); at < 100; at++ {
					pass((at - now) * time.Second)
					now = at
					if want, ok := tt.want[at]; ok {
						if got := w.container(id, "web").Health; got != want {
							t.Errorf("after %d s the container is %s, want %s", at, got, want)
						}
					}
				}
				// Nobody kills a task for its health but a service.
				w.wantState(id, state.Running)
			})
		})
	}
}
