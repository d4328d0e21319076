package crun

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/berth/berth/agent/runtime"
	"github.com/berth/berth/agent/runtime/runtimetest"
)

// gVisor passes the suite, but for what forRunsc refuses and the suite names.
func TestConformanceRunsc(t *testing.T) {
	config := testConfig(t)
	config.Runtimes = map[string]string{"runsc": runtimetest.BuildRunsc(t)}
	conform(t, config, "runsc")
}

// Containers of a runtime that a later process isn't given go on and can be told to
// end; there are no new ones.
func TestRetiredEngine(t *testing.T) {
	config := testConfig(t)
	config.Runtimes = map[string]string{"other": "crun"}
	r := open(t, config)
	ctx := t.Context()
	image := runtimetest.DockerArchive(t, runtimetest.NewImage(t, config.InitPath, "x"), "probe")
	if _, err := r.Import(ctx, bytes.NewReader(image), ""); err != nil {
		t.Fatal(err)
	}
	spec := runtime.Spec{ID: "old", Sandbox: "task", Image: "probe", Runtime: "other", Args: []string{"/probe", "stay"}}
	if err := errors.Join(r.CreateSandbox(ctx, runtime.Sandbox{ID: "task"}), r.Create(ctx, spec), r.Start(ctx, "old"), r.Close()); err != nil {
		t.Fatal(err)
	}
	config.Runtimes = nil
	r = reopen(t, config)
	defer r.Close()
	got, err := r.Exec(ctx, "old", runtime.Exec{Args: []string{"/probe", "print=here"}})
	if err != nil || got.Output != "here\n" {
		t.Errorf("Exec = %+v, %v", got, err)
	}
	for name, want := range map[string]string{"other": "not started with", "another": "not started with"} {
		spec.ID, spec.Runtime = "new", name
		if err := r.Create(ctx, spec); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Create with %s: %v", name, err)
		}
	}
	if err := r.Remove(ctx, "old"); err != nil {
		t.Error(err)
	}
	if left := r.engines["other"]; left == nil || left.has("old") {
		t.Errorf("its state is left: %+v", left)
	}
}
