package crun

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth/berth/agent/runtime"
	"github.com/berth/berth/internal/loopfs"
)

// A sandbox's storage is a directory, writable/<task>:
//
//	image    the file system's file, where the storage is limited
//	fs/      the file system, or just a directory
//	  layers/<id>/  the containers' writable layers
//	  volumes/      the task's volumes
//	  trash/        what is no more
//
// A limited one is prepared beforehand under ready/<n>, mounted already, and
// taken by a rename of the directory: making and mounting one takes 15 ms, which
// no start need wait for.
const (
	imageFile  = "image"
	fsDir      = "fs"
	layersDir  = "layers"
	volumesDir = "volumes"
	newSuffix  = ".new" // of what is being prepared
)

// readyCount is how many limited storages are kept ready. One holds 4 MiB of the
// disk and a loop device.
const readyCount = 4

// scratch is the file system of storages: nothing of it outlives a restart of the
// host, so it needs no journal.
var scratch = loopfs.Use{Kind: loopfs.Ext4, Scratch: true}

func (r *Runtime) storage(sandbox string) string { return filepath.Join(r.root, writableDir, sandbox) }

// VolumeDir is where a sandbox's volumes are.
func (r *Runtime) VolumeDir(sandbox string) string {
	return filepath.Join(r.storage(sandbox), fsDir, volumesDir)
}

// Storage tells how large a sandbox's storage is and how much of it is in use.
func (r *Runtime) Storage(_ context.Context, sandbox string) (runtime.Storage, error) {
	r.mu.Lock()
	_, known := r.sandboxes[sandbox]
	r.mu.Unlock()
	if !known {
		return runtime.Storage{}, fmt.Errorf("sandbox %s: %w", sandbox, runtime.ErrNotFound)
	}
	if !exists(filepath.Join(r.storage(sandbox), imageFile)) {
		return runtime.Storage{}, nil
	}
	size, used, err := loopfs.Room(filepath.Join(r.storage(sandbox), fsDir))
	return runtime.Storage{Size: size, Used: used}, err
}

// StorageProblem says why this host can't limit the storage of sandboxes, or nil.
func (r *Runtime) StorageProblem() error { return r.ready.problem }

// makeStorage makes a sandbox's storage, or mounts it again after a restart of
// the host. On a host that can't limit it, it is a directory.
func (r *Runtime) makeStorage(ctx context.Context, s runtime.Sandbox) error {
	dir := r.storage(s.ID)
	fs, image := filepath.Join(dir, fsDir), filepath.Join(dir, imageFile)
	switch {
	case exists(image):
		if err := mountStorage(dir); err != nil {
			return err
		}
	case s.Storage > 0 && r.ready.problem == nil && !exists(dir):
		if err := r.ready.take(ctx, s.Storage, dir); err != nil {
			return err
		}
	}
	for _, sub := range []string{layersDir, volumesDir, trashDir} {
		if err := os.MkdirAll(filepath.Join(fs, sub), 0o711); err != nil {
			return err
		}
	}
	return nil
}

// mountStorage mounts the file system of a storage, unless it is mounted.
func mountStorage(dir string) error {
	fs := filepath.Join(dir, fsDir)
	if err := os.MkdirAll(fs, 0o711); err != nil {
		return err
	}
	mounted, err := isMountPoint(fs)
	if err != nil || mounted {
		return err
	}
	return scratch.Mount(filepath.Join(dir, imageFile), fs)
}

// removeStorage removes a storage with all that is in it.
func (r *Runtime) removeStorage(dir string) error {
	fs := filepath.Join(dir, fsDir)
	if err := unmount(fs); err != nil {
		return err
	}
	// Never into a file system that is still mounted.
	if mounted, err := isMountPoint(fs); err == nil && mounted {
		return fmt.Errorf("%s is still mounted", fs)
	}
	return r.trash.take(dir)
}

// recoverStorage removes the storages whose sandbox is gone, and takes up those
// that are ready.
func (r *Runtime) recoverStorage() error {
	entries, err := os.ReadDir(filepath.Join(r.root, writableDir))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if _, known := r.sandboxes[e.Name()]; known {
			continue
		}
		if err := r.removeStorage(r.storage(e.Name())); err != nil {
			return fmt.Errorf("remove the storage of a sandbox that is gone: %w", err)
		}
	}
	return r.ready.recover()
}

// readyStorage are limited storages that wait to be taken.
type readyStorage struct {
	dir     string
	size    int64 // of each, in bytes; 0: none are kept
	problem error // why this host can make none
	remove  func(dir string) error
	failed  func(error)
	wake    chan struct{}

	mu   sync.Mutex
	list []string // their directories
	made int
}

func newReadyStorage(r *Runtime, size int64) *readyStorage {
	return &readyStorage{
		dir: filepath.Join(r.root, readyDir), size: size, problem: canLimit(), remove: r.removeStorage, wake: make(chan struct{}, 1),
		failed: func(err error) {
			r.log.Error("could not prepare storage for tasks: each will wait until its own is made", "error", err)
		},
	}
}

// canLimit says why this host can't limit storages, or nil.
func canLimit() error {
	if err := scratch.Available(); err != nil {
		return err
	}
	if !exists("/dev/loop-control") {
		return errors.New("the host has no loop devices (/dev/loop-control): load the kernel's module loop, or give Berth the device")
	}
	return nil
}

// recover takes up what an earlier process prepared and is mounted still.
func (s *readyStorage) recover() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		dir := filepath.Join(s.dir, e.Name())
		mounted, err := isMountPoint(filepath.Join(dir, fsDir))
		info, sizeErr := os.Stat(filepath.Join(dir, imageFile))
		if filepath.Ext(dir) != newSuffix && err == nil && mounted && sizeErr == nil && info.Size() == s.size {
			s.list = append(s.list, dir)
			continue
		}
		if err := s.remove(dir); err != nil {
			return fmt.Errorf("remove half-made storage: %w", err)
		}
	}
	return nil
}

// take makes a storage of size bytes be at dir.
func (s *readyStorage) take(ctx context.Context, size int64, dir string) error {
	from := ""
	s.mu.Lock()
	if n := len(s.list); n > 0 && size == s.size {
		from, s.list = s.list[n-1], s.list[:n-1]
	}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default: // it will look anyway
	}
	if from == "" {
		var err error
		if from, err = s.make(ctx, size); err != nil {
			return fmt.Errorf("make storage of %d MiB: %w", size>>20, err)
		}
	}
	return os.Rename(from, dir)
}

// make prepares a storage and returns its directory, which lasts only if it is
// renamed: what has this name is removed at the next start.
func (s *readyStorage) make(ctx context.Context, size int64) (dir string, err error) {
	s.mu.Lock()
	s.made++
	dir = filepath.Join(s.dir, strconv.FormatInt(time.Now().UnixNano(), 36)+"-"+strconv.Itoa(s.made)+newSuffix)
	s.mu.Unlock()
	if err := os.Mkdir(dir, 0o711); err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.remove(dir))
		}
	}()
	if err := scratch.Make(ctx, filepath.Join(dir, imageFile), size); err != nil {
		return "", err
	}
	if err := mountStorage(dir); err != nil {
		return "", err
	}
	return dir, unix.Chmod(filepath.Join(dir, fsDir), 0o711)
}

// run keeps storages ready until ctx ends.
func (s *readyStorage) run(ctx context.Context) {
	if s.size == 0 || s.problem != nil {
		return
	}
	for {
		for s.lacks() {
			if err := s.add(ctx); err != nil {
				if ctx.Err() == nil {
					s.failed(err)
				}
				break // until the next is taken
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
	}
}

func (s *readyStorage) lacks() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.list) < readyCount
}

func (s *readyStorage) add(ctx context.Context) error {
	made, err := s.make(ctx, s.size)
	if err != nil {
		return err
	}
	dir := made[:len(made)-len(newSuffix)]
	if err := os.Rename(made, dir); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, dir)
	return nil
}

// destroy removes all that are ready.
func (s *readyStorage) destroy() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = nil
	entries, err := os.ReadDir(s.dir)
	errs := []error{err}
	for _, e := range entries {
		errs = append(errs, s.remove(filepath.Join(s.dir, e.Name())))
	}
	return errors.Join(errs...)
}
