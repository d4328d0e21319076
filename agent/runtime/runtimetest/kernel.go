package runtimetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth/berth/agent/runtime"
)

// shortTime is long enough for a command to begin on a busy machine.
const shortTime = 2 * time.Second

func (r *suite) user(t *testing.T) {
	for user, want := range map[string]string{
		"app":      "1000 1001 / h\n[1002 1003]\n",
		"1000":     "1000 1001 / h\n[1002 1003]\n",
		"app:more": "1000 1003 / h\n[]\n",
		"root":     "0 0 / h\n[1003]\n",
		"":         "0 0 / h\n[1003]\n",
		"4000":     "4000 0 / h\n[]\n",
	} {
		spec := r.spec("who", "groups")
		spec.User, spec.Hostname = user, "h"
		r.want(t, spec, want)
	}
}

func (r *suite) fileSystems(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("from the host"), 0o644); err != nil {
		t.Fatal(err)
	}
	spec := r.spec("cat=/etc/given", "write=/data/new:from inside", "cat=/data/file", "write=/anywhere:x", "cat=/anywhere")
	spec.Mounts = []runtime.Mount{{Source: file, Target: "/etc/given", ReadOnly: true}, {Source: dir, Target: "/data"}}
	r.want(t, spec, "from the hostfrom the hostx")
	if data, err := os.ReadFile(filepath.Join(dir, "new")); string(data) != "from inside" {
		t.Errorf("the volume has %q, %v", data, err)
	}
	fails := func(spec runtime.Spec, text string) {
		t.Helper()
		if status, out := r.run(t, spec); status.ExitCode == 0 || !strings.Contains(out, text) {
			t.Errorf("%v: exit code %d, output %q", spec.Args, status.ExitCode, out)
		}
	}
	spec = r.spec("write=/data/x:y")
	spec.Mounts = []runtime.Mount{{Source: dir, Target: "/data", ReadOnly: true}}
	fails(spec, "read-only")
	spec = r.spec("write=/x:y")
	spec.ReadonlyRootfs = true
	fails(spec, "read-only")
	spec = r.spec("write=/data/x:y", "write=/dev/shm/x:y", "stat=/dev/shm")
	spec.ReadonlyRootfs, spec.Mounts = true, []runtime.Mount{{Source: dir, Target: "/data"}}
	r.want(t, spec, "777 60\n")
	fails(r.spec("write=/sys/kernel/uevent_helper:x"), "")
	if r.OwnKernel {
		fails(r.spec("write=/proc/sys/kernel/hostname:x"), "")
		fails(r.spec("cat=/proc/keys"), "no such file")
	} else {
		fails(r.spec("write=/proc/sys/kernel/hostname:x"), "read-only")
		r.want(t, r.spec("cat=/proc/keys", "cat=/proc/timer_list"), "")
	}

	// A mount below another's target, given first.
	inner := t.TempDir()
	spec = r.spec("write=/data/inner/f:x")
	spec.Mounts = []runtime.Mount{{Source: inner, Target: "/data/inner"}, {Source: dir, Target: "/data"}}
	r.want(t, spec, "")
	if _, err := os.Stat(filepath.Join(inner, "f")); err != nil {
		t.Error(err)
	}
	// A mount that the host made after the runtime was opened.
	late := t.TempDir()
	if err := unix.Mount("tmpfs", late, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(late, unix.MNT_DETACH) })
	if err := os.WriteFile(filepath.Join(late, "f"), []byte("late"), 0o644); err != nil {
		t.Fatal(err)
	}
	spec = r.spec("cat=/late/f")
	spec.Mounts = []runtime.Mount{{Source: late, Target: "/late"}}
	r.want(t, spec, "late")
	// One that isn't there is an error with its name.
	spec = r.spec("exit=0")
	spec.Mounts = []runtime.Mount{{Source: filepath.Join(dir, "absent"), Target: "/x"}}
	if err := r.Start(bounded(t), r.create(t, spec)); err == nil || !strings.Contains(err.Error(), "absent") {
		t.Errorf("Start with a mount of nothing: %v", err)
	}
}

func (r *suite) privileges(t *testing.T) {
	eff := func(change func(*runtime.Spec)) string {
		t.Helper()
		spec := r.spec("status=CapEff", "status=NoNewPrivs", "status=Seccomp")
		change(&spec)
		_, out := r.run(t, spec)
		return strings.TrimSpace(out)
	}
	// Docker's default set.
	if got := eff(func(*runtime.Spec) {}); got != "00000000a80425fb\n1\n2" {
		t.Errorf("by default %q", got)
	}
	if got := eff(func(s *runtime.Spec) { s.AllowNewPrivs = true }); got != "00000000a80425fb\n0\n2" {
		t.Errorf("AllowNewPrivs %q", got)
	}
	if got := eff(func(s *runtime.Spec) { s.CapAdd = []string{"SYS_PTRACE"} }); got != "00000000a80c25fb\n1\n2" {
		t.Errorf("with SYS_PTRACE %q", got)
	}
	if got := eff(func(s *runtime.Spec) { s.CapDrop = []string{"ALL"} }); got != "0000000000000000\n1\n2" {
		t.Errorf("without any %q", got)
	}
	if got := eff(func(s *runtime.Spec) { s.CapDrop, s.CapAdd = []string{"all"}, []string{"cap_chown"} }); got != "0000000000000001\n1\n2" {
		t.Errorf("with CHOWN alone %q", got)
	}
	if got := eff(func(s *runtime.Spec) { s.User = "app" }); got != "0000000000000000\n1\n2" {
		t.Errorf("as a user %q", got)
	}
	id := r.start(t, r.spec("print=up", "stay"))
	r.says(t, id, "up")
	inside := runtime.Exec{Args: []string{program, "status=CapEff", "status=NoNewPrivs", "status=Seccomp"}}
	if got, err := r.Exec(bounded(t), id, inside); err != nil || got.Output != "00000000a80425fb\n1\n2\n" {
		t.Errorf("by Exec: %+v, %v", got, err)
	}
	if status, out := r.run(t, r.spec("mount")); status.ExitCode == 0 || !strings.Contains(out, "operation not permitted") {
		t.Errorf("mount: %+v, %q", status, out)
	}
	spec := r.spec("limits")
	spec.Ulimits = []runtime.Ulimit{{Name: "nofile", Soft: 512, Hard: 1000}, {Name: "core", Soft: 5, Hard: 6}}
	r.want(t, spec, "core 5 6, nofile at most 1000\n")
	// Above the host's: as much as it gives, not a failure.
	spec = r.spec("exit=0")
	spec.Ulimits = []runtime.Ulimit{{Name: "nofile", Soft: 1 << 20, Hard: 1 << 30}}
	r.want(t, spec, "")
}

func (r *suite) memory(t *testing.T) {
	ctx := bounded(t)
	spec := r.spec("print=eating", "eat=64", "print=full")
	spec.Memory = 32 << 20
	status, out := r.run(t, spec)
	if status.ExitCode != 137 || !status.OOMKilled || out != "eating\n" {
		t.Errorf("above its own limit: %+v, %q", status, out)
	}
	spec = r.spec("eat=16", "print=full")
	spec.Memory, spec.MemoryReserved, spec.CPUShares = 64<<20, 32<<20, 512
	r.want(t, spec, "full\n")

	// The task's limit. Who keeps to its share isn't blamed.
	small := int32(32)
	if r.OwnKernel {
		small *= 6
	}
	if err := r.CreateSandbox(ctx, runtime.Sandbox{ID: "small", CPU: 256, Memory: small}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.RemoveSandbox(ctx, "small"); err != nil {
			t.Error(err)
		}
	}()
	modest, greedy := r.spec("print=up", "wait"), r.spec(fmt.Sprint("eat=", 2*small))
	modest.Sandbox, greedy.Sandbox = "small", "small"
	id := r.start(t, modest)
	r.says(t, id, "up")
	if status, _ := r.run(t, greedy); status.ExitCode != 137 || !status.OOMKilled {
		t.Errorf("above the task's limit: %+v", status)
	}
	if err := r.Signal(ctx, id, "TERM"); err != nil {
		t.Error(err)
	}
	status, err := r.Wait(ctx, id)
	if r.OwnKernel { // to the host both are kernels, and the larger one may be either
		return
	}
	if err != nil || status.ExitCode != 0 || status.OOMKilled {
		t.Errorf("its neighbour: %+v, %v", status, err)
	}
	// A quarter of a CPU, as the kernel has it.
	spec = r.spec("cat=/sys/fs/cgroup/cpu/cpu.shares")
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		spec = r.spec("cat=/sys/fs/cgroup/cpu.weight")
	}
	if status, out := r.run(t, spec); status.ExitCode != 0 || strings.TrimSpace(out) != "2" && strings.TrimSpace(out) != "1" {
		t.Errorf("the least CPU shares: %+v, %q", status, out)
	}
}

func (r *suite) namespaces(t *testing.T) {
	r.want(t, r.spec("ifaces"), "lo\n")
	spec := r.spec("ifaces")
	spec.NetNS = newNetNS(t, "berth-test0")
	status, out := r.run(t, spec)
	if status.ExitCode != 0 || !strings.Contains(out, "berth-test0\n") {
		t.Errorf("in a given network namespace: %+v, %q", status, out)
	}
	spec = r.spec("pid")
	r.want(t, spec, "1 "+program+"\n")
	spec = r.spec("exit=0")
	spec.NetNS = "/run/no/such/netns"
	if err := r.Start(bounded(t), r.create(t, spec)); err == nil || !strings.Contains(err.Error(), "/run/no/such/netns") {
		t.Errorf("Start in no network namespace: %v", err)
	}
}

func (r *suite) execKills(t *testing.T) {
	ctx := bounded(t)
	id := r.start(t, r.spec("print=up", "stay"))
	r.says(t, id, "up")
	before := r.processes(t, id)
	short, cancel := context.WithTimeout(ctx, shortTime)
	defer cancel()
	got, err := r.Exec(short, id, runtime.Exec{Args: []string{program, "daemon", "daemon", "print=begun", "stay"}})
	if !errors.Is(err, context.DeadlineExceeded) || got.Output != "begun\n" {
		t.Errorf("Exec = %+v, %v", got, err)
	}
	if after := r.processes(t, id); after != before {
		t.Errorf("%d processes after Exec, %d before", after, before)
	}
	// It also ends when a child still holds its output.
	got, err = r.Exec(ctx, id, runtime.Exec{Args: []string{program, "daemon", "print=done"}})
	if err != nil || got.ExitCode != 0 || got.Output != "done\n" {
		t.Errorf("Exec = %+v, %v", got, err)
	}
	if after := r.processes(t, id); after != before {
		t.Errorf("%d processes after Exec, %d before", after, before)
	}
}

// processes counts the processes of a container: by its cgroup or, where that
// has none but a kernel, by asking inside.
func (r *suite) processes(t *testing.T, id string) int {
	t.Helper()
	found := 0
	if r.OwnKernel {
		got, err := r.Exec(bounded(t), id, runtime.Exec{Args: []string{program, "processes"}})
		if _, scanErr := fmt.Sscan(got.Output, &found); err != nil || scanErr != nil {
			t.Fatalf("count processes: %+v, %v", got, err)
		}
		return found
	}
	for _, pattern := range []string{"/sys/fs/cgroup/pids/berth/*/*/" + id, "/sys/fs/cgroup/berth/*/*/" + id} {
		dirs, err := filepath.Glob(pattern + "/cgroup.procs")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range dirs {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			found += strings.Count(string(data), "\n")
		}
	}
	return found
}

func (r *suite) initProcess(t *testing.T) {
	ctx := bounded(t)
	spec := r.spec("pid", "print=up", "wait", "exit=5")
	spec.Init = true
	id := r.start(t, spec)
	r.says(t, id, "up")
	if err := r.Signal(ctx, id, "TERM"); err != nil {
		t.Error(err)
	}
	if status, err := r.Wait(ctx, id); err != nil || status.ExitCode != 5 {
		t.Errorf("%+v, %v", status, err)
	}
	var pid int
	var first string
	if _, err := fmt.Sscan(r.text(t, id), &pid, &first); err != nil || pid < 2 || first != "/sbin/docker-init" {
		t.Errorf("output %q", r.text(t, id))
	}
}
