package crun

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/berth/berth/agent/runtime"
)

// Remove ends a container if need be and removes all that was made for it but
// its output. One that is not there is no error.
func (r *Runtime) Remove(ctx context.Context, id string) error {
	if err := runtime.CheckID("container", id); err != nil {
		return err
	}
	unlock, err := r.locks.Lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	c, err := r.container(id)
	if err != nil {
		return nil
	}
	// Without its record it is rubbish, that the next Open would remove if this
	// process ended now.
	if err := removeFile(r.file(id, recordFile)); err != nil {
		return fmt.Errorf("remove container %s: %w", id, err)
	}
	if err := r.demolish(ctx, id); err != nil {
		return fmt.Errorf("remove container %s: %w", id, err)
	}
	r.mu.Lock()
	delete(r.containers, id)
	r.mu.Unlock()
	if c.Spec.Pause {
		err = removeFile(r.LogPath(id))
	} else {
		r.store.Release(c.Base.ID)
	}
	c.remove()
	if err != nil {
		return fmt.Errorf("remove container %s: %w", id, err)
	}
	return nil
}

// demolish removes whatever there is of a container: processes, cgroup, mount,
// writable layer, files. It needs to know nothing but the ID, and can be cut
// off and called again.
func (r *Runtime) demolish(ctx context.Context, id string) error {
	if err := r.endProcesses(ctx, id); err != nil {
		return err
	}
	if err := errors.Join(unmount(r.file(id, rootfsDir)), unmount(r.file(id, shmDir))); err != nil {
		return err
	}
	if err := removeFile(r.exitPath(id)); err != nil {
		return err
	}
	// Never into a root file system that is still mounted.
	if mounted, err := isMountPoint(r.file(id, rootfsDir)); err == nil && mounted {
		return fmt.Errorf("%s is still mounted", r.file(id, rootfsDir))
	}
	return r.discard(id)
}

// endProcesses ends and removes all of a container that runs or could: its
// processes, its supervisor, its cgroup and what the OCI runtime keeps. It can be
// started again afterwards.
func (r *Runtime) endProcesses(ctx context.Context, id string) error {
	if !exists(r.file(id, configFile)) {
		return nil // nobody ever tried to start it
	}
	paths, err := r.cgroups.find(id)
	if err != nil {
		return err
	}
	var errs []error
	for _, path := range paths {
		errs = append(errs, r.cgroups.kill(path))
	}
	errs = append(errs, r.endSupervisor(ctx, id))
	for _, oci := range r.allEngines() {
		if oci.has(id) {
			_, err := r.run(ctx, oci, "delete", "--force", id)
			errs = append(errs, err)
		}
	}
	for _, path := range paths {
		errs = append(errs, r.cgroups.remove(path), r.currentSpawner().forget(path))
	}
	for _, name := range []string{startingFile, startedFile, exitFile, pidFile, configFile} {
		errs = append(errs, removeFile(r.file(id, name)))
	}
	return errors.Join(errs...)
}

// endSupervisor returns when a container's conmon is gone. Its container has
// ended, so conmon is about to write the exit code and follow; a conmon whose
// container was never made is killed.
func (r *Runtime) endSupervisor(ctx context.Context, id string) error {
	r.mu.Lock()
	c := r.containers[id]
	r.mu.Unlock()
	if c != nil && !c.Status().StartedAt.IsZero() {
		select {
		case <-c.ended:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	all, err := supervisorsOf(r.root)
	if err != nil {
		return err
	}
	pid := all[id]
	if pid == 0 {
		return nil
	}
	p, err := openProcess(pid)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer p.Close()
	if supervises(pid, r.root) != id {
		return nil
	}
	if err := p.Signal(unix.SIGKILL); err != nil {
		return err
	}
	if err := p.WaitContext(ctx); err != nil {
		return err
	}
	reap(pid)
	return nil
}
