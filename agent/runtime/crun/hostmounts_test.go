package crun

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth/berth/agent/runtime"
	"github.com/berth/berth/agent/runtime/runtimetest"
)

// A shared mount beside the root, on a path with which the root's begins, is not
// the mount that the root is on.
func TestNeighbourMount(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	neighbour := filepath.Join(dir, "run") // the root is runtime
	if err := os.Mkdir(neighbour, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(neighbour, neighbour, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unmount(neighbour); err != nil {
			t.Error(err)
		}
	})
	if err := unix.Mount("", neighbour, "", unix.MS_SHARED, ""); err != nil {
		t.Fatal(err)
	}
	config := testConfigIn(t, dir)
	r := open(t, config)
	img := runtimetest.NewImage(t, config.InitPath, "neighbour")
	if _, err := r.Import(t.Context(), bytes.NewReader(runtimetest.DockerArchive(t, img, "probe")), ""); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		r.CreateSandbox(t.Context(), runtime.Sandbox{ID: "t"}),
		r.Create(t.Context(), runtime.Spec{ID: "a", Sandbox: "t", Image: "probe", Args: []string{"/probe", "exit=5"}}),
		r.Start(t.Context(), "a"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if status, err := r.Wait(t.Context(), "a"); err != nil || status.ExitCode != 5 {
		t.Errorf("%+v, %v, want exit code 5", status, err)
	}
}
