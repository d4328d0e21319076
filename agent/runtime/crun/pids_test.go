package crun

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/berth/berth/agent/runtime"
)

// A task's cgroup bounds its processes below what the host can number.
func TestTaskPIDs(t *testing.T) {
	c, err := findCgroups("0fedcba0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.removeAll(); err != nil {
			t.Error(err)
		}
	}()
	if err := c.makeTask(runtime.Sandbox{ID: "pids"}); err != nil {
		t.Fatal(err)
	}
	root := c.v2
	if root == "" {
		root = c.v1["pids"]
	}
	b, err := os.ReadFile(filepath.Join(root, c.base, "pids", "pids.max"))
	if err != nil {
		t.Fatal(err)
	}
	host, err := os.ReadFile("/proc/sys/kernel/pid_max")
	if err != nil {
		t.Fatal(err)
	}
	got, err := strconv.Atoi(strings.TrimSpace(string(b)))
	most, err2 := strconv.Atoi(strings.TrimSpace(string(host)))
	if err != nil || err2 != nil || got < 256 || got > most/2 {
		t.Errorf("a task may have %q processes of the host's %q", b, host)
	}
}
