package crun

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/containerd/v2/core/mount"
	continuity "github.com/containerd/continuity/fs"

	"github.com/berth/berth/agent/runtime/images"
)

// A container's writable layer is a directory of the sandbox's that has two:
// upper is over the layers of its image, work is the kernel's.
const (
	upperDir = "upper"
	workDir  = "work"
)

func (r *Runtime) layer(sandbox, id string) string {
	return filepath.Join(r.storage(sandbox), fsDir, layersDir, id)
}

// makeLayer makes the writable layer of a container over the base of its image:
// empty, or a copy of the base where there can be no overlay.
func makeLayer(base images.Base, dir string) error {
	upper := filepath.Join(dir, upperDir)
	for _, d := range []string{upper, filepath.Join(dir, workDir)} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	if base.Copy {
		return continuity.CopyDir(upper, base.Layers[0])
	}
	// The merged root is as its topmost directory.
	root, err := os.Stat(base.Layers[0])
	if err != nil {
		return err
	}
	if err := os.Chmod(upper, root.Mode().Perm()); err != nil {
		return err
	}
	owner := root.Sys().(*syscall.Stat_t)
	return os.Lchown(upper, int(owner.Uid), int(owner.Gid))
}

// mountRootfs mounts a container's root file system, unless it is mounted.
func (r *Runtime) mountRootfs(rec record) error {
	if rec.Spec.Pause {
		return r.mountShm(rec.Spec)
	}
	dir := r.file(rec.Spec.ID, rootfsDir)
	mounted, err := isMountPoint(dir)
	if err != nil || mounted {
		return err
	}
	layer := r.layer(rec.Spec.Sandbox, rec.Spec.ID)
	upper := filepath.Join(layer, upperDir)
	m := mount.Mount{Type: "bind", Source: upper, Options: []string{"rw", "rbind"}}
	if !rec.Base.Copy {
		m = mount.Mount{Type: "overlay", Source: "overlay", Options: append([]string{
			"workdir=" + filepath.Join(layer, workDir), "upperdir=" + upper, "lowerdir=" + strings.Join(rec.Base.Layers, ":"),
		}, overlayOptions()...)}
	}
	if err := m.Mount(dir); err != nil {
		return fmt.Errorf("mount a root file system on %s: %w", dir, err)
	}
	return nil
}

// overlayOptions: without an index of files with several names, which some
// kernels make by default, layers may be part of many overlays.
func overlayOptions() []string {
	if exists("/sys/module/overlay/parameters/index") {
		return []string{"index=off"}
	}
	return nil
}

// discard removes what there is of a container's files: its bundle, and its
// writable layer, which is found by its ID alone. They are put aside on the file
// systems that they are on, and go in the background: a layer may be large.
func (r *Runtime) discard(id string) error {
	layers, err := filepath.Glob(r.layer("*", id))
	if err != nil {
		return err
	}
	for _, dir := range layers {
		if err := r.trash.move(dir, filepath.Join(dir, "..", "..", trashDir)); err != nil {
			return err
		}
	}
	return r.trash.take(r.bundle(id))
}

// trash are directories whose content is removed in the background: one, and
// those of a pattern.
type trash struct {
	dir    string
	others string
	failed func(error)
	wake   chan struct{}
}

// take puts a directory aside. It is no error that it isn't there.
func (t *trash) take(dir string) error { return t.move(dir, t.dir) }

// move puts a directory into one of those that are emptied.
func (t *trash) move(dir, into string) error {
	if !exists(dir) {
		return nil
	}
	if err := os.MkdirAll(into, 0o711); err != nil {
		return err
	}
	err := os.Rename(dir, filepath.Join(into, strconv.FormatInt(time.Now().UnixNano(), 36)+"-"+filepath.Base(dir)))
	if errors.Is(err, syscall.EXDEV) {
		err = os.RemoveAll(dir)
	}
	select {
	case t.wake <- struct{}{}:
	default: // it will look anyway
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// empty removes what is there.
func (t *trash) empty(ctx context.Context) error {
	var errs []error
	for _, pattern := range []string{filepath.Join(t.dir, "*"), filepath.Join(t.others, "*")} {
		found, err := filepath.Glob(pattern)
		errs = append(errs, err)
		for _, dir := range found {
			if ctx.Err() != nil {
				break
			}
			errs = append(errs, os.RemoveAll(dir))
		}
	}
	return errors.Join(errs...)
}

// run empties the directory now and whenever something was put there, until ctx
// ends.
func (t *trash) run(ctx context.Context) {
	for {
		if err := t.empty(ctx); err != nil {
			t.failed(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.wake:
		}
	}
}
