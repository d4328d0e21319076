package fake

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth/berth/agent/runtime"
)

// Program is what a container, or a command inside of one, does. It returns its
// exit code, and must return soon after ctx has ended, which is its SIGKILL.
type Program func(ctx context.Context, p Process) (exitCode int)

// Any is the name of the program for all commands that have none of their own.
const Any = "*"

// OutOfMemory is the exit code by which a program says that the kernel ended it
// for want of memory.
const OutOfMemory = -1000

// Process is what a program finds.
type Process struct {
	Spec           runtime.Spec
	Args, Env      []string
	UID, GID       int
	Cwd            string
	Stdin          io.Reader // of a command inside of a container; nil for its first process
	Stdout, Stderr io.Writer
	// Signals gets all signals but SIGKILL. Those that nobody takes are lost, as
	// they are to a container's first process without a handler.
	Signals <-chan os.Signal
}

// Runtime is a host in memory.
type Runtime struct {
	dir      string
	programs map[string]Program

	mu         sync.Mutex
	images     map[string]runtime.Image
	registry   map[string]runtime.Image
	sandboxes  map[string]runtime.Sandbox
	containers map[string]*container
	lastPID    int
}

var _ runtime.Runtime = (*Runtime)(nil)

// New makes a host. Output is written to files in dir, which must be there.
func New(dir string, programs map[string]Program) *Runtime {
	return &Runtime{
		dir: dir, programs: programs,
		images: map[string]runtime.Image{}, registry: map[string]runtime.Image{},
		sandboxes: map[string]runtime.Sandbox{}, containers: map[string]*container{},
		lastPID: 1000,
	}
}

type container struct {
	spec   runtime.Spec
	status runtime.Status
	ended  chan struct{} // closed at its end or removal
	// While it runs:
	kill    context.CancelFunc
	signals chan os.Signal
	stopped chan struct{} // closed when its program has returned
}

func missing(what, id string) error { return fmt.Errorf("%s %s: %w", what, id, runtime.ErrNotFound) }

// VolumeDir is a directory for a sandbox's volumes.
func (r *Runtime) VolumeDir(sandbox string) string { return filepath.Join(r.dir, "volumes", sandbox) }

// CreateSandbox notes a sandbox and makes the directory for its volumes.
func (r *Runtime) CreateSandbox(_ context.Context, s runtime.Sandbox) error {
	if err := os.MkdirAll(r.VolumeDir(s.ID), 0o711); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sandboxes[s.ID] = s
	return nil
}

// RemoveSandbox forgets a sandbox and removes its containers.
func (r *Runtime) RemoveSandbox(ctx context.Context, id string) error {
	r.mu.Lock()
	var members []string
	for _, c := range r.containers {
		if c.spec.Sandbox == id {
			members = append(members, c.spec.ID)
		}
	}
	delete(r.sandboxes, id)
	r.mu.Unlock()
	for _, member := range members {
		if err := r.Remove(ctx, member); err != nil {
			return err
		}
	}
	return os.RemoveAll(r.VolumeDir(id))
}

// Sandboxes lists the IDs of all, in no order.
func (r *Runtime) Sandboxes(context.Context) ([]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []string
	for id := range r.sandboxes {
		list = append(list, id)
	}
	return list, nil
}

// Create notes a container.
func (r *Runtime) Create(_ context.Context, spec runtime.Spec) error {
	if err := runtime.CheckSpec(spec); err != nil {
		return err
	}
	if _, _, err := user(spec.User); err != nil {
		return fmt.Errorf("create container %s: %w", spec.ID, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.containers[spec.ID] != nil {
		return nil
	}
	if _, ok := r.sandboxes[spec.Sandbox]; !ok {
		return missing("sandbox", spec.Sandbox)
	}
	if _, err := r.image(spec.Image); err != nil && !spec.Pause {
		return fmt.Errorf("create container %s: %w", spec.ID, err)
	}
	r.containers[spec.ID] = &container{
		spec: spec, ended: make(chan struct{}),
		status: runtime.Status{ID: spec.ID, Sandbox: spec.Sandbox, State: runtime.Created, Labels: spec.Labels},
	}
	return nil
}

// user reads a user by numbers; root is the only name that is known.
func user(spec string) (uid, gid int, err error) {
	name, group, _ := strings.Cut(spec, ":")
	for _, part := range []struct {
		text string
		to   *int
	}{{name, &uid}, {group, &gid}} {
		if part.text == "" || part.text == "root" {
			continue
		}
		if *part.to, err = strconv.Atoi(part.text); err != nil {
			return 0, 0, fmt.Errorf("unable to find user %s: no matching entries in passwd file", spec)
		}
	}
	return uid, gid, nil
}

func (r *Runtime) program(args []string) (Program, error) {
	for _, name := range []string{args[0], Any} {
		if p := r.programs[name]; p != nil {
			return p, nil
		}
	}
	return nil, fmt.Errorf("executable file `%s` not found: No such file or directory", args[0])
}

// pause is the program of one that pauses.
func pause(ctx context.Context, _ Process) int {
	<-ctx.Done()
	return 0
}

// Start calls the container's program.
func (r *Runtime) Start(_ context.Context, id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.containers[id]
	if c == nil {
		return missing("container", id)
	}
	if c.status.State != runtime.Created {
		return nil
	}
	run, err := Program(pause), error(nil)
	if !c.spec.Pause {
		run, err = r.program(c.spec.Args)
	}
	if err != nil {
		return fmt.Errorf("start container %s: %w", id, err)
	}
	file, err := os.OpenFile(r.LogPath(id), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("start container %s: %w", id, err)
	}
	uid, gid, err := user(c.spec.User)
	if err != nil {
		return err
	}
	ctx, kill := context.WithCancel(context.Background())
	r.lastPID++
	c.status.State, c.status.PID, c.status.StartedAt = runtime.Running, r.lastPID, time.Now()
	c.kill, c.signals, c.stopped = kill, make(chan os.Signal, 16), make(chan struct{})
	log := &output{file: file}
	p := Process{
		Spec: c.spec, Args: c.spec.Args, Env: environment(c.spec.Env), UID: uid, GID: gid, Cwd: directory(c.spec.WorkingDir),
		Stdout: log.stream("stdout"), Stderr: log.stream("stderr"), Signals: c.signals,
	}
	go func() {
		code := run(ctx, p)
		log.Close()
		if ctx.Err() != nil {
			code = 128 + int(unix.SIGKILL)
		}
		r.exited(c, code)
	}()
	return nil
}

// Reset makes a container that ended one that never ran.
func (r *Runtime) Reset(_ context.Context, id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.containers[id]
	if c == nil {
		return missing("container", id)
	}
	if c.status.State == runtime.Exited {
		r.containers[id] = &container{
			spec: c.spec, ended: make(chan struct{}),
			status: runtime.Status{ID: id, Sandbox: c.spec.Sandbox, State: runtime.Created, Labels: c.spec.Labels},
		}
	}
	return nil
}

func (r *Runtime) exited(c *container, code int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if code == OutOfMemory {
		code, c.status.OOMKilled = 128+int(unix.SIGKILL), true
	}
	c.status.State, c.status.PID, c.status.ExitCode, c.status.FinishedAt = runtime.Exited, 0, code, time.Now()
	c.kill()
	close(c.stopped)
	close(c.ended)
}

func environment(env []string) []string {
	if slices.ContainsFunc(env, func(kv string) bool { return strings.HasPrefix(kv, "PATH=") }) {
		return env
	}
	return append(slices.Clone(env), "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
}

func directory(dir string) string {
	if dir == "" {
		return "/"
	}
	return dir
}

// Status tells how a container stands.
func (r *Runtime) Status(_ context.Context, id string) (runtime.Status, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.containers[id]
	if c == nil {
		return runtime.Status{}, missing("container", id)
	}
	return c.status, nil
}

// ListContainers lists all, in no order.
func (r *Runtime) ListContainers(context.Context) ([]runtime.Status, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]runtime.Status, 0, len(r.containers))
	for _, c := range r.containers {
		list = append(list, c.status)
	}
	return list, nil
}

// Wait returns at the container's end.
func (r *Runtime) Wait(ctx context.Context, id string) (runtime.Status, error) {
	r.mu.Lock()
	c := r.containers[id]
	r.mu.Unlock()
	if c == nil {
		return runtime.Status{}, missing("container", id)
	}
	select {
	case <-c.ended:
	case <-ctx.Done():
		return runtime.Status{}, ctx.Err()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.status.State != runtime.Exited {
		return runtime.Status{}, missing("container", id)
	}
	return c.status, nil
}

// Signal gives a signal to the container's program.
func (r *Runtime) Signal(_ context.Context, id, signal string) error {
	sig, err := runtime.ParseSignal(signal)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.containers[id]
	if c == nil {
		return missing("container", id)
	}
	if c.status.State != runtime.Running {
		return nil
	}
	if sig == unix.SIGKILL {
		c.kill()
		return nil
	}
	select {
	case c.signals <- sig:
	default:
	}
	return nil
}

// Exec calls a program with the container's environment.
func (r *Runtime) Exec(ctx context.Context, id string, e runtime.Exec) (runtime.ExecResult, error) {
	head := &head{}
	code, err := r.ExecStreams(ctx, id, e, runtime.Streams{Stdout: head, Stderr: head})
	if ctx.Err() != nil {
		code = 137
	}
	return runtime.ExecResult{ExitCode: code, Output: head.String()}, err
}

// ExecStreams calls a program with the container's environment. There are no
// terminals: one is as good as pipes.
func (r *Runtime) ExecStreams(ctx context.Context, id string, e runtime.Exec, s runtime.Streams) (int, error) {
	r.mu.Lock()
	c := r.containers[id]
	var state runtime.State
	var stopped chan struct{}
	if c != nil {
		state, stopped = c.status.State, c.stopped
	}
	r.mu.Unlock()
	if c == nil {
		return -1, missing("container", id)
	}
	if state != runtime.Running || len(e.Args) == 0 {
		return -1, fmt.Errorf("run %q in container %s, which is %s", e.Args, id, state)
	}
	if s.Stdin == nil {
		s.Stdin = strings.NewReader("")
	}
	if s.Terminal {
		s.Stderr = s.Stdout
	}
	run, err := r.program(e.Args)
	if err != nil {
		fmt.Fprint(s.Stderr, err)
		return 127, nil
	}
	p := Process{
		Spec: c.spec, Args: e.Args, Env: environment(merge(c.spec.Env, e.Env)), Cwd: directory(c.spec.WorkingDir),
		Stdin: s.Stdin, Stdout: s.Stdout, Stderr: s.Stderr,
	}
	who := c.spec.User
	if e.User != "" {
		who = e.User
	}
	if p.UID, p.GID, err = user(who); err != nil {
		return -1, err
	}
	if e.Cwd != "" {
		p.Cwd = e.Cwd
	}
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	code := make(chan int, 1)
	go func() { code <- run(inner, p) }()
	select {
	case n := <-code:
		if ctx.Err() != nil {
			return -1, ctx.Err()
		}
		return n, nil
	case <-stopped: // and with it all that runs inside
		cancel()
		<-code
		return 137, nil
	}
}

// merge adds to an environment; later values replace earlier ones.
func merge(env, more []string) []string {
	env = slices.Clone(env)
	for _, kv := range more {
		name, _, _ := strings.Cut(kv, "=")
		env = slices.DeleteFunc(env, func(old string) bool { return strings.HasPrefix(old, name+"=") })
		env = append(env, kv)
	}
	return env
}

// Remove ends a container and forgets it. Its output stays.
func (r *Runtime) Remove(ctx context.Context, id string) error {
	r.mu.Lock()
	c := r.containers[id]
	if c == nil {
		r.mu.Unlock()
		return nil
	}
	stopped := c.stopped
	if stopped != nil {
		c.kill()
	}
	r.mu.Unlock()
	if stopped != nil {
		select {
		case <-stopped:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.containers[id] == c {
		delete(r.containers, id)
		if stopped == nil {
			close(c.ended)
		}
	}
	return nil
}

// LogPath is the file of a container's output.
func (r *Runtime) LogPath(id string) string { return filepath.Join(r.dir, id) }
