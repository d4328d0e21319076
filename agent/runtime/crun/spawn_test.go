package crun

import (
	"bytes"
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/berth/berth/agent/runtime"
	"github.com/berth/berth/agent/runtime/runtimetest"
)

// What crun leaves at the place of a cgroup2 mount that was taken away from it
// goes with the container: it would fill up, after a thousand containers.
func TestNothingPilesUp(t *testing.T) {
	config := testConfig(t)
	r := open(t, config)
	img := runtimetest.NewImage(t, config.InitPath, "piles")
	if _, err := r.Import(t.Context(), bytes.NewReader(runtimetest.DockerArchive(t, img, "probe")), ""); err != nil {
		t.Fatal(err)
	}
	files := func() int {
		n := 0
		err := r.spawner.do(func() error {
			for _, point := range r.spawner.hidden {
				err := filepath.WalkDir(filepath.Join(point, r.cgroups.base), func(_ string, _ fs.DirEntry, err error) error {
					if err == nil {
						n++
					}
					return nil
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := 0
	for round := range 3 {
		if err := r.CreateSandbox(t.Context(), runtime.Sandbox{ID: "t"}); err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{"a", "b"} {
			for _, err := range []error{
				r.Create(t.Context(), runtime.Spec{ID: id, Sandbox: "t", Image: "probe", Args: []string{"/probe", "exit=0"}}),
				r.Start(t.Context(), id),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			if _, err := r.Wait(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		if len(r.spawner.hidden) > 0 && files() == 0 {
			t.Fatal("crun left nothing to look for: this test looks in the wrong place")
		}
		if err := r.RemoveSandbox(t.Context(), "t"); err != nil {
			t.Fatal(err)
		}
		if n := files(); round == 0 {
			before = n
		} else if n != before {
			t.Errorf("%d files are left after round %d, %d after the first", n, round, before)
		}
	}
}
