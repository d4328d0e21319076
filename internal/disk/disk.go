// Package disk tells whether a disk has room. Stores on it ask before they
// write: their engines don't survive a write that fails for lack of it.
package disk

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Room returns nil if the disk of dir has at least reserve bytes free, and else
// an error that says so to whoever runs the host.
func Room(dir string, reserve uint64) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return fmt.Errorf("ask how much room the disk of %s has: %w", dir, err)
	}
	if free := fs.Bavail * uint64(fs.Bsize); free < reserve {
		return fmt.Errorf("the disk of %s has %d MiB left, and nothing is written with less than %d: remove something from it", dir, free>>20, reserve>>20)
	}
	return nil
}
