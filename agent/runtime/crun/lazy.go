package crun

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// lazyReady is how long the process that has lazy layers may take to begin.
const lazyReady = 20 * time.Second

// openLazy has images pulled lazily, where the host has FUSE.
func (r *Runtime) openLazy(ctx context.Context, command []string) error {
	if len(command) == 0 {
		return nil
	}
	if f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0); err != nil {
		r.log.Info("images are pulled whole before they run", "because", err)
		return nil
	} else {
		f.Close()
	}
	start := func(dir string) error { return r.startLazy(append(append([]string{}, command...), dir), dir) }
	return r.store.Lazily(ctx, start, r.endLost)
}

// startLazy starts the process that has lazy layers, where supervisors are, and
// returns when it is ready. Its mounts are made where this process sees them.
func (r *Runtime) startLazy(args []string, dir string) error {
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	ready, readyW, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ready.Close()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = os.Environ() // of it are the proxies of registries
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = log, log, []*os.File{readyW}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	readyW.Close()
	if err != nil {
		return err
	}
	go cmd.Wait()
	dirs, err := r.cgroups.makeSupervisors()
	if err == nil && r.cgroups.v2 != "" {
		dirs = []string{filepath.Join(r.cgroups.v2, r.cgroups.base, supervisors)}
	}
	for _, d := range dirs {
		if err == nil {
			err = writeFile(filepath.Join(d, "cgroup.procs"), strconv.Itoa(cmd.Process.Pid))
		}
	}
	if err == nil {
		err = ready.SetReadDeadline(time.Now().Add(lazyReady))
	}
	if err == nil {
		var said []byte
		if said, err = io.ReadAll(io.LimitReader(ready, 10)); err == nil && strings.TrimSpace(string(said)) != "ready" {
			err = fmt.Errorf("it ended at once: its log is %s", log.Name())
		}
	}
	if err != nil {
		cmd.Process.Signal(unix.SIGKILL)
		return fmt.Errorf("run %s: %w", args[0], err)
	}
	return nil
}

// endLost ends the containers whose files can't be read any more: they would go
// on with I/O errors.
func (r *Runtime) endLost(bases []string) {
	r.mu.Lock()
	var lost []*container
	for _, c := range r.containers {
		for _, id := range bases {
			if c.Base.ID == id {
				lost = append(lost, c)
			}
		}
	}
	r.mu.Unlock()
	for _, c := range lost {
		r.endIfLost(c)
	}
}

func (r *Runtime) endIfLost(c *container) {
	if !r.store.Lost(c.Base.ID) {
		return
	}
	r.log.Error("a container's image was still to come, and what had its layers is gone: the container is ended", "container", c.Spec.ID, "image", c.Spec.Image)
	if err := r.cgroups.kill(r.cgroups.container(c.Spec.Sandbox, c.Spec.ID)); err != nil {
		r.log.Error("end a container", "container", c.Spec.ID, "err", err)
	}
}
