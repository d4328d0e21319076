package crun

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// process is a handle on a process that need not be a child of this one. Other
// than a number it stays that process's after its end.
type process struct {
	pid int
	fd  *os.File // pidfd, readable when the process has ended

	closed atomic.Bool
}

// openProcess returns an error that is unix.ESRCH if there is none.
func openProcess(pid int) (*process, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("open process %d: %w", pid, err)
	}
	return &process{pid: pid, fd: os.NewFile(uintptr(fd), "pidfd")}, nil
}

// Close makes Wait return.
func (p *process) Close() {
	p.closed.Store(true)
	p.fd.Close()
}

// Wait returns nil when the process has ended, or os.ErrClosed when Close was
// called. It holds no thread while it waits.
func (p *process) Wait() error {
	raw, err := p.fd.SyscallConn()
	if err != nil {
		return err // os.ErrClosed
	}
	var pollErr error
	err = raw.Read(func(fd uintptr) bool {
		for {
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			pollErr = err
			return err != nil || n > 0
		}
	})
	if err != nil && p.closed.Load() {
		return os.ErrClosed
	}
	return errors.Join(err, pollErr)
}

// WaitContext is Wait, until ctx ends.
func (p *process) WaitContext(ctx context.Context) error {
	stop := context.AfterFunc(ctx, p.Close)
	defer stop()
	if err := p.Wait(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
	return nil
}

// Signal sends a signal. A process that has ended is no error.
func (p *process) Signal(sig unix.Signal) error {
	raw, err := p.fd.SyscallConn()
	if err != nil {
		return err
	}
	var sendErr error
	if err := raw.Control(func(fd uintptr) { sendErr = unix.PidfdSendSignal(int(fd), sig, nil, 0) }); err != nil {
		return err
	}
	if errors.Is(sendErr, unix.ESRCH) {
		return nil
	}
	return sendErr
}

// killAndWait ends the process of that number and returns when it is gone. still
// is asked, once the process is held, whether it is the one that is meant.
func killAndWait(pid int, still func() bool) error {
	p, err := openProcess(pid)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer p.Close()
	if !still() {
		return nil
	}
	if err := p.Signal(unix.SIGKILL); err != nil {
		return err
	}
	return p.Wait()
}

// hold stops a process, as job control does, and returns when it stands still,
// or has ended. resume lets it go on.
func hold(ctx context.Context, pid int) (resume func(), err error) {
	p, err := openProcess(pid)
	if errors.Is(err, unix.ESRCH) {
		return func() {}, nil
	}
	if err != nil {
		return nil, err
	}
	resume = func() {
		p.Signal(unix.SIGCONT)
		p.Close()
	}
	if err := p.Signal(unix.SIGSTOP); err != nil {
		resume()
		return nil, err
	}
	// Only its parent is told when it stands.
	for still := time.NewTicker(time.Millisecond); ; {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return resume, nil // it has ended
		}
		// The state follows the name, which may have any character in it.
		if end := bytes.LastIndex(stat, []byte(") ")); end > 0 && bytes.IndexByte([]byte("TtZX"), stat[end+2]) >= 0 {
			return resume, nil
		}
		select {
		case <-still.C:
		case <-ctx.Done():
			resume()
			return nil, ctx.Err()
		}
	}
}

// supervisorsOf finds the conmon processes of a root directory: container ID to
// process. It reads their command lines, so it needs no file that a crash could
// have left unwritten.
func supervisorsOf(root string) (map[string]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	found := map[string]int{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		// conmon, before it becomes the OCI runtime in a child, looks like two.
		if id := supervises(pid, root); id != "" && (found[id] == 0 || pid < found[id]) {
			found[id] = pid
		}
	}
	return found, nil
}

// supervises returns the ID of the container below root that a process is the
// conmon of, or "".
func supervises(pid int, root string) string {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return ""
	}
	// Each option is followed by its value. No program but conmon has this one.
	args := strings.Split(string(line), "\x00")
	value := func(option string) string {
		if i := slices.Index(args, option); i >= 0 && i+1 < len(args) {
			return args[i+1]
		}
		return ""
	}
	if value("--exit-dir") != filepath.Join(root, exitsDir) {
		return ""
	}
	return value("--cid")
}
