package agent

import (
	"context"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/agent/runtime"
	"github.com/berth/berth/state"
)

// restartPeriod is how long a container must run before it may be started again,
// unless its policy says otherwise (ECS API Reference,
// ContainerRestartPolicy.restartAttemptPeriod).
const restartPeriod = 300 * time.Second

// restartPolicy is a container's; nil is none.
type restartPolicy struct {
	ignored []int32 // exit codes
	period  time.Duration
}

func newRestartPolicy(p *types.ContainerRestartPolicy) *restartPolicy {
	if p == nil || !aws.ToBool(p.Enabled) {
		return nil
	}
	out := &restartPolicy{ignored: p.IgnoredExitCodes, period: restartPeriod}
	if p.RestartAttemptPeriod != nil {
		out.period = time.Duration(*p.RestartAttemptPeriod) * time.Second
	}
	return out
}

// again decides whether a container that ended is started again. One that ran
// for less than the period is not, and none whose end nobody saw: the host may
// have been restarted, after which tasks don't run again.
func (p *restartPolicy) again(code int, ran time.Duration) bool {
	return p != nil && code >= 0 && ran >= p.period && !slices.Contains(p.ignored, int32(code))
}

// restartLater notes that a container, which just ended, is to be started again.
// To users it is RUNNING meanwhile.
func (t *task) restartLater(i int, st runtime.Status, finished time.Time) {
	c := &t.p.Containers[i]
	code := int32(st.ExitCode)
	c.Restarts++
	c.Restarting, c.LastCode, c.FinishedAt = true, &code, finished
	if t.plan.containers[i].check != nil {
		c.Health, c.HealthAt, c.HealthExit, c.HealthOutput = types.HealthStatusUnknown, finished, 0, ""
	}
	t.live[i].ended()
	t.live[i].running, t.live[i].ended = context.WithCancel(t.a.ctx)
	t.a.log.Info("a container is started again", "task", t.id, "container", t.plan.containers[i].name, "exitCode", code, "restarts", c.Restarts)
}

// restart starts a container again that ended. It has its files, its output and
// its ID. An earlier process may have come any part of the way.
func (t *task) restart(i int) {
	name := t.name("restart", i)
	if t.busy[name] || !t.confirmed || !t.p.StoppingAt.IsZero() {
		return
	}
	if t.p.Boot != t.a.boot {
		t.containerEnded(i, runtime.Status{ExitCode: -1})
		return
	}
	// A process that comes after this one must know what it finds.
	if err := t.save(true); err != nil {
		t.containerFailed(t.launching, i, "CannotStartContainerError: unable to record that it starts again: "+err.Error()+": see that the node's data directory has room")
		return
	}
	id, ended := t.plan.containers[i].id, t.p.Containers[i].FinishedAt
	t.op(t.a.ctx, name, func(ctx context.Context) func() {
		if !t.a.slot(t.launching) {
			return nil // it need not run any more
		}
		defer t.a.release()
		st, err := t.a.cfg.Runtime.Status(ctx, id)
		if err == nil && !st.StartedAt.After(ended) {
			if err = t.a.cfg.Runtime.Reset(ctx, id); err == nil {
				err = t.a.cfg.Runtime.Start(ctx, id)
			}
			if err == nil {
				st, err = t.a.cfg.Runtime.Status(ctx, id)
			}
		}
		if err != nil {
			return func() {
				t.p.Containers[i].Restarting = false
				t.containerFailed(ctx, i, "CannotStartContainerError: "+err.Error())
			}
		}
		return func() {
			c := &t.p.Containers[i]
			c.Restarting, c.LastCode = false, nil
			c.StartedAt, c.FinishedAt = st.StartedAt, time.Time{}
		}
	})
}

// unrestarted ends a container of a task that stops which was about to be started
// again: it has ended as it ended.
func (t *task) unrestarted(i int) {
	c := &t.p.Containers[i]
	if !c.Restarting || t.busy[t.name("restart", i)] {
		return
	}
	c.Restarting = false
	c.Last, c.ExitCode = state.Stopped, c.LastCode
	t.live[i].ended()
}
