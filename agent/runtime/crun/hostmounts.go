package crun

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// shareRoot makes mounts below dir reach processes of the spawner: dir becomes a
// mount point of its own that is shared, unless the mount it is on already is.
// It says whether it did, or had done so before.
func shareRoot(dir string) error {
	infos, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) { return !holds(m.Mountpoint, dir), false })
	if err != nil {
		return fmt.Errorf("read the mounts of %s: %w", dir, err)
	}
	// The mount that dir is on is the one of the longest path, the last of equals.
	slices.SortStableFunc(infos, func(a, b *mountinfo.Info) int { return len(a.Mountpoint) - len(b.Mountpoint) })
	if len(infos) == 0 {
		return fmt.Errorf("%s is on no mount", dir)
	}
	on := infos[len(infos)-1]
	if strings.Contains(on.Optional, "shared:") {
		return nil
	}
	if on.Mountpoint != dir {
		if err := unix.Mount(dir, dir, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount %s on itself: %w", dir, err)
		}
	}
	if err := unix.Mount("", dir, "", unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("make the mount %s shared: %w", dir, err)
	}
	return nil
}

// holds tells whether a path is a directory or below it.
func holds(dir, path string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// unmountBelow unmounts all that is mounted on dir and below it.
func unmountBelow(dir string) error {
	infos, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
	if err != nil {
		return fmt.Errorf("read the mounts below %s: %w", dir, err)
	}
	slices.SortStableFunc(infos, func(a, b *mountinfo.Info) int { return len(b.Mountpoint) - len(a.Mountpoint) })
	var errs []error
	for _, m := range infos {
		if err := unmount(m.Mountpoint); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// unmount unmounts what is on a directory. That nothing is, is no error.
func unmount(dir string) error {
	err := unix.Unmount(dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount %s: %w", dir, err)
	}
	return nil
}

// isMountPoint looks at the device or, for binds, at the table of mounts.
func isMountPoint(dir string) (bool, error) {
	var self, parent unix.Stat_t
	if err := unix.Lstat(dir, &self); err != nil {
		return false, &os.PathError{Op: "stat", Path: dir, Err: err}
	}
	if err := unix.Lstat(filepath.Dir(dir), &parent); err != nil {
		return false, &os.PathError{Op: "stat", Path: filepath.Dir(dir), Err: err}
	}
	if self.Dev != parent.Dev {
		return true, nil
	}
	return mountinfo.Mounted(dir)
}
