package crun

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth/berth/agent/runtime"
	"github.com/berth/berth/agent/runtime/images"
	"github.com/berth/berth/internal/wholefile"
)

// record is what container.json holds: all that is needed to start it.
type record struct {
	Spec runtime.Spec
	User identity
	Base images.Base
}

// ending is what exit.json holds.
type ending struct {
	ExitCode   int
	OOMKilled  bool
	FinishedAt time.Time
}

// container is one that was created. What can be read from its files is here
// for speed.
type container struct {
	record
	ended chan struct{} // closed when it has exited or is removed

	mu      sync.Mutex
	status  runtime.Status
	init    *process // its first process, while it runs
	conmon  *process // what watches it, while it runs
	removed bool
}

func newContainer(rec record) *container {
	return &container{record: rec, ended: make(chan struct{}), status: runtime.Status{
		ID: rec.Spec.ID, Sandbox: rec.Spec.Sandbox, State: runtime.Created, Labels: rec.Spec.Labels,
	}}
}

func (c *container) Status() runtime.Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status
}

// running notes that it runs.
func (c *container) running(init, conmon *process, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.init, c.conmon = init, conmon
	c.status.State, c.status.PID, c.status.StartedAt = runtime.Running, init.pid, at
}

// exited notes that it ended.
func (c *container) exited(e ending) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closeProcesses()
	c.status.State, c.status.PID = runtime.Exited, 0
	c.status.ExitCode, c.status.OOMKilled, c.status.FinishedAt = e.ExitCode, e.OOMKilled, e.FinishedAt
	if e.FinishedAt.Before(c.status.StartedAt) {
		c.status.FinishedAt = c.status.StartedAt // a file's time is that of the last clock tick
	}
	if !c.removed {
		close(c.ended)
	}
}

// remove notes that it is no more. Those who wait for its end are told.
func (c *container) remove() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.removed && c.status.State != runtime.Exited {
		close(c.ended)
	}
	c.removed = true
	c.closeProcesses()
}

// letGo stops watching it.
func (c *container) letGo() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closeProcesses()
}

func (c *container) closeProcesses() {
	for _, p := range []*process{c.init, c.conmon} {
		if p != nil {
			p.Close()
		}
	}
	c.init, c.conmon = nil, nil
}

// signal sends a signal to its first process, if it runs.
func (c *container) signal(sig unix.Signal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.init == nil {
		return nil
	}
	return c.init.Signal(sig)
}

// container finds one that was created.
func (r *Runtime) container(id string) (*container, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.containers[id]
	if c == nil {
		return nil, fmt.Errorf("container %s: %w", id, runtime.ErrNotFound)
	}
	return c, nil
}

func (r *Runtime) containerIDs() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []string
	for id := range r.containers {
		list = append(list, id)
	}
	return list
}

// Status tells how a container stands.
func (r *Runtime) Status(_ context.Context, id string) (runtime.Status, error) {
	c, err := r.container(id)
	if err != nil {
		return runtime.Status{}, err
	}
	return c.Status(), nil
}

// ListContainers lists all, in no order.
func (r *Runtime) ListContainers(context.Context) ([]runtime.Status, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]runtime.Status, 0, len(r.containers))
	for _, c := range r.containers {
		list = append(list, c.Status())
	}
	return list, nil
}

// Wait returns when a container has exited, with its status, or when it is
// removed, with runtime.ErrNotFound.
func (r *Runtime) Wait(ctx context.Context, id string) (runtime.Status, error) {
	c, err := r.container(id)
	if err != nil {
		return runtime.Status{}, err
	}
	select {
	case <-c.ended:
	case <-ctx.Done():
		return runtime.Status{}, ctx.Err()
	}
	status := c.Status()
	if status.State != runtime.Exited {
		return runtime.Status{}, fmt.Errorf("container %s: %w", id, runtime.ErrNotFound)
	}
	return status, nil
}

// Signal sends a signal to a container's first process. As that is the first of
// its PID namespace, the kernel drops signals it has no handler for, but not
// SIGKILL and SIGSTOP.
func (r *Runtime) Signal(_ context.Context, id, signal string) error {
	sig, err := runtime.ParseSignal(signal)
	if err != nil {
		return err
	}
	c, err := r.container(id)
	if err != nil {
		return err
	}
	if err := c.signal(sig); err != nil {
		return fmt.Errorf("send %s to container %s: %w", signal, id, err)
	}
	return nil
}

// watch waits for the end of a container's supervisor, which is after the end of
// the container, and notes how it ended.
func (r *Runtime) watch(c *container, conmon *process) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		c.letGo()
		return
	}
	r.watches.Add(1)
	go func() {
		defer r.watches.Done()
		err := conmon.Wait()
		if errors.Is(err, os.ErrClosed) {
			return // Close was called, or Remove
		}
		reap(conmon.pid)
		if err != nil {
			r.log.Error("could not wait for a container's supervisor", "container", c.Spec.ID, "error", err)
			return
		}
		c.exited(r.ending(c.Spec))
	}()
}

// reap takes the end of a process from the kernel's table, if it is our child.
func reap(pid int) {
	for {
		_, err := unix.Wait4(pid, nil, unix.WNOHANG, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// ending finds out how a container ended whose supervisor is gone, and keeps
// the answer in a file.
func (r *Runtime) ending(spec runtime.Spec) ending {
	e := ending{ExitCode: -1, FinishedAt: time.Now()}
	found, err := wholefile.ReadJSON(r.file(spec.ID, exitFile), &e)
	if err != nil {
		r.log.Error("could not read how a container ended", "container", spec.ID, "error", err)
	}
	if found && err == nil {
		return e
	}
	data, err := os.ReadFile(r.exitPath(spec.ID))
	switch {
	case err == nil:
		if e.ExitCode, err = strconv.Atoi(strings.TrimSpace(string(data))); err != nil {
			r.log.Error("conmon wrote an exit code that is none", "container", spec.ID, "text", string(data))
			e.ExitCode = -1
		}
		if info, err := os.Stat(r.exitPath(spec.ID)); err == nil {
			e.FinishedAt = info.ModTime()
		}
	case errors.Is(err, fs.ErrNotExist):
		// The supervisor was killed, or the host went down. Nobody would see the
		// container's end or read its output: it ends here.
		if err := r.cgroups.kill(r.cgroups.container(spec.Sandbox, spec.ID)); err != nil {
			r.log.Error("could not end a container whose supervisor is gone", "container", spec.ID, "error", err)
		}
	default:
		r.log.Error("could not read a container's exit code", "container", spec.ID, "error", err)
	}
	if spec.PIDNS != "" {
		// The kernel ends what its first process leaves only with a namespace.
		if err := r.cgroups.kill(r.cgroups.container(spec.Sandbox, spec.ID)); err != nil {
			r.log.Error("could not end what a container left running", "container", spec.ID, "error", err)
		}
	}
	e.OOMKilled = r.cgroups.oomKilled(spec.Sandbox, spec.ID)
	if err := wholefile.WriteJSON(r.file(spec.ID, exitFile), e); err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.log.Error("could not write how a container ended", "container", spec.ID, "error", err)
	}
	return e
}
