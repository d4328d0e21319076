package agent

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/state"
)

// world is a node in fake time: a host, a server, and one agent after another.
type world struct {
	t      tb
	dir    string
	host   *host
	server *server
	tasks  map[string]*state.Assignment // that the server has

	agent *Agent
	proc  *process
	kill  context.CancelFunc
	n     int

	volumes Volumes // nil: none
}

// tb is what testing.T and rapid.T have in common here.
type tb interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Fatal(args ...any)
}

func newWorld(t tb, dir string) *world {
	return &world{
		t: t, dir: filepath.Join(dir, "agent"), host: newHost(filepath.Join(dir, "output")), tasks: map[string]*state.Assignment{},
		server: &server{latest: map[string]state.TaskReport{}},
	}
}

// inWorld runs a test with a started agent in fake time, and checks that it
// ends without a trace.
func inWorld(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, dir)
		w.start(0)
		defer func() { w.close() }()
		f(t, w)
	})
}

// start starts an agent that is cut off at a moment (0: never), and gives it
// the full set.
func (w *world) start(cut int) {
	w.t.Helper()
	w.boot(cut)
	w.full()
}

func (w *world) boot(cut int) {
	w.t.Helper()
	ctx, kill := context.WithCancel(context.Background())
	w.proc, w.kill = &process{host: w.host, die: ctx, server: w.server, cut: cut}, kill
	var err error
	w.agent, err = New(Config{
		Dir: w.dir, Node: "n1", Runtime: w.proc, Network: w.proc, Logs: w.proc, Objects: w.proc, Reporter: w.proc, Volumes: w.volumes,
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.proc.onCut = w.agent.stop
	go w.agent.Run(ctx)
}

func (w *world) close() {
	w.kill()
	w.agent.Close()
}

func (w *world) full() {
	w.t.Helper()
	as := state.Assignments{Full: true, Networks: []state.VPCPlan{{VPC: "vpc-1"}}}
	for _, a := range w.tasks {
		as.Tasks = append(as.Tasks, *a)
	}
	w.assign(as)
}

func (w *world) assign(as state.Assignments) {
	w.t.Helper()
	if err := w.agent.Assign(context.Background(), as); err != nil && w.proc.cut == 0 {
		w.t.Fatal(err)
	}
}

// run assigns a task and waits until nothing moves.
func (w *world) run(containers ...types.ContainerDefinition) string {
	w.t.Helper()
	return w.runWith(nil, containers...)
}

func (w *world) runWith(edit func(*state.Assignment), containers ...types.ContainerDefinition) string {
	w.t.Helper()
	w.n++
	id := fmt.Sprintf("%032x", w.n)
	as := assignment(id, containers...)
	if edit != nil {
		edit(as)
	}
	w.tasks[id] = as
	w.host.mu.Lock()
	w.host.orders[id] = containers
	w.host.mu.Unlock()
	w.assign(state.Assignments{Tasks: []state.Assignment{*as}})
	synctest.Wait()
	return id
}

func assignment(id string, containers ...types.ContainerDefinition) *state.Assignment {
	as := &state.Assignment{
		Task: state.Task{
			Scope: state.Scope{Account: "123456789012", Region: "us-east-1"}, Cluster: "default", ID: id, Family: "f", Revision: 1,
			CPU: 256, Memory: 512, Node: "n1", Desired: state.Running, Last: state.Provisioning,
		},
		Interface: state.Interface{
			ENI: "eni-" + id, VPC: "vpc-1", Address: netip.MustParseAddr("172.31.5.6"), PrivateDNS: "ip-172-31-5-6.ec2.internal",
		},
	}
	as.Definition.V = types.TaskDefinition{Family: aws.String("f"), Revision: 1, ContainerDefinitions: containers}
	return as
}

// stop wants a task stopped.
func (w *world) stop(id string) {
	w.t.Helper()
	w.tasks[id].Task.Desired = state.Stopped
	w.assign(state.Assignments{Tasks: []state.Assignment{*w.tasks[id]}})
	synctest.Wait()
}

// pass lets time pass.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (w *world) report(id string) state.TaskReport {
	w.server.mu.Lock()
	defer w.server.mu.Unlock()
	return w.server.latest[id]
}

func (w *world) container(id, name string) state.ContainerReport {
	w.t.Helper()
	r := w.report(id)
	i := slices.IndexFunc(r.Containers, func(c state.ContainerReport) bool { return c.Name == name })
	if i < 0 {
		w.t.Fatalf("no report of container %s: %+v", name, r)
	}
	return r.Containers[i]
}

func (w *world) wantState(id string, want state.TaskState) {
	w.t.Helper()
	if r := w.report(id); r.State != want {
		w.t.Fatalf("the task is %s, want %s: %s %q, doing %v, events %v", r.State, want, r.StopCode, r.StoppedReason, w.agent.Status().Tasks, w.host.log())
	}
}

func (w *world) wantStop(id string, code types.TaskStopCode, reason string) {
	w.t.Helper()
	w.wantState(id, state.Stopped)
	if r := w.report(id); r.StopCode != code || !strings.Contains(r.StoppedReason, reason) {
		w.t.Errorf("stopped with %s %q, want %s %q", r.StopCode, r.StoppedReason, code, reason)
	}
}

func (w *world) wantExit(id, name string, code int32, reason string) {
	w.t.Helper()
	c := w.container(id, name)
	if c.Last != state.Stopped || c.ExitCode == nil && code >= 0 || c.ExitCode != nil && *c.ExitCode != code || !strings.Contains(c.Reason, reason) {
		w.t.Errorf("container %s is %s with code %v, %q, want %d, %q", name, c.Last, c.ExitCode, c.Reason, code, reason)
	}
}

func (w *world) wantEvents(want ...string) {
	w.t.Helper()
	if got := w.host.log(); !slices.Equal(got, want) {
		w.t.Errorf("events\n%q, want\n%q", got, want)
	}
}

// gone commits all that is STOPPED, and wants nothing left of it.
func (w *world) gone() {
	w.t.Helper()
	var ids []string
	for id := range w.tasks {
		w.wantState(id, state.Stopped)
		ids = append(ids, id)
		delete(w.tasks, id)
	}
	w.assign(state.Assignments{Gone: ids})
	synctest.Wait()
	w.wantNothing()
}

func (w *world) wantNothing() {
	w.t.Helper()
	if left := w.host.left(); len(left) > 0 {
		w.t.Errorf("left on the host: %q", left)
	}
	entries, err := os.ReadDir(filepath.Join(w.dir, "tasks"))
	if err != nil || len(entries) > 0 {
		w.t.Errorf("left in the agent's directory: %v %v", entries, err)
	}
	if s := w.agent.Status(); len(s.Tasks) > 0 {
		w.t.Errorf("left in the agent: %+v", s)
	}
	w.host.mu.Lock()
	defer w.host.mu.Unlock()
	for id, n := range w.host.starts {
		if n > 1 {
			w.t.Errorf("container %s was started %d times", id, n)
		}
	}
}

// define makes a container definition.
func define(name string, edits ...func(*types.ContainerDefinition)) types.ContainerDefinition {
	d := types.ContainerDefinition{Name: &name, Image: aws.String("app"), Command: []string{"/" + name}}
	for _, e := range edits {
		e(&d)
	}
	return d
}

func optional(d *types.ContainerDefinition) { d.Essential = aws.Bool(false) }

func after(name string, c types.ContainerCondition) func(*types.ContainerDefinition) {
	return func(d *types.ContainerDefinition) {
		d.DependsOn = append(d.DependsOn, types.ContainerDependency{ContainerName: &name, Condition: c})
	}
}

func checked(interval, timeout, retries, startPeriod int32) func(*types.ContainerDefinition) {
	return func(d *types.ContainerDefinition) {
		d.HealthCheck = &types.HealthCheck{Command: []string{"CMD", "/check"}, Interval: &interval, Timeout: &timeout, Retries: &retries, StartPeriod: &startPeriod}
	}
}

func logTo(group string) func(*types.ContainerDefinition) {
	return func(d *types.ContainerDefinition) {
		d.LogConfiguration = &types.LogConfiguration{LogDriver: types.LogDriverAwslogs, Options: map[string]string{
			"awslogs-group": group, "awslogs-region": "us-east-1", "awslogs-stream-prefix": "p",
		}}
	}
}

func startTimeout(s int32) func(*types.ContainerDefinition) {
	return func(d *types.ContainerDefinition) { d.StartTimeout = &s }
}

func stopTimeout(s int32) func(*types.ContainerDefinition) {
	return func(d *types.ContainerDefinition) { d.StopTimeout = &s }
}
