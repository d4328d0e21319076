package crun

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"

	"github.com/berth/berth/agent/runtime"
	"github.com/berth/berth/agent/runtime/runtimetest"
)

// storageWorld is a runtime with the suite's image.
func storageWorld(t *testing.T, config Config) (*Runtime, v1.Image) {
	t.Helper()
	r := open(t, config)
	img := runtimetest.NewImage(t, config.InitPath, "storage")
	if _, err := r.Import(t.Context(), bytes.NewReader(runtimetest.DockerArchive(t, img, "probe")), ""); err != nil {
		t.Fatal(err)
	}
	return r, img
}

// awaitReady returns when so many storages are ready.
func awaitReady(t *testing.T, r *Runtime, n int) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		r.ready.mu.Lock()
		have := len(r.ready.list)
		r.ready.mu.Unlock()
		if have == n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d storages are ready, want %d", have, n)
		}
	}
}

// What the containers of a sandbox write, and what is in its volumes, is limited
// together; neighbours and the host have theirs.
func TestStorage(t *testing.T) {
	const size = 48 << 20
	config := testConfig(t)
	config.ReadyStorage = size
	r, _ := storageWorld(t, config)
	if err := r.StorageProblem(); err != nil {
		t.Fatal(err)
	}
	awaitReady(t, r, readyCount)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	run := func(spec runtime.Spec) (code int, output string) {
		t.Helper()
		spec.Image = "probe"
		for _, err := range []error{r.Create(ctx, spec), r.Start(ctx, spec.ID)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		status, err := r.Wait(ctx, spec.ID)
		if err != nil {
			t.Fatal(err)
		}
		out, err := os.ReadFile(r.LogPath(spec.ID))
		if err != nil {
			t.Fatal(err)
		}
		return status.ExitCode, string(out)
	}
	for _, s := range []runtime.Sandbox{{ID: "a", Storage: size}, {ID: "b", Storage: 2 * size}, {ID: "c"}} {
		if err := r.CreateSandbox(ctx, s); err != nil {
			t.Fatal(err)
		}
		if err := r.CreateSandbox(ctx, s); err != nil {
			t.Fatalf("again: %v", err)
		}
		if got, err := r.Storage(ctx, s.ID); err != nil || got.Size > s.Storage || got.Size < s.Storage*9/10 {
			t.Errorf("the storage of %d bytes is %+v, %v", s.Storage, got, err)
		}
	}
	awaitReady(t, r, readyCount) // a new one in place of the one taken
	volume := filepath.Join(r.VolumeDir("a"), "v")
	if err := os.Mkdir(volume, 0o755); err != nil {
		t.Fatal(err)
	}
	mounts := []runtime.Mount{{Source: volume, Target: "/v"}}
	if err := os.WriteFile(filepath.Join(volume, "half"), make([]byte, size/2), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out := run(runtime.Spec{ID: "layer", Sandbox: "a", Mounts: mounts, Args: []string{"/probe", "grow=/big:64", "print=end"}}); code == 0 || !strings.Contains(out, "no space left on device") {
		t.Errorf("a layer beyond the limit: exit code %d, %s", code, out)
	}
	if err := os.WriteFile(filepath.Join(volume, "more"), make([]byte, 1<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("a volume beyond the limit: %v", err)
	}
	for _, sandbox := range []string{"b", "c"} {
		if code, out := run(runtime.Spec{ID: sandbox + "1", Sandbox: sandbox, Args: []string{"/probe", "grow=/big:64"}}); code != 0 {
			t.Errorf("a neighbour: exit code %d, %s", code, out)
		}
	}
	// What a removed container wrote is room again.
	if err := r.Remove(ctx, "layer"); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if got, err := r.Storage(ctx, "a"); err == nil && got.Used < size*3/4 {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("the storage without the layer is %+v, %v", got, err)
		}
	}
	// Another process finds all of it.
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r = reopen(t, config)
	if err := r.CreateSandbox(ctx, runtime.Sandbox{ID: "a", Storage: size}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(r.VolumeDir("a"), "v", "half")); err != nil {
		t.Error(err)
	}
	if err := r.RemoveSandbox(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Storage(ctx, "a"); !errors.Is(err, runtime.ErrNotFound) {
		t.Errorf("the storage of a removed sandbox: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

// Whatever a process leaves of storages when it is killed, the next one takes up
// or removes.
func TestStorageCutOff(t *testing.T) {
	const size = 32 << 20
	config := testConfig(t)
	config.ReadyStorage = size
	r, _ := storageWorld(t, config)
	awaitReady(t, r, readyCount)
	ready := filepath.Base(r.ready.list[0])
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	// One was being made, the file alone; another was mounted; a third had been
	// taken, by a sandbox that has no record; a fourth lost its mount.
	half, mounted := filepath.Join(r.ready.dir, "half"+newSuffix), filepath.Join(r.ready.dir, "mounted"+newSuffix)
	for _, dir := range []string{half, mounted} {
		if err := os.Mkdir(dir, 0o711); err != nil {
			t.Fatal(err)
		}
		if err := scratch.Make(t.Context(), filepath.Join(dir, imageFile), size); err != nil {
			t.Fatal(err)
		}
	}
	if err := mountStorage(mounted); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(r.ready.dir)
	if err != nil {
		t.Fatal(err)
	}
	var idle []string
	for _, e := range entries {
		if e.Name() != ready && filepath.Ext(e.Name()) != newSuffix {
			idle = append(idle, e.Name())
		}
	}
	if err := os.Rename(filepath.Join(r.ready.dir, idle[0]), r.storage("nobody")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Unmount(filepath.Join(r.ready.dir, idle[1], fsDir), unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	r = reopen(t, config)
	awaitReady(t, r, readyCount)
	for _, gone := range []string{half, mounted, r.storage("nobody"), filepath.Join(r.ready.dir, idle[1])} {
		if exists(gone) {
			t.Errorf("%s is still there", gone)
		}
	}
	if !exists(filepath.Join(r.ready.dir, ready)) {
		t.Error("what was ready was not taken up")
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

// An empty volume gets what the image has there, once.
func TestFill(t *testing.T) {
	rootfs, dir := t.TempDir(), t.TempDir()
	volume := filepath.Join(dir, "v")
	for path, text := range map[string]string{"data/a": "1", "data/sub/b": "2", "other/c": "3"} {
		path = filepath.Join(rootfs, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o750), os.WriteFile(path, []byte(text), 0o640)); err != nil {
			t.Fatal(err)
		}
	}
	outside := filepath.Join(dir, "outside")
	if err := errors.Join(
		os.Chmod(filepath.Join(rootfs, "data"), 0o770|os.ModeSticky), os.Lchown(filepath.Join(rootfs, "data"), 12, 34), os.Mkdir(volume, 0o755),
		os.MkdirAll(filepath.Join(outside, "data"), 0o755), os.WriteFile(filepath.Join(outside, "data", "secret"), nil, 0o600), os.Symlink(outside, filepath.Join(rootfs, "link")),
	); err != nil {
		t.Fatal(err)
	}
	names := func() string {
		t.Helper()
		var all []string
		entries, err := os.ReadDir(volume)
		for _, e := range entries {
			all = append(all, e.Name())
		}
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(all, " ")
	}
	// A symbolic link of the image leads nowhere else.
	if err := fill(volume, rootfs, "/link/data"); err != nil || names() != "" {
		t.Errorf("through a link: %q, %v", names(), err)
	}
	if err := fill(volume, rootfs, "/nothing"); err != nil || names() != "" {
		t.Errorf("what isn't there: %q, %v", names(), err)
	}
	// A copy was cut off, and is made anew.
	if err := os.MkdirAll(filepath.Join(volume+".filling", "rubbish"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := fill(volume, rootfs, "/data/"); err != nil || names() != "a sub" {
		t.Errorf("%q, %v", names(), err)
	}
	var s unix.Stat_t
	if err := unix.Stat(volume, &s); err != nil || s.Uid != 12 || s.Gid != 34 || s.Mode&0o7777 != 0o1770 {
		t.Errorf("the volume is %d:%d %o, %v", s.Uid, s.Gid, s.Mode, err)
	}
	if err := fill(volume, rootfs, "/other"); err != nil || names() != "a sub" {
		t.Errorf("a volume that isn't empty: %q, %v", names(), err)
	}
	// A move was cut off, and goes on.
	if err := errors.Join(os.MkdirAll(volume+".filled", 0o700), os.WriteFile(filepath.Join(volume+".filled", "z"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := fill(volume, rootfs, "/other"); err != nil || names() != "a sub z" {
		t.Errorf("after a cut-off: %q, %v", names(), err)
	}
	if left, err := filepath.Glob(volume + ".*"); err != nil || len(left) > 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}
