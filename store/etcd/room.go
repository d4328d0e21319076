package etcd

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// reserve is how many bytes must be free on the disk for a commit: the next
// segment of etcd's log (64 MiB, taken ahead of its use) and some for its
// database to grow by.
const reserve = 96 << 20

// hasRoom refuses a commit on a disk that is about to be full. etcd ends the
// process when it can't write; so it doesn't get to that.
func (b *Backend) hasRoom() error {
	var fs unix.Statfs_t
	if err := unix.Statfs(b.dir, &fs); err != nil {
		return fmt.Errorf("ask how much room the disk of %s has: %w", b.dir, err)
	}
	if free := fs.Bavail * uint64(fs.Bsize); free < b.reserve {
		return fmt.Errorf("the disk of %s has %d MiB left, and nothing is recorded with less than %d: remove something from it", b.dir, free>>20, b.reserve>>20)
	}
	return nil
}
