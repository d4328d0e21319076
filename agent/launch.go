package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/agent/runtime"
	"github.com/berth/berth/state"
)

// goUp brings the task towards RUNNING. Everything that doesn't depend on
// something else is done at the same time.
func (t *task) goUp() {
	left := false
	for i := range t.p.Containers {
		c := &t.p.Containers[i]
		left = left || !c.Launched && c.Last == state.Pending
	}
	if t.confirmed && (left || t.mode() == types.NetworkModeBridge) {
		t.attach()
	}
	if left && t.confirmed {
		t.prepare()
		t.readEnvFiles()
		t.pullAll()
		t.startAll()
	}
	if t.p.ConnectivityAt.IsZero() {
		return
	}
	t.to(state.Pending)
	if t.p.PullStoppedAt.IsZero() || left && !t.prepared {
		return
	}
	t.to(state.Activating)
	if t.begun() && t.p.StoppingAt.IsZero() {
		t.to(state.Running)
	}
}

// begun reports whether every container has been started, those left out that
// may be missing, and notes since when. That is what makes a task RUNNING.
func (t *task) begun() bool {
	var at time.Time
	for i := range t.p.Containers {
		c := &t.p.Containers[i]
		if c.StartedAt.IsZero() && (c.Last != state.Stopped || t.plan.containers[i].essential) {
			return false
		}
		if c.StartedAt.After(at) {
			at = c.StartedAt
		}
	}
	if t.p.StartedAt.IsZero() {
		t.p.StartedAt = at
	}
	return true
}

// attach gives the task its interface. Packets pass once the VPC's plan is in
// force too.
func (t *task) attach() {
	if t.isAttached() {
		return
	}
	switch t.mode() {
	case types.NetworkModeHost, types.NetworkModeNone:
		t.connected() // there is nothing to make
		return
	case types.NetworkModeBridge:
		t.join()
		return
	}
	order := t.order
	t.op(t.launching, "attach", func(ctx context.Context) func() {
		took := t.stopwatch(state.StepENI, everyContainer)
		_, err := t.a.cfg.Network.Attach(ctx, t.id, t.as.Interface)
		if err == nil {
			err = t.a.networks.ready(ctx, order)
		}
		step := took()
		return func() {
			if err != nil {
				t.failed(ctx, "ResourceInitializationError", fmt.Errorf("unable to set up the network interface %s: %w", t.as.Interface.ENI, err))
				return
			}
			t.noted(step)
			t.connected()
		}
	})
}

func (t *task) isAttached() bool {
	select {
	case <-t.attached:
		return true
	default:
		return false
	}
}

// prepare makes the task's cgroup, files and volumes.
func (t *task) prepare() {
	if t.prepared {
		return
	}
	t.op(t.launching, "prepare", func(ctx context.Context) func() {
		err := t.plan.prepare(t.dir)
		if err == nil {
			err = t.a.cfg.Runtime.CreateSandbox(ctx, runtime.Sandbox{
				ID: t.id, CPU: t.as.Task.CPU, Memory: t.as.Task.Memory, Storage: int64(t.as.Task.EphemeralGiB) << 30,
			})
		}
		if err != nil {
			err = fmt.Errorf("unable to prepare the task's files and limits: %w", err)
		}
		var sources []string
		if err == nil {
			sources, err = t.provide(ctx)
		}
		if err == nil {
			err = t.plan.shared.hold(ctx, t.a.cfg.Runtime)
		}
		return func() {
			if err != nil {
				t.failed(ctx, "ResourceInitializationError", err)
				return
			}
			t.prepared, t.plan.sources = true, sources
		}
	})
}

// failed ends a task that could not be set up, unless it is to stop anyway.
func (t *task) failed(ctx context.Context, code string, err error) {
	if ctx.Err() == nil {
		t.beginStop(types.TaskStopCodeTaskFailedToStart, code+": "+err.Error())
	}
}

// containerFailed records that a container could not be started. The task goes
// on without it unless it is essential (ECS API Reference,
// ContainerDefinition.essential).
func (t *task) containerFailed(ctx context.Context, i int, reason string) {
	if ctx.Err() != nil {
		return // the task is to stop; it was not the container's fault
	}
	c := &t.p.Containers[i]
	c.Last, c.Reason = state.Stopped, fits(reason)
	t.live[i].ended()
	t.a.log.Warn("a container can't start", "task", t.id, "container", t.plan.containers[i].name, "reason", reason)
	if t.plan.containers[i].essential {
		t.beginStop(types.TaskStopCodeTaskFailedToStart, reason)
	}
}

// startAll creates and starts the containers whose dependencies are there.
// Nothing of a task runs before all of its images are there.
func (t *task) startAll() {
	if t.p.PullStoppedAt.IsZero() {
		return
	}
	now := time.Now()
	for i := range t.plan.containers {
		if c := &t.p.Containers[i]; c.Launched || c.Last != state.Pending || t.busy[t.name("create", i)] {
			continue
		}
		v := t.plan.mayStart(i, t.p.Containers, now)
		if v.never != "" {
			c := &t.p.Containers[i]
			c.Last, c.Reason = state.Stopped, fits("CannotStartContainerError: "+v.never)
			t.live[i].ended()
			if t.plan.containers[i].essential {
				t.beginStop(types.TaskStopCodeTaskFailedToStart, "Task failed to start: "+v.never)
				return
			}
			t.inbox.put(func() {}) // others may depend on it: look again
			continue
		}
		if !v.until.IsZero() {
			t.wakeAt(v.until)
		}
		if v.ready && t.prepared && t.plan.filesRead && t.live[i].image != nil && t.lent(i) {
			t.create(i)
		}
	}
}

// create makes the container, and follows its output, so that all that is left
// is to start it once the interface is there.
func (t *task) create(i int) {
	c, l := t.plan.containers[i], &t.live[i]
	spec, err := t.plan.spec(c, *l.image, t.dir, t.netNS(i))
	t.toRouter(i, &spec)
	var finish func() error
	if err == nil {
		finish, err = t.linked(i, &spec)
	}
	if err == nil {
		err = t.metadataFile(i, &spec)
	}
	if err == nil {
		err = t.gpus(i, &spec)
	}
	if err == nil {
		err = t.imageVolumes(i, &spec)
	}
	if err != nil {
		t.containerFailed(t.launching, i, "CannotCreateContainerError: "+err.Error())
		return
	}
	t.op(t.launching, t.name("create", i), func(ctx context.Context) func() {
		if !t.a.slot(ctx) {
			return nil
		}
		took := t.stopwatch(state.StepCreate, i)
		// Opening a log stream takes as long as making a root file system.
		followed := make(chan error, 1)
		t.a.wg.Go(func() { followed <- t.a.cfg.Logs.Follow(c.id, t.a.cfg.Runtime.LogPath(c.id), c.logs) })
		err, logErr := t.a.cfg.Runtime.Create(ctx, spec), <-followed
		t.a.release()
		step := took()
		select {
		case <-t.attached:
			if err == nil {
				err = finish()
			}
		case <-ctx.Done():
		}
		return func() {
			l.followed = logErr == nil
			switch {
			case err != nil:
				t.containerFailed(ctx, i, "CannotCreateContainerError: "+err.Error())
				return
			case logErr != nil:
				t.containerFailed(ctx, i, "ResourceInitializationError: failed to validate logger args: "+logErr.Error())
				return
			case ctx.Err() != nil:
				return // the task is to stop
			}
			// From here on it counts as started. Only one that was seen not to
			// have run may be started by a later process.
			t.noted(step)
			t.p.Boot = t.a.boot
			t.p.Containers[i].Launched = true
			t.p.Containers[i].CreatedAt = time.Now()
			if err := t.save(true); err != nil {
				t.p.Containers[i].Launched = false
				t.containerFailed(ctx, i, "CannotStartContainerError: unable to record that it starts: "+err.Error()+": see that the node's data directory has room")
				return
			}
			t.start(i)
		}
	})
}

// start starts a launched container. It is not cut off by a stop: whether it
// has started must be known.
func (t *task) start(i int) {
	c := t.plan.containers[i]
	t.op(t.a.ctx, t.name("start", i), func(ctx context.Context) func() {
		if !t.a.slot(t.launching) {
			return func() { t.live[i].startable = true } // it hasn't run, and need not any more
		}
		defer t.a.release()
		took := t.stopwatch(state.StepStart, i)
		if err := t.a.cfg.Runtime.Start(ctx, c.id); err != nil {
			return func() { t.containerFailed(ctx, i, "CannotStartContainerError: "+err.Error()) }
		}
		step := took()
		// The runtime's time of the start: by now the container may have ended.
		st, err := t.a.cfg.Runtime.Status(ctx, c.id)
		if err != nil {
			st.StartedAt = time.Now()
		}
		return func() {
			t.noted(step)
			t.started(i, st.StartedAt)
		}
	})
}

// started records that a container has started.
func (t *task) started(i int, at time.Time) {
	if at.IsZero() {
		at = time.Now()
	}
	if c := &t.p.Containers[i]; c.Last == state.Pending {
		c.Last, c.StartedAt = state.Running, at
		t.metadataReady(i)
	}
}
