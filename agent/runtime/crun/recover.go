package crun

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth/berth/agent/runtime"
	"github.com/berth/berth/internal/wholefile"
)

// recover finds out how things stand. See doc.go for what each state of the
// files means.
func (r *Runtime) recover(ctx context.Context) error {
	if err := r.recoverSandboxes(ctx); err != nil {
		return err
	}
	conmons, err := supervisorsOf(r.root)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(filepath.Join(r.root, containersDir))
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	for _, e := range entries {
		id := e.Name()
		var rec record
		// A record that can't be read was cut off when the host went down.
		found, err := wholefile.ReadJSON(r.file(id, recordFile), &rec)
		if err != nil {
			r.log.Error("could not read a container's record: the container is removed", "container", id, "error", err)
		}
		if !found || err != nil {
			if err := r.demolish(ctx, id); err != nil {
				return fmt.Errorf("remove the half-made container %s: %w", id, err)
			}
			continue
		}
		c := newContainer(rec)
		r.containers[id] = c
		if !rec.Spec.Pause {
			r.store.Take(rec.Base.ID)
		}
		if err := r.recoverContainer(ctx, c, conmons[id]); err != nil {
			return fmt.Errorf("take up container %s: %w", id, err)
		}
		r.endIfLost(c)
	}
	r.store.Taken()
	return nil
}

// recoverSandboxes also makes the cgroups again that a restart of the host took.
func (r *Runtime) recoverSandboxes(ctx context.Context) error {
	files, err := filepath.Glob(filepath.Join(r.root, sandboxesDir, "*.json"))
	if err != nil {
		return err
	}
	for _, file := range files {
		var s runtime.Sandbox
		if _, err := wholefile.ReadJSON(file, &s); err != nil {
			r.log.Error("could not read a sandbox's record: the sandbox is without limits until it is created again", "file", file, "error", err)
			s.ID = strings.TrimSuffix(filepath.Base(file), ".json")
		}
		if err := r.cgroups.makeTask(s); err != nil {
			return fmt.Errorf("take up sandbox %s: %w", s.ID, err)
		}
		// After a restart of the host nothing runs that would need it.
		if err := r.makeStorage(ctx, s); err != nil {
			r.log.Error("could not take up a sandbox's storage", "sandbox", s.ID, "error", err)
		}
		r.sandboxes[s.ID] = s
	}
	return r.recoverStorage()
}

// recoverContainer takes up a container that was created. conmon is its
// supervisor's number, or 0.
func (r *Runtime) recoverContainer(ctx context.Context, c *container, conmon int) error {
	id := c.Spec.ID
	if exists(r.file(id, startingFile)) {
		if err := r.finishStart(ctx, c.Spec); err != nil {
			return err
		}
	}
	started, err := os.Stat(r.file(id, startedFile))
	if errors.Is(err, os.ErrNotExist) {
		// It was not released, if it was made at all.
		return r.endProcesses(ctx, id)
	}
	if err != nil {
		return err
	}
	c.status.StartedAt = started.ModTime()
	if conmon != 0 {
		p, err := openProcess(conmon)
		if err == nil {
			init, err := r.recoverInit(c.Spec)
			if err == nil {
				c.running(init, p, started.ModTime())
				r.watch(c, p)
				// Commands of an earlier process have nobody at their other end.
				return r.killMarked(c.Spec, execMark)
			}
			// The container has ended and conmon is about to.
			err = p.WaitContext(ctx)
			p.Close()
			if err != nil {
				return err
			}
		}
	}
	c.exited(r.ending(c.Spec))
	return nil
}

// finishStart ends a start that was cut off just before or after the OCI runtime
// was told to.
func (r *Runtime) finishStart(ctx context.Context, spec runtime.Spec) error {
	id, oci := spec.ID, r.engine(spec.Runtime)
	out, err := r.run(ctx, oci, "state", id)
	if err != nil {
		return removeFile(r.file(id, startingFile)) // it doesn't know of it: not made
	}
	var state struct {
		Status string `json:"status"`
		PID    int    `json:"pid"`
	}
	if err := json.Unmarshal(out, &state); err != nil {
		return fmt.Errorf("%s said %q: %w", oci.name(), out, err)
	}
	if state.Status == "created" {
		// If the earlier process was killed when it had opened the pipe and written
		// nothing, the waiting one asks for a byte over and over. It would fail in
		// the moment between the next opening and writing: so it is held for that.
		resume := func() {}
		if oci.kind == isCrun {
			if resume, err = hold(ctx, state.PID); err != nil {
				return err
			}
		}
		err = r.releaseOnce(ctx, spec)
		resume()
		if err != nil {
			return err
		}
	}
	return os.Rename(r.file(id, startingFile), r.file(id, startedFile))
}

// recoverInit finds a container's first process. The number in the file may be
// another's by now, so the cgroup decides.
func (r *Runtime) recoverInit(spec runtime.Spec) (*process, error) {
	data, err := os.ReadFile(r.file(spec.ID, pidFile))
	if err != nil {
		return nil, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return nil, err
	}
	p, err := openProcess(pid)
	if err != nil {
		return nil, err
	}
	if !r.cgroups.holds(r.cgroups.container(spec.Sandbox, spec.ID), pid) {
		p.Close()
		return nil, unix.ESRCH
	}
	return p, nil
}
