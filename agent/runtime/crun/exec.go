package crun

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth/berth/agent/runtime"
)

// maxOutput is how much of a command's output Exec returns.
const maxOutput = 4 << 10

// execMark is the name of an environment variable that marks all processes of
// one Exec. Unlike a session or a parent, a child cannot lose it by becoming a
// daemon.
const execMark = "BERTH_EXEC"

// Exec runs a command in a running container. When it returns, the command and
// all that it has started are gone. If ctx ended first, the error is ctx's, and
// the result has the output so far.
func (r *Runtime) Exec(ctx context.Context, id string, e runtime.Exec) (runtime.ExecResult, error) {
	run, err := r.prepareExec(id, e, runtime.Streams{})
	if err != nil {
		return runtime.ExecResult{ExitCode: -1}, err
	}
	defer os.Remove(run.spec)
	result, err := r.exec(ctx, run)
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("run a command in container %s: %w", id, err)
	}
	return result, err
}

// execution is a command about to run.
type execution struct {
	container *container
	oci       *engine
	spec      string // file of the OCI runtime's description of it
	mark      string
}

func (r *Runtime) prepareExec(id string, e runtime.Exec, s runtime.Streams) (*execution, error) {
	c, err := r.container(id)
	if err != nil {
		return nil, err
	}
	if state := c.Status().State; state != runtime.Running {
		return nil, fmt.Errorf("run a command in container %s: it is %s, not running", id, state)
	}
	if len(e.Args) == 0 {
		return nil, fmt.Errorf("run a command in container %s: no command is given", id)
	}
	mark := execMark + "=" + strconv.FormatInt(time.Now().UnixNano(), 36) + "-" + strconv.FormatUint(r.execs.Add(1), 36)
	process, err := r.execProcess(c, e, s, mark)
	if err != nil {
		return nil, fmt.Errorf("run a command in container %s: %w", id, err)
	}
	spec := r.file(id, "exec-"+mark[len(execMark)+1:])
	if err := os.WriteFile(spec, process, 0o600); err != nil {
		return nil, fmt.Errorf("run a command in container %s: %w", id, err)
	}
	return &execution{container: c, oci: r.engine(c.Spec.Runtime), spec: spec, mark: mark}, nil
}

func (r *Runtime) exec(ctx context.Context, e *execution) (runtime.ExecResult, error) {
	failed := runtime.ExecResult{ExitCode: -1}
	out, w, err := os.Pipe()
	if err != nil {
		return failed, err
	}
	defer out.Close()
	cmd := command(ctx, e.oci.program(), append(e.oci.args(), "exec", "--process", e.spec, e.container.Spec.ID)...)
	cmd.Env = append(cmd.Env, e.mark)
	cmd.Stdout, cmd.Stderr = w, w
	err = r.start(cmd)
	w.Close()
	if err != nil {
		return failed, fmt.Errorf("run the OCI runtime: %w", err)
	}
	output := make(chan []byte, 1)
	go func() {
		head, _ := io.ReadAll(io.LimitReader(out, maxOutput))
		io.Copy(io.Discard, out) // or the command would stop at a full pipe
		output <- head
	}()
	waitErr := cmd.Wait()
	// With these gone, the pipe has no writer and the reader comes to its end.
	if err := r.killMarked(e.container.Spec, e.mark); err != nil {
		out.Close()
		return failed, err
	}
	result := runtime.ExecResult{ExitCode: cmd.ProcessState.ExitCode(), Output: string(<-output)}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return result, ctx.Err()
	case errors.As(waitErr, &exit) || waitErr == nil:
		return result, nil
	default:
		return result, waitErr
	}
}

// execProcess is the OCI runtime's description of the command: the container's
// own process with what the caller wants otherwise.
func (r *Runtime) execProcess(c *container, e runtime.Exec, s runtime.Streams, mark string) ([]byte, error) {
	config, err := os.ReadFile(r.file(c.Spec.ID, configFile))
	if err != nil {
		return nil, err
	}
	var spec specs.Spec
	if err := json.Unmarshal(config, &spec); err != nil {
		return nil, err
	}
	p := spec.Process
	p.Args = e.Args
	p.Terminal = s.Terminal
	if s.Terminal && s.Size != (runtime.Size{}) {
		p.ConsoleSize = &specs.Box{Height: uint(s.Size.Rows), Width: uint(s.Size.Cols)}
	}
	p.Env = append(slices.Concat(p.Env, e.Env), mark)
	if e.Cwd != "" {
		p.Cwd = e.Cwd
	}
	if e.User != "" {
		user, err := lookUpUser(r.file(c.Spec.ID, rootfsDir), e.User)
		if err != nil {
			return nil, err
		}
		p.User = user.oci()
	}
	return json.Marshal(p)
}

// killMarked ends all processes of a container that have the mark in their
// environment, until none is left. execMark alone means those of any command.
func (r *Runtime) killMarked(spec runtime.Spec, mark string) error {
	if oci := r.engine(spec.Runtime); oci.kind == isRunsc {
		return r.killMarkedInside(oci, spec.ID, mark)
	}
	path := r.cgroups.container(spec.Sandbox, spec.ID)
	for range 100 {
		pids, err := r.cgroups.processes(path)
		if err != nil {
			return err
		}
		left := false
		for _, pid := range pids {
			if !hasMark(pid, mark) {
				continue
			}
			left = true
			if err := killAndWait(pid, func() bool { return hasMark(pid, mark) }); err != nil {
				return fmt.Errorf("end process %d: %w", pid, err)
			}
		}
		if !left {
			return nil
		}
	}
	return errors.New("the command's processes come faster than they can be ended")
}

func hasMark(pid int, mark string) bool {
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil && !errors.Is(err, unix.ESRCH) {
		return false
	}
	return slices.ContainsFunc(bytes.Split(env, []byte{0}), func(kv []byte) bool { return marks(string(kv), mark) })
}

// marks tells whether an environment variable is the mark, or execMark of any.
func marks(kv, mark string) bool {
	name, _, _ := strings.Cut(kv, "=")
	return kv == mark || name == mark
}
