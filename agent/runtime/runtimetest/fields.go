package runtimetest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/berth/berth/agent/runtime"
)

// fields sets what a task definition may ask of a container's surroundings, and
// looks at each from the inside.
func (r *suite) fields(t *testing.T) {
	mib := func(n int64) *int64 { n <<= 20; return &n }
	for _, c := range []struct {
		name   string
		steps  []string
		change func(*runtime.Spec)
		want   string // of the output; a text within it, if it begins with …
		own    string // what is wanted of a kernel of its own; refused if it says so
	}{
		{"sysctls", []string{"cat=/proc/sys/net/core/somaxconn", "cat=/proc/sys/kernel/msgmax"}, func(s *runtime.Spec) {
			s.Sysctls = map[string]string{"net.core.somaxconn": "1234", "kernel.msgmax": "4321"}
		}, "1234\n4321\n", "refused"},
		{"tmpfs", []string{"mounted=/scratch", "write=/scratch/f:x"}, func(s *runtime.Spec) {
			s.Tmpfs = []runtime.Tmpfs{{Target: "/scratch", Size: 8 << 20, Options: []string{"mode=1777"}}}
			s.ReadonlyRootfs = true
		}, "tmpfs rw,nosuid,nodev,noexec,relatime size=8192k\n", "tmpfs rw,nosuid,noexec size=8192k\n"},
		{"tmpfs options", []string{"mounted=/scratch"}, func(s *runtime.Spec) {
			s.Tmpfs = []runtime.Tmpfs{{Target: "/scratch", Size: 1 << 20, Options: []string{"exec", "ro"}}}
		}, "tmpfs ro,nosuid,nodev,relatime size=1024k\n", "tmpfs ro,nosuid size=1024k\n"},
		{"shm", []string{"mounted=/dev/shm"}, func(s *runtime.Spec) { s.ShmSize = 3 << 20 }, "tmpfs rw,nosuid,nodev,noexec,relatime size=3072k\n", "tmpfs rw,nosuid,noexec size=3072k\n"},
		{"device", []string{"device=/dev/berth-null"}, func(s *runtime.Spec) {
			s.Devices = []runtime.Device{{Source: "/dev/null", Target: "/dev/berth-null", Permissions: "rw"}}
		}, "1 3\n", "refused"},
		{"terminal", []string{"isatty"}, func(s *runtime.Spec) { s.Terminal = true }, "stdin true, stdout true\r\n", ""},
		{"stdin", []string{"reads"}, func(s *runtime.Spec) { s.Stdin = true }, "waits\n", ""},
		{"no stdin", []string{"reads"}, func(*runtime.Spec) {}, "ended\n", ""},
		{"no seccomp", []string{"status=Seccomp"}, func(s *runtime.Spec) { s.NoSeccomp = true }, "0\n", ""},
		{"privileged", []string{"status=Seccomp", "mount", "write=/proc/sys/net/core/somaxconn:77", "cat=/proc/sys/net/core/somaxconn"}, func(s *runtime.Spec) { s.Privileged, s.AllowNewPrivs = true, true }, "0\n77\n", "refused"},
		{"swap", []string{"exit=0"}, func(s *runtime.Spec) { s.Memory, s.Swap = 64<<20, mib(32) }, "", ""},
		{"host's network", []string{"ifaces"}, func(s *runtime.Spec) { s.NetNS = runtime.HostNS }, "…lo\n", ""},
		{"host's IPC", []string{"mounted=/dev/shm"}, func(s *runtime.Spec) { s.IPCNS = runtime.HostNS }, "…", "refused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			spec := r.spec(c.steps...)
			c.change(&spec)
			if r.OwnKernel && c.own == "refused" {
				r.refused(t, spec)
				return
			}
			if r.OwnKernel && c.own != "" {
				c.want = c.own
			}
			status, out := r.run(t, spec)
			within, loose := strings.CutPrefix(c.want, "…")
			if status.ExitCode != 0 || out != c.want && !(loose && strings.Contains(out, within)) {
				t.Errorf("exit code %d, %q, want %q", status.ExitCode, out, c.want)
			}
		})
	}
	if r.OwnKernel {
		spec := r.spec("pid")
		spec.PIDNS = runtime.HostNS
		r.refused(t, spec)
		r.refusedFields(t)
		return
	}
	// Processes of the host are seen, and those of the container alone are not.
	spec := r.spec("pid")
	spec.PIDNS = runtime.HostNS
	if _, out := r.run(t, spec); out == "" || strings.HasPrefix(out, "1 ") {
		t.Errorf("with the host's processes, its process is %q", out)
	}
	spec = r.spec("mounted=/dev/shm")
	spec.NoShm = true
	if _, out := r.run(t, spec); out != "" {
		t.Errorf("without /dev/shm there is %q", out)
	}
	// Another container's namespace, by its first process.
	first := r.start(t, r.spec("print=up", "stay"))
	r.says(t, first, "up")
	status, err := r.Status(bounded(t), first)
	if err != nil {
		t.Fatal(err)
	}
	spec = r.spec("pid")
	spec.PIDNS, spec.IPCNS = procNS(status.PID, "pid"), procNS(status.PID, "ipc")
	if status, out := r.run(t, spec); status.ExitCode != 0 || strings.HasPrefix(out, "1 ") || !strings.HasSuffix(out, " "+program+"\n") {
		t.Errorf("in another's process namespace: exit code %d, %q", status.ExitCode, out)
	}
	r.refusedFields(t)
	// The host's parameters are nobody's but the host's.
	spec = r.spec("exit=0")
	spec.Sysctls = map[string]string{"kernel.panic": "0"}
	if err := r.Start(bounded(t), r.create(t, spec)); err == nil {
		t.Error("a kernel parameter of the host could be set")
	}
}

// refused wants a container not to be created.
func (r *suite) refused(t *testing.T, spec runtime.Spec) {
	t.Helper()
	if err := r.Create(bounded(t), spec); err == nil {
		t.Errorf("%+v: created", spec)
		r.discard(t, spec.ID)
	}
}

func (r *suite) refusedFields(t *testing.T) {
	for name, change := range map[string]func(*runtime.Spec){
		"a device that isn't there": func(s *runtime.Spec) { s.Devices = []runtime.Device{{Source: "/dev/no-such", Target: "/dev/x"}} },
		"a device that is none":     func(s *runtime.Spec) { s.Devices = []runtime.Device{{Source: "/etc", Target: "/dev/x"}} },
		"a relative tmpfs":          func(s *runtime.Spec) { s.Tmpfs = []runtime.Tmpfs{{Target: "scratch"}} },
		"a sysctl with a path":      func(s *runtime.Spec) { s.Sysctls = map[string]string{"../x": "1"} },
	} {
		spec := r.spec("exit=0")
		spec.ID, spec.Sandbox = "refused", sandbox
		change(&spec)
		if err := r.Create(bounded(t), spec); err == nil {
			t.Errorf("%s: created", name)
		}
	}
}

func procNS(pid int, kind string) string { return fmt.Sprintf("/proc/%d/ns/%s", pid, kind) }
