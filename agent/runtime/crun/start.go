package crun

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth/berth/agent/runtime"
	"github.com/berth/berth/internal/wholefile"
)

// Start runs a created container. One that runs or has run stays as it is.
func (r *Runtime) Start(ctx context.Context, id string) error {
	unlock, err := r.locks.Lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	c, err := r.container(id)
	if err != nil {
		return err
	}
	if c.Status().State != runtime.Created {
		return nil
	}
	if err := r.startContainer(ctx, c); err != nil {
		// It can be tried again.
		if cleanErr := r.endProcesses(context.WithoutCancel(ctx), c.Spec.ID); cleanErr != nil {
			r.log.Error("could not clean up after a container that did not start", "container", id, "error", cleanErr)
		}
		return fmt.Errorf("start container %s: %w", id, err)
	}
	return nil
}

// Reset lets a container that has exited be started again. Cut off, it has exited
// or was never started.
func (r *Runtime) Reset(ctx context.Context, id string) error {
	unlock, err := r.locks.Lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	c, err := r.container(id)
	if err != nil {
		return err
	}
	if c.Status().State != runtime.Exited {
		return nil
	}
	if err := r.endProcesses(ctx, id); err != nil {
		return fmt.Errorf("reset container %s: %w", id, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.containers[id] = newContainer(c.record)
	return nil
}

func (r *Runtime) startContainer(ctx context.Context, c *container) error {
	id := c.Spec.ID
	r.currentSpawner().moves.expect()
	// The mount is gone if the host was restarted since Create.
	if err := r.mountRootfs(c.record); err != nil {
		return err
	}
	var sources []string
	for _, m := range c.Spec.Mounts {
		sources = append(sources, m.Source)
	}
	if dir, _ := r.shm(c.Spec); dir != "" {
		sources = append(sources, dir)
	}
	if err := r.ensureSeen(sources); err != nil {
		return err
	}
	if err := r.checkSources(c.Spec, sources); err != nil {
		return err
	}
	ns, release, err := r.join(c.Spec)
	if err != nil {
		return err
	}
	defer release()
	config, err := r.config(c.record, ns)
	if err != nil {
		return err
	}
	if err := wholefile.WriteJSON(r.file(id, configFile), config); err != nil {
		return err
	}
	pid, conmon, err := r.supervise(ctx, c.Spec)
	if err != nil {
		return err
	}
	if err := r.filters.keep(config, filepath.Join(r.engine(c.Spec.Runtime).state, id)); err != nil {
		r.log.Warn("could not keep a compiled seccomp filter", "error", err)
	}
	init, err := openProcess(pid)
	if err != nil {
		conmon.Close()
		return err
	}
	// From here on to the rename, a crash leaves a container of which only the OCI
	// runtime knows whether it runs.
	at := time.Now().Round(0) // the wall clock's alone, as a file keeps it
	if err := r.release(ctx, c.Spec, at); err != nil {
		init.Close()
		conmon.Close()
		return err
	}
	c.running(init, conmon, at)
	r.watch(c, conmon)
	return nil
}

// release lets the process that waits in a made container become its program.
// The time of the file that it leaves is at.
func (r *Runtime) release(ctx context.Context, spec runtime.Spec, at time.Time) error {
	starting := r.file(spec.ID, startingFile)
	if err := os.WriteFile(starting, nil, 0o600); err != nil {
		return err
	}
	if err := os.Chtimes(starting, at, at); err != nil {
		return err
	}
	if err := r.releaseOnce(ctx, spec); err != nil {
		return err
	}
	return os.Rename(starting, r.file(spec.ID, startedFile))
}

// releaseOnce does what `crun start` does, without the time that it takes to
// start crun: the process waits for a byte from a pipe that is there until it was
// sent. Other OCI runtimes are asked.
func (r *Runtime) releaseOnce(ctx context.Context, spec runtime.Spec) error {
	oci := r.engine(spec.Runtime)
	pipe := filepath.Join(oci.state, spec.ID, "exec.fifo")
	if oci.kind != isCrun || !exists(pipe) {
		_, err := r.run(ctx, oci, "start", spec.ID)
		return err
	}
	f, err := os.OpenFile(pipe, os.O_WRONLY|unix.O_NONBLOCK, 0)
	if err == nil {
		_, err = f.Write([]byte{0})
		f.Close()
	}
	// Nobody reads if the process was killed, or if it got its byte before this
	// process was: it was not waiting any more.
	if err != nil && !errors.Is(err, unix.ENXIO) && !errors.Is(err, unix.EPIPE) {
		return err
	}
	return removeFile(pipe)
}

// supervise starts conmon, which has the OCI runtime make the container, and
// returns the process that waits in it to be released.
func (r *Runtime) supervise(ctx context.Context, spec runtime.Spec) (pid int, conmon *process, err error) {
	id := spec.ID
	if err := removeFile(r.exitPath(id)); err != nil {
		return 0, nil, err
	}
	bundle, oci := r.bundle(id), r.engine(spec.Runtime)
	args := []string{
		"--api-version", "1", "--sync", "--no-sync-log",
		"--cid", id, "--cuuid", id, "--name", id,
		"--bundle", bundle,
		"--container-pidfile", r.file(id, pidFile),
		"--exit-dir", filepath.Join(r.root, exitsDir),
		"--log-path", "k8s-file:" + r.LogPath(id),
		"--log-level", "error",
		"--full-attach",
		"--runtime", oci.program(),
	}
	if spec.Terminal {
		args = append(args, "--terminal")
	}
	if spec.Stdin {
		args = append(args, "--stdin")
	}
	for _, arg := range oci.args() {
		args = append(args, "--runtime-arg", arg)
	}
	sync, syncW, err := os.Pipe()
	if err != nil {
		return 0, nil, err
	}
	defer sync.Close()
	stderr, stderrW, err := os.Pipe()
	if err != nil {
		syncW.Close()
		return 0, nil, err
	}
	defer stderr.Close()

	// Not bound to ctx: conmon lives as long as the container.
	cmd := command(context.Background(), r.conmon, args...)
	cmd.Env = append(cmd.Env, "_OCI_SYNCPIPE=3")
	cmd.ExtraFiles = []*os.File{syncW}
	cmd.Stderr = stderrW
	cmd.Dir = bundle
	err = r.start(cmd)
	syncW.Close()
	stderrW.Close()
	if err != nil {
		return 0, nil, fmt.Errorf("run conmon: %w", err)
	}
	conmon, err = openProcess(cmd.Process.Pid)
	cmd.Process.Release() // this handle is the better one
	if err != nil {
		return 0, nil, err
	}
	stop := context.AfterFunc(ctx, func() { conmon.Signal(unix.SIGKILL) })
	pid, err = readSync(sync)
	if !stop() {
		err = ctx.Err()
	}
	if err == nil {
		return pid, conmon, nil
	}
	// What conmon says itself, before it leaves its stderr, explains more than its
	// silence on the pipe.
	if errors.Is(err, io.EOF) {
		said, _ := io.ReadAll(io.LimitReader(stderr, 4<<10))
		err = fmt.Errorf("conmon ended before the container was made: %s", lastLine(said))
	}
	conmon.Signal(unix.SIGKILL)
	if waitErr := conmon.Wait(); waitErr == nil {
		reap(conmon.pid)
	}
	conmon.Close()
	return 0, nil, err
}

// readSync reads what conmon says when the container is made, or is not: one
// line {"data": pid} or {"data": -1, "message": what the OCI runtime printed}.
func readSync(r io.Reader) (pid int, err error) {
	line, err := bufio.NewReader(r).ReadBytes('\n')
	if len(line) == 0 && err != nil {
		return 0, err
	}
	var said struct {
		Data    int    `json:"data"`
		Message string `json:"message"`
	}
	if err := json.Unmarshal(line, &said); err != nil {
		return 0, fmt.Errorf("conmon said %q: %w", line, err)
	}
	if said.Data <= 0 && strings.TrimSpace(said.Message) == "" {
		return 0, errors.New("the OCI runtime did not say why")
	}
	if said.Data <= 0 {
		return 0, errors.New(lastLine([]byte(said.Message)))
	}
	return said.Data, nil
}

// lastLine is the last line of a program's output, without the time that crun
// may put before it.
func lastLine(out []byte) string {
	text := strings.TrimSpace(string(out))
	if i := strings.LastIndexByte(text, '\n'); i >= 0 {
		text = text[i+1:]
	}
	if stamp, rest, ok := strings.Cut(text, ": "); ok {
		if _, err := time.Parse("2006-01-02T15:04:05.999999999Z", stamp); err == nil {
			return rest
		}
	}
	return text
}

// cgroupAttr makes the kernel put a new process into a cgroup v2 directory.
func cgroupAttr(dir *os.File) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
}
