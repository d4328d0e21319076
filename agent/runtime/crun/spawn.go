package crun

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// spawner starts processes from a thread of its own, which they take after: its
// mount namespace and its cgroups. So a process needs neither a wrapper that
// would set these up before it, nor a move afterwards.
//
// On hosts whose cgroup v1 tree also has a cgroup2 mount with controllers, crun
// does not start containers. There the thread has a mount namespace without that
// mount. All other mounts of the host reach it as far as the host shares them.
type spawner struct {
	tid  int // the thread's
	jobs chan func()
	quit chan struct{} // closed to end the thread
	done chan struct{} // closed when it has ended

	moves  *moves
	hidden []string // the mount points that are taken away
}

// newSpawner starts the thread. hide are the mount points to take away, tasks
// the cgroup v1 directories to enter.
func newSpawner(hide, enter []string) (*spawner, error) {
	s := &spawner{hidden: hide, jobs: make(chan func()), quit: make(chan struct{}), done: make(chan struct{})}
	ready := make(chan error)
	go s.run(hide, enter, ready)
	if err := <-ready; err != nil {
		return nil, err
	}
	return s, nil
}

func (s *spawner) run(hide, enter []string, ready chan<- error) {
	// Never unlocked: the thread, which no longer is like the others, ends with
	// this goroutine.
	runtime.LockOSThread()
	if unix.Gettid() == os.Getpid() {
		// What /proc/self shows, and what can't end, is the main thread. While this
		// goroutine holds it, the next one gets another.
		got := make(chan error)
		go s.run(hide, enter, got)
		ready <- <-got
		runtime.UnlockOSThread()
		return
	}
	defer close(s.done)
	// The thread ends some time after this goroutine, and until then would keep
	// its cgroups from being removed: so it leaves them first.
	defer leave(enter)
	if err := prepareThread(hide, enter); err != nil {
		ready <- err
		return
	}
	s.tid = unix.Gettid()
	ready <- nil
	for {
		select {
		case job := <-s.jobs:
			job()
		case <-s.quit:
			return
		}
	}
}

func prepareThread(hide, enter []string) error {
	if len(hide) > 0 {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("make a mount namespace for the OCI runtime: %w", err)
		}
		// Mounts made later on the host come in, none made here goes out.
		if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("make the OCI runtime's mounts follow the host's: %w", err)
		}
		for _, point := range hide {
			if err := unix.Unmount(point, unix.MNT_DETACH); err != nil {
				return fmt.Errorf("hide %s from the OCI runtime: %w", point, err)
			}
			// crun still makes directories at that place, with a file in each. Here
			// they vanish with the namespace, and don't stay on the host below the
			// mount; until then forget removes them.
			if err := unix.Mount("tmpfs", point, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=755,size=64m"); err != nil {
				return fmt.Errorf("hide %s from the OCI runtime: %w", point, err)
			}
		}
	}
	tid := strconv.Itoa(unix.Gettid())
	for _, dir := range enter {
		// The file tasks, other than cgroup.procs, moves one thread.
		if err := writeFile(filepath.Join(dir, "tasks"), tid); err != nil {
			return fmt.Errorf("enter the supervisors' cgroup: %w", err)
		}
	}
	return nil
}

// leave moves the thread to the roots of the trees whose cgroups it entered.
func leave(entered []string) {
	tid := strconv.Itoa(unix.Gettid())
	for _, dir := range entered {
		// dir is <tree>/berth/<instance>/<supervisors>. A thread that can't leave
		// stays until it ends.
		_ = writeFile(filepath.Join(dir, "../../../tasks"), tid)
	}
}

// errClosed is for starts after the end.
var errClosed = errors.New("the runtime is closed")

// Start starts a command from the thread.
func (s *spawner) Start(cmd *exec.Cmd) error {
	return s.do(func() error { return cmd.Start() })
}

// do runs a function on the thread.
func (s *spawner) do(f func() error) error {
	result := make(chan error, 1)
	select {
	case s.jobs <- func() { result <- f() }:
		return <-result
	case <-s.done:
		return errClosed
	}
}

// sees tells whether a path leads processes started here to the same file as it
// leads this process to. It doesn't if something was mounted there since the
// thread began, on a mount that the host doesn't share.
func (s *spawner) sees(path string) bool {
	var here, there unix.Stat_t
	if unix.Stat(path, &here) != nil {
		return true // it is for whoever uses the path to report that
	}
	err := s.do(func() error { return unix.Stat(path, &there) })
	return err == nil && here.Dev == there.Dev && here.Ino == there.Ino
}

// forget removes what crun made for a cgroup where there is none: see
// prepareThread. A spawner that was closed took it along.
func (s *spawner) forget(path string) error {
	err := s.do(func() error {
		var errs []error
		for _, point := range s.hidden {
			errs = append(errs, os.RemoveAll(filepath.Join(point, path)))
		}
		return errors.Join(errs...)
	})
	if errors.Is(err, errClosed) {
		return nil
	}
	return err
}

// Close ends the thread. What it started goes on.
func (s *spawner) Close() {
	close(s.quit)
	<-s.done
}
