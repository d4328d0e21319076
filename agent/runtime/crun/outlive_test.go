package crun

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"

	"github.com/berth/berth/agent/runtime"
	"github.com/berth/berth/agent/runtime/runtimetest"
)

// childEnv makes this test binary the process that is killed: it holds a Config.
const childEnv = "BERTH_TEST_CRUN_CHILD"

func TestMain(m *testing.M) {
	if config := os.Getenv(childEnv); config != "" {
		child(config)
	}
	if config := os.Getenv(restlessEnv); config != "" {
		restless(config)
	}
	os.Exit(m.Run())
}

// child starts containers, says so, and goes on until it is killed.
func child(encoded string) {
	ctx := context.Background()
	var config Config
	must(json.Unmarshal([]byte(encoded), &config))
	config.Log = discard()
	r, err := Open(ctx, config)
	must(err)
	_, err = r.Import(ctx, os.Stdin, "")
	must(err)
	must(r.CreateSandbox(ctx, runtime.Sandbox{ID: "t", Memory: 64}))
	for id, steps := range map[string][]string{
		"runs": {"print=up", "wait", "print=on", "exit=11"}, "ends": {"print=up", "wait", "exit=12"},
		"eats": {"print=up", "wait", "eat=128"}, "orphan": {"print=up", "stay"}, "made": {"exit=13"},
	} {
		must(r.Create(ctx, runtime.Spec{ID: id, Sandbox: "t", Image: "probe", Args: append([]string{"/probe"}, steps...)}))
		if id != "made" {
			must(r.Start(ctx, id))
		}
	}
	// Whoever says that it is up has a handler for signals.
	watch, err := fsnotify.NewWatcher()
	must(err)
	must(watch.Add(filepath.Join(config.Root, logsDir)))
	for _, id := range []string{"runs", "ends", "eats", "orphan"} {
		for {
			out, err := os.ReadFile(r.LogPath(id))
			must(err)
			if bytes.HasSuffix(out, []byte(" up\n")) {
				break
			}
			<-watch.Events
		}
	}
	os.Stdout.WriteString("started\n")
	select {}
}

func must(err error) {
	if err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
}

// TestOutlive kills the process that started containers, lets some of them end
// while nobody looks, and takes them up again.
func TestOutlive(t *testing.T) {
	config := testConfig(t)
	open(t, config).Close() // has the instance destroyed with the test
	startChild(t, config)

	// Nobody watches now. Some go on, some end, one loses its supervisor.
	signalInit(t, config, "ends", unix.SIGTERM)
	signalInit(t, config, "eats", unix.SIGTERM)
	conmons, err := supervisorsOf(config.Root)
	if err != nil || len(conmons) == 0 {
		t.Fatalf("supervisors %v, %v", conmons, err)
	}
	for _, id := range []string{"ends", "eats"} {
		waitGone(t, conmons[id], 0)
	}
	waitGone(t, conmons["orphan"], unix.SIGKILL)

	r := reopen(t, config)
	defer func() { r.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, want := range []runtime.Status{
		{ID: "made", State: runtime.Created},
		{ID: "runs", State: runtime.Running},
		{ID: "ends", State: runtime.Exited, ExitCode: 12},
		{ID: "eats", State: runtime.Exited, ExitCode: 137, OOMKilled: true},
		{ID: "orphan", State: runtime.Exited, ExitCode: -1},
	} {
		got, err := r.Status(ctx, want.ID)
		if err != nil || got.State != want.State || got.ExitCode != want.ExitCode || got.OOMKilled != want.OOMKilled || got.Sandbox != "t" {
			t.Errorf("%s: %+v, %v", want.ID, got, err)
		}
		if got.State == runtime.Exited && (got.FinishedAt.Before(got.StartedAt) || time.Since(got.StartedAt) > time.Minute) {
			t.Errorf("%s ran from %s to %s", want.ID, got.StartedAt, got.FinishedAt)
		}
	}
	if pids, err := r.cgroups.processes(r.cgroups.container("t", "orphan")); err != nil || len(pids) > 0 {
		t.Errorf("the container without a supervisor has processes %v, %v", pids, err)
	}
	if err := r.Signal(ctx, "runs", "TERM"); err != nil {
		t.Error(err)
	}
	if got, err := r.Wait(ctx, "runs"); err != nil || got.ExitCode != 11 {
		t.Errorf("runs: %+v, %v", got, err)
	}
	out, err := os.ReadFile(r.LogPath("runs"))
	if err != nil || strings.Count(string(out), "\n") != 3 || !strings.HasSuffix(string(out), " stdout F on\n") {
		t.Errorf("output %q, %v", out, err)
	}
	// A supervisor that is killed while somebody looks.
	orphan := runtime.Spec{ID: "second", Sandbox: "t", Image: "probe", Args: []string{"/probe", "stay"}}
	if err := errors.Join(r.Create(ctx, orphan), r.Start(ctx, "second")); err != nil {
		t.Fatal(err)
	}
	if conmons, err = supervisorsOf(r.root); err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(conmons["second"], unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Wait(ctx, "second"); err != nil || got.ExitCode != -1 {
		t.Errorf("second: %+v, %v", got, err)
	}
}

// startChild runs child to where it says that all is started, and kills it.
func startChild(t *testing.T, config Config) {
	t.Helper()
	img := runtimetest.NewImage(t, config.InitPath, "outlive")
	config.Log = nil
	encoded, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+string(encoded))
	cmd.Stdin = bytes.NewReader(runtimetest.DockerArchive(t, img, "probe"))
	cmd.Stderr = t.Output()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	cmd.Process.Kill()
	io.Copy(io.Discard, out)
	cmd.Wait()
	if line != "started\n" {
		t.Fatalf("the child said %q, %v", line, err)
	}
}

func signalInit(t *testing.T, config Config, id string, sig unix.Signal) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(config.Root, containersDir, id, pidFile))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(string(data))
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(pid, sig); err != nil {
		t.Fatal(err)
	}
}

// waitGone waits for the end of a process, after a signal if one is given.
func waitGone(t *testing.T, pid int, sig unix.Signal) {
	t.Helper()
	if pid == 0 { // it was gone before it was looked for
		return
	}
	p, err := openProcess(pid)
	if errors.Is(err, unix.ESRCH) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if sig != 0 {
		if err := p.Signal(sig); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := p.WaitContext(ctx); err != nil {
		t.Fatal(err)
	}
}
