package crun

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth/berth/agent/runtime"
)

// A container that pauses has no image: its root file system is an empty
// directory, with a program that waits and reaps. Others may have its namespaces
// and its /dev/shm, which for that is mounted on the host.
const (
	pausePath = "/pause"
	shmDir    = "shm"
)

// pauseArgs is what it runs.
func (r *Runtime) pauseArgs() ([]string, error) {
	if r.pause == "" {
		return nil, fmt.Errorf("the task's containers share namespaces, which catatonit holds, and the host has none: install catatonit")
	}
	return []string{pausePath, "-P"}, nil
}

// mountShm mounts the /dev/shm of one that pauses, unless it is mounted.
func (r *Runtime) mountShm(spec runtime.Spec) error {
	dir := r.file(spec.ID, shmDir)
	if err := os.MkdirAll(dir, 0o1777); err != nil {
		return err
	}
	mounted, err := isMountPoint(dir)
	if err != nil || mounted {
		return err
	}
	if err := unix.Mount("shm", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, fmt.Sprintf("mode=1777,size=%d", shmSize(spec))); err != nil {
		return fmt.Errorf("mount a file system for shared memory on %s: %w", dir, err)
	}
	return nil
}

// shmSize is the size of a container's /dev/shm in bytes.
func shmSize(spec runtime.Spec) int64 {
	if spec.ShmSize > 0 {
		return spec.ShmSize
	}
	return 64 << 20
}

// shm returns the directory that is a container's /dev/shm, if it isn't one of its
// own, and whether it has any.
func (r *Runtime) shm(spec runtime.Spec) (dir string, has bool) {
	switch of, ok := strings.CutPrefix(spec.IPCNS, runtime.NSOf); {
	case spec.NoShm:
		return "", false
	case spec.Pause:
		return r.file(spec.ID, shmDir), true
	case ok:
		return r.file(of, shmDir), true
	}
	return "", true
}

// withShm puts a container's /dev/shm where it is.
func (r *Runtime) withShm(mounts []specs.Mount, spec runtime.Spec) []specs.Mount {
	dir, has := r.shm(spec)
	var out []specs.Mount
	for _, m := range mounts {
		switch {
		case m.Destination != "/dev/shm", has && dir == "":
			out = append(out, m)
		case has:
			m = bind(runtime.Mount{Source: dir, Target: "/dev/shm"})
			m.Options = append(m.Options, "nosuid", "noexec", "nodev")
			out = append(out, m)
		}
	}
	return out
}

// joined are the namespaces that a container joins, as paths, runtime.HostNS, or
// empty for one of its own.
type joined struct{ net, pid, ipc string }

// join finds the namespaces that a container joins. What it returns is good until
// release is called.
func (r *Runtime) join(spec runtime.Spec) (ns joined, release func(), err error) {
	var open []*os.File
	release = func() {
		for _, f := range open {
			f.Close()
		}
	}
	for _, n := range []struct {
		kind, of string
		to       *string
	}{{"net", spec.NetNS, &ns.net}, {"pid", spec.PIDNS, &ns.pid}, {"ipc", spec.IPCNS, &ns.ipc}} {
		if n.of == "" || n.of == runtime.HostNS {
			*n.to = n.of
			continue
		}
		f, err := r.openNamespace(n.kind, n.of)
		if err != nil {
			release()
			return ns, nil, err
		}
		open = append(open, f)
		*n.to = ofSelf(f)
	}
	return ns, release, nil
}

// openNamespace opens a namespace: by its path, even if that is mounted where the
// OCI runtime's mount namespace doesn't show it, or as that of a container.
func (r *Runtime) openNamespace(kind, of string) (*os.File, error) {
	id, ok := strings.CutPrefix(of, runtime.NSOf)
	if !ok {
		f, err := os.Open(of)
		if err != nil {
			return nil, fmt.Errorf("open the %s namespace: %w", kind, err)
		}
		return f, nil
	}
	c, err := r.container(id)
	if err != nil {
		return nil, err
	}
	// While the lock is held its process is not replaced by another of that number.
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.init == nil {
		return nil, fmt.Errorf("container %s, whose %s namespace is to be shared, does not run", id, kind)
	}
	f, err := os.Open(filepath.Join("/proc", fmt.Sprint(c.init.pid), "ns", kind))
	if err != nil {
		return nil, fmt.Errorf("open the %s namespace of container %s: %w", kind, id, err)
	}
	// The process may have ended, and its number been given again, before that.
	if err := c.init.Signal(0); err != nil {
		f.Close()
		return nil, fmt.Errorf("container %s, whose %s namespace is to be shared, has ended: %w", id, kind, err)
	}
	return f, nil
}
