package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/local"
)

// Odd directories work: with a space, behind a link, longer than a socket's
// name may be, given relatively.
func TestOddDataDirectories(t *testing.T) {
	t.Parallel()
	top, err := os.MkdirTemp("", "berth-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(top) })
	real := filepath.Join(top, "real")
	if err := os.Mkdir(real, 0o755); err != nil {
		t.Fatal(err)
	}
	linked := filepath.Join(top, "link")
	if err := os.Symlink(real, linked); err != nil {
		t.Fatal(err)
	}
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	relative, err := filepath.Rel(wd, filepath.Join(top, "relative"))
	if err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]string{
		"space": filepath.Join(top, "with a space, a comma and \"quotes\""), "link": filepath.Join(linked, "in it"),
		"long": filepath.Join(top, strings.Repeat("l", 120)), "relative": relative,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHostIn(t, dir)
			task := h.await(t, *h.run(t, h.register(t, []types.ContainerDefinition{container("main", "print=here", "exit=3")}, func(in *ecs.RegisterTaskDefinitionInput) {
				in.Family = aws.String("odd")
			})).TaskArn, "STOPPED")
			if aws.ToInt32(task.Containers[0].ExitCode) != 3 {
				t.Errorf("%s %s", aws.ToString(task.StoppedReason), reasons(task))
			}
			h.awaitLine(t, *task.TaskArn, "main", "here")
			if out, err := h.berth("status"); err != nil || !strings.Contains(out, "healthy") {
				t.Errorf("berth status: %v: %s", err, out)
			}
			// As after a crash.
			h.kill()
			if err := h.start(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// Two that start on one directory at once: one is ready, the other says why not.
func TestTwoStartsAtOnce(t *testing.T) {
	t.Parallel()
	for range 3 {
		dir := t.TempDir()
		var berths [3]*host
		for i := range berths {
			berths[i] = &host{dir: dir, said: filepath.Join(t.TempDir(), "output")}
			if err := berths[i].spawn(); err != nil {
				t.Fatal(err)
			}
		}
		ready := 0
		for _, h := range berths {
			if err := h.ready(); err == nil {
				ready++
				continue
			}
			if said := h.output(); !strings.Contains(said, "another berth is running on this data directory") {
				t.Errorf("one that isn't ready said %s", said)
			}
		}
		if ready != 1 {
			t.Errorf("%d of %d are ready", ready, len(berths))
		}
		// Whoever is asked: there is one.
		out, err := exec.Command(built.berth, "down", "--data-dir", dir).CombinedOutput()
		if err != nil {
			t.Errorf("berth down: %v: %s", err, out)
		}
		for _, h := range berths {
			<-h.exited
			h.out.Close()
		}
		if left := leftovers(berths[0].id(), dir); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	}
}

// `berth down` while tasks start, and while more of them are asked for.
func TestDownDuringLaunches(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	definition := h.register(t, []types.ContainerDefinition{container("main", "wait")})
	subnets := h.subnets(t)
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		for range 40 {
			_, err := h.tryRun(t.Context(), definition, func(in *ecs.RunTaskInput) {
				in.NetworkConfiguration.AwsvpcConfiguration.Subnets, in.Count = subnets[:1], aws.Int32(2)
			})
			if err != nil {
				return // it is down
			}
		}
	}()
	<-time.After(300 * time.Millisecond)
	if err := h.down(); err != nil {
		t.Fatal(err)
	}
	<-asked
	if err := h.start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, func() error {
		s, err := local.Dial(h.dir).Status(t.Context())
		if err == nil && len(s.Tasks) > 0 {
			err = fmt.Errorf("%d tasks live on after berth down: %+v", len(s.Tasks), s.Tasks[0])
		}
		return err
	})
}

// What can't be started says what to do about it.
func TestStartsThatFail(t *testing.T) {
	t.Parallel()
	used, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer used.Close()
	h := newHost(t)
	if err := h.terminate(); err != nil {
		t.Fatal(err)
	}
	empty := t.TempDir()
	for name, test := range map[string]struct {
		args []string
		env  []string
		want []string
	}{
		"another account":  {[]string{"--account-id", "111111111111"}, nil, []string{"123456789012", "111111111111", "--account-id"}},
		"another region":   {[]string{"--region", "eu-west-1"}, nil, []string{"us-east-1", "eu-west-1", "--region"}},
		"a port in use":    {[]string{"--listen", used.Addr().String()}, nil, []string{used.Addr().String(), "another process", "--listen"}},
		"no such address":  {[]string{"--listen", "127.0.0.1:99999"}, nil, []string{"127.0.0.1:99999", "--listen"}},
		"no crun":          {nil, []string{"PATH=" + empty}, []string{"crun", "install"}},
		"a colon":          {[]string{"--data-dir", filepath.Join(empty, "a:b")}, nil, []string{"a:b", "colon"}},
		"another's file":   {[]string{"--data-dir", "/dev/null"}, nil, []string{"/dev/null"}},
		"a file in it":     {[]string{"--data-dir", "/proc/self/status/x"}, nil, []string{"/proc/self/status"}},
		"nowhere to write": {[]string{"--data-dir", "/proc/x"}, nil, []string{"/proc/x"}},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), built.berth, append([]string{"up", "--data-dir", h.dir, "--listen", "127.0.0.1:0"}, test.args...)...)
			cmd.Env = append(os.Environ(), test.env...)
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 1 || bytes.Contains(out, []byte("goroutine")) {
				t.Fatalf("%v: %s", err, out)
			}
			for _, want := range test.want {
				if !strings.Contains(string(out), want) {
					t.Errorf("said %s, not %s", out, want)
				}
			}
		})
	}
	for _, command := range []string{"status", "env", "down", "image ls"} {
		out, err := exec.Command(built.berth, append(strings.Fields(command), "--data-dir", filepath.Join(empty, "none"))...).CombinedOutput()
		if err == nil || !strings.HasPrefix(string(out), "berth: ") || strings.Count(string(out), "\n") != 1 {
			t.Errorf("berth %s where none is: %v: %s", command, err, out)
		}
	}
	if err := h.start(); err != nil {
		t.Fatal(err)
	}
}

// Two signals to end: it ends, tasks run on, and the next start has them.
func TestTwoSignals(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	task := h.run(t, h.register(t, []types.ContainerDefinition{container("main", "wait")}))
	h.await(t, *task.TaskArn, "RUNNING")
	for range 2 {
		if err := h.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
	}
	select {
	case <-h.exited:
	case <-time.After(10 * time.Second):
		t.Fatal("Berth did not end within 10 s of two signals")
	}
	h.out.Close()
	if err := h.start(); err != nil {
		t.Fatal(err)
	}
	h.await(t, *task.TaskArn, "RUNNING")
	h.stop(t, *task.TaskArn)
}
