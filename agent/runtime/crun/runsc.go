package crun

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth/berth/agent/runtime"
)

// runsc (gVisor) gives each container a kernel of its own, that is a process of
// the host: the sentry. What differs from an OCI runtime that makes processes of
// the host's is here:
//
//   - The container's first process is, to the host, the sentry: it takes signals
//     for the program, ends with its code, and is what the cgroup limits.
//   - Sockets are those of the host's kernel, in the task's network namespace, so
//     that security groups, the metadata endpoint and 127.0.0.1 are the same for
//     all containers of a task. A namespace that is not the host's kernel's can't
//     be shared: neither processes nor shared memory of another container.
//   - Processes are found by asking the sentry.

// runscArgs come before each of its commands.
var runscArgs = []string{
	// The sentry's own network would take the addresses of the task's interface
	// away from the task's other containers.
	"--network=host",
	// Files of the writable layer are where everybody looks for them.
	"--overlay2=none",
	// As with the other runtimes: ping has its capability, setuid programs work,
	// and the default seccomp profile holds.
	"--net-raw", "--allow-suid", "--oci-seccomp",
}

// emptyNetNS is a mount in its state directory: the network of what opens files
// for the sentries. It goes with the instance.
const emptyNetNS = "null-netns"

// checkSources says which mount there is nothing for: gVisor wouldn't.
func (r *Runtime) checkSources(spec runtime.Spec, sources []string) error {
	if r.engine(spec.Runtime).kind != isRunsc {
		return nil
	}
	for _, source := range sources {
		if _, err := os.Stat(source); err != nil {
			return fmt.Errorf("mount: %w", err)
		}
	}
	return nil
}

// forRunsc changes a configuration to what gVisor takes, or says what of it
// there is not.
func forRunsc(c *specs.Spec, spec runtime.Spec) error {
	for _, lack := range []struct {
		asked bool
		what  string
	}{
		{spec.PIDNS != "", "processes of others (pidMode)"},
		{spec.IPCNS != "", "shared memory of others (ipcMode)"},
		{spec.Privileged, "privileged containers"},
		{len(spec.Devices) > 0, "devices of the host"},
		{len(spec.Sysctls) > 0, "kernel parameters (systemControls)"},
	} {
		if lack.asked {
			return fmt.Errorf("gVisor has no %s: run the task on capacity with another runtime", lack.what)
		}
	}
	// crun's own form of the seccomp profile.
	delete(c.Annotations, bpfAnnotation)
	return nil
}

// inside is a process of a container, as `runsc trace procfs` shows it.
type inside struct {
	Env    []string `json:"env"`
	Status struct {
		PID int `json:"pid"`
	} `json:"status"`
}

// killMarkedInside is killMarked for processes that only the sentry knows.
func (r *Runtime) killMarkedInside(oci *engine, id, mark string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for range 100 {
		all, err := r.processesInside(ctx, oci, id)
		if err != nil {
			if !r.runsInside(ctx, oci, id) {
				return nil // the container has ended, and all its processes are gone
			}
			return err
		}
		left := false
		for _, p := range all {
			if !slices.ContainsFunc(p.Env, func(kv string) bool { return marks(kv, mark) }) {
				continue
			}
			left = true
			if _, err := r.run(ctx, oci, "kill", "--pid="+strconv.Itoa(p.Status.PID), id, "KILL"); err != nil {
				r.log.Debug("a command's process has ended by itself", "container", id, "error", err)
			}
		}
		if !left {
			return nil
		}
	}
	return errors.New("the command's processes come faster than they can be ended")
}

func (r *Runtime) processesInside(ctx context.Context, oci *engine, id string) ([]inside, error) {
	out, err := r.run(ctx, oci, "trace", "procfs", id)
	if err != nil {
		return nil, err
	}
	// A heading, an empty line, and a process a line.
	var all []inside
	for line := range bytes.Lines(out) {
		if !bytes.HasPrefix(line, []byte("{")) {
			continue
		}
		var p inside
		if err := json.Unmarshal(line, &p); err != nil {
			return nil, fmt.Errorf("%s trace procfs: %w", oci.name(), err)
		}
		all = append(all, p)
	}
	return all, nil
}

// runsInside asks whether the container's sentry is there.
func (r *Runtime) runsInside(ctx context.Context, oci *engine, id string) bool {
	out, err := r.run(ctx, oci, "state", id)
	return err == nil && bytes.Contains(out, []byte(`"running"`))
}
