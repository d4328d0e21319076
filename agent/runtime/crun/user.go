package crun

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"

	cfs "github.com/containerd/continuity/fs"
	"github.com/moby/sys/user"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// identity is whom a process runs as, looked up in the image.
type identity struct {
	UID, GID uint32
	Groups   []uint32
}

func (i identity) oci() specs.User {
	return specs.User{UID: i.UID, GID: i.GID, AdditionalGids: i.Groups}
}

// lookUpUser finds a user ("", name, uid, user:group, uid:gid) in the files of a
// root file system. A name that isn't there is an error, a number needs no entry.
func lookUpUser(rootfs, spec string) (identity, error) {
	passwd, err := openInside(rootfs, "/etc/passwd")
	if err != nil {
		return identity{}, err
	}
	defer passwd.Close()
	group, err := openInside(rootfs, "/etc/group")
	if err != nil {
		return identity{}, err
	}
	defer group.Close()
	found, err := user.GetExecUser(spec, nil, passwd, group)
	if err != nil {
		return identity{}, fmt.Errorf("unable to find user %s: %w", spec, err)
	}
	if len(found.Sgids) > maxGroups {
		return identity{}, fmt.Errorf("user %s is in %d groups: Linux knows %d at most", spec, len(found.Sgids), maxGroups)
	}
	// What the image's files say may be anything.
	for _, n := range append([]int{found.Uid, found.Gid}, found.Sgids...) {
		if n < 0 || n > math.MaxInt32 {
			return identity{}, fmt.Errorf("user %s has the ID %d in the image: IDs are 0 to %d", spec, n, math.MaxInt32)
		}
	}
	id := identity{UID: uint32(found.Uid), GID: uint32(found.Gid)}
	for _, g := range found.Sgids {
		id.Groups = append(id.Groups, uint32(g))
	}
	return id, nil
}

// maxGroups is Linux's NGROUPS_MAX.
const maxGroups = 65536

// openInside opens a file of a root file system. Symbolic links lead to where
// they lead inside of it. A file that isn't there is as good as an empty one.
func openInside(rootfs, path string) (io.ReadCloser, error) {
	real, err := cfs.RootPath(rootfs, path)
	if err != nil {
		return nil, fmt.Errorf("find %s in the image: %w", path, err)
	}
	// Not blocking, lest a pipe in the image hold us.
	f, err := os.OpenFile(real, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		return io.NopCloser(eof{}), nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s in the image: %w", path, err)
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil, fmt.Errorf("%s in the image is not a regular file", path)
	}
	return f, nil
}

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }

// makeWorkingDir makes the directory that a container begins in, as the Docker
// daemon does, if the image lacks it.
func makeWorkingDir(rootfs, dir string) error {
	if dir == "" || dir == "/" {
		return nil
	}
	real, err := cfs.RootPath(rootfs, dir)
	if err != nil {
		return fmt.Errorf("find working directory %s in the image: %w", dir, err)
	}
	if err := os.MkdirAll(real, 0o755); err != nil {
		return fmt.Errorf("make working directory %s: %w", dir, err)
	}
	return nil
}
