package runtimetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/berth/berth/agent/runtime"
)

// Subject is an implementation under test.
type Subject struct {
	runtime.Runtime
	// Reopen lets go of the runtime, as the end of its process would, and opens
	// it again on the same state.
	Reopen func(t *testing.T) runtime.Runtime
	// Publish puts an image where Pull finds it and returns the reference to pull.
	Publish func(t *testing.T, name string, img v1.Image) string
	// Kernel says that containers are real.
	Kernel bool
	// Engine is the OCI runtime that all containers are to run by; empty is the
	// implementation's first.
	Engine string
	// OwnKernel says that each container has a kernel of its own (gVisor). It
	// takes memory, shows its own /proc and /sys, and has none of what hands a part of
	// the host's kernel to a container: that must be refused.
	OwnKernel bool
}

const (
	// limit bounds every wait of the suite.
	limit = 60 * time.Second

	image   = "probe"
	sandbox = "suite"
)

// suite is one run of it.
type suite struct {
	*Subject
	file string // of the program
	id   string // ends the containers' IDs, so that runs at once don't meet
	n    int    // containers so far
}

// Run runs the suite. Containers and sandboxes that it makes it removes.
func Run(t *testing.T, s *Subject) {
	r := &suite{Subject: s, file: BuildProgram(t), id: rand.Text()[:8]}
	ctx := t.Context()
	if _, err := r.Import(ctx, bytes.NewReader(DockerArchive(t, NewImage(t, r.file, "first"), image)), ""); err != nil {
		t.Fatalf("import the suite's image: %v", err)
	}
	if err := r.CreateSandbox(ctx, runtime.Sandbox{ID: sandbox}); err != nil {
		t.Fatalf("create a sandbox: %v", err)
	}
	t.Run("images", r.images)
	t.Run("pull", r.pull)
	t.Run("sandboxes", r.sandboxes)
	t.Run("lifecycle", r.lifecycle)
	t.Run("again", r.again)
	t.Run("exit codes", r.exitCodes)
	t.Run("signals", r.signals)
	t.Run("wait", r.wait)
	t.Run("process", r.process)
	t.Run("refusals", r.refusals)
	t.Run("output", r.output)
	t.Run("exec", r.exec)
	t.Run("exec streams", r.streams)
	t.Run("remove", r.remove)
	t.Run("many", r.many)
	t.Run("reopen", r.reopen)
	if s.Kernel {
		t.Run("user", r.user)
		t.Run("file systems", r.fileSystems)
		t.Run("privileges", r.privileges)
		t.Run("memory", r.memory)
		t.Run("namespaces", r.namespaces)
		t.Run("fields", r.fields)
		t.Run("places", r.places)
		if !s.OwnKernel {
			t.Run("shared namespaces", r.shared)
		}
		t.Run("exec kills", r.execKills)
		t.Run("exec terminal", r.terminal)
		t.Run("init", r.initProcess)
	}
	if err := r.RemoveSandbox(ctx, sandbox); err != nil {
		t.Errorf("remove the sandbox: %v", err)
	}
	left, err := r.ListContainers(ctx)
	if err != nil || len(left) > 0 {
		t.Errorf("containers left: %v, error %v", left, err)
	}
}

// context bounds a test.
func bounded(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

// spec is a container that runs the probe's steps.
func (r *suite) spec(steps ...string) runtime.Spec {
	r.n++
	return runtime.Spec{
		ID: fmt.Sprintf("c%d-%s", r.n, r.id), Sandbox: sandbox, Image: image, Runtime: r.Engine,
		Args: append([]string{program}, steps...),
	}
}

// create creates a container and has it removed with the test.
func (r *suite) create(t *testing.T, spec runtime.Spec) string {
	t.Helper()
	if err := r.Create(bounded(t), spec); err != nil {
		t.Fatalf("Create: %v", err)
	}
	t.Cleanup(func() { r.discard(t, spec.ID) })
	return spec.ID
}

func (r *suite) discard(t *testing.T, id string) {
	t.Helper()
	if err := r.Remove(context.Background(), id); err != nil {
		t.Errorf("Remove %s: %v", id, err)
	}
	os.Remove(r.LogPath(id))
}

func (r *suite) start(t *testing.T, spec runtime.Spec) string {
	t.Helper()
	id := r.create(t, spec)
	if err := r.Start(bounded(t), id); err != nil {
		t.Fatalf("Start: %v", err)
	}
	return id
}

// run runs a container to its end and returns its output.
func (r *suite) run(t *testing.T, spec runtime.Spec) (runtime.Status, string) {
	t.Helper()
	id := r.start(t, spec)
	status, err := r.Wait(bounded(t), id)
	if err != nil {
		t.Fatalf("Wait: %v", err)
	}
	return status, r.text(t, id)
}

// want runs a container that must exit with 0 and print text.
func (r *suite) want(t *testing.T, spec runtime.Spec, text string) {
	t.Helper()
	status, out := r.run(t, spec)
	if out != text || status.ExitCode != 0 {
		t.Errorf("%v: exit code %d, output %q, want 0 and %q", spec.Args, status.ExitCode, out, text)
	}
}

func (r *suite) status(t *testing.T, id string) runtime.Status {
	t.Helper()
	status, err := r.Status(bounded(t), id)
	if err != nil {
		t.Fatalf("Status: %v", err)
	}
	return status
}

// text is a container's output so far, both streams as they came.
func (r *suite) text(t *testing.T, id string) string {
	t.Helper()
	var out strings.Builder
	for _, l := range r.lines(t, id) {
		out.WriteString(l.text)
		if l.full {
			out.WriteByte('\n')
		}
	}
	return out.String()
}

type line struct {
	at     time.Time
	stream string
	full   bool
	text   string
}

// lines reads a container's output as its file has it.
func (r *suite) lines(t *testing.T, id string) []line {
	t.Helper()
	data, err := os.ReadFile(r.LogPath(id))
	if err != nil {
		t.Fatalf("read the output: %v", err)
	}
	var lines []line
	for raw := range strings.Lines(string(data)) {
		parts := strings.SplitN(strings.TrimSuffix(raw, "\n"), " ", 4)
		if len(parts) != 4 || parts[1] != "stdout" && parts[1] != "stderr" || parts[2] != "F" && parts[2] != "P" {
			t.Fatalf("the output has the line %q", raw)
		}
		at, err := time.Parse(time.RFC3339Nano, parts[0])
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line{at, parts[1], parts[2] == "F", parts[3]})
	}
	return lines
}

// says waits until a running container has printed a text.
func (r *suite) says(t *testing.T, id, text string) {
	t.Helper()
	ctx := bounded(t)
	watch, err := fsnotify.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Close()
	if err := watch.Add(r.LogPath(id)); err != nil {
		t.Fatal(err)
	}
	for !strings.Contains(r.text(t, id), text) {
		select {
		case <-watch.Events:
		case err := <-watch.Errors:
			t.Fatal(err)
		case <-ctx.Done():
			t.Fatalf("container %s said %q, not %q", id, r.text(t, id), text)
		}
	}
}
