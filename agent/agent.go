package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	gort "runtime"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/agent/metadata"
	"github.com/berth/berth/agent/runtime"
	"github.com/berth/berth/internal/wholefile"
	"github.com/berth/berth/state"
)

// Network builds tasks' interfaces. Its methods may be called at the same time.
type Network interface {
	// Configure brings every VPC to its plan; plans are all that the node has.
	Configure(ctx context.Context, plans []state.VPCPlan) error
	// NetNS is the path that Attach will return.
	NetNS(i state.Interface) string
	// Attach gives a task its interface and returns the path of the network
	// namespace that it is in. Attaching what is attached does nothing.
	Attach(ctx context.Context, task string, i state.Interface) (netns string, err error)
	// Detach removes an interface. It is no error that it isn't there.
	Detach(ctx context.Context, eni string) error
	// Attached lists all interfaces on the host and their tasks, those of Join too.
	Attached() map[string]string

	// BridgeNS is the path of the namespace that Join makes for a container.
	BridgeNS(container string) string
	// Join gives a container of a task of network mode bridge its interface, leads
	// ports of the host to it, and returns its address. Joining what is joined
	// brings the ports to those given.
	Join(ctx context.Context, task, container string, ports []state.PortBinding) (netip.Addr, error)
	// Leave undoes Join. It is no error that there was none.
	Leave(ctx context.Context, container string) error
}

// Logs ships what containers write.
type Logs interface {
	// Follow ships the lines of a container's file to a target, from where it
	// last was; nil throws them away. Its error is a reason not to start the
	// container. Following what is followed does nothing.
	Follow(id, path string, target *state.LogTarget) error
	// Finish returns when the last line of an ended container is shipped, and
	// does nothing for one that isn't followed.
	Finish(ctx context.Context, id string) error
}

// Metadata knows where containers find what is known of them.
type Metadata interface {
	// Endpoint is the base of a container's URLs and its ID in them:
	// base/v4/id.
	Endpoint(container string, mode types.NetworkMode) (base, id string)
}

// Objects reads what tasks have in S3.
type Objects interface {
	// Object returns the content of an object that the account may read, of limit
	// bytes at most. Its errors are in S3's words.
	Object(ctx context.Context, account, bucket, key string, limit int64) ([]byte, error)
}

// Reporter takes reports to the server. A nil error says that it has them for good.
type Reporter interface {
	Report(ctx context.Context, reports []state.TaskReport) error
}

// Config is what an Agent needs. All fields but PullBehavior, Starts, Volumes,
// Metadata and MetadataFiles must be set.
type Config struct {
	// Dir is the agent's own directory. It keeps a folder for each task in it.
	Dir string
	// Node is the node's ID: tasks of another one are refused.
	Node     string
	Runtime  runtime.Runtime
	Network  Network
	Logs     Logs
	Objects  Objects
	Reporter Reporter
	// Volumes may be nil: then tasks that need it can't start.
	Volumes Volumes
	// Metadata may be nil: then containers are told of no metadata endpoint.
	Metadata Metadata
	// MetadataFiles gives containers of container instances a metadata file, as
	// ECS_ENABLE_CONTAINER_METADATA does with AWS's agent.
	MetadataFiles bool
	// GPUs may be nil: then there are none.
	GPUs GPUs
	// PullBehavior is when a registry is asked for an image; empty is PullDefault.
	PullBehavior PullBehavior
	// Starts is how many containers may be in the making at the same time; 0 is
	// two for each core.
	Starts int
	Log    *slog.Logger
}

// Agent runs the tasks that it is assigned.
type Agent struct {
	cfg  Config
	log  *slog.Logger
	boot string // the host's boot ID
	ctx  context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup // all goroutines

	starts   chan struct{} // a place for each container in the making
	reports  *reports
	networks *networks

	mu      sync.Mutex
	begun   bool
	tasks   map[string]*task
	status  map[string]TaskStatus
	views   map[string]*metadata.Task
	ordered bool          // a full set has come
	emptied chan struct{} // closed and made anew when a task was forgotten
}

// New makes an agent and reads what an earlier one left in Dir. Nothing is done
// before Run, Assign or Destroy.
func New(cfg Config) (*Agent, error) {
	if cfg.Starts == 0 {
		cfg.Starts = 2 * gort.NumCPU()
	}
	if cfg.PullBehavior == "" {
		cfg.PullBehavior = PullDefault
	}
	if err := cfg.PullBehavior.check(); err != nil {
		return nil, err
	}
	a := &Agent{
		cfg: cfg, log: cfg.Log, starts: make(chan struct{}, cfg.Starts),
		reports: newReports(), networks: newNetworks(),
		tasks: map[string]*task{}, status: map[string]TaskStatus{}, views: map[string]*metadata.Task{}, emptied: make(chan struct{}),
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil, fmt.Errorf("read the host's boot ID: %w", err)
	}
	a.boot = strings.TrimSpace(string(boot))
	// Orders hold environments, in which there may be secrets.
	if err := os.MkdirAll(a.tasksDir(), 0o700); err != nil {
		return nil, fmt.Errorf("make the agent's directory: %w", err)
	}
	a.ctx, a.stop = context.WithCancel(context.Background())
	if err := a.load(); err != nil {
		a.stop()
		return nil, err
	}
	return a, nil
}

func (a *Agent) tasksDir() string { return filepath.Join(a.cfg.Dir, "tasks") }

// load reads the tasks of an earlier process. One whose order is not there, or
// was damaged when the host lost power, comes with the server's full set.
func (a *Agent) load() error {
	entries, err := os.ReadDir(a.tasksDir())
	if err != nil {
		return fmt.Errorf("read the agent's tasks: %w", err)
	}
	for _, e := range entries {
		var as state.Assignment
		found, err := wholefile.ReadJSON(folder(filepath.Join(a.tasksDir(), e.Name())).assignment(), &as)
		if err != nil {
			a.log.Warn("read a task's order", "task", e.Name(), "err", err)
		}
		if found && err == nil && as.Task.ID == e.Name() {
			a.tasks[as.Task.ID] = a.newTask(as)
		}
	}
	return nil
}

// begin starts the goroutines, once. a.mu is held.
func (a *Agent) begin() error {
	if a.ctx.Err() != nil {
		return errors.New("the agent is closed")
	}
	if a.begun {
		return nil
	}
	a.begun = true
	for _, t := range a.tasks {
		a.wg.Go(t.run)
	}
	a.wg.Go(func() { a.reports.run(a.ctx, a.cfg.Reporter, a.log) })
	a.wg.Go(func() { a.networks.run(a.ctx, a.cfg.Network, a.log) })
	return nil
}

// Run works until ctx ends, and then lets go: tasks run on.
func (a *Agent) Run(ctx context.Context) error {
	a.mu.Lock()
	err := a.begin()
	a.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case <-a.ctx.Done():
	}
	return a.Close()
}

// Close lets go and returns when nothing of the agent runs any more. Tasks run
// on; the next agent on the same directory adopts them.
func (a *Agent) Close() error {
	a.mu.Lock()
	a.stop()
	a.mu.Unlock()
	a.wg.Wait()
	return nil
}

// Assign takes orders. It returns when they are taken, not done.
func (a *Agent) Assign(ctx context.Context, as state.Assignments) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for i := range as.Tasks {
		if t := &as.Tasks[i].Task; t.Node != a.cfg.Node {
			return fmt.Errorf("assign task %s: it is of node %q, and this is node %q", t.ID, t.Node, a.cfg.Node)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.begin(); err != nil {
		return err
	}
	order := a.networks.put(as.Full, as.Networks)
	wanted := map[string]bool{}
	for _, as := range as.Tasks {
		id := as.Task.ID
		wanted[id] = true
		t := a.tasks[id]
		if t == nil {
			t = a.newTask(as)
			a.tasks[id] = t
			a.wg.Go(t.run)
		}
		t.inbox.put(func() { t.ordered(as, order) })
	}
	for _, id := range as.Gone {
		if t := a.tasks[id]; t != nil {
			t.inbox.put(t.settled)
		}
	}
	if !as.Full {
		return nil
	}
	for id, t := range a.tasks {
		if !wanted[id] {
			t.inbox.put(func() { t.drop(false) })
		}
	}
	if !a.ordered {
		a.ordered = true
		a.wg.Go(a.sweep)
	}
	return nil
}

// Destroy stops all tasks, giving each its stop timeout, and removes all that
// the instance's runtime and network have on the host. It needs no server, and
// can be called again when it was cut off.
func (a *Agent) Destroy(ctx context.Context) error {
	a.mu.Lock()
	err := a.begin()
	for _, t := range a.tasks {
		t.inbox.put(func() { t.drop(true) })
	}
	for err == nil && len(a.tasks) > 0 {
		emptied := a.emptied
		a.mu.Unlock()
		select {
		case <-emptied:
		case <-a.ctx.Done():
			err = errors.New("the agent is closed")
		case <-ctx.Done():
			err = ctx.Err()
		}
		a.mu.Lock()
	}
	left := len(a.tasks)
	a.mu.Unlock()
	if err != nil {
		return fmt.Errorf("stop all tasks: %d are left: %w", left, err)
	}
	return a.removeStrays(ctx)
}

// forget is a task's last act.
func (a *Agent) forget(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.tasks, id)
	delete(a.status, id)
	delete(a.views, id)
	close(a.emptied)
	a.emptied = make(chan struct{})
}

func (a *Agent) known(id string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.tasks[id] != nil
}

// slot waits for a place among the containers in the making. It reports false
// when ctx has ended.
func (a *Agent) slot(ctx context.Context) bool {
	select {
	case a.starts <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (a *Agent) release() { <-a.starts }

// sweep removes what tasks left that nobody knows any more.
func (a *Agent) sweep() {
	for n := 1; ; n++ {
		err := a.removeStrays(a.ctx)
		if err == nil || a.ctx.Err() != nil {
			return
		}
		a.log.Error("remove what unknown tasks left", "tries", n, "err", err)
		if !again(a.ctx, n) {
			return
		}
	}
}

// removeStrays removes containers, sandboxes, interfaces and folders of unknown tasks.
// What there is is listed first: whatever is made later is of a task that is known by
// then.
func (a *Agent) removeStrays(ctx context.Context) error {
	containers, err := a.cfg.Runtime.ListContainers(ctx)
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	sandboxes, err := a.cfg.Runtime.Sandboxes(ctx)
	if err != nil {
		return fmt.Errorf("list sandboxes: %w", err)
	}
	folders, err := os.ReadDir(a.tasksDir())
	if err != nil {
		return fmt.Errorf("list tasks' folders: %w", err)
	}
	var errs []error
	note := func(what, id, task string, err error) {
		if err != nil {
			errs = append(errs, err)
			return
		}
		a.log.Info("removed what an unknown task left", "what", what, "id", id, "task", task)
	}
	for eni, task := range a.cfg.Network.Attached() {
		if !a.known(task) {
			note("interface", eni, task, a.cfg.Network.Detach(ctx, eni))
		}
	}
	for _, c := range containers {
		if !a.known(c.Sandbox) {
			note("container", c.ID, c.Sandbox, a.removeContainer(ctx, c.ID))
		}
	}
	for _, id := range sandboxes {
		if !a.known(id) {
			note("sandbox", id, id, a.cfg.Runtime.RemoveSandbox(ctx, id))
		}
	}
	if a.cfg.Volumes != nil {
		with, err := a.cfg.Volumes.Tasks()
		if err != nil {
			return errors.Join(append(errs, fmt.Errorf("list tasks' volumes: %w", err))...)
		}
		for _, id := range with {
			if !a.known(id) {
				note("volumes", id, id, a.cfg.Volumes.Release(ctx, id))
			}
		}
	}
	for _, f := range folders {
		if id := f.Name(); !a.known(id) {
			note("folder", id, id, os.RemoveAll(filepath.Join(a.tasksDir(), id)))
		}
	}
	return errors.Join(errs...)
}

// removeContainer removes a container and ships its last output.
func (a *Agent) removeContainer(ctx context.Context, id string) error {
	if err := a.cfg.Runtime.Remove(ctx, id); err != nil && !errors.Is(err, runtime.ErrNotFound) {
		return fmt.Errorf("remove container %s: %w", id, err)
	}
	if err := a.cfg.Logs.Finish(ctx, id); err != nil {
		return fmt.Errorf("ship the last output of container %s: %w", id, err)
	}
	return nil
}

// Status is how the agent stands, for people.
type Status struct {
	// Ordered: the server has said which tasks are the node's.
	Ordered bool
	Tasks   []TaskStatus // by ID
	// Unreported is how many tasks the server has yet to be told of, and
	// ReportError why, if the last try failed.
	Unreported  int
	ReportError string `json:",omitempty"`
	// NetworkError is why the VPCs are not as ordered.
	NetworkError string `json:",omitempty"`
}

// TaskStatus is how one task stands on its node.
type TaskStatus struct {
	ID       string
	Cluster  string
	Family   string
	Revision int32
	State    state.TaskState
	// Doing is what is under way or waited for: "pull web", "stop web".
	Doing []string `json:",omitempty"`
}

// Status tells how the agent stands.
func (a *Agent) Status() Status {
	var s Status
	var err error
	if s.Unreported, err = a.reports.waiting(); err != nil {
		s.ReportError = err.Error()
	}
	if err := a.networks.failure(); err != nil {
		s.NetworkError = err.Error()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s.Ordered = a.ordered
	for _, t := range a.status {
		s.Tasks = append(s.Tasks, t)
	}
	slices.SortFunc(s.Tasks, func(x, y TaskStatus) int { return cmp.Compare(x.ID, y.ID) })
	return s
}

func (a *Agent) setStatus(s TaskStatus) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.status[s.ID] = s
}

// status says how the task stands and what it is at.
func (t *task) status() TaskStatus {
	s := TaskStatus{ID: t.id, Cluster: t.as.Task.Cluster, Family: t.as.Task.Family, Revision: t.as.Task.Revision, State: t.p.State}
	for name := range t.busy {
		what, _, _ := strings.Cut(name, " ")
		if what != "wait" && what != "health" {
			s.Doing = append(s.Doing, name)
		}
	}
	slices.Sort(s.Doing)
	if t.p.StoppingAt.IsZero() {
		for i := range t.plan.containers {
			if c := &t.p.Containers[i]; c.Last == state.Pending && !c.Launched {
				if v := t.plan.mayStart(i, t.p.Containers, t.p.PullStartedAt); v.waits != "" {
					s.Doing = append(s.Doing, v.waits)
				}
			}
		}
	}
	return s
}
