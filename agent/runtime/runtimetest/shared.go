package runtimetest

import (
	"os"
	"strings"
	"testing"

	"github.com/berth/berth/agent/runtime"
)

// shared has containers join the namespaces of one that pauses.
func (r *suite) shared(t *testing.T) {
	ctx := bounded(t)
	pause := runtime.Spec{ID: r.id + "-pause", Sandbox: sandbox, NetNS: runtime.HostNS, Pause: true, ShmSize: 2 << 20}
	for range 2 {
		if err := r.Create(ctx, pause); err != nil {
			t.Fatal(err)
		}
		if err := r.Start(ctx, pause.ID); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { r.discard(t, pause.ID) })
	member := func(steps ...string) runtime.Spec {
		s := r.spec(steps...)
		s.PIDNS, s.IPCNS = runtime.NSOf+pause.ID, runtime.NSOf+pause.ID
		return s
	}
	first := r.start(t, member("write=/dev/shm/shared:text", "print=up", "stay"))
	r.says(t, first, "up")
	r.want(t, member("cat=/dev/shm/shared"), "text")
	r.want(t, member("mounted=/dev/shm"), "tmpfs rw,nosuid,nodev,noexec,relatime size=2048k\n")
	if _, out := r.run(t, member("pid")); strings.HasPrefix(out, "1 ") || !strings.HasSuffix(out, " /pause\n") {
		t.Errorf("its process, and the first of its namespace: %q", out)
	}
	// What one leaves running ends with it, and the others run on.
	left := r.start(t, member("daemon", "print=left", "wait", "exit=0"))
	r.says(t, left, "left")
	if err := r.Signal(ctx, left, "SIGTERM"); err != nil {
		t.Error(err)
	}
	if _, err := r.Wait(ctx, left); err != nil {
		t.Error(err)
	}
	if s := r.status(t, first); s.State != runtime.Running {
		t.Errorf("the other one: %+v", s)
	}
	// Without it, none of them runs on, and none can start.
	late := r.create(t, member("exit=0"))
	if err := r.Remove(ctx, pause.ID); err != nil {
		t.Fatal(err)
	}
	if s, err := r.Wait(ctx, first); err != nil || s.ExitCode != 137 {
		t.Errorf("after the namespace's end: %+v, %v", s, err)
	}
	if err := r.Start(ctx, late); err == nil {
		t.Error("a container starts in namespaces that are gone")
	}
	if _, err := os.Stat(r.LogPath(pause.ID)); !os.IsNotExist(err) {
		t.Errorf("the output of one that paused: %v", err)
	}
}
