package runtimetest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// BuildRunsc builds gVisor's runsc by the module in the folder gvisor, and
// returns its path. The first time on a machine that takes two minutes of one
// core; then Go's build cache has it.
func BuildRunsc(t testing.TB) string {
	t.Helper()
	list := exec.Command("go", "list", "-f", "{{.Dir}}", "github.com/berth/berth/agent/runtime/runtimetest")
	dir, err := list.Output()
	if err != nil {
		t.Fatalf("find the module of runsc: %v", err)
	}
	path := filepath.Join(t.TempDir(), "runsc")
	cmd := exec.Command("go", "build", "-trimpath", "-o", path, "gvisor.dev/gvisor/runsc")
	cmd.Dir = filepath.Join(strings.TrimSpace(string(dir)), "gvisor")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build runsc: %v\n%s", err, out)
	}
	return path
}
