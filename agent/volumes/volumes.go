package volumes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/berth/berth/internal/keylock"
	"github.com/berth/berth/internal/loopfs"
)

// Spec is a volume of a task: its name there, and one of the others.
type Spec struct {
	Name   string
	Docker *Docker
	EFS    *EFS
	EBS    *EBS
}

// Config is where volumes are kept, and what file systems there are.
type Config struct {
	Dir string
	// EFS are the file systems by ID: "server:/path" for NFS, or a local directory.
	EFS map[string]string
	Log *slog.Logger
}

// Volumes makes and removes volumes. Its methods may be called at the same time.
type Volumes struct {
	dir   string
	efs   map[string]string
	log   *slog.Logger
	locks keylock.Locks
}

// Open takes up what is there.
func Open(c Config) (*Volumes, error) {
	for _, sub := range []string{sharedDir, tasksDir, keptDir} {
		if err := os.MkdirAll(filepath.Join(c.Dir, sub), 0o711); err != nil {
			return nil, fmt.Errorf("make the directories of volumes: %w", err)
		}
	}
	dir, err := filepath.EvalSymlinks(c.Dir) // as mounts are listed
	if err != nil {
		return nil, err
	}
	return &Volumes{dir: dir, efs: c.EFS, log: c.Log}, nil
}

const (
	sharedDir = "shared"
	tasksDir  = "tasks"
	keptDir   = "kept"

	dataDir    = "data"
	rootDir    = "root"
	imageFile  = "image"
	recordFile = "volume.json"
)

// names may be parts of paths. ECS's are stricter for volumes, and a task's ID is
// hexadecimal.
var names = regexp.MustCompile(`^[a-zA-Z0-9_-][a-zA-Z0-9_.-]{0,254}$`)

func checkName(what, name string) error {
	if !names.MatchString(name) {
		return fmt.Errorf("the %s %q: must be letters, digits, '_', '-' or '.', and not begin with a dot", what, name)
	}
	return nil
}

// Provide makes a task's volume and returns its directory.
func (v *Volumes) Provide(ctx context.Context, task string, s Spec) (dir string, err error) {
	if err := errors.Join(checkName("task", task), checkName("volume", s.Name)); err != nil {
		return "", err
	}
	unlock, err := v.locks.Lock(ctx, "task "+task)
	if err != nil {
		return "", err
	}
	defer unlock()
	own := filepath.Join(v.task(task), s.Name)
	switch {
	case s.Docker != nil:
		return v.provideDocker(ctx, own, s.Name, *s.Docker)
	case s.EFS != nil:
		return v.provideEFS(ctx, own, *s.EFS)
	case s.EBS != nil:
		return v.provideEBS(ctx, own, *s.EBS)
	}
	return "", fmt.Errorf("volume %s is of no kind", s.Name)
}

func (v *Volumes) task(id string) string { return filepath.Join(v.dir, tasksDir, id) }

// Tasks lists the tasks that have volumes, in no order.
func (v *Volumes) Tasks() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(v.dir, tasksDir))
	if err != nil {
		return nil, err
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list, nil
}

// Release removes a task's volumes: all but those that are shared, and EBS
// volumes that are to be kept. A task that has none is no error.
func (v *Volumes) Release(ctx context.Context, task string) error {
	if err := checkName("task", task); err != nil {
		return err
	}
	unlock, err := v.locks.Lock(ctx, "task "+task)
	if err != nil {
		return err
	}
	defer unlock()
	dir := v.task(task)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		own := filepath.Join(dir, e.Name())
		if err := v.unmount(own); err != nil {
			return err
		}
		if err := v.keepEBS(own); err != nil {
			return fmt.Errorf("keep the EBS volume of %s: %w", own, err)
		}
		if err := os.RemoveAll(own); err != nil {
			return err
		}
	}
	return os.Remove(dir)
}

// unmount unmounts what a volume has mounted, and makes sure of it: nobody may
// remove files of what is still there.
func (v *Volumes) unmount(own string) error {
	for _, sub := range []string{dataDir, rootDir} { // data may be a part of root
		dir := filepath.Join(own, sub)
		if err := loopfs.Unmount(dir); err != nil {
			return err
		}
		if mounted, err := isMounted(dir); err != nil || mounted {
			return errors.Join(err, fmt.Errorf("%s is still mounted", dir))
		}
	}
	return nil
}

// isMounted tells whether something is mounted on a directory, which need not be there.
func isMounted(dir string) (bool, error) {
	mounted, err := mountinfo.Mounted(dir)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return mounted, err
}

// Destroy unmounts all there is, and removes what is of tasks.
func (v *Volumes) Destroy(ctx context.Context) error {
	tasks, err := v.Tasks()
	errs := []error{err}
	for _, t := range tasks {
		errs = append(errs, v.Release(ctx, t))
	}
	shared, err := os.ReadDir(filepath.Join(v.dir, sharedDir))
	errs = append(errs, err)
	for _, e := range shared {
		errs = append(errs, v.unmount(filepath.Join(v.dir, sharedDir, e.Name())))
	}
	return errors.Join(errs...)
}

// makeDir makes a volume's directory as Docker makes them: for root, and for all
// to read, whatever the process's umask is.
func makeDir(dir string) error {
	if _, err := os.Lstat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.Chmod(dir, 0o755)
}

// bindInside mounts on target what path leads to inside of root. Symbolic links in
// root, which tasks write to, lead nowhere else, and nothing changes between the
// look and the mount.
func bindInside(root, path, target string) error {
	top, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: root, Err: err}
	}
	defer unix.Close(top)
	inside, err := filepath.Rel("/", filepath.Join("/", path))
	if err != nil {
		return err
	}
	fd, err := unix.Openat2(top, inside, &unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS})
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", fd), target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount %s on %s: %w", path, target, err)
	}
	return nil
}
