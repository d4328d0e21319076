package agent

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"pgregory.net/rapid"

	"github.com/berth/berth/agent/runtime"
	"github.com/berth/berth/internal/wholefile"
	"github.com/berth/berth/state"
)

// Orders, exits, kills and time in any order: containers start and stop in
// theirs and at most once, reports only grow, and in the end nothing is left.
func TestAnyOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(struct{ rapid.TB }{t}, func(t *rapid.T) {
			dir, err := os.MkdirTemp("", "berth-agent")
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(dir)
			w := newWorld(t, dir)
			w.guard()
			w.start(0)
			defer func() { w.close() }()
			w.play(t)
			w.finish()
		})
	})
}

var anyMode = rapid.SampledFrom([]types.NetworkMode{types.NetworkModeAwsvpc, types.NetworkModeAwsvpc, types.NetworkModeBridge, types.NetworkModeHost, types.NetworkModeNone})

// play does one random thing after another.
func (w *world) play(t *rapid.T) {
	ids := func() []string { return slices.Sorted(maps.Keys(w.tasks)) }
	some := func(t *rapid.T) string {
		if len(w.tasks) == 0 {
			t.Skip("no task")
		}
		return rapid.SampledFrom(ids()).Draw(t, "task")
	}
	t.Repeat(map[string]func(*rapid.T){
		"run": func(t *rapid.T) {
			if len(w.tasks) > 4 {
				t.Skip("enough")
			}
			w.runWith(inMode(anyMode.Draw(t, "mode"), 0), w.anyContainers(t)...)
		},
		"stop": func(t *rapid.T) { w.stop(some(t)) },
		"exit": func(t *rapid.T) {
			id, n := some(t), rapid.IntRange(0, 3).Draw(t, "container")
			code := rapid.IntRange(0, 2).Draw(t, "code")
			w.host.mu.Lock()
			for _, c := range w.host.containers {
				if c.spec.Sandbox == id && nameOf(c.spec) == fmt.Sprint(id, "-", n) {
					w.host.exit(c, code, false)
				}
			}
			w.host.mu.Unlock()
			synctest.Wait()
		},
		"time":                   func(t *rapid.T) { pass(time.Duration(rapid.IntRange(1, 40).Draw(t, "seconds")) * time.Second) },
		"full":                   func(t *rapid.T) { w.full(); synctest.Wait() },
		"restart":                func(t *rapid.T) { w.close(); w.start(0); synctest.Wait() },
		"restart without orders": func(t *rapid.T) { w.close(); w.boot(0); synctest.Wait() },
		"cut": func(t *rapid.T) { // the next process soon dies
			w.close()
			w.start(rapid.IntRange(1, 60).Draw(t, "moment"))
			pass(time.Duration(rapid.IntRange(0, 20).Draw(t, "seconds")) * time.Second)
			w.close()
			w.start(0)
		},
		"drop": func(t *rapid.T) {
			id := some(t)
			delete(w.tasks, id)
			w.full()
			synctest.Wait()
		},
		"gone": func(t *rapid.T) {
			id := some(t)
			if w.report(id).State != state.Stopped {
				t.Skip("not stopped")
			}
			delete(w.tasks, id)
			w.assign(state.Assignments{Gone: []string{id}})
		},
		"server": func(t *rapid.T) {
			w.server.mu.Lock()
			defer w.server.mu.Unlock()
			if w.server.fail = nil; rapid.Bool().Draw(t, "down") {
				w.server.fail = errors.New("down")
			}
		},
	})
}

// anyContainers are up to four, each depending on earlier ones.
func (w *world) anyContainers(t *rapid.T) []types.ContainerDefinition {
	id := fmt.Sprintf("%032x", w.n+1)
	n := rapid.IntRange(1, 4).Draw(t, "containers")
	var out []types.ContainerDefinition
	for i := range n {
		name := fmt.Sprint(id, "-", i)
		d := define(name, checked(5, 2, 2, 0), stopTimeout(int32(rapid.IntRange(2, 20).Draw(t, "stopTimeout"))))
		if i < n-1 {
			d.Essential = aws.Bool(rapid.Bool().Draw(t, "essential"))
		}
		if rapid.Bool().Draw(t, "has startTimeout") {
			startTimeout(int32(rapid.IntRange(2, 20).Draw(t, "startTimeout")))(&d)
		}
		for j := range i {
			if rapid.Bool().Draw(t, "depends") {
				after(fmt.Sprint(id, "-", j), rapid.SampledFrom([]types.ContainerCondition{onStart, onComplete, onSuccess, onHealthy}).Draw(t, "condition"))(&d)
			}
		}
		p := &program{deaf: rapid.Bool().Draw(t, "deaf"), slow: time.Duration(rapid.IntRange(0, 5).Draw(t, "slow")) * time.Second}
		if rapid.Bool().Draw(t, "exits") {
			p.exitAfter, p.code = time.Duration(rapid.IntRange(1, 30).Draw(t, "exitAfter"))*time.Second, rapid.IntRange(0, 1).Draw(t, "code")
		}
		healthy := rapid.IntRange(1, 4).Draw(t, "healthy at check")
		p.health = func(n int) (int, time.Duration) {
			if n < healthy {
				return 1, 0
			}
			return 0, 0
		}
		switch rapid.IntRange(0, 15).Draw(t, "fails") {
		case 1:
			p.startErr = errors.New("can't start")
		case 2:
			p.createErr = errors.New("can't create")
		case 3:
			logTo("nowhere")(&d)
		}
		w.host.mu.Lock()
		w.host.programs[name] = p
		w.host.mu.Unlock()
		out = append(out, d)
	}
	return out
}

// guard checks every start, signal and report.
func (w *world) guard() {
	other := func(s runtime.Spec, name string) (*proc, int) {
		for id, c := range w.host.containers {
			if nameOf(c.spec) == name {
				return c, w.host.starts[id]
			}
		}
		return nil, 0
	}
	definition := func(s runtime.Spec, name string) *types.ContainerDefinition {
		for i, d := range w.host.orders[s.Sandbox] {
			if *d.Name == name {
				return &w.host.orders[s.Sandbox][i]
			}
		}
		return nil
	}
	w.host.onStart = func(s runtime.Spec) {
		if w.host.starts[s.ID] > 0 {
			w.t.Errorf("%s is started again", s.ID)
		}
		eni, needs := strings.CutPrefix(s.NetNS, "/netns/")
		if needs && w.host.enis[eni] == "" || !w.host.followed[s.ID] {
			w.t.Errorf("%s is started without its interface or with nobody following its output", s.ID)
		}
		var p progress
		if _, err := wholefile.ReadJSON(folder(filepath.Join(w.dir, "tasks", s.Sandbox)).progress(), &p); err != nil {
			w.t.Errorf("%v", err)
		}
		d := definition(s, nameOf(s))
		if d == nil {
			return
		}
		for i, c := range w.host.orders[s.Sandbox] {
			if *c.Name == *d.Name && !p.Containers[i].Launched {
				w.t.Errorf("%s is started before that is on the disk", *d.Name)
			}
		}
		for _, dep := range d.DependsOn {
			c, starts := other(s, *dep.ContainerName)
			ok := c != nil && starts == 1
			switch dep.Condition {
			case onComplete:
				ok = ok && c.st.State == runtime.Exited
			case onSuccess:
				ok = ok && c.st.State == runtime.Exited && c.st.ExitCode == 0
			case onHealthy:
				p := w.host.program(c.spec)
				code, _ := p.health(p.checks)
				ok = ok && code == 0
			}
			if !ok {
				w.t.Errorf("%s is started before %s has reached %s", nameOf(s), *dep.ContainerName, dep.Condition)
			}
		}
	}
	w.host.onSignal = func(s runtime.Spec, signal string) {
		if signal == "SIGKILL" {
			return
		}
		for _, d := range w.host.orders[s.Sandbox] {
			for _, dep := range d.DependsOn {
				if c, _ := other(s, *d.Name); *dep.ContainerName == nameOf(s) && c != nil && c.st.State == runtime.Running {
					w.t.Errorf("%s is told to stop while %s, which depends on it, runs", nameOf(s), *d.Name)
				}
			}
		}
	}
	w.server.check = func(was, is state.TaskReport) {
		if was.TaskID == "" {
			return
		}
		bad := is.State < was.State || was.StopCode != "" && is.StopCode != was.StopCode || was.StoppedReason != "" && is.StoppedReason != was.StoppedReason
		for _, at := range [][2]time.Time{
			{was.ConnectivityAt, is.ConnectivityAt}, {was.PullStartedAt, is.PullStartedAt}, {was.PullStoppedAt, is.PullStoppedAt}, {was.StartedAt, is.StartedAt},
			{was.StoppingAt, is.StoppingAt}, {was.ExecutionStoppedAt, is.ExecutionStoppedAt}, {was.StoppedAt, is.StoppedAt},
		} {
			bad = bad || !at[0].IsZero() && !at[0].Equal(at[1])
		}
		for i, c := range was.Containers {
			n := is.Containers[i]
			bad = bad || n.Last < c.Last || c.ExitCode != nil && (n.ExitCode == nil || *n.ExitCode != *c.ExitCode) || c.Reason != "" && n.Reason != c.Reason
		}
		if bad {
			w.t.Errorf("after\n%+v\nis reported\n%+v", was, is)
		}
	}
}

// finish stops all, and checks the end.
func (w *world) finish() {
	w.close()
	w.server.fail = nil
	for _, as := range w.tasks {
		as.Task.Desired = state.Stopped
	}
	w.start(0)
	pass(5 * time.Minute)
	for id := range w.tasks {
		r := w.report(id)
		if r.State != state.Stopped {
			w.t.Fatalf("%s is %s: %+v", id, r.State, w.agent.Status())
		}
		for _, c := range r.Containers {
			if c.Last != state.Stopped {
				w.t.Errorf("a container of a stopped task is %+v", c)
			}
		}
		if strings.Contains(r.StoppedReason, "no record") {
			w.t.Errorf("the agent has lost %s", id)
		}
	}
	w.gone()
}
