package crun

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"io"
	"log"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/berth/berth/agent/runtime"
	"github.com/berth/berth/agent/runtime/runtimetest"
)

func TestConformance(t *testing.T) { conform(t, testConfig(t), "") }

// conform runs the suite with containers of an OCI runtime.
func conform(t *testing.T, config Config, engine string) {
	r := open(t, config)
	reg := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(reg.Close)
	host := strings.TrimPrefix(reg.URL, "http://")
	t.Cleanup(func() { r.Close() })
	runtimetest.Run(t, &runtimetest.Subject{
		Runtime: r,
		Reopen: func(t *testing.T) runtime.Runtime {
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			r = reopen(t, config)
			return r
		},
		Publish: func(t *testing.T, repo string, img v1.Image) string {
			ref, err := name.ParseReference(host + "/" + repo)
			if err != nil {
				t.Fatal(err)
			}
			if err := remote.Write(ref, img); err != nil {
				t.Fatal(err)
			}
			return host + "/" + repo
		},
		Kernel: true, Engine: engine, OwnKernel: engine == "runsc",
	})
}

// testConfig is of an instance of its own. What it leaves on the host at the end
// of the test is an error.
func testConfig(t testing.TB) Config {
	t.Helper()
	return testConfigIn(t, t.TempDir())
}

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("these tests run containers: run them as root")
	}
}

func testConfigIn(t testing.TB, dir string) Config {
	t.Helper()
	needRoot(t)
	var id [4]byte
	rand.Read(id[:])
	instance := hex.EncodeToString(id[:])
	root := filepath.Join(dir, "runtime")
	t.Cleanup(func() { checkClean(t, root, instance) })
	return Config{
		Root: root, Instance: instance, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		InitPath: runtimetest.BuildProgram(t),
	}
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// open opens a runtime and destroys the instance with the test, whoever has it
// open then.
func open(t testing.TB, config Config) *Runtime {
	t.Helper()
	r := reopen(t, config)
	t.Cleanup(func() {
		if err := reopen(t, config).Destroy(context.Background()); err != nil {
			t.Errorf("Destroy: %v", err)
		}
	})
	t.Cleanup(func() { r.Close() })
	return r
}

func reopen(t testing.TB, config Config) *Runtime {
	t.Helper()
	r, err := Open(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// checkClean looks for what a destroyed instance left.
func checkClean(t testing.TB, root, instance string) {
	t.Helper()
	cgroups, err := filepath.Glob("/sys/fs/cgroup/*/berth/" + instance)
	if err != nil || len(cgroups) > 0 {
		t.Errorf("cgroups left: %v, %v", cgroups, err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || strings.Contains(string(mounts), root) {
		t.Errorf("mounts left:\n%s, %v", mounts, err)
	}
	conmons, err := supervisorsOf(root)
	if err != nil || len(conmons) > 0 {
		t.Errorf("processes left: %v, %v", conmons, err)
	}
	for _, dir := range []string{containersDir, sandboxesDir, exitsDir, stateDir} {
		entries, err := os.ReadDir(filepath.Join(root, dir))
		if err != nil || len(entries) > 0 {
			t.Errorf("files left in %s: %v, %v", dir, entries, err)
		}
	}
}
