package crun

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/berth/berth/agent/runtime"
	"github.com/berth/berth/internal/wholefile"
)

// Create prepares a container. One of that ID that is there already stays as it
// is, whatever the specification says.
func (r *Runtime) Create(ctx context.Context, spec runtime.Spec) error {
	if err := runtime.CheckSpec(spec); err != nil {
		return err
	}
	// The sandbox may not be removed meanwhile.
	leave, err := r.locks.Lock(ctx, "sandbox "+spec.Sandbox)
	if err != nil {
		return err
	}
	defer leave()
	unlock, err := r.locks.Lock(ctx, spec.ID)
	if err != nil {
		return err
	}
	defer unlock()
	r.mu.Lock()
	existing := r.containers[spec.ID]
	_, hasSandbox := r.sandboxes[spec.Sandbox]
	r.mu.Unlock()
	if existing != nil {
		return nil
	}
	if err := r.checkEngine(spec.Runtime); err != nil {
		return fmt.Errorf("create container %s: %w", spec.ID, err)
	}
	if !hasSandbox {
		return fmt.Errorf("sandbox %s of container %s: %w", spec.Sandbox, spec.ID, runtime.ErrNotFound)
	}
	c, err := r.create(ctx, spec)
	if err != nil {
		if cleanErr := r.demolish(context.WithoutCancel(ctx), spec.ID); cleanErr != nil {
			r.log.Error("could not remove a container that could not be created", "container", spec.ID, "error", cleanErr)
		}
		return fmt.Errorf("create container %s: %w", spec.ID, err)
	}
	r.mu.Lock()
	r.containers[spec.ID] = c
	r.mu.Unlock()
	return nil
}

// create makes, in this order, the directory, the writable layer, the mount
// and the record. The record comes last: without it, all of it is rubbish.
func (r *Runtime) create(ctx context.Context, spec runtime.Spec) (_ *container, err error) {
	rootfs := r.file(spec.ID, rootfsDir)
	if err := os.MkdirAll(rootfs, 0o711); err != nil {
		return nil, err
	}
	if spec.Pause {
		return r.createPause(spec)
	}
	base, err := r.store.Base(ctx, spec.Image)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			r.store.Release(base.ID)
		}
	}()
	if err := makeLayer(base, r.layer(spec.Sandbox, spec.ID)); err != nil {
		return nil, err
	}
	rec := record{Spec: spec, Base: base}
	if err := r.mountRootfs(rec); err != nil {
		return nil, err
	}
	if rec.User, err = lookUpUser(rootfs, spec.User); err != nil {
		return nil, err
	}
	if err := makeWorkingDir(rootfs, spec.WorkingDir); err != nil {
		return nil, err
	}
	if err := r.fillMounts(ctx, rootfs, spec.Mounts); err != nil {
		return nil, err
	}
	// Whatever is wrong with the rest of the specification is said now, not at the
	// start.
	if _, err := r.config(rec, joined{}); err != nil {
		return nil, err
	}
	if err := wholefile.WriteJSON(r.file(spec.ID, recordFile), rec); err != nil {
		return nil, err
	}
	return newContainer(rec), nil
}

// createPause is create for one that pauses.
func (r *Runtime) createPause(spec runtime.Spec) (*container, error) {
	rec := record{Spec: spec}
	if err := r.mountRootfs(rec); err != nil {
		return nil, err
	}
	if _, err := r.config(rec, joined{}); err != nil {
		return nil, err
	}
	if err := wholefile.WriteJSON(r.file(spec.ID, recordFile), rec); err != nil {
		return nil, err
	}
	return newContainer(rec), nil
}

// CreateSandbox makes a task's cgroup. Called again, it sets the limits anew.
func (r *Runtime) CreateSandbox(ctx context.Context, s runtime.Sandbox) error {
	if err := runtime.CheckID("sandbox", s.ID); err != nil {
		return err
	}
	if s.ID == supervisors {
		return fmt.Errorf("sandbox ID %q: is taken", s.ID)
	}
	unlock, err := r.locks.Lock(ctx, "sandbox "+s.ID)
	if err != nil {
		return err
	}
	defer unlock()
	// The record comes first: what has none would never be removed, or at any time.
	if err := wholefile.WriteJSON(r.sandboxPath(s.ID), s); err != nil {
		return fmt.Errorf("create sandbox %s: %w", s.ID, err)
	}
	if err := errors.Join(r.cgroups.makeTask(s), r.makeStorage(ctx, s)); err != nil {
		return fmt.Errorf("create sandbox %s: %w", s.ID, err)
	}
	r.mu.Lock()
	r.sandboxes[s.ID] = s
	r.mu.Unlock()
	r.currentSpawner().moves.expect()
	return nil
}

// Sandboxes lists the IDs of all, in no order.
func (r *Runtime) Sandboxes(context.Context) ([]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]string, 0, len(r.sandboxes))
	for id := range r.sandboxes {
		list = append(list, id)
	}
	return list, nil
}

// RemoveSandbox removes a task's cgroup and all containers in it. One that is
// not there is no error.
func (r *Runtime) RemoveSandbox(ctx context.Context, id string) error {
	if err := runtime.CheckID("sandbox", id); err != nil {
		return err
	}
	unlock, err := r.locks.Lock(ctx, "sandbox "+id)
	if err != nil {
		return err
	}
	defer unlock()
	var members []string
	r.mu.Lock()
	for _, c := range r.containers {
		if c.Spec.Sandbox == id {
			members = append(members, c.Spec.ID)
		}
	}
	r.mu.Unlock()
	var errs []error
	for _, member := range members {
		errs = append(errs, r.Remove(ctx, member))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove sandbox %s: %w", id, err)
	}
	path := r.cgroups.base + "/" + id
	if err := r.cgroups.kill(path); err != nil {
		return fmt.Errorf("remove sandbox %s: %w", id, err)
	}
	if err := errors.Join(r.cgroups.remove(path), r.currentSpawner().forget(path)); err != nil {
		return fmt.Errorf("remove sandbox %s: %w", id, err)
	}
	if err := r.removeStorage(r.storage(id)); err != nil {
		return fmt.Errorf("remove sandbox %s: %w", id, err)
	}
	if err := removeFile(r.sandboxPath(id)); err != nil {
		return fmt.Errorf("remove sandbox %s: %w", id, err)
	}
	r.mu.Lock()
	delete(r.sandboxes, id)
	r.mu.Unlock()
	return nil
}
