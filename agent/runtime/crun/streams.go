package crun

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth/berth/agent/runtime"
)

// hangupTime is how long a command may go on after its terminal was hung up:
// shells save their history then.
const hangupTime = 500 * time.Millisecond

// ExecStreams runs a command in a running container, with its input and output
// as streams or as a terminal. When it returns, the command and all that it has
// started are gone.
func (r *Runtime) ExecStreams(ctx context.Context, id string, e runtime.Exec, s runtime.Streams) (int, error) {
	run, err := r.prepareExec(id, e, s)
	if err != nil {
		return -1, err
	}
	defer os.Remove(run.spec)
	code, err := r.execStreams(ctx, run, s)
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("run a command in container %s: %w", id, err)
	}
	return code, err
}

func (r *Runtime) execStreams(ctx context.Context, run *execution, s runtime.Streams) (int, error) {
	// A program that ends by itself when the terminal is gone need not be killed.
	kill, killNow := context.WithCancel(context.WithoutCancel(ctx))
	defer killNow()
	e := &streams{runtime: r, execution: run, want: s}
	defer e.close()
	defer os.Remove(e.log())
	cut := context.AfterFunc(ctx, killNow)
	if err := e.start(kill); err != nil {
		return -1, err
	}
	cut()
	ended := make(chan error, 1)
	go func() { ended <- e.cmd.Wait() }()
	var waitErr error
	select {
	case waitErr = <-ended:
	case <-ctx.Done():
		waitErr = e.hangUp(ended, killNow)
	case <-e.broken:
		waitErr = e.hangUp(ended, killNow)
	}
	// With these gone no output has a writer and the readers come to their ends.
	if err := r.killMarked(run.container.Spec, run.mark); err != nil {
		return -1, err
	}
	e.finish(ctx)
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return -1, ctx.Err()
	case e.failure() != nil:
		return -1, e.failure()
	case e.refused() != "" && e.cmd.ProcessState.ExitCode() != 0:
		return -1, errors.New(e.refused())
	case errors.As(waitErr, &exit) || waitErr == nil:
		return e.cmd.ProcessState.ExitCode(), nil
	default:
		return -1, waitErr
	}
}

// streams is a command on its way.
type streams struct {
	runtime *Runtime
	*execution
	want   runtime.Streams
	cmd    *exec.Cmd
	own    []*os.File     // this process's ends
	copies sync.WaitGroup // of output
	broken chan struct{}  // closed when output can't be written

	mu  sync.Mutex
	err error // of the first failed copy
}

// start starts the OCI runtime and the copying. Once the command runs, its
// output is under way to its writers.
func (e *streams) start(kill context.Context) error {
	e.broken = make(chan struct{})
	args := append(e.oci.args(), "--log="+e.log(), "--log-format=json", "exec", "--process", e.spec)
	if !e.want.Terminal {
		return e.startPipes(kill, append(args, e.container.Spec.ID))
	}
	if e.oci.kind == isCrun {
		return e.startSocket(kill, args)
	}
	return e.startTerminal(kill, append(args, e.container.Spec.ID))
}

func (e *streams) command(kill context.Context, args []string) {
	e.cmd = command(kill, e.oci.program(), args...)
	e.cmd.Env = append(e.cmd.Env, e.mark)
}

// startPipes gives the command pipes.
func (e *streams) startPipes(kill context.Context, args []string) error {
	var pipes [3][2]*os.File
	for i := range pipes {
		read, write, err := os.Pipe()
		if err != nil {
			return err
		}
		e.own = append(e.own, read, write)
		pipes[i] = [2]*os.File{read, write}
	}
	e.command(kill, args)
	e.cmd.Stdin, e.cmd.Stdout, e.cmd.Stderr = pipes[0][0], pipes[1][1], pipes[2][1]
	if err := e.runtime.start(e.cmd); err != nil {
		return fmt.Errorf("run the OCI runtime: %w", err)
	}
	for _, theirs := range []*os.File{pipes[0][0], pipes[1][1], pipes[2][1]} {
		theirs.Close()
	}
	e.copy(e.want.Stdout, pipes[1][0])
	e.copy(e.want.Stderr, pipes[2][0])
	e.input(pipes[0][1])
	return nil
}

// startSocket has the OCI runtime make the terminal inside the container, and
// hand it over by a socket. Nobody is between it and this process then.
func (e *streams) startSocket(kill context.Context, args []string) error {
	dir, err := os.Open(filepath.Dir(e.spec))
	if err != nil {
		return err
	}
	defer dir.Close()
	path := e.spec + ".socket"
	// The name of a socket is short; a directory's may be long.
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path)), Net: "unix"})
	if err != nil {
		return err
	}
	l.SetUnlinkOnClose(false)
	defer os.Remove(path)
	defer l.Close()
	e.command(kill, append(args, "--console-socket", path, e.container.Spec.ID))
	if err := e.runtime.start(e.cmd); err != nil {
		return fmt.Errorf("run the OCI runtime: %w", err)
	}
	exit, err := openProcess(e.cmd.Process.Pid)
	if err != nil {
		return err
	}
	defer exit.Close()
	go func() {
		exit.Wait()
		l.Close() // no terminal comes any more
	}()
	terminal, err := receiveFile(l)
	if err != nil {
		e.cmd.Wait()
		if why := e.refused(); why != "" {
			return errors.New(why)
		}
		return err
	}
	return e.serveTerminal(terminal)
}

// log is where the OCI runtime writes what it has to say itself, apart from the
// command's output.
func (e *streams) log() string { return e.spec + ".log" }

// refused is the OCI runtime's word on why it did not start the command, or "".
func (e *streams) refused() string {
	b, err := os.ReadFile(e.log())
	if err != nil {
		return ""
	}
	var last struct{ Level, Msg string }
	for line := range strings.Lines(string(b)) {
		if json.Unmarshal([]byte(line), &last) != nil {
			return ""
		}
	}
	if last.Level != "error" {
		return ""
	}
	return last.Msg
}

// receiveFile takes the file that is sent to a socket.
func receiveFile(l *net.UnixListener) (*os.File, error) {
	conn, err := l.AcceptUnix()
	if err != nil {
		return nil, fmt.Errorf("wait for the terminal: %w", err)
	}
	defer conn.Close()
	name, control := make([]byte, 4096), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := conn.ReadMsgUnix(name, control)
	if err != nil {
		return nil, fmt.Errorf("receive the terminal: %w", err)
	}
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err != nil || len(messages) != 1 {
		return nil, fmt.Errorf("receive the terminal: %d messages, %w", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return nil, fmt.Errorf("receive the terminal: %d files, %w", len(fds), err)
	}
	unix.CloseOnExec(fds[0])
	if err := unix.SetNonblock(fds[0], true); err != nil {
		unix.Close(fds[0])
		return nil, err
	}
	return os.NewFile(uintptr(fds[0]), "terminal"), nil
}

// startTerminal gives the OCI runtime a terminal, which it passes on to the
// command's own: so do those that hand none over while they wait.
func (e *streams) startTerminal(kill context.Context, args []string) error {
	master, slave, err := openTerminal()
	if err != nil {
		return err
	}
	defer slave.Close()
	e.command(kill, args)
	e.cmd.Stdin, e.cmd.Stdout, e.cmd.Stderr = slave, slave, slave
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := setSize(master, e.want.Size); err != nil {
		return err
	}
	if err := e.runtime.start(e.cmd); err != nil {
		master.Close()
		return fmt.Errorf("run the OCI runtime: %w", err)
	}
	return e.serveTerminal(master)
}

// openTerminal makes a pseudo-terminal on the host.
func openTerminal() (master, slave *os.File, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make a terminal: %w", err)
	}
	master = os.NewFile(uintptr(fd), "terminal")
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		master.Close()
		return nil, nil, fmt.Errorf("make a terminal: %w", err)
	}
	return master, slave, nil
}

func setSize(terminal *os.File, s runtime.Size) error {
	if s == (runtime.Size{}) {
		return nil
	}
	raw, err := terminal.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		set = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: s.Rows, Col: s.Cols})
	})
	return errors.Join(err, set)
}

// serveTerminal copies between a terminal and the streams.
func (e *streams) serveTerminal(terminal *os.File) error {
	e.own = append(e.own, terminal)
	if err := setSize(terminal, e.want.Size); err != nil {
		return fmt.Errorf("set the size of the terminal: %w", err)
	}
	e.copy(e.want.Stdout, terminal)
	e.input(terminal)
	if e.want.Sizes != nil {
		go func() {
			for size := range e.want.Sizes {
				if setSize(terminal, size) != nil {
					return // it is closed
				}
			}
		}()
	}
	return nil
}

// copy copies output until there is no writer of it any more.
func (e *streams) copy(to io.Writer, from *os.File) {
	e.copies.Go(func() {
		_, err := io.Copy(to, from)
		// EIO is a terminal that no process has open; closed is our own doing.
		if err == nil || errors.Is(err, unix.EIO) || errors.Is(err, os.ErrClosed) {
			return
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.err == nil {
			e.err = err
			close(e.broken)
		}
	})
}

// input copies the input. It ends with that, or when the command's end is closed.
func (e *streams) input(to *os.File) {
	if e.want.Stdin == nil {
		if !e.want.Terminal {
			to.Close()
		}
		return
	}
	go func() {
		io.Copy(to, e.want.Stdin)
		if !e.want.Terminal {
			to.Close()
		}
	}()
}

func (e *streams) failure() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}

// hangUp closes all that the command has, gives it a moment, and kills it.
func (e *streams) hangUp(ended <-chan error, killNow func()) error {
	e.close()
	select {
	case err := <-ended:
		return err
	case <-time.After(hangupTime):
		killNow()
		return <-ended
	}
}

// finish waits for the last output to be written. ctx's end cuts that off.
func (e *streams) finish(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		e.copies.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	case <-e.broken:
	}
}

func (e *streams) close() {
	for _, f := range e.own {
		f.Close()
	}
}
