package crun

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	continuity "github.com/containerd/continuity/fs"

	"github.com/berth/berth/agent/runtime"
)

// fillMounts gives empty volumes what the image has where they are mounted, as
// Docker does with its volumes: content, owner and mode.
func (r *Runtime) fillMounts(ctx context.Context, rootfs string, mounts []runtime.Mount) error {
	for _, m := range mounts {
		if !m.Fill {
			continue
		}
		// Containers of several tasks may have the volume.
		unlock, err := r.locks.Lock(ctx, "volume "+m.Source)
		if err != nil {
			return err
		}
		err = fill(m.Source, rootfs, m.Target)
		unlock()
		if err != nil {
			return fmt.Errorf("copy what the image has at %s to its volume: %w", m.Target, err)
		}
	}
	return nil
}

// fill copies a directory of a root file system into an empty volume. It first
// makes the whole copy beside the volume and then moves it in, entry by entry: a
// copy that is cut off is made again, a move goes on.
func fill(volume, rootfs, target string) error {
	part, whole := volume+".filling", volume+".filled"
	if !exists(whole) {
		if err := os.RemoveAll(part); err != nil {
			return err
		}
		entries, err := os.ReadDir(volume)
		if err != nil || len(entries) > 0 {
			return err
		}
		// Symbolic links of the image lead to where they lead inside of it.
		source, err := continuity.RootPath(rootfs, target)
		if err != nil {
			return err
		}
		info, err := os.Lstat(source)
		if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
			return nil // a file of the image keeps the container from starting, later
		}
		if err != nil {
			return err
		}
		if err := continuity.CopyDir(part, source); err != nil {
			return err
		}
		if err := os.Rename(part, whole); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir(whole)
	if err != nil {
		return err
	}
	for _, e := range entries {
		to := filepath.Join(volume, e.Name())
		if exists(to) {
			continue // of somebody who has the volume, too
		}
		if err := os.Rename(filepath.Join(whole, e.Name()), to); err != nil {
			return err
		}
	}
	info, err := os.Stat(whole)
	if err != nil {
		return err
	}
	owner := info.Sys().(*syscall.Stat_t)
	if err := os.Lchown(volume, int(owner.Uid), int(owner.Gid)); err != nil {
		return err
	}
	const special = fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky
	if err := os.Chmod(volume, info.Mode()&(fs.ModePerm|special)); err != nil {
		return err
	}
	return os.RemoveAll(whole)
}
