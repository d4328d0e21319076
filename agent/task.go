package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/agent/runtime"
	"github.com/berth/berth/internal/wholefile"
	"github.com/berth/berth/state"
)

// task is one task of the node. Its goroutine (run) owns every field below the
// line: whatever else happens is done beside it by an op, which hands what it
// found out back through the inbox. After each piece of news the goroutine looks
// at the whole task once (step) and begins what can be done next.
type task struct {
	a     *Agent
	id    string
	dir   folder
	inbox *inbox

	// ---
	as   state.Assignment
	plan *plan
	p    progress
	// saved is the progress file's content.
	saved []byte
	// durable: the folder's own entry is known to be on the disk.
	durable bool

	// confirmed: this process was told of the task by the server. Nothing new
	// is begun before; what runs goes on.
	confirmed bool
	order     uint64 // of the networks that the task needs
	// unwanted: the server no longer knows the task. It ends unreported and
	// nothing is left of it, this folder neither.
	unwanted bool
	// gone: the server has committed that the task STOPPED.
	gone bool
	over bool

	launching context.Context // ends when the task is to stop
	stopLaunch,
	killNow context.CancelFunc
	killed context.Context // ends when nothing may wait for a stop timeout any more

	prepared bool
	attached chan struct{} // closed when the interface is there and packets pass
	detached bool          // was tried
	cleaning bool          // the removal was begun
	live     []live        // as the plan's containers
	busy     map[string]bool
	alarm    time.Time // when to look again, without news; zero: never
}

// live is what only this process knows of a container.
type live struct {
	image     *runtime.Image
	startable bool // it was seen not to have run
	followed  bool
	shipTried bool
	// followAgain is when to try to follow it again.
	followAgain time.Time
	running     context.Context // ends when the container has ended
	ended       context.CancelFunc
}

// newTask makes the task of an assignment, with what an earlier process knew of
// it, if any. a.mu is held, or nobody else has the agent yet.
func (a *Agent) newTask(as state.Assignment) *task {
	t := &task{
		a: a, id: as.Task.ID, dir: folder(filepath.Join(a.tasksDir(), as.Task.ID)), inbox: newInbox(),
		as: as, attached: make(chan struct{}), busy: map[string]bool{},
	}
	known, damaged := wholefile.ReadJSON(t.dir.progress(), &t.p)
	if damaged != nil {
		t.p = progress{}
	}
	t.launching, t.stopLaunch = context.WithCancel(a.ctx)
	t.killed, t.killNow = context.WithCancel(a.ctx)
	var err error
	t.plan, err = newPlan(&t.as, t.dir)
	t.plan.endpoints(t)
	t.keptEnv()
	t.live = make([]live, len(t.plan.containers))
	for i := range t.live {
		t.live[i].running, t.live[i].ended = context.WithCancel(a.ctx)
	}
	t.p.State = max(t.p.State, state.Provisioning)
	for len(t.p.Containers) < len(t.plan.containers) {
		t.p.Containers = append(t.p.Containers, containerProgress{Last: state.Pending, Health: types.HealthStatusUnknown})
	}
	switch {
	case err != nil:
		t.beginStop(types.TaskStopCodeTaskFailedToStart, "ResourceInitializationError: "+err.Error())
	case damaged != nil:
		t.beginStop(types.TaskStopCodeInfrastructureHealth, "ContainerRuntimeError: the node's record of the task is damaged, and it may have run: "+damaged.Error())
	case !known && as.Task.Last >= state.Running:
		// It has run, and must not run again.
		t.beginStop(types.TaskStopCodeInfrastructureHealth, "ContainerRuntimeError: the node has no record of the task in "+string(t.dir)+", though it has run there: its data directory was removed or replaced")
	}
	if !t.p.StoppingAt.IsZero() {
		t.stopLaunch()
	}
	a.views[t.id] = t.view() // a container that runs may ask before the first step
	return t
}

// run is the task's goroutine.
func (t *task) run() {
	ctx := t.a.ctx
	timer := time.NewTimer(0)
	defer timer.Stop()
	if err := t.begin(); err != nil {
		t.beginStop(types.TaskStopCodeTaskFailedToStart, "ResourceInitializationError: unable to write the task's order: "+err.Error()+": see that the node's data directory has room")
	}
	for ctx.Err() == nil {
		t.alarm = time.Time{}
		t.step()
		if t.over {
			t.let()
			return
		}
		if t.alarm.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(time.Until(t.alarm))
		}
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-t.inbox.wake:
			for _, f := range t.inbox.take() {
				if ctx.Err() != nil {
					return
				}
				f()
			}
		}
	}
}

// let goes of the task for good.
func (t *task) let() {
	t.stopLaunch()
	t.killNow()
	for i := range t.live {
		t.live[i].ended()
	}
	t.a.forget(t.id)
}

// begin records the order before anything is made for it, so that a process
// that knows nothing of it but its folder can remove all.
func (t *task) begin() error {
	var have state.Assignment
	if found, err := wholefile.ReadJSON(t.dir.assignment(), &have); found && err == nil {
		return nil
	}
	if err := os.MkdirAll(string(t.dir), 0o700); err != nil {
		return err
	}
	return wholefile.WriteJSON(t.dir.assignment(), t.as)
}

// step looks at the task and begins all that can be done now.
func (t *task) step() {
	if t.p.StoppingAt.IsZero() && (t.unwanted || t.as.Task.Desired == state.Stopped) {
		t.beginStop("", "")
	}
	if t.p.StoppingAt.IsZero() {
		t.goUp()
	}
	if !t.p.StoppingAt.IsZero() { // goUp may have found a reason to
		t.goDown()
	}
	t.tend()
	t.publish()
	if t.p.Removed && (t.gone || t.unwanted) {
		if err := os.RemoveAll(string(t.dir)); err != nil {
			t.a.log.Error("remove the records of a task", "task", t.id, "dir", t.dir, "err", err)
			t.wakeAt(time.Now().Add(time.Minute))
			return
		}
		t.over = true
	}
}

// op runs f beside the task's goroutine, and then in it what f returns. One of
// a name is under way at a time.
func (t *task) op(ctx context.Context, name string, f func(context.Context) func()) {
	if t.busy[name] {
		return
	}
	t.busy[name] = true
	t.a.wg.Go(func() {
		done := f(ctx)
		t.inbox.put(func() {
			delete(t.busy, name)
			if done != nil {
				done()
			}
		})
	})
}

// persist calls f until it succeeds or ctx ends, and reports which.
func (t *task) persist(ctx context.Context, what string, f func() error) bool {
	for n := 1; ; n++ {
		err := f()
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		t.a.log.Error(what, "task", t.id, "tries", n, "err", err)
		if !again(ctx, n) {
			return false
		}
	}
}

// name makes the name of an op on a container.
func (t *task) name(what string, i int) string { return what + " " + t.plan.containers[i].name }

func (t *task) wakeAt(at time.Time) {
	if t.alarm.IsZero() || at.Before(t.alarm) {
		t.alarm = at
	}
}

// to moves the task up. It never goes back.
func (t *task) to(s state.TaskState) { t.p.State = max(t.p.State, s) }

// ordered takes the server's order: a task's Desired is all of it that changes.
func (t *task) ordered(as state.Assignment, order uint64) {
	t.as.Task.Desired = max(t.as.Task.Desired, as.Task.Desired)
	t.confirmed = true
	t.order = max(t.order, order)
}

// drop ends the task unreported. Without grace nobody is given time to stop.
func (t *task) drop(grace bool) {
	t.unwanted = true
	if !grace {
		t.killNow()
	}
}

// settled takes the server's word that it has no more use for the task.
func (t *task) settled() {
	if t.p.State == state.Stopped {
		t.gone = true
		return
	}
	t.drop(false)
}

// publish saves what has changed, and then reports it.
func (t *task) publish() {
	if err := t.save(false); err != nil {
		t.a.log.Error("record a task's progress", "task", t.id, "err", err)
		t.wakeAt(time.Now().Add(time.Second))
	}
	t.a.setStatus(t.status())
	t.a.setView(t.view())
}

// save writes the progress file if it would change. With sync it is on the disk
// when save returns.
func (t *task) save(sync bool) error {
	b, err := json.Marshal(t.p)
	if err != nil {
		return err
	}
	if bytes.Equal(b, t.saved) && !sync {
		return nil
	}
	changed := !bytes.Equal(b, t.saved)
	write := wholefile.Write
	if sync {
		write = wholefile.WriteSynced
	}
	err = write(t.dir.progress(), b, 0o600)
	if changed && !t.unwanted {
		t.a.reports.put(t.report())
	}
	if err != nil {
		return err
	}
	t.saved = b
	if sync && !t.durable {
		if err := wholefile.SyncDir(t.a.tasksDir()); err != nil {
			return err
		}
		t.durable = true
	}
	return nil
}

// report is all that is known of the task.
func (t *task) report() state.TaskReport {
	p := &t.p
	r := state.TaskReport{
		Scope: t.as.Task.Scope, Cluster: t.as.Task.Cluster, TaskID: t.id, State: p.State,
		ConnectivityAt: p.ConnectivityAt, PullStartedAt: p.PullStartedAt, PullStoppedAt: p.PullStoppedAt,
		StartedAt: p.StartedAt, StoppingAt: p.StoppingAt, ExecutionStoppedAt: p.ExecutionStoppedAt, StoppedAt: p.StoppedAt,
		StopCode: p.StopCode, StoppedReason: p.StoppedReason, Steps: slices.Clone(p.Steps),
	}
	for i, c := range t.plan.containers {
		have := p.Containers[i]
		rep := state.ContainerReport{
			Name: c.name, Last: have.Last, ImageDigest: have.Digest, ExitCode: have.ExitCode, Reason: have.Reason, Health: have.Health,
			Restarts: have.Restarts,
		}
		if have.Launched {
			rep.RuntimeID = c.id
		}
		if t.as.Task.ExecuteCommand {
			rep.ExecAgent, rep.ExecAgentAt = execAgent(have.Last), have.StartedAt
		}
		r.Containers = append(r.Containers, rep)
	}
	return r
}

// execAgent is the state of a container's ExecuteCommandAgent: commands can be
// run in it while it runs.
func execAgent(container state.TaskState) string {
	switch container {
	case state.Running:
		return state.ExecAgentRunning
	case state.Stopped:
		return state.ExecAgentStopped
	}
	return state.ExecAgentPending
}

// fits cuts a reason to what ECS takes from a node (SubmitTaskStateChange: 1024).
func fits(reason string) string {
	const most = 1024
	if len(reason) > most {
		return fmt.Sprintf("%.*s…", most-3, reason)
	}
	return reason
}
