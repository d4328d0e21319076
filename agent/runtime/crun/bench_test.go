package crun

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berth/berth/agent/runtime"
	"github.com/berth/berth/agent/runtime/runtimetest"
	"github.com/berth/berth/internal/wholefile"
)

// BenchmarkLaunch measures Create and Start, of an image that is present, until
// the OCI runtime has released the process; bare is `crun run` of the same
// program from an unpacked directory, in the same run and on the same thread, as
// a measure of the machine.
func BenchmarkLaunch(b *testing.B) {
	r, rootfs := benchRuntime(b)
	var create, start, remove, bare []time.Duration
	for i := 0; b.Loop(); i++ {
		id := fmt.Sprintf("bench%d", i)
		began := time.Now()
		if err := r.Create(b.Context(), benchSpec(id)); err != nil {
			b.Fatal(err)
		}
		created := time.Now()
		if err := r.Start(b.Context(), id); err != nil {
			b.Fatal(err)
		}
		started := time.Now()
		if err := r.Remove(b.Context(), id); err != nil {
			b.Fatal(err)
		}
		removed := time.Now()
		bareRun(b, r, rootfs, id)
		create, start, remove = append(create, created.Sub(began)), append(start, started.Sub(created)), append(remove, removed.Sub(started))
		bare = append(bare, time.Since(removed))
	}
	unit := median(bare)
	for _, m := range []struct {
		name  string
		times []time.Duration
	}{{"create", create}, {"start", start}, {"remove", remove}, {"bare", bare}} {
		b.ReportMetric(float64(median(m.times).Microseconds())/1000, "ms-"+m.name)
	}
	b.ReportMetric(float64(median(create)+median(start))/float64(unit), "launch/bare")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkLaunches measures how many containers a second can be launched eight
// at a time, and kept.
func BenchmarkLaunches(b *testing.B) {
	r, _ := benchRuntime(b)
	var n atomic.Int64
	b.SetParallelism(4) // times two CPUs and more
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			id := fmt.Sprintf("many%d", n.Add(1))
			if err := r.Create(context.Background(), benchSpec(id)); err != nil {
				b.Error(err)
			}
			if err := r.Start(context.Background(), id); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "launches/s")
}

func benchSpec(id string) runtime.Spec {
	return runtime.Spec{ID: id, Sandbox: "bench", Image: "bench", Args: []string{"/probe", "stay"}}
}

func benchRuntime(b *testing.B) (r *Runtime, rootfs string) {
	config := testConfig(b)
	r = open(b, config)
	rootfs = b.TempDir()
	img := runtimetest.NewImage(b, config.InitPath, "bench")
	if _, err := r.Import(b.Context(), bytes.NewReader(runtimetest.DockerArchive(b, img, "bench")), ""); err != nil {
		b.Fatal(err)
	}
	data, err := os.ReadFile(config.InitPath)
	if err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(rootfs, "probe"), data, 0o755); err != nil {
		b.Fatal(err)
	}
	if err := r.CreateSandbox(b.Context(), runtime.Sandbox{ID: "bench"}); err != nil {
		b.Fatal(err)
	}
	return r, rootfs
}

// bareRun runs the same configuration with nothing but the OCI runtime.
func bareRun(b *testing.B, r *Runtime, rootfs, id string) {
	id = "bare" + id
	config, err := r.config(record{Spec: runtime.Spec{ID: id, Sandbox: "bench", Args: []string{"/probe", "exit=0"}}}, joined{})
	if err != nil {
		b.Fatal(err)
	}
	bundle := filepath.Dir(rootfs)
	config.Root.Path, config.Annotations = rootfs, nil
	if err := wholefile.WriteJSON(filepath.Join(bundle, configFile), config); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(r.oci.path, append(r.oci.args(), "run", "--bundle", bundle, id)...)
	if err := r.start(cmd); err != nil {
		b.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		b.Fatal(err)
	}
}

func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}
