package volumes

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth/berth/internal/loopfs"
)

const task = "0123456789abcdef0123456789abcdef"

// world is where a test's volumes are. At its end nothing is mounted there.
func world(t *testing.T, efs map[string]string) *Volumes {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("these tests mount file systems: run them as root")
	}
	v, err := Open(Config{Dir: filepath.Join(t.TempDir(), "volumes"), EFS: efs, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.Destroy(context.Background()); err != nil {
			t.Error(err)
		}
		mounts, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil || strings.Contains(string(mounts), v.dir) {
			t.Errorf("mounts are left, %v", err)
		}
	})
	return v
}

func (v *Volumes) must(t *testing.T, task string, s Spec) string {
	t.Helper()
	dir, err := v.Provide(t.Context(), task, s)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := v.Provide(t.Context(), task, s); err != nil || again != dir {
		t.Fatalf("again: %s, %v, want %s", again, err, dir)
	}
	return dir
}

func write(t *testing.T, elem ...string) {
	t.Helper()
	path := filepath.Join(elem...)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(filepath.Base(path)), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func has(elem ...string) bool {
	_, err := os.Stat(filepath.Join(elem...))
	return err == nil
}

func TestDocker(t *testing.T) {
	v := world(t, nil)
	own := v.must(t, task, Spec{Name: "own", Docker: &Docker{}})
	shared := v.must(t, task, Spec{Name: "common", Docker: &Docker{Shared: true, Create: true}})
	write(t, own, "f")
	write(t, shared, "f")
	memory := v.must(t, task, Spec{Name: "memory", Docker: &Docker{Options: map[string]string{"type": "tmpfs", "device": "tmpfs", "o": "size=1m,mode=1777"}}})
	var s unix.Statfs_t
	if err := unix.Statfs(memory, &s); err != nil || s.Type != unix.TMPFS_MAGIC || int64(s.Blocks)*s.Bsize != 1<<20 {
		t.Errorf("a tmpfs of 1 MiB is %+v, %v", s, err)
	}
	source := t.TempDir()
	write(t, source, "there")
	if bound := v.must(t, task, Spec{Name: "bound", Docker: &Docker{Shared: true, Create: true, Options: map[string]string{"type": "none", "device": source, "o": "bind"}}}); !has(bound, "there") {
		t.Error("a bound directory is not there")
	}
	if err := errors.Join(v.Release(t.Context(), task), v.Release(t.Context(), task)); err != nil {
		t.Fatal(err)
	}
	if has(own) || has(memory) || !has(shared, "f") || !has(source, "there") {
		t.Errorf("after the task: own %v, memory %v, shared %v, the bound directory %v", has(own), has(memory), has(shared, "f"), has(source, "there"))
	}
	if again := v.must(t, "other", Spec{Name: "common", Docker: &Docker{Shared: true}}); again != shared {
		t.Errorf("another task's shared volume is %s, want %s", again, shared)
	}
	if own := v.must(t, "other", Spec{Name: "own", Docker: &Docker{}}); has(own, "f") {
		t.Error("a task's volume is another's")
	}
	if tasks, err := v.Tasks(); err != nil || len(tasks) != 1 || tasks[0] != "other" {
		t.Errorf("the tasks are %v, %v", tasks, err)
	}
	for name, c := range map[string]struct {
		task string
		spec Spec
		want string
	}{
		"a name that leads out": {task, Spec{Name: "../../x", Docker: &Docker{}}, "begin with a dot"},
		"dots":                  {task, Spec{Name: "..", Docker: &Docker{Shared: true, Create: true}}, "begin with a dot"},
		"a task that leads out": {"../x", Spec{Name: "x", Docker: &Docker{}}, "begin with a dot"},
		"not there":             {task, Spec{Name: "nowhere", Docker: &Docker{Shared: true}}, "autoprovision is false"},
		"other options":         {task, Spec{Name: "bound", Docker: &Docker{Shared: true, Create: true}}, "other driver options"},
		"another driver":        {task, Spec{Name: "x", Docker: &Docker{Driver: "rexray/ebs"}}, `driver "rexray/ebs" is not there`},
		"an unknown option":     {task, Spec{Name: "x", Docker: &Docker{Options: map[string]string{"size": "1"}}}, `no option "size"`},
		"no device":             {task, Spec{Name: "x", Docker: &Docker{Options: map[string]string{"type": "tmpfs"}}}, "needs the option device"},
		"no such directory":     {task, Spec{Name: "x", Docker: &Docker{Options: map[string]string{"type": "none", "device": "/nowhere/at/all", "o": "bind"}}}, "mount the volume's device /nowhere/at/all"},
		"nothing":               {task, Spec{Name: "x"}, "is of no kind"},
	} {
		if dir, err := v.Provide(t.Context(), c.task, c.spec); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %s, %v, want %q", name, dir, err, c.want)
		}
	}
}

func TestEFS(t *testing.T) {
	dir := t.TempDir()
	outside := t.TempDir()
	write(t, dir, "app", "data", "f")
	write(t, outside, "app", "secret")
	if err := errors.Join(os.Symlink(outside, filepath.Join(dir, "out")), os.Symlink("/app", filepath.Join(dir, "in"))); err != nil {
		t.Fatal(err)
	}
	v := world(t, map[string]string{"fs-0123": dir, "fs-4567": "127.0.0.1:/nothing"})
	if got := v.must(t, task, Spec{Name: "all", EFS: &EFS{FileSystem: "fs-0123"}}); !has(got, "app", "data", "f") {
		t.Error("the file system is empty")
	}
	part := v.must(t, task, Spec{Name: "part", EFS: &EFS{FileSystem: "fs-0123", Root: "/in/data"}})
	if !has(part, "f") {
		t.Error("a directory of the file system is empty")
	}
	write(t, part, "g")
	for _, c := range []struct{ system, root, want string }{
		{"fs-9999", "", "file system fs-9999 is mapped to nothing on this host"},
		{"fs-0123", "/nowhere", "mounting fs-0123:/nowhere failed: open /nowhere: no such file or directory"},
		{"fs-0123", "/out/app", "no such file or directory"},
		{"fs-0123", "../../../../out", "no such file or directory"},
		{"fs-4567", "", "mount fs-4567 (127.0.0.1:/nothing): "},
	} {
		_, err := v.Provide(t.Context(), task, Spec{Name: "bad", EFS: &EFS{FileSystem: c.system, Root: c.root}})
		if err == nil || !strings.HasPrefix(err.Error(), "failed to invoke EFS utils commands to set up EFS volumes: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s%s: %v, want %q", c.system, c.root, err, c.want)
		}
	}
	if err := v.Release(t.Context(), task); err != nil {
		t.Fatal(err)
	}
	if has(part) || !has(dir, "app", "data", "g") || !has(outside, "app", "secret") {
		t.Error("the release of a volume removed the file system's files, or left the volume")
	}
}

func TestParseEFS(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		"fs-0123=" + dir:             dir,
		"fs-0123=nas.local:/exports": "nas.local:/exports",
		"fs-0123":                    "", "x=/": "", "fs-0123=nas": "", "fs-0123=:/x": "", "fs-0123=nas:x": "", "fs-0123=/nowhere/at/all": "", "fs-0123=a,b:/x": "",
	} {
		id, target, err := ParseEFS(text)
		if (err == nil) != (want != "") || err == nil && (id != "fs-0123" || target != want) {
			t.Errorf("%s: %s, %s, %v", text, id, target, err)
		}
	}
}

func TestEBS(t *testing.T) {
	const size = 32 << 20
	v := world(t, nil)
	gone := v.must(t, task, Spec{Name: "gone", EBS: &EBS{ID: "vol-1", Size: size, Kind: loopfs.Ext4}})
	kept := v.must(t, task, Spec{Name: "kept", EBS: &EBS{ID: "vol-2", Size: size, Kind: loopfs.Ext3, Keep: true}})
	write(t, kept, "f")
	if err := os.WriteFile(filepath.Join(gone, "big"), make([]byte, 2*size), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("beyond its size: %v", err)
	}
	// The host was restarted, and before that a process killed that made another.
	if err := loopfs.Unmount(kept); err != nil {
		t.Fatal(err)
	}
	half := filepath.Join(v.task(task), "half")
	write(t, half, imageFile+".new")
	if got := v.must(t, task, Spec{Name: "half", EBS: &EBS{ID: "vol-3", Size: size, Kind: loopfs.Ext4}}); !has(got, "lost+found") {
		t.Error("what was half-made is not whole")
	}
	if again := v.must(t, task, Spec{Name: "kept", EBS: &EBS{ID: "vol-2", Size: size, Kind: loopfs.Ext3, Keep: true}}); !has(again, "f") {
		t.Error("the file is gone")
	}
	if err := v.Release(t.Context(), task); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(filepath.Join(v.dir, keptDir))
	if err != nil || len(left) != 1 || left[0].Name() != "vol-2" || has(gone) {
		t.Errorf("kept are %v, %v", left, err)
	}
	if kind := (EBS{}).use().Kind; kind != loopfs.XFS && kind != loopfs.Ext4 {
		t.Errorf("by default a volume is %s", kind)
	}
}
