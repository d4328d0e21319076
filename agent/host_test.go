package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/berth/berth/agent/runtime"
	"github.com/berth/berth/state"
)

// host is a machine in memory: containers, interfaces and shipped output that
// outlive agents. A process (below) is an agent's access to it.
type host struct {
	objects map[string]string // of the only bucket, by key
	logDir  string

	mu         sync.Mutex
	images     map[string]*image
	programs   map[string]*program // by container name
	containers map[string]*proc
	sandboxes  map[string]runtime.Sandbox
	enis       map[string]string // ENI: task
	followed   map[string]bool   // files not yet finished
	shipped    map[string]int    // container ID: finished so often
	starts     map[string]int    // container ID: process started so often
	events     []string
	orders     map[string][]types.ContainerDefinition // by task, for onStart and onSignal
	onStart    func(runtime.Spec)                     // before a process starts
	onSignal   func(s runtime.Spec, name string)      // before a signal is sent
	late       time.Duration                          // Attach, CreateSandbox, Create and Start take so long, and can't be cut short
	netErr     error                                  // of Configure
	netSlow    time.Duration                          // of Configure
	plans      []state.VPCPlan
	joins      int
}

type image struct {
	config v1.ImageConfig
	delay  time.Duration
	err    error
	pulls  int
}

// program is what a container's process does.
type program struct {
	exitAfter           time.Duration // 0: runs on
	code                int
	deaf                bool // to all but SIGKILL
	slow                time.Duration
	oom                 bool
	createErr, startErr error
	health              func(n int) (code int, takes time.Duration)
	checks              int
}

type proc struct {
	spec runtime.Spec
	st   runtime.Status
	done chan struct{}
}

func newHost(logDir string) *host {
	return &host{
		logDir: logDir,
		images: map[string]*image{"app": {}}, programs: map[string]*program{}, containers: map[string]*proc{},
		orders: map[string][]types.ContainerDefinition{}, sandboxes: map[string]runtime.Sandbox{}, enis: map[string]string{},
		followed: map[string]bool{}, shipped: map[string]int{}, starts: map[string]int{},
	}
}

func (h *host) note(format string, args ...any) {
	h.events = append(h.events, fmt.Sprintf(format, args...))
}

func nameOf(s runtime.Spec) string { return s.Labels["com.amazonaws.ecs.container-name"] }

func (h *host) program(s runtime.Spec) *program {
	if p := h.programs[nameOf(s)]; p != nil {
		return p
	}
	return &program{}
}

// exit ends a container's process. h.mu is held.
func (h *host) exit(p *proc, code int, oom bool) {
	if p.st.State != runtime.Running {
		return
	}
	p.st.State, p.st.ExitCode, p.st.OOMKilled, p.st.FinishedAt = runtime.Exited, code, oom, time.Now()
	h.note("exit %s %d", nameOf(p.spec), code)
	close(p.done)
}

// end ends a container by its name.
func (h *host) end(name string, code int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.containers {
		if nameOf(p.spec) == name {
			h.exit(p, code, false)
		}
	}
}

// reboot ends all processes, unseen, and forgets what doesn't outlive the kernel.
func (h *host) reboot() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.containers {
		h.exit(p, -1, false)
	}
	clear(h.enis)
	clear(h.sandboxes)
}

// left names what is on the host.
func (h *host) left() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []string
	for id := range h.containers {
		out = append(out, "container "+id)
	}
	for id := range h.sandboxes {
		out = append(out, "sandbox "+id)
	}
	for id := range h.enis {
		out = append(out, "eni "+id)
	}
	for id := range h.followed {
		out = append(out, "output "+id)
	}
	slices.Sort(out)
	return out
}

func (h *host) log() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.events)
}

// process is one agent's access to its host. It can be cut off at any call,
// as kill -9 does: that call and all later ones have no effect, or one that
// nobody hears of, and don't return while the process lives.
type process struct {
	*host
	die    context.Context
	server *server

	cmu   sync.Mutex
	calls int
	cut   int // at which moment; 0: never
	onCut func()
}

// moment is a point in time at which the process can be cut off.
func (p *process) moment(ctx context.Context) error {
	p.cmu.Lock()
	p.calls++
	dead := p.cut > 0 && p.calls >= p.cut
	p.cmu.Unlock()
	if dead {
		p.onCut() // it doesn't think any more either
		<-p.die.Done()
		return p.die.Err()
	}
	return ctx.Err()
}

// call does what f does on the host, between two moments.
func (p *process) call(ctx context.Context, f func() error) error { return p.longCall(ctx, nil, f) }

func (p *process) longCall(ctx context.Context, takes *time.Duration, f func() error) error {
	if err := p.moment(ctx); err != nil {
		return err
	}
	if takes != nil {
		time.Sleep(*takes)
	}
	p.host.mu.Lock()
	err := f()
	p.host.mu.Unlock()
	if e := p.moment(ctx); e != nil {
		return e
	}
	return err
}

func (p *process) Pull(ctx context.Context, ref string, _ bool) (img runtime.Image, err error) {
	var delay time.Duration
	err = p.call(ctx, func() error {
		i := p.images[ref]
		if i == nil {
			return &runtime.PullError{Code: "CannotPullContainerError", Err: fmt.Errorf("%s: not found", ref)}
		}
		i.pulls++
		delay = i.delay
		img = runtime.Image{Ref: ref, Digest: "sha256:" + ref, Config: i.config}
		return i.err
	})
	if err == nil && delay > 0 {
		select {
		case <-ctx.Done():
			return img, ctx.Err()
		case <-time.After(delay):
		}
	}
	return img, err
}

func (p *process) CreateSandbox(ctx context.Context, s runtime.Sandbox) error {
	return p.longCall(ctx, &p.late, func() error { p.sandboxes[s.ID] = s; return nil })
}

func (p *process) RemoveSandbox(ctx context.Context, id string) error {
	return p.call(ctx, func() error { delete(p.sandboxes, id); return os.RemoveAll(p.VolumeDir(id)) })
}

func (p *process) VolumeDir(sandbox string) string {
	return filepath.Join(p.logDir, "volumes", sandbox)
}

func (p *process) Sandboxes(ctx context.Context) (ids []string, err error) {
	err = p.call(ctx, func() error {
		for id := range p.sandboxes {
			ids = append(ids, id)
		}
		return nil
	})
	return ids, err
}

func (p *process) Create(ctx context.Context, s runtime.Spec) error {
	return p.longCall(ctx, &p.late, func() error {
		if err := p.program(s).createErr; err != nil {
			return err
		}
		if _, ok := p.sandboxes[s.Sandbox]; !ok {
			return errors.New("no sandbox")
		}
		if p.containers[s.ID] == nil {
			p.containers[s.ID] = &proc{spec: s, done: make(chan struct{}), st: runtime.Status{ID: s.ID, Sandbox: s.Sandbox, State: runtime.Created}}
		}
		return nil
	})
}

func (p *process) Start(ctx context.Context, id string) error {
	return p.longCall(ctx, &p.late, func() error {
		c := p.containers[id]
		if c == nil {
			return runtime.ErrNotFound
		}
		prog := p.program(c.spec)
		if prog.startErr != nil {
			return prog.startErr
		}
		if c.st.State != runtime.Created {
			return nil
		}
		if p.onStart != nil {
			p.onStart(c.spec)
		}
		p.starts[id]++
		p.note("start %s", nameOf(c.spec))
		c.st.State, c.st.StartedAt = runtime.Running, time.Now()
		if prog.exitAfter > 0 {
			time.AfterFunc(prog.exitAfter, func() {
				p.host.mu.Lock()
				defer p.host.mu.Unlock()
				p.exit(c, prog.code, prog.oom)
			})
		}
		return nil
	})
}

func (p *process) Reset(ctx context.Context, id string) error {
	return p.longCall(ctx, &p.late, func() error {
		c := p.containers[id]
		if c == nil {
			return runtime.ErrNotFound
		}
		if c.st.State == runtime.Exited {
			p.note("reset %s", nameOf(c.spec))
			delete(p.starts, id)
			p.containers[id] = &proc{spec: c.spec, done: make(chan struct{}), st: runtime.Status{ID: id, Sandbox: c.spec.Sandbox, State: runtime.Created}}
		}
		return nil
	})
}

func (p *process) Status(ctx context.Context, id string) (st runtime.Status, err error) {
	err = p.call(ctx, func() error {
		c := p.containers[id]
		if c == nil {
			return runtime.ErrNotFound
		}
		st = c.st
		return nil
	})
	return st, err
}

func (p *process) Wait(ctx context.Context, id string) (runtime.Status, error) {
	var c *proc
	if err := p.call(ctx, func() error {
		if c = p.containers[id]; c == nil {
			return runtime.ErrNotFound
		}
		return nil
	}); err != nil {
		return runtime.Status{}, err
	}
	select {
	case <-ctx.Done():
		return runtime.Status{}, ctx.Err()
	case <-c.done:
	}
	return p.Status(ctx, id)
}

func (p *process) Signal(ctx context.Context, id, signal string) error {
	return p.call(ctx, func() error {
		c := p.containers[id]
		if c == nil {
			return runtime.ErrNotFound
		}
		p.note("signal %s %s", nameOf(c.spec), signal)
		if p.onSignal != nil && c.st.State == runtime.Running {
			p.onSignal(c.spec, signal)
		}
		switch prog := p.program(c.spec); {
		case signal == "SIGKILL":
			p.exit(c, 137, false)
		case prog.deaf:
		case prog.slow > 0:
			time.AfterFunc(prog.slow, func() {
				p.host.mu.Lock()
				defer p.host.mu.Unlock()
				p.exit(c, 0, false)
			})
		default:
			p.exit(c, 143, false)
		}
		return nil
	})
}

func (p *process) Exec(ctx context.Context, id string, e runtime.Exec) (runtime.ExecResult, error) {
	var code int
	var takes time.Duration
	if err := p.call(ctx, func() error {
		c := p.containers[id]
		if c == nil || c.st.State != runtime.Running {
			return errors.New("not running")
		}
		if prog := p.program(c.spec); prog.health != nil {
			prog.checks++
			code, takes = prog.health(prog.checks)
		}
		return nil
	}); err != nil {
		return runtime.ExecResult{}, err
	}
	select {
	case <-ctx.Done():
		return runtime.ExecResult{ExitCode: 137}, nil
	case <-time.After(takes):
	}
	return runtime.ExecResult{ExitCode: code}, nil
}

func (p *process) Remove(ctx context.Context, id string) error {
	return p.call(ctx, func() error {
		if c := p.containers[id]; c != nil {
			p.exit(c, 137, false)
			delete(p.containers, id)
		}
		return nil
	})
}

func (p *process) ListContainers(ctx context.Context) (all []runtime.Status, err error) {
	err = p.call(ctx, func() error {
		for _, c := range p.containers {
			all = append(all, c.st)
		}
		return nil
	})
	slices.SortFunc(all, func(a, b runtime.Status) int { return cmp.Compare(a.ID, b.ID) })
	return all, err
}

func (p *process) LogPath(id string) string { return filepath.Join(p.logDir, id) }

var errUnused = errors.New("the agent doesn't use this")

func (p *process) Image(context.Context, string) (runtime.Image, error) {
	return runtime.Image{}, errUnused
}
func (p *process) Import(context.Context, io.Reader, string) ([]runtime.Image, error) {
	return nil, errUnused
}
func (p *process) ListImages(context.Context) ([]runtime.Image, error) { return nil, errUnused }
func (p *process) RemoveImage(context.Context, string) error           { return errUnused }

// The network.

func (p *process) Configure(ctx context.Context, plans []state.VPCPlan) error {
	p.host.mu.Lock()
	takes := p.netSlow
	p.host.mu.Unlock()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(takes):
	}
	return p.call(ctx, func() error {
		if p.netErr == nil {
			p.plans = slices.Clone(plans)
		}
		return p.netErr
	})
}

func (p *process) NetNS(i state.Interface) string { return "/netns/" + i.ENI }

func (p *process) Attach(ctx context.Context, task string, i state.Interface) (string, error) {
	return p.NetNS(i), p.longCall(ctx, &p.late, func() error {
		if i.ENI == "eni-bad" {
			return errors.New("no such device")
		}
		p.enis[i.ENI] = task
		return nil
	})
}

func (p *process) BridgeNS(container string) string { return "/netns/" + container }

func (p *process) Join(ctx context.Context, task, container string, ports []state.PortBinding) (netip.Addr, error) {
	return netip.AddrFrom4([4]byte{172, 17, 0, 2}), p.longCall(ctx, &p.late, func() error {
		if len(ports) > 0 && ports[0].HostPort == 22 {
			return errors.New("Bind for 0.0.0.0:22 failed: port is already allocated")
		}
		p.enis[container] = task
		p.joins++
		return nil
	})
}

func (p *process) Leave(ctx context.Context, container string) error { return p.Detach(ctx, container) }

func (p *process) Detach(ctx context.Context, eni string) error {
	return p.call(ctx, func() error {
		if _, ok := p.enis[eni]; ok {
			p.note("detach %s", eni)
		}
		delete(p.enis, eni)
		return nil
	})
}

func (p *process) Attached() map[string]string {
	out := map[string]string{}
	if p.call(context.Background(), func() error {
		for eni, task := range p.enis {
			out[eni] = task
		}
		return nil
	}) != nil {
		return nil
	}
	return out
}

// The output.

func (p *process) Follow(id, path string, target *state.LogTarget) error {
	return p.call(context.Background(), func() error {
		if target != nil && target.Group == "nowhere" {
			return errors.New("broken")
		}
		p.followed[id] = true
		return nil
	})
}

func (p *process) Finish(ctx context.Context, id string) error {
	return p.call(ctx, func() error {
		if p.followed[id] {
			delete(p.followed, id)
			p.shipped[id]++
		}
		return nil
	})
}

// server takes reports.
type server struct {
	mu      sync.Mutex
	fail    error
	latest  map[string]state.TaskReport
	all     []state.TaskReport
	batches int
	check   func(was, is state.TaskReport)
}

func (p *process) Report(ctx context.Context, reports []state.TaskReport) error {
	if err := p.moment(ctx); err != nil {
		return err
	}
	s := p.server
	s.mu.Lock()
	err := s.fail
	if err == nil {
		s.batches++
		for _, r := range reports {
			if s.check != nil {
				s.check(s.latest[r.TaskID], r)
			}
			s.latest[r.TaskID] = r
			s.all = append(s.all, r)
		}
	}
	s.mu.Unlock()
	if e := p.moment(ctx); e != nil {
		return e
	}
	return err
}

func (p *process) ExecStreams(ctx context.Context, id string, e runtime.Exec, _ runtime.Streams) (int, error) {
	res, err := p.Exec(ctx, id, e)
	return res.ExitCode, err
}
