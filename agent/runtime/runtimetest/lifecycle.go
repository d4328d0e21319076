package runtimetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth/berth/agent/runtime"
)

func (r *suite) sandboxes(t *testing.T) {
	ctx := bounded(t)
	for range 2 {
		if err := r.CreateSandbox(ctx, runtime.Sandbox{ID: "other", CPU: 512, Memory: 128}); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := r.Sandboxes(ctx); err != nil || len(got) != 2 || !slices.Contains(got, "other") {
		t.Errorf("Sandboxes = %v, %v", got, err)
	}
	running, created := r.spec("stay"), r.spec("exit=0")
	running.Sandbox, created.Sandbox = "other", "other"
	r.start(t, running)
	r.create(t, created)
	for range 2 {
		if err := r.RemoveSandbox(ctx, "other"); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{running.ID, created.ID} {
		if _, err := r.Status(ctx, id); !errors.Is(err, runtime.ErrNotFound) {
			t.Errorf("Status of %s: error %v, want ErrNotFound", id, err)
		}
	}
	if got, err := r.Sandboxes(ctx); err != nil || !slices.Equal(got, []string{sandbox}) {
		t.Errorf("Sandboxes = %v, %v", got, err)
	}
	if err := r.Create(ctx, running); !errors.Is(err, runtime.ErrNotFound) {
		t.Errorf("Create in a removed sandbox: error %v, want ErrNotFound", err)
	}
}

func (r *suite) lifecycle(t *testing.T) {
	ctx := bounded(t)
	spec := r.spec("print=up", "wait", "exit=3")
	spec.Labels = map[string]string{"k": "v"}
	for range 2 {
		if err := r.Create(ctx, spec); err != nil {
			t.Fatal(err)
		}
	}
	id := spec.ID
	t.Cleanup(func() { r.discard(t, id) })
	if s := r.status(t, id); s.State != runtime.Created || s.ID != id || s.Sandbox != sandbox || s.PID != 0 || !s.StartedAt.IsZero() || s.Labels["k"] != "v" {
		t.Errorf("created: %+v", s)
	}
	before := time.Now()
	for range 2 {
		if err := r.Start(ctx, id); err != nil {
			t.Fatal(err)
		}
	}
	running := r.status(t, id)
	if running.State != runtime.Running || running.PID <= 0 || running.StartedAt.Before(before.Add(-time.Second)) || !running.FinishedAt.IsZero() {
		t.Errorf("running: %+v", running)
	}
	r.says(t, id, "up")
	if err := r.Signal(ctx, id, "SIGTERM"); err != nil {
		t.Error(err)
	}
	exited, err := r.Wait(ctx, id)
	if err != nil || exited.State != runtime.Exited || exited.ExitCode != 3 || exited.PID != 0 || exited.OOMKilled ||
		!exited.StartedAt.Equal(running.StartedAt) || exited.FinishedAt.Before(exited.StartedAt) || exited.Labels["k"] != "v" {
		t.Errorf("exited: %+v, %v", exited, err)
	}
	if err := r.Start(ctx, id); err != nil {
		t.Errorf("Start of what has run: %v", err)
	}
	if again, err := r.Wait(ctx, id); err != nil || again.ExitCode != 3 || !again.FinishedAt.Equal(exited.FinishedAt) {
		t.Errorf("Wait again: %+v, %v", again, err)
	}
	list, err := r.ListContainers(ctx)
	if err != nil || len(list) != 1 || list[0].ID != id || list[0].State != runtime.Exited {
		t.Errorf("ListContainers = %+v, %v", list, err)
	}
	if err := r.Signal(ctx, id, "KILL"); err != nil {
		t.Errorf("Signal after the end: %v", err)
	}
	if out := r.text(t, id); out != "up\ngot terminated\n" {
		t.Errorf("output %q", out)
	}
}

// again starts a container that has exited: it has its files, and its output goes
// on.
func (r *suite) again(t *testing.T) {
	ctx := bounded(t)
	id := r.create(t, r.spec("print=up", "wait", "exit=3"))
	if err := r.Reset(ctx, id); err != nil {
		t.Errorf("Reset of what hasn't run: %v", err)
	}
	var last runtime.Status
	for n := range 3 {
		if err := r.Start(ctx, id); err != nil {
			t.Fatal(err)
		}
		if err := r.Reset(ctx, id); err != nil {
			t.Errorf("Reset of what runs: %v", err)
		}
		running := r.status(t, id)
		if running.State != runtime.Running || !running.StartedAt.After(last.FinishedAt) || running.ExitCode != 0 || !running.FinishedAt.IsZero() {
			t.Errorf("running: %+v", running)
		}
		r.says(t, id, strings.Repeat("up\ngot terminated\n", n)+"up\n")
		args := []string{program, "write=/kept:yes"}
		if n > 0 {
			args[1] = "cat=/kept"
		}
		if !r.Kernel { // there are no files
		} else if got, err := r.Exec(ctx, id, runtime.Exec{Args: args}); err != nil || got.ExitCode != 0 || n > 0 && strings.TrimSpace(got.Output) != "yes" {
			t.Errorf("%v: %+v, %v", args, got, err)
		}
		if err := r.Signal(ctx, id, "SIGTERM"); err != nil {
			t.Error(err)
		}
		var err error
		if last, err = r.Wait(ctx, id); err != nil || last.ExitCode != 3 {
			t.Errorf("exited: %+v, %v", last, err)
		}
		if err := r.Reset(ctx, id); err != nil {
			t.Fatal(err)
		}
		if s := r.status(t, id); s.State != runtime.Created || s.Labels["k"] != last.Labels["k"] || s.PID != 0 {
			t.Errorf("after Reset: %+v", s)
		}
	}
	if err := r.Reset(ctx, "nobody"); !errors.Is(err, runtime.ErrNotFound) {
		t.Errorf("Reset of nothing: %v", err)
	}
}

func (r *suite) exitCodes(t *testing.T) {
	for _, code := range []int{0, 1, 42, 127, 255} {
		status, _ := r.run(t, r.spec(fmt.Sprintf("exit=%d", code)))
		if status.ExitCode != code || status.OOMKilled {
			t.Errorf("exit=%d: %+v", code, status)
		}
	}
}

func (r *suite) signals(t *testing.T) {
	ctx := bounded(t)
	id := r.start(t, r.spec("print=ready", "stay"))
	r.says(t, id, "ready")
	for _, s := range []struct{ name, said string }{
		{"SIGTERM", "got terminated"}, {"INT", "got interrupt"}, {"1", "got hangup"}, {"sigusr1", "got user defined signal 1"},
	} {
		if err := r.Signal(ctx, id, s.name); err != nil {
			t.Errorf("Signal %s: %v", s.name, err)
		}
		r.says(t, id, s.said)
	}
	for _, name := range []string{"", "SIGNONE", "0", "99"} {
		if err := r.Signal(ctx, id, name); err == nil {
			t.Errorf("Signal %q: no error", name)
		}
	}
	if err := r.Signal(ctx, id, "SIGKILL"); err != nil {
		t.Error(err)
	}
	if status, err := r.Wait(ctx, id); err != nil || status.ExitCode != 137 {
		t.Errorf("killed: %+v, %v", status, err)
	}
}

func (r *suite) wait(t *testing.T) {
	ctx := bounded(t)
	id := r.create(t, r.spec("print=ready", "wait", "exit=9"))
	short, cancel := context.WithCancel(ctx)
	result := make(chan error, 1)
	go func() { _, err := r.Wait(short, id); result <- err }()
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("Wait without time: %v", err)
	}
	// From before the start, and from after it.
	var all sync.WaitGroup
	waiter := func() {
		if status, err := r.Wait(ctx, id); err != nil || status.ExitCode != 9 {
			t.Errorf("Wait = %+v, %v", status, err)
		}
	}
	for range 5 {
		all.Go(waiter)
	}
	if err := r.Start(ctx, id); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		all.Go(waiter)
	}
	r.says(t, id, "ready")
	if err := r.Signal(ctx, id, "TERM"); err != nil {
		t.Error(err)
	}
	all.Wait()
}

func (r *suite) process(t *testing.T) {
	spec := r.spec("a b", "")
	spec.Args = []string{program, "args", "print=$X", "print= two  words "}
	r.want(t, spec, program+"\nargs\nprint=$X\nprint= two  words \n$X\n two  words \n")

	spec = r.spec("env=A", "env=EMPTY", "env=FROM", "env=PATH")
	spec.Env = []string{"A=1=2", "EMPTY="}
	r.want(t, spec, "1=2\n\nunset\n/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n")
	spec = r.spec("env=PATH")
	spec.Env = []string{"PATH=/mine"}
	r.want(t, spec, "/mine\n")

	spec = r.spec("who")
	spec.Hostname = "ip-10-0-0-7.internal"
	r.want(t, spec, "0 0 / ip-10-0-0-7.internal\n")
	spec = r.spec("who")
	spec.Hostname, spec.User, spec.WorkingDir = "h", "1234:5678", "/made/for/it"
	r.want(t, spec, "1234 5678 /made/for/it h\n")
}

func (r *suite) refusals(t *testing.T) {
	ctx := bounded(t)
	for name, change := range map[string]func(*runtime.Spec){
		"no ID":                func(s *runtime.Spec) { s.ID = "" },
		"an ID with a slash":   func(s *runtime.Spec) { s.ID = "../x" },
		"no command":           func(s *runtime.Spec) { s.Args = nil },
		"no such image":        func(s *runtime.Spec) { s.Image = "absent" },
		"no such user":         func(s *runtime.Spec) { s.User = "nobody-here" },
		"no such capability":   func(s *runtime.Spec) { s.CapAdd = []string{"SYS_NOTHING"} },
		"no such ulimit":       func(s *runtime.Spec) { s.Ulimits = []runtime.Ulimit{{Name: "nothing"}} },
		"a relative mount":     func(s *runtime.Spec) { s.Mounts = []runtime.Mount{{Source: "x", Target: "/x"}} },
		"a relative directory": func(s *runtime.Spec) { s.WorkingDir = "x" },
	} {
		spec := r.spec("exit=0")
		change(&spec)
		err := r.Create(ctx, spec)
		if err == nil {
			t.Errorf("%s: no error", name)
			r.discard(t, spec.ID)
		}
		switch name {
		case "no such image":
			if !errors.Is(err, runtime.ErrNotFound) {
				t.Errorf("%s: error %v, want ErrNotFound", name, err)
			}
		case "no such user":
			if err == nil || !strings.Contains(err.Error(), "unable to find user nobody-here: no matching entries in passwd file") {
				t.Errorf("%s: error %v", name, err)
			}
		}
	}
	spec := r.spec("exit=0")
	spec.Args = []string{"/no/such/program"}
	id := r.create(t, spec)
	for range 2 {
		if err := r.Start(ctx, id); err == nil || !strings.Contains(err.Error(), "/no/such/program") {
			t.Errorf("Start of no program: error %v", err)
		}
	}
	if s := r.status(t, id); s.State != runtime.Created {
		t.Errorf("after a start that failed: %+v", s)
	}
	for name, call := range map[string]func() error{
		"Status": func() error { _, err := r.Status(ctx, "absent"); return err },
		"Wait":   func() error { _, err := r.Wait(ctx, "absent"); return err },
		"Start":  func() error { return r.Start(ctx, "absent") },
		"Signal": func() error { return r.Signal(ctx, "absent", "TERM") },
		"Exec":   func() error { _, err := r.Exec(ctx, "absent", runtime.Exec{Args: []string{program}}); return err },
	} {
		if err := call(); !errors.Is(err, runtime.ErrNotFound) {
			t.Errorf("%s of nothing: error %v, want ErrNotFound", name, err)
		}
	}
	if left, err := r.ListContainers(ctx); err != nil || len(left) != 1 {
		t.Errorf("left: %+v, %v", left, err)
	}
}

func (r *suite) remove(t *testing.T) {
	ctx := bounded(t)
	if err := r.Remove(ctx, "absent"); err != nil {
		t.Errorf("Remove of nothing: %v", err)
	}
	spec := r.spec("print=here", "stay")
	id := r.start(t, spec)
	r.says(t, id, "here")
	waited := make(chan error, 1)
	go func() {
		status, err := r.Wait(ctx, id)
		if err == nil && status.ExitCode != 137 {
			err = fmt.Errorf("status %+v", status)
		} else if errors.Is(err, runtime.ErrNotFound) {
			err = nil
		}
		waited <- err
	}()
	for range 2 {
		if err := r.Remove(ctx, id); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-waited; err != nil {
		t.Errorf("Wait while it is removed: %v", err)
	}
	if _, err := r.Status(ctx, id); !errors.Is(err, runtime.ErrNotFound) {
		t.Errorf("Status: error %v, want ErrNotFound", err)
	}
	if out := r.text(t, id); out != "here\n" {
		t.Errorf("output after Remove %q", out)
	}
	// The ID is free again, and nothing of the old one shows.
	os.Remove(r.LogPath(id))
	spec.Args = []string{program, "print=new"}
	r.want(t, spec, "new\n")
}

func (r *suite) many(t *testing.T) {
	ctx := bounded(t)
	var all sync.WaitGroup
	for i := range 20 {
		spec := r.spec(fmt.Sprintf("print=%d", i), fmt.Sprintf("exit=%d", i))
		all.Go(func() {
			defer r.discard(t, spec.ID)
			if err := errors.Join(r.Create(ctx, spec), r.Start(ctx, spec.ID)); err != nil {
				t.Error(err)
				return
			}
			status, err := r.Wait(ctx, spec.ID)
			if out := r.text(t, spec.ID); err != nil || status.ExitCode != i || out != fmt.Sprintln(i) {
				t.Errorf("container %d: %+v, %v, output %q", i, status, err, out)
			}
		})
	}
	all.Wait()
}

func (r *suite) reopen(t *testing.T) {
	ctx := bounded(t)
	created := r.create(t, r.spec("print=late", "exit=4"))
	running := r.start(t, r.spec("print=up", "wait", "print=after", "exit=5"))
	exited := r.start(t, r.spec("exit=6"))
	before, err := r.Wait(ctx, exited)
	if err != nil {
		t.Fatal(err)
	}
	r.says(t, running, "up")
	was := r.status(t, running)
	var left *session
	if r.Kernel {
		left = r.open(ctx, running, true, "print=begun", "stay")
		left.out.says(t, ctx, "begun")
	}

	r.Runtime = r.Reopen(t)
	if left != nil { // nobody is at the other end any more
		left.wait(t, ctx)
	}
	if list, err := r.ListContainers(ctx); err != nil || len(list) != 3 {
		t.Fatalf("ListContainers = %+v, %v", list, err)
	}
	if ids, err := r.Sandboxes(ctx); err != nil || !slices.Equal(ids, []string{sandbox}) {
		t.Errorf("Sandboxes = %v, %v", ids, err)
	}
	if s := r.status(t, created); s.State != runtime.Created {
		t.Errorf("created: %+v", s)
	}
	if s := r.status(t, running); s.State != runtime.Running || s.PID != was.PID || !s.StartedAt.Equal(was.StartedAt) {
		t.Errorf("running: %+v, was %+v", s, was)
	}
	if s := r.status(t, exited); s.State != runtime.Exited || s.ExitCode != 6 || !s.StartedAt.Equal(before.StartedAt) || !s.FinishedAt.Equal(before.FinishedAt) {
		t.Errorf("exited: %+v, was %+v", s, before)
	}
	if res, err := r.Exec(ctx, running, runtime.Exec{Args: []string{program, "print=inside"}}); err != nil || res.Output != "inside\n" {
		t.Errorf("Exec = %+v, %v", res, err)
	}
	if err := r.Signal(ctx, running, "TERM"); err != nil {
		t.Error(err)
	}
	if s, err := r.Wait(ctx, running); err != nil || s.ExitCode != 5 {
		t.Errorf("ended: %+v, %v", s, err)
	}
	if out := r.text(t, running); out != "up\ngot terminated\nafter\n" {
		t.Errorf("output %q", out)
	}
	if err := r.Start(ctx, created); err != nil {
		t.Fatal(err)
	}
	if s, err := r.Wait(ctx, created); err != nil || s.ExitCode != 4 {
		t.Errorf("started late: %+v, %v", s, err)
	}
}
