package agent

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/agent/runtime"
	"github.com/berth/berth/state"
)

// tend sees to the containers that were launched, by this process or an
// earlier one: how they stand, their output, their health and their end.
func (t *task) tend() {
	for i := range t.plan.containers {
		c := &t.p.Containers[i]
		if !c.Launched {
			continue
		}
		if !c.Shipped {
			t.follow(i)
		}
		switch {
		case c.Last == state.Stopped:
			t.ship(i)
		case c.Restarting:
			t.restart(i)
		case c.Last == state.Running:
			t.watch(i)
			t.checkHealth(i)
		case t.live[i].startable:
			if t.confirmed {
				t.live[i].startable = false
				t.start(i)
			}
		case !t.busy[t.name("start", i)]:
			t.inspect(i)
		}
	}
}

// inspect finds out how far an earlier process came with a container that it
// was about to start.
func (t *task) inspect(i int) {
	id := t.plan.containers[i].id
	t.op(t.a.ctx, t.name("inspect", i), func(ctx context.Context) func() {
		var st runtime.Status
		lost := false
		if !t.persist(ctx, "look at a container", func() (err error) {
			st, err = t.a.cfg.Runtime.Status(ctx, id)
			if lost = errors.Is(err, runtime.ErrNotFound); lost {
				err = nil
			}
			return err
		}) {
			return nil
		}
		return func() {
			switch {
			case lost || st.State == runtime.Created && t.p.Boot != t.a.boot:
				// Whether it ran before the host went down can't be known.
				t.containerEnded(i, runtime.Status{ExitCode: -1})
			case st.State == runtime.Created:
				t.live[i].startable = true
			default: // its end, if it has come, is seen by watch
				t.started(i, st.StartedAt)
			}
		}
	})
}

// watch waits for the container's end.
func (t *task) watch(i int) {
	id := t.plan.containers[i].id
	t.op(t.a.ctx, t.name("wait", i), func(ctx context.Context) func() {
		var st runtime.Status
		if !t.persist(ctx, "wait for a container's end", func() (err error) {
			st, err = t.a.cfg.Runtime.Wait(ctx, id)
			if errors.Is(err, runtime.ErrNotFound) {
				st, err = runtime.Status{ExitCode: -1}, nil
			}
			return err
		}) {
			return nil
		}
		return func() { t.containerEnded(i, st) }
	})
}

// containerEnded records a container's end. The end of an essential one is the
// task's.
func (t *task) containerEnded(i int, st runtime.Status) {
	c := &t.p.Containers[i]
	if c.Last == state.Stopped {
		return
	}
	finished := st.FinishedAt
	if finished.IsZero() {
		finished = time.Now()
	}
	if t.p.StoppingAt.IsZero() && t.plan.containers[i].restart.again(st.ExitCode, finished.Sub(c.StartedAt)) {
		t.restartLater(i, st, finished)
		return
	}
	c.Last, c.FinishedAt, c.Restarting = state.Stopped, finished, false
	switch code := int32(st.ExitCode); {
	case st.OOMKilled:
		c.ExitCode, c.Reason = &code, "OutOfMemoryError: Container killed due to memory usage"
	case code < 0:
		c.Reason = "ContainerRuntimeError: nobody saw the container end: its host restarted, or its monitor was killed"
	default:
		c.ExitCode = &code
	}
	t.live[i].ended()
	if !t.plan.containers[i].essential {
		return
	}
	if t.p.ExecutionStoppedAt.IsZero() {
		t.p.ExecutionStoppedAt = c.FinishedAt
	}
	t.beginStop(types.TaskStopCodeEssentialContainerExited, "Essential container in task exited")
}

// follow takes up the container's output where an earlier process was.
func (t *task) follow(i int) {
	if t.live[i].followed {
		return
	}
	c := t.plan.containers[i]
	l := &t.live[i]
	if time.Now().Before(l.followAgain) {
		t.wakeAt(l.followAgain)
		return
	}
	t.op(t.a.ctx, t.name("follow", i), func(ctx context.Context) func() {
		err := t.a.cfg.Logs.Follow(c.id, t.a.cfg.Runtime.LogPath(c.id), c.logs)
		return func() {
			l.followed = err == nil
			if err != nil {
				t.a.log.Error("follow a container's output", "task", t.id, "container", c.name, "err", err)
				l.shipTried = true // the task's end doesn't wait for it
				l.followAgain = time.Now().Add(shipTime)
			}
		}
	})
}

// shipTime is how long STOPPED may wait for the last lines of output. What is
// left then is shipped behind it.
const shipTime = 5 * time.Second

// ship hands the last lines of an ended container on.
func (t *task) ship(i int) {
	if l := &t.live[i]; !l.followed || l.shipTried {
		return
	}
	id := t.plan.containers[i].id
	t.op(t.a.ctx, t.name("ship", i), func(ctx context.Context) func() {
		ctx, cancel := context.WithTimeout(ctx, shipTime)
		defer cancel()
		err := t.a.cfg.Logs.Finish(ctx, id)
		return func() {
			t.live[i].shipTried = true
			if err != nil {
				t.a.log.Warn("ship a container's last output", "task", t.id, "container", t.plan.containers[i].name, "err", err)
				return
			}
			t.p.Containers[i].Shipped = true
		}
	})
}

// checkHealth runs the container's health check until it ends or the task
// stops.
func (t *task) checkHealth(i int) {
	c := t.plan.containers[i]
	if c.check == nil || !t.p.StoppingAt.IsZero() {
		return
	}
	have := t.p.Containers[i]
	running := t.live[i].running
	t.op(t.launching, t.name("health", i), func(ctx context.Context) func() {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(running, cancel)()
		watchHealth(ctx, t.a.cfg.Runtime, c.id, c.check, have.Health, have.StartedAt, func(s types.HealthStatus, by runtime.ExecResult) {
			at := time.Now()
			t.inbox.put(func() {
				now := &t.p.Containers[i]
				now.Health, now.HealthAt, now.HealthExit, now.HealthOutput = s, at, int32(by.ExitCode), by.Output
				if s == types.HealthStatusHealthy {
					t.noted(state.Step{Name: state.StepHealth, Container: c.name, Began: have.StartedAt, Took: at.Sub(have.StartedAt)})
				}
			})
		})
		return nil
	})
}
