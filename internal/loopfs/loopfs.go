// Package loopfs makes file systems in files: a sparse file of a size, formatted,
// and mounted through a loop device. What is written to one can't outgrow its
// file, and is gone with it.
//
// Order of calls: Make, Mount, Unmount, and then the file may be removed. Mounted
// file systems outlive the process; the kernel frees the loop device with the
// last unmount.
//
// The tests need root and loop devices.
package loopfs

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/containerd/containerd/v2/core/mount"
	"golang.org/x/sys/unix"
)

// Kind is a kind of file system.
type Kind string

// The kinds that can be made where their mkfs is installed.
const (
	Ext3 Kind = "ext3"
	Ext4 Kind = "ext4"
	XFS  Kind = "xfs"
)

// Use says what a file system is for.
type Use struct {
	Kind Kind
	// Scratch is not kept over a restart of the host: it has no journal.
	Scratch bool
}

// Available says why file systems of a kind can't be made on this host, or nil.
func (u Use) Available() error {
	if _, err := exec.LookPath(u.program()); err != nil {
		packages := map[Kind]string{XFS: "xfsprogs"}
		return fmt.Errorf("%s is not installed: install %s", u.program(), cmp.Or(packages[u.Kind], "e2fsprogs"))
	}
	return nil
}

func (u Use) program() string { return "mkfs." + string(u.Kind) }

// Make makes a file of size bytes, of which none take room yet, with an empty file
// system in it. A file that is there already is made anew.
func (u Use) Make(ctx context.Context, file string, size int64) error {
	if err := u.Available(); err != nil {
		return err
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		return fmt.Errorf("make a file of %d bytes: %w", size, err)
	}
	cmd := exec.CommandContext(ctx, u.program(), append(u.arguments(), file)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "MKE2FS_SKIP_PROGRESS=1"}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", u.program(), file, err, bytes.TrimSpace(out))
	}
	return nil
}

// arguments keep mkfs from writing what the file, which reads as zeros, says
// already: tables of inodes, copies of the superblock.
func (u Use) arguments() []string {
	if u.Kind == XFS {
		return []string{"-q", "-K"}
	}
	args := []string{"-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard"}
	if u.Scratch && u.Kind == Ext4 {
		args = append(args, "-O", "^has_journal")
	}
	return args
}

// Mount mounts the file's file system on a directory. What is removed in it takes
// no room in the file any more.
func (u Use) Mount(file, dir string) error {
	options := []string{"loop", "discard"}
	if u.Kind != XFS {
		options = append(options, "noinit_itable") // the tables are zeros already
	}
	if u.Kind == Ext3 {
		options = []string{"loop"}
	}
	m := mount.Mount{Type: string(u.Kind), Source: file, Options: options}
	if err := m.Mount(dir); err != nil {
		return fmt.Errorf("mount the file system of %s on %s: %w", file, dir, err)
	}
	return nil
}

// Unmount unmounts what is on a directory. That nothing is, is no error.
func Unmount(dir string) error {
	err := unix.Unmount(dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount %s: %w", dir, err)
	}
	return nil
}

// Room is what the file system of a path holds and has in use, in bytes.
func Room(path string) (size, used int64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, 0, &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	return int64(s.Blocks) * s.Bsize, int64(s.Blocks-s.Bfree) * s.Bsize, nil
}
