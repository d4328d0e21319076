package e2e

import (
	"bytes"
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
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"golang.org/x/sys/unix"
)

// plugin is AWS's session-manager-plugin, built from its own packages once.
var plugin struct {
	sync.Once
	dir string
	err error
}

// pluginPath is a PATH that has it.
func pluginPath(t *testing.T) string {
	t.Helper()
	plugin.Do(func() {
		plugin.dir = filepath.Join(filepath.Dir(built.berth), "plugin")
		cmd := exec.Command("go", "build", "-o", filepath.Join(plugin.dir, "session-manager-plugin"), ".")
		cmd.Dir, cmd.Env = "plugin", append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			plugin.err = fmt.Errorf("build AWS's session-manager-plugin: %w\n%s", err, out)
		}
	})
	if plugin.err != nil {
		t.Fatal(plugin.err)
	}
	return plugin.dir + ":" + os.Getenv("PATH")
}

// terminal is a person's: what they see and type, and the program in it.
type terminal struct {
	t      *testing.T
	master *os.File
	cmd    *exec.Cmd
	ended  chan struct{}

	mu      sync.Mutex
	seen    bytes.Buffer
	changed chan struct{}
}

// newTerminal runs a program in a terminal of a size.
func newTerminal(t *testing.T, rows, cols uint16, env []string, name string, args ...string) *terminal {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer slave.Close()
	x := &terminal{t: t, master: os.NewFile(uintptr(fd), "terminal"), ended: make(chan struct{}), changed: make(chan struct{})}
	x.resize(rows, cols)
	x.cmd = exec.Command(name, args...)
	x.cmd.Env, x.cmd.Stdin, x.cmd.Stdout, x.cmd.Stderr = env, slave, slave, slave
	x.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := x.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := x.master.Read(b)
			x.mu.Lock()
			// The program in the container ends lines with CR and LF, and so does this
			// terminal again.
			x.seen.Write(bytes.ReplaceAll(b[:n], []byte("\r"), nil))
			close(x.changed)
			x.changed = make(chan struct{})
			x.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	go func() {
		x.cmd.Wait()
		close(x.ended)
	}()
	t.Cleanup(func() {
		x.master.Close()
		x.cmd.Process.Kill()
		<-x.ended
	})
	return x
}

func (x *terminal) resize(rows, cols uint16) {
	x.t.Helper()
	raw, err := x.master.SyscallConn()
	if err == nil {
		raw.Control(func(fd uintptr) {
			err = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols})
		})
	}
	if err != nil {
		x.t.Fatal(err)
	}
}

func (x *terminal) types(text string) {
	x.t.Helper()
	if _, err := x.master.WriteString(text); err != nil {
		x.t.Fatal(err)
	}
}

// sees waits until the text is there, and forgets what was before it and the
// text itself.
func (x *terminal) sees(text string) {
	x.t.Helper()
	late := time.After(30 * time.Second)
	for {
		x.mu.Lock()
		if i := bytes.Index(x.seen.Bytes(), []byte(text)); i >= 0 {
			x.seen.Next(i + len(text))
			x.mu.Unlock()
			return
		}
		changed, have := x.changed, x.seen.String()
		x.mu.Unlock()
		select {
		case <-changed:
		case <-late:
			x.t.Fatalf("waited for %q, the terminal shows %q", text, have)
		}
	}
}

// ends waits until the program has ended, and returns its exit code.
func (x *terminal) ends() int {
	x.t.Helper()
	select {
	case <-x.ended:
		return x.cmd.ProcessState.ExitCode()
	case <-time.After(30 * time.Second):
		x.mu.Lock()
		defer x.mu.Unlock()
		x.t.Fatalf("the program goes on; the terminal shows %q", x.seen.String())
		return -1
	}
}

// executeCommand runs AWS's CLI, and in it AWS's plugin, in a terminal.
func (h *host) executeCommand(t *testing.T, task, container, command string) *terminal {
	t.Helper()
	return h.executeCommandAt(t, h.endpoint(), task, container, command)
}

func (h *host) executeCommandAt(t *testing.T, endpoint, task, container, command string) *terminal {
	t.Helper()
	env := append(h.env[:len(h.env):len(h.env)], "PATH="+pluginPath(t), "TERM=xterm")
	return newTerminal(t, 25, 80, env, "aws", "--endpoint-url", endpoint, "ecs", "execute-command", "--task", task, "--container", container, "--interactive", "--command", command)
}

// execTask runs a task with containers app and side that enables ECS Exec, and
// waits until commands can be run in it.
func (h *host) execTask(t *testing.T, group string) string {
	t.Helper()
	app := container("app", "print=up", "wait")
	app.LogConfiguration = &types.LogConfiguration{LogDriver: types.LogDriverAwslogs, Options: map[string]string{
		"awslogs-group": group, "awslogs-create-group": "true", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "s",
	}}
	def := h.register(t, []types.ContainerDefinition{app, container("side", "wait")})
	ran := h.run(t, def, func(in *ecs.RunTaskInput) { in.EnableExecuteCommand = true })
	for _, c := range ran.Containers {
		if len(c.ManagedAgents) != 1 || *c.ManagedAgents[0].LastStatus != "PENDING" {
			t.Errorf("a new task's managed agents: %+v", c.ManagedAgents)
		}
	}
	arn := *ran.TaskArn
	eventually(t, 30*time.Second, func() error { return h.agents(t, arn, "RUNNING") })
	return arn
}

// agents says which agent of a task has another state.
func (h *host) agents(t *testing.T, task, state string) error {
	out, err := h.ecs.DescribeTasks(t.Context(), &ecs.DescribeTasksInput{Tasks: []string{task}})
	if err != nil || len(out.Tasks) != 1 {
		return fmt.Errorf("%v %+v", err, out)
	}
	for _, c := range out.Tasks[0].Containers {
		if len(c.ManagedAgents) != 1 || *c.ManagedAgents[0].LastStatus != state || state == "RUNNING" && c.ManagedAgents[0].LastStartedAt == nil {
			return fmt.Errorf("container %s has %+v", *c.Name, c.ManagedAgents)
		}
	}
	return nil
}

// execed are the processes of commands in containers whose command line has
// the word.
func execed(word string) []int {
	var found []int
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range lines {
		line, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(line, []byte(word)) || !bytes.HasPrefix(line, []byte("/probe\x00")) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			found = append(found, pid)
		}
	}
	return found
}

// ECS Exec with AWS's CLI and AWS's plugin.
func TestExecuteCommand(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	task := h.execTask(t, "exec")

	x := h.executeCommand(t, task, "app", "/probe 'print=a word' shell")
	x.sees("Starting session with SessionId: ecs-execute-command-")
	x.sees("a word\nprobe> ")
	x.types("echo hello\n")
	x.sees("said hello\nprobe> ")
	x.types("size\n")
	x.sees("size 25 80\n")
	x.resize(41, 132)
	eventually(t, 10*time.Second, func() error { // the plugin looks every half second
		x.types("size\n")
		x.sees("size ")
		x.mu.Lock()
		defer x.mu.Unlock()
		if !bytes.HasPrefix(x.seen.Bytes(), []byte("41 132")) {
			return errors.New("the window has its old size")
		}
		return nil
	})
	x.types("id\n")
	x.sees("uid=0 gid=0")
	x.types("hold\n")
	x.sees("holding")
	x.types("\x03")
	x.sees("got interrupt")
	x.types("lines 20000\n")
	x.sees("line 19999\nprobe> ")
	// A second session beside it.
	y := h.executeCommand(t, task, "side", "/probe shell")
	y.sees("probe> ")
	y.types("echo from the side\n")
	y.sees("said from the side")
	x.types("exit 7\n")
	x.sees("Exiting session with sessionId: ecs-execute-command-")
	if code := x.ends(); code != 0 {
		t.Errorf("the CLI exits with %d", code)
	}
	if said := h.output(); !strings.Contains(said, "exec session ended") || !strings.Contains(said, "exitCode=7") || !strings.Contains(said, "a word") {
		t.Errorf("no audit line:\n%s", said)
	}

	// The transcript is in the container's log group.
	streams, err := h.logs.DescribeLogStreams(t.Context(), &cloudwatchlogs.DescribeLogStreamsInput{LogGroupName: ptr("exec"), LogStreamNamePrefix: ptr("ecs-execute-command-")})
	if err != nil || len(streams.LogStreams) != 1 {
		t.Fatalf("transcripts: %v %+v", err, streams)
	}
	var text strings.Builder
	for p := cloudwatchlogs.NewFilterLogEventsPaginator(h.logs, &cloudwatchlogs.FilterLogEventsInput{LogGroupName: ptr("exec"), LogStreamNames: []string{*streams.LogStreams[0].LogStreamName}}); p.HasMorePages(); {
		page, err := p.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Events {
			text.WriteString(*e.Message + "\n")
		}
	}
	for _, want := range []string{":root (127.0.0.1) runs", "said hello\n", "line 19999\n", "with exit code 7\n"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the transcript of %d bytes has no %q", text.Len(), want)
		}
	}

	// Nothing to run.
	z := h.executeCommand(t, task, "app", "/no/such/program")
	z.sees("Unable to start command")
	z.ends()

	// The task's end is the session's.
	if _, err := h.ecs.StopTask(t.Context(), &ecs.StopTaskInput{Task: &task}); err != nil {
		t.Fatal(err)
	}
	y.sees("ession")
	y.ends()
	eventually(t, 30*time.Second, func() error { return h.agents(t, task, "STOPPED") })
	// A stopped task, and one that didn't ask for it.
	plain := *h.run(t, *h.await(t, task, "STOPPED").TaskDefinitionArn).TaskArn
	h.await(t, plain, "RUNNING")
	for _, arn := range []string{task, plain} {
		x := h.executeCommand(t, arn, "app", "/probe shell")
		x.sees("InvalidParameterException")
		x.sees("was not enabled when the task was run")
		if x.ends() == 0 {
			t.Error("the CLI is content")
		}
	}
}

// However Berth ends, no command stays behind, and no client waits for ever.
func TestExecEndsWithBerth(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.listen = strings.TrimPrefix(h.endpoint(), "http://") // the clients come back to the same place
	task := h.execTask(t, "exec-ends")
	for _, end := range []string{"terminate", "kill"} {
		word := "print=" + end + "-" + h.id()
		x := h.executeCommand(t, task, "app", "/probe "+word+" ignore")
		x.sees(strings.TrimPrefix(word, "print="))
		if n := len(execed(word)); n != 1 {
			t.Fatalf("%d commands run, not 1", n)
		}
		if end == "kill" {
			h.kill()
		} else {
			if err := h.terminate(); err != nil {
				t.Error(err)
			}
			x.sees("Berth was shut down")
			x.ends()
			if left := execed(word); len(left) > 0 {
				t.Errorf("after SIGTERM there are processes %v", left)
			}
		}
		if err := h.start(); err != nil {
			t.Fatal(err)
		}
		if left := execed(word); len(left) > 0 {
			t.Errorf("after %s and a start there are processes %v", end, left)
		}
		x.ends()
		if err := h.agents(t, task, "RUNNING"); err != nil {
			t.Error(err)
		}
	}
}

// A person's `berth exec`, in a terminal and in a pipe.
func TestBerthExec(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	env := append(h.env[:len(h.env):len(h.env)], "BERTH_DATA_DIR="+h.dir)
	berth := func(input string, args ...string) (out, said string, code int) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		cmd := exec.Command(built.berth, args...)
		cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = env, strings.NewReader(input), &stdout, &stderr
		err := cmd.Run()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
	}
	out, said, code := berth("", "run", "probe", "--", "print=up", "wait")
	task := strings.TrimSpace(out)
	if code != 0 || len(task) != 32 {
		t.Fatalf("berth run: exit code %d, %q, %q", code, out, said)
	}
	for _, test := range []struct {
		input     string
		args      []string
		code      int
		out, said string
	}{
		{"", []string{"--", "/probe", "print=it's a \"word\" \\n $HOME", "err=oh", "exit=5"}, 5, "it's a \"word\" \\n $HOME\n", "oh\n"},
		{"echo a\necho b\nexit 2\n", []string{"-c", "main", "--", "/probe", "shell"}, 2, "probe> said a\nprobe> said b\nprobe> ", ""},
		{"echo a\n", []string{"--", "/probe", "shell"}, 3, "probe> said a\nprobe> ", ""}, // at the end of its input
		{"", []string{"-c", "other", "--", "/probe"}, 1, "", "berth: InvalidParameterException: The container other was not found in the task.\n"},
	} {
		out, said, code := berth(test.input, append([]string{"exec", task[:8]}, test.args...)...)
		if out != test.out || said != test.said || code != test.code {
			t.Errorf("berth exec %q: exit code %d, %q, %q", test.args, code, out, said)
		}
	}
	out, said, code = berth("", "exec", task, "--", "/probe", "lines=100000")
	if code != 0 || said != "" || strings.Count(out, "\n") != 100000 || !strings.HasSuffix(out, "line 99999\n") {
		t.Errorf("much output: exit code %d, %q, %d lines", code, said, strings.Count(out, "\n"))
	}
	if _, said, code := berth("", "exec", "-t", task, "--", "/probe"); code != 1 || !strings.Contains(said, "not a terminal") {
		t.Errorf("-t without a terminal: exit code %d, %q", code, said)
	}
	_, said, code = berth("", "exec", task, "--", "/no/such/program")
	if code == 0 || !strings.Contains(said, "/no/such/program") {
		t.Errorf("no program: exit code %d, %q", code, said)
	}

	x := newTerminal(t, 25, 80, env, built.berth, "exec", "-t", task, "--", "/probe", "shell")
	x.sees("probe> ")
	x.types("size\r")
	x.sees("size 25 80")
	x.resize(41, 132)
	eventually(t, 10*time.Second, func() error { // a signal, and a message, on their way
		x.types("size\r")
		x.sees("\nsize ")
		x.mu.Lock()
		defer x.mu.Unlock()
		if !bytes.HasPrefix(x.seen.Bytes(), []byte("41 132")) {
			return errors.New("the window has its old size")
		}
		return nil
	})
	x.types("hold\r")
	x.sees("holding")
	x.types("\x03")
	x.sees("got interrupt")
	x.types("exit 7\r")
	if code := x.ends(); code != 7 {
		t.Errorf("berth exec -t: exit code %d", code)
	}
	// ^C where there is no terminal ends the session, and its command.
	word := "print=" + h.id()
	cmd := exec.Command(built.berth, "exec", task, "--", "/probe", word, "ignore")
	cmd.Env = env
	printed, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := printed.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	cmd.Process.Signal(os.Interrupt)
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("berth exec after ^C: exit code %d", code)
	}
	eventually(t, 10*time.Second, func() error {
		if left := execed(word); len(left) > 0 {
			return fmt.Errorf("processes %v are left", left)
		}
		return nil
	})
}

// cutter passes connections on, and cuts them.
type cutter struct {
	url string

	mu   sync.Mutex
	open []net.Conn
}

func newCutter(t *testing.T, to string) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{url: "http://" + l.Addr().String()}
	t.Cleanup(func() {
		l.Close()
		c.cut()
	})
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				near.Close()
				continue
			}
			c.mu.Lock()
			c.open = append(c.open, near, far)
			c.mu.Unlock()
			for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
				go func() {
					io.Copy(way[0], way[1])
					way[0].Close()
				}()
			}
		}
	}()
	return c
}

func (c *cutter) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.open {
		conn.Close()
	}
	c.open = nil
}

// A connection that breaks is taken up again by AWS's client, and nothing of
// the command's output is missing.
func TestExecResumes(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	task := h.execTask(t, "exec-resumes")
	c := newCutter(t, strings.TrimPrefix(h.endpoint(), "http://"))
	x := h.executeCommandAt(t, c.url, task, "app", "/probe drip=50")
	for i := range 200 {
		x.sees(fmt.Sprintf("line %d\n", i))
		if i == 50 || i == 120 {
			c.cut()
		}
	}
	x.types("\x03")
	x.sees("got interrupt")
	x.sees("Exiting session")
	if code := x.ends(); code != 0 {
		t.Errorf("the CLI exits with %d", code)
	}
}
