package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// The commands with which a person runs tasks: run, ps, logs, stop and why.
func TestHumanCommands(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	berth := func(args ...string) (out, said string, code int) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		cmd := exec.Command(built.berth, args...)
		cmd.Env = append(h.env, "BERTH_DATA_DIR="+h.dir)
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		err := cmd.Run()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
	}

	out, said, code := berth("run", "--wait", "-e", "WORD=from the shell", "probe", "--", "print=one", "env", "exit=7")
	if code != 7 || !strings.HasPrefix(out, "one\n") || !strings.Contains(out, "WORD=from the shell") {
		t.Errorf("berth run --wait: exit code %d, %q, %q", code, out, said)
	}
	out, said, code = berth("run", "-p", "8080", "--json", "probe", "--", "print=ready", "serve=8080")
	var web struct{ Task, Status, Address, Public, Definition string }
	if err := json.Unmarshal([]byte(out), &web); err != nil || code != 0 || web.Status != "RUNNING" {
		t.Fatalf("berth run --json: exit code %d, %v: %s%s", code, err, out, said)
	}
	for _, address := range []string{web.Address, web.Public} {
		eventually(t, 10*time.Second, func() error { // the program has to get to listening
			got, err := fetch(t.Context(), "http://"+address+":8080/")
			if err == nil && got != "ok\n" {
				err = fmt.Errorf("%s answers %q", address, got)
			}
			return err
		})
	}
	// Another run of the same image is of the same revision.
	out, said, _ = berth("run", "-p", "8080", "--json", "probe", "--", "exit=0")
	var again struct{ Definition string }
	if err := json.Unmarshal([]byte(out), &again); err != nil || again.Definition != web.Definition {
		t.Errorf("the second run is of %q, the first of %q: %v %s", again.Definition, web.Definition, err, said)
	}
	if out, said, _ := berth("ps"); !strings.HasPrefix(out, "TASK ") || !strings.Contains(out, web.Task[:12]) {
		t.Errorf("berth ps: %s%s", out, said)
	}
	if out, said, _ := berth("logs", web.Task[:8]); out != "ready\n" {
		t.Errorf("berth logs: %q, %q", out, said)
	}
	if out, said, _ := berth("why", web.Task[:8]); !strings.Contains(out, "is RUNNING") || !strings.Contains(out, "It has run for") {
		t.Errorf("berth why: %q, %q", out, said)
	}
	if out, said, _ := berth("why", "--timeline", web.Task); !inOrder(out, " place", " eni", " RUNNING") || !inOrder(out, " pull main", " create main", " start main", " RUNNING") {
		t.Errorf("berth why --timeline: %q, %q", out, said)
	}
	if out, said, code := berth("stop", "--wait", "--reason", "enough", web.Task[:8]); code != 0 || out != web.Task+"\n" {
		t.Errorf("berth stop: exit code %d, %q, %q", code, out, said)
	}
	if out, said, _ := berth("why", web.Task); !strings.Contains(out, "Somebody asked for its end: enough.") {
		t.Errorf("berth why: %q, %q", out, said)
	}
	if out, said, _ := berth("logs", "-f", web.Task); !strings.HasPrefix(out, "ready\n") { // ends, as the task has
		t.Errorf("berth logs -f: %q, %q", out, said)
	}
	if out, said, code := berth("run", "--wait", "probe", "--", "nosuch"); code != 1 {
		t.Errorf("a failing probe: exit code %d, %q, %q", code, out, said)
	}
	if _, said, code := berth("run", "127.0.0.1:1/nosuch"); code != 1 || !strings.Contains(said, "CannotPullContainerError") || !strings.Contains(said, "berth image ls") {
		t.Errorf("berth run of no image: exit code %d, %q", code, said)
	}
	if _, said, code := berth("why", "ffff"); code != 1 || !strings.Contains(said, "no task has an ID that begins with") {
		t.Errorf("berth why of no task: exit code %d, %q", code, said)
	}
	if _, said, code := berth("run", "-p", "8080:80", "probe"); code != 1 || !strings.Contains(said, "must be PORT or PORT/udp") {
		t.Errorf("berth run -p 8080:80: exit code %d, %q", code, said)
	}
}

// inOrder reports whether the words are in a text, one after another.
func inOrder(text string, words ...string) bool {
	for _, w := range words {
		_, rest, found := strings.Cut(text, w)
		if !found {
			return false
		}
		text = rest
	}
	return true
}
