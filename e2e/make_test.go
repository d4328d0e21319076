package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What a newcomer types: make up, and make down.
func TestMakeUp(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "berth-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	h := &host{dir: filepath.Join(dir, "data")}
	t.Cleanup(func() {
		// Where make down didn't come to it.
		if h.id() != "" {
			h.command("down").Run()
		}
		os.RemoveAll(dir)
	})
	make := func(target string) (string, error) {
		cmd := exec.Command("make", "--no-print-directory", "-C", "..", target, "DATA_DIR="+h.dir, "UP_FLAGS=--listen 127.0.0.1:0")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	out, err := make("up")
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(h.dir, "berth.log"))
		t.Fatalf("make up: %v\n%s\n%s", err, out, log)
	}
	rest := out
	for _, want := range []string{
		`Berth is ready on http://127\.0\.0\.1:\d+`,
		`docker\.io/library/hello:latest`,
		`task arn:aws:ecs:us-east-1:\d{12}:task/default/[0-9a-f]{32}`,
		`PROVISIONING`, `RUNNING`,
		`private address +172\.31\.\d+\.\d+`,
		`HTTP answer +\S`,
		`log stream +\S+ \S+/[0-9a-f]{32}`,
		`\d\d:\d\d:\d\d  \S`,
		`eval "\$\(bin/berth env --data-dir ` + h.dir + `\)"`,
		`bin/berth down --data-dir ` + h.dir,
	} {
		at := regexp.MustCompile(want).FindStringIndex(rest)
		if at == nil {
			t.Errorf("make up doesn't print %s, or not in its place:\n%s", want, out)
			continue
		}
		rest = rest[at[1]:]
	}
	// The printed hint works.
	aws := exec.Command("bash", "-c", `eval "$(bin/berth env --data-dir `+h.dir+`)" && aws ecs list-tasks --query 'length(taskArns)'`)
	aws.Dir = ".."
	if out, err := aws.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "1" {
		t.Errorf("with berth env, aws ecs list-tasks: %v: %s", err, out)
	}
	id := h.id()
	if out, err := make("down"); err != nil {
		t.Fatalf("make down: %v\n%s", err, out)
	}
	if left := leftovers(id, h.dir); len(left) > 0 {
		t.Errorf("make down left on the host:\n%s", strings.Join(left, "\n"))
	}
}
