package runtime_test

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth/berth/agent/runtime"
)

func TestParseSignal(t *testing.T) {
	for text, want := range map[string]unix.Signal{
		"SIGTERM": unix.SIGTERM, "TERM": unix.SIGTERM, "term": unix.SIGTERM, "15": unix.SIGTERM, "SIGQUIT": unix.SIGQUIT,
		"9": unix.SIGKILL, "SIGRTMIN": 34, "RTMIN+3": 37, "SIGRTMAX-1": 63, "SIGRTMAX": 64,
	} {
		if got, err := runtime.ParseSignal(text); err != nil || got != want {
			t.Errorf("ParseSignal(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "SIG", "SIGNONE", "0", "-1", "65", "SIGRTMIN-1", "SIGRTMAX+1", "RTMIN+x", "1.5"} {
		if got, err := runtime.ParseSignal(text); err == nil {
			t.Errorf("ParseSignal(%q) = %d", text, got)
		}
	}
}

func TestCheckSpec(t *testing.T) {
	good := runtime.Spec{
		ID: "0123abc-1", Sandbox: "0123abc", Args: []string{"x"}, WorkingDir: "/w",
		Mounts:  []runtime.Mount{{Source: "/a", Target: "/b"}},
		Ulimits: []runtime.Ulimit{{Name: "nofile"}}, CapAdd: []string{"CAP_SYS_PTRACE"}, CapDrop: []string{"all"},
	}
	if err := runtime.CheckSpec(good); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*runtime.Spec){
		"container ID": func(s *runtime.Spec) { s.ID = "a/b" },
		"sandbox ID":   func(s *runtime.Spec) { s.Sandbox = ".." },
		"long":         func(s *runtime.Spec) { s.ID = strings.Repeat("a", 129) },
		"command":      func(s *runtime.Spec) { s.Args = nil },
		"absolute":     func(s *runtime.Spec) { s.WorkingDir = "w" },
		"mounts":       func(s *runtime.Spec) { s.Mounts[0].Target = "b" },
		"ulimit":       func(s *runtime.Spec) { s.Ulimits[0].Name = "NOFILE" },
		"capability":   func(s *runtime.Spec) { s.CapDrop = []string{"NET"} },
		"the environment variable LONG has 131072 bytes": func(s *runtime.Spec) { s.Env = []string{"LONG=" + strings.Repeat("x", 131072-5)} },
		"the argument 1 of the command has 200000 bytes": func(s *runtime.Spec) { s.Args = []string{"x", strings.Repeat("x", 200000)} },
		"take 2400131 bytes": func(s *runtime.Spec) {
			s.Env = slices.Repeat([]string{"A=" + strings.Repeat("x", 99989)}, 24)
			s.Args = []string{strings.Repeat("x", 100), "1234567890123"}
		},
		"with the stack limit 100000": func(s *runtime.Spec) {
			s.Ulimits = []runtime.Ulimit{{Name: "stack", Soft: 100000, Hard: -1}}
			s.Env = slices.Repeat([]string{"A=" + strings.Repeat("x", 70000)}, 2)
		},
		"SYS_EVERYTHING": func(s *runtime.Spec) { s.CapAdd = []string{"SYS_EVERYTHING"} },
	} {
		bad := good
		bad.Mounts, bad.Ulimits = append([]runtime.Mount{}, good.Mounts...), append([]runtime.Ulimit{}, good.Ulimits...)
		change(&bad)
		if err := runtime.CheckSpec(bad); err == nil || name != "long" && !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
