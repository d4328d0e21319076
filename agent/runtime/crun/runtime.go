package crun

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/berth/berth/agent/runtime"
	"github.com/berth/berth/agent/runtime/images"
	"github.com/berth/berth/internal/keylock"
)

// Config says where and as whom to run containers.
type Config struct {
	// Root is the directory that all is kept in. No other process may use it.
	Root string
	// Instance is the ID that all that is made on the host carries, 8 hex digits.
	Instance string
	Log      *slog.Logger
	// Registries says how those that images come from are spoken to.
	Registries images.Registries
	// CrunPath is the OCI runtime: crun, runc or another that takes their
	// arguments. Empty is crun from PATH or, where there is none, runc.
	CrunPath string
	// Runtimes are other OCI runtimes, by the name that a container's
	// specification has for it: programs, or their names in PATH.
	Runtimes map[string]string
	// ConmonPath is conmon 2. Empty is the one from PATH.
	ConmonPath string
	// LazyLayers is a command that calls images.ServeLazy with the directory that
	// follows, and closes file 3 when that is ready. Empty: images are pulled whole.
	LazyLayers []string
	// InitPath is the small static init for containers that ask for one. Empty is
	// the first found of tini and catatonit.
	InitPath string
	// ReadyStorage is the size in bytes of the limited storage that most sandboxes
	// ask for: some of it are kept ready. 0: none is.
	ReadyStorage int64
}

// Runtime runs containers by an OCI runtime under conmon. It implements
// runtime.Runtime.
type Runtime struct {
	runtime.Images // the store, as far as others may know it
	store          *images.Store
	root           string
	log            *slog.Logger
	oci            *engine
	engines        map[string]*engine // other ones, by name
	conmon         string
	init           string
	pause          string // catatonit; empty: there is none
	host           *privileges
	cgroups        *cgroups
	filters        *filters
	trash          *trash
	ready          *readyStorage
	stopTrash      context.CancelFunc
	sweeping       sync.WaitGroup
	locks          keylock.Locks // by container or sandbox ID
	watches        sync.WaitGroup
	execs          atomic.Uint64 // how many there were

	mu         sync.Mutex // guards what follows; held for moments only
	spawner    *spawner
	containers map[string]*container
	sandboxes  map[string]runtime.Sandbox
	closed     bool
}

var _ runtime.Runtime = (*Runtime)(nil)

var instances = regexp.MustCompile(`^[0-9a-f]{8}$`)

// Open takes up what an earlier process left in the root, however it ended:
// running containers go on, those that have exited since are known with their
// codes, and what was half-made or half-removed is removed.
func Open(ctx context.Context, c Config) (_ *Runtime, err error) {
	if !instances.MatchString(c.Instance) {
		return nil, fmt.Errorf("instance %q: must be 8 hexadecimal digits", c.Instance)
	}
	root, err := filepath.Abs(c.Root)
	if err != nil {
		return nil, fmt.Errorf("find the runtime's directory: %w", err)
	}
	for _, dir := range []string{imagesDir, containersDir, sandboxesDir, exitsDir, logsDir, stateDir, seccompDir, writableDir, trashDir, readyDir} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o711); err != nil {
			return nil, fmt.Errorf("make the runtime's directories: %w", err)
		}
	}
	// Mounts are listed by their real paths.
	if root, err = filepath.EvalSymlinks(root); err != nil {
		return nil, fmt.Errorf("find the runtime's directory: %w", err)
	}
	r := &Runtime{root: root, log: c.Log, containers: map[string]*container{}, sandboxes: map[string]runtime.Sandbox{}, stopTrash: func() {}}
	r.trash = &trash{dir: filepath.Join(root, trashDir), others: filepath.Join(r.storage("*"), fsDir, trashDir), wake: make(chan struct{}, 1), failed: func(err error) {
		r.log.Error("could not remove the files of containers that are gone", "error", err)
	}}
	r.ready = newReadyStorage(r, c.ReadyStorage)
	defer func() {
		if err != nil && r.spawner == nil {
			r.closeEngines()
		}
	}()
	if err := r.findEngines(c); err != nil {
		return nil, err
	}
	if r.conmon, err = program(c.ConmonPath, "conmon"); err != nil {
		return nil, err
	}
	if r.init, err = program(c.InitPath, "tini-static", "docker-init", "catatonit", "/usr/libexec/podman/catatonit"); err != nil && c.InitPath != "" {
		return nil, err
	}
	// Only tasks whose containers share namespaces need it.
	r.pause, _ = program("", "catatonit", "/usr/libexec/podman/catatonit")
	if r.host, err = findPrivileges(c.Log); err != nil {
		return nil, err
	}
	if r.filters, err = newFilters(filepath.Join(root, seccompDir), r.oci.path); err != nil {
		return nil, err
	}
	if r.cgroups, err = findCgroups(c.Instance); err != nil {
		return nil, err
	}
	if r.spawner, err = r.newSpawner(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			r.Close()
		}
	}()
	if r.store, err = images.Open(ctx, filepath.Join(root, imagesDir), c.Registries, c.Log); err != nil {
		return nil, err
	}
	r.Images = r.store
	if err := r.openLazy(ctx, c.LazyLayers); err != nil {
		return nil, err
	}
	if err := r.recover(ctx); err != nil {
		return nil, err
	}
	run, stop := context.WithCancel(context.Background())
	r.stopTrash = stop
	r.sweeping.Go(func() { r.trash.run(run) })
	r.sweeping.Go(func() { r.ready.run(run) })
	return r, nil
}

// program finds a program by its given path or by the names it may have.
func program(path string, names ...string) (string, error) {
	if path != "" {
		names = []string{path}
	}
	for _, name := range names {
		if found, err := exec.LookPath(name); err == nil {
			return filepath.Abs(found)
		}
	}
	return "", fmt.Errorf("%s is not installed, or not on the PATH of this process (%s): install the package of that name, and start again", names[0], os.Getenv("PATH"))
}

// newSpawner starts a thread to start programs from, made for this host.
func (r *Runtime) newSpawner() (*spawner, error) {
	// With cgroup v2 there is nothing to enter: start has the kernel put each new
	// process where it belongs.
	enter, err := r.cgroups.makeSupervisors()
	if err != nil {
		return nil, err
	}
	var hide []string
	if slices.ContainsFunc(r.allEngines(), func(e *engine) bool { return e.kind == isCrun }) {
		hide = r.cgroups.hybrid
	}
	if len(hide) > 0 {
		if err := shareRoot(r.root); err != nil {
			return nil, err
		}
	}
	s, err := newSpawner(hide, enter)
	if err != nil {
		return nil, err
	}
	s.moves = r.cgroups.newMoves(s)
	return s, nil
}

// Close lets go. Containers go on, and the next Open finds them.
func (r *Runtime) Close() error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil
	}
	r.closed = true
	for _, c := range r.containers {
		c.letGo()
	}
	r.mu.Unlock()
	r.watches.Wait()
	return r.letGo()
}

func (r *Runtime) letGo() error {
	r.stopTrash()
	r.sweeping.Wait()
	r.spawner.Close()
	r.closeEngines()
	if r.store == nil {
		return nil
	}
	return r.store.Close()
}

// Destroy removes all that the instance has on the host: containers, sandboxes,
// cgroups and mounts, and closes. Images and files of output stay in the root,
// which can now be removed.
func (r *Runtime) Destroy(ctx context.Context) error {
	var errs []error
	for _, id := range r.containerIDs() {
		errs = append(errs, r.Remove(ctx, id))
	}
	ids, err := r.Sandboxes(ctx)
	errs = append(errs, err)
	for _, id := range ids {
		errs = append(errs, r.RemoveSandbox(ctx, id))
	}
	errs = append(errs, r.store.EndLazy(ctx), r.Close())
	errs = append(errs, r.ready.destroy(), r.cgroups.removeAll(), unmountBelow(r.root), r.trash.empty(context.WithoutCancel(ctx)))
	for _, e := range r.allEngines() {
		if e.kind == isRunsc {
			errs = append(errs, removeFile(filepath.Join(e.state, emptyNetNS)))
		}
	}
	return errors.Join(errs...)
}

// command is a program to be started by start, with room for its output.
func command(ctx context.Context, path string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	return cmd
}

// start starts a command as the host needs it: see spawner.
func (r *Runtime) start(cmd *exec.Cmd) error {
	if r.cgroups.v2 != "" {
		dir, err := os.Open(filepath.Join(r.cgroups.v2, r.cgroups.base, supervisors))
		if err != nil {
			return err
		}
		defer dir.Close()
		if cmd.SysProcAttr == nil {
			cmd.SysProcAttr = &syscall.SysProcAttr{}
		}
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(dir.Fd())
	}
	for {
		s := r.currentSpawner()
		err := s.Start(cmd)
		if !errors.Is(err, errClosed) || s == r.currentSpawner() {
			return err
		}
	}
}

func (r *Runtime) currentSpawner() *spawner {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.spawner
}

// ensureSeen makes paths of the host look the same to programs started from now
// on as they do to this process, starting a new thread if mounts have come that
// the old one cannot see.
func (r *Runtime) ensureSeen(paths []string) error {
	old := r.currentSpawner()
	for _, path := range paths {
		if old.sees(path) {
			continue
		}
		s, err := r.newSpawner()
		if err != nil {
			return err
		}
		r.mu.Lock()
		current := r.spawner
		if current == old {
			r.spawner = s
		}
		r.mu.Unlock()
		if current != old { // another start was faster
			s.Close()
			return r.ensureSeen(paths)
		}
		old.Close()
		return nil
	}
	return nil
}

// run runs a command of a container's OCI runtime to its end.
func (r *Runtime) run(ctx context.Context, e *engine, args ...string) (output []byte, err error) {
	out, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := command(ctx, e.program(), append(e.args(), args...)...)
	cmd.Stdout, cmd.Stderr = w, w
	err = r.start(cmd)
	w.Close()
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", e.name(), err)
	}
	output, readErr := io.ReadAll(io.LimitReader(out, 64<<20))
	io.Copy(io.Discard, out) // or it would stop at a full pipe
	err = cmd.Wait()
	if ctx.Err() != nil {
		return output, ctx.Err()
	}
	if err != nil {
		return output, fmt.Errorf("%s %s: %w: %s", e.name(), args[0], err, lastLine(output))
	}
	return output, readErr
}
