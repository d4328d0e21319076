package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/agent/runtime"
	"github.com/berth/berth/state"
)

// beginStop turns the task downwards, once. code and reason are the node's own;
// they are empty where the server wanted the stop.
func (t *task) beginStop(code types.TaskStopCode, reason string) {
	if !t.p.StoppingAt.IsZero() {
		return
	}
	t.p.StoppingAt = time.Now()
	t.p.StopCode, t.p.StoppedReason = code, fits(reason)
	t.stopLaunch()
}

// goDown brings the task to STOPPED: no container left running, then no
// interface, and behind it nothing left on the host.
func (t *task) goDown() {
	if t.p.Removed {
		return
	}
	left := false
	for i := range t.p.Containers {
		c := &t.p.Containers[i]
		if c.Last == state.Pending && (!c.Launched || t.live[i].startable) {
			c.Last = state.Stopped // it never ran
			t.live[i].ended()
		}
	}
	for i := range t.p.Containers {
		t.unrestarted(i)
		c := &t.p.Containers[i]
		if c.Last == state.Running && !c.Restarting {
			// Nothing is to be done yet in DEACTIVATING: load balancers come later.
			t.to(state.Deactivating)
			t.to(state.Stopping)
			if t.killed.Err() != nil || t.plan.mayStop(i, t.p.Containers) && t.routed(i) {
				t.stopContainer(i)
			}
		}
		left = left || c.Last != state.Stopped
	}
	t.begun() // an earlier process may have started all and told nobody
	if left || t.launchingStill() {
		return
	}
	t.to(state.Deprovisioning)
	if t.p.ExecutionStoppedAt.IsZero() {
		t.p.ExecutionStoppedAt = time.Now()
	}
	t.detach()
	tried := t.detached
	for i := range t.p.Containers {
		tried = tried && (!t.p.Containers[i].Launched || t.p.Containers[i].Shipped || t.live[i].shipTried)
	}
	if !tried {
		return
	}
	if t.p.StoppedAt.IsZero() {
		t.p.StoppedAt = time.Now()
		t.to(state.Stopped)
	}
	t.clean()
}

// routed reports whether a container may stop as far as the output of others is
// concerned: a log router first gets all that they had to say.
func (t *task) routed(i int) bool {
	if !t.plan.containers[i].routes {
		return true
	}
	for o, c := range t.plan.containers {
		if have := &t.p.Containers[o]; logsToRouter(c) && have.Launched && !have.Shipped && !t.live[o].shipTried {
			return false
		}
	}
	return true
}

// launchingStill reports whether something is under way that may yet make
// something.
func (t *task) launchingStill() bool {
	for name := range t.busy {
		switch what, _, _ := strings.Cut(name, " "); what {
		case "attach", "prepare", "pull", "create", "start", "restart", "inspect":
			return true
		}
	}
	return false
}

// stopContainer sends the stop signal, and SIGKILL when the stop timeout is over.
func (t *task) stopContainer(i int) {
	c, have := t.plan.containers[i], &t.p.Containers[i]
	if have.StopAt.IsZero() {
		have.StopAt = time.Now()
	}
	signal := first(have.StopSignal, "SIGTERM")
	deadline := have.StopAt.Add(c.stopTimeout)
	// The clock may have been set back since a process before noted the time.
	if latest := time.Now().Add(c.stopTimeout); deadline.After(latest) {
		deadline = latest
	}
	running := t.live[i].running
	t.op(running, t.name("stop", i), func(ctx context.Context) func() {
		if t.killed.Err() == nil && time.Now().Before(deadline) {
			if err := t.a.cfg.Runtime.Signal(ctx, c.id, signal); err != nil && ctx.Err() == nil {
				t.a.log.Warn("send a container its stop signal", "task", t.id, "container", c.name, "signal", signal, "err", err)
			}
			select {
			case <-ctx.Done():
				return nil
			case <-t.killed.Done():
			case <-time.After(time.Until(deadline)):
			}
		}
		// Until it is gone: a process may be stuck in the kernel for a while.
		for n := 1; ; n++ {
			if err := t.a.cfg.Runtime.Signal(ctx, c.id, "SIGKILL"); err != nil && ctx.Err() == nil {
				t.a.log.Error("kill a container", "task", t.id, "container", c.name, "tries", n, "err", err)
			}
			if !again(ctx, n+3) {
				return nil
			}
		}
	})
}

// detach takes the interface away. When it fails, clean tries again.
func (t *task) detach() {
	if t.detached {
		return
	}
	t.op(t.a.ctx, "detach", func(ctx context.Context) func() {
		err := t.disconnect(ctx)
		return func() {
			t.detached = true
			if err != nil {
				t.a.log.Error("detach a task from its network", "task", t.id, "err", err)
			}
		}
	})
}

// clean removes what is left of a task on the host, until nothing is.
func (t *task) clean() {
	if t.cleaning {
		return
	}
	t.cleaning = true
	t.op(t.a.ctx, "clean", func(ctx context.Context) func() {
		if !t.persist(ctx, "remove what is left of a task", func() error { return t.removeAll(ctx) }) {
			return nil
		}
		return func() {
			t.p.Removed = true
			for i := range t.p.Containers {
				t.p.Containers[i].Shipped = t.p.Containers[i].Launched
			}
		}
	})
}

func (t *task) removeAll(ctx context.Context) error {
	var errs []error
	for _, c := range t.plan.containers {
		path := t.a.cfg.Runtime.LogPath(c.id)
		if _, err := os.Lstat(path); err == nil {
			errs = append(errs, t.a.cfg.Logs.Follow(c.id, path, c.logs))
		}
		errs = append(errs, t.a.removeContainer(ctx, c.id))
	}
	if err := t.a.cfg.Runtime.RemoveSandbox(ctx, t.id); err != nil && !errors.Is(err, runtime.ErrNotFound) {
		errs = append(errs, fmt.Errorf("remove the cgroup of task %s: %w", t.id, err))
	}
	if err := t.disconnect(ctx); err != nil {
		errs = append(errs, err)
	}
	if t.a.cfg.Volumes != nil {
		if err := t.a.cfg.Volumes.Release(ctx, t.id); err != nil {
			errs = append(errs, fmt.Errorf("remove the volumes of task %s: %w", t.id, err))
		}
	}
	for _, sub := range []string{"etc", "metadata", "environment.json"} {
		if err := os.RemoveAll(filepath.Join(string(t.dir), sub)); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
