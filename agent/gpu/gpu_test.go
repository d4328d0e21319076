package gpu

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestFind(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("the test makes device files: run it as root")
	}
	dir, proc := t.TempDir(), t.TempDir()
	for name, minor := range map[string]uint32{"nvidia0": 3, "nvidia10": 5, "nvidia2": 7, "nvidiactl": 8, "nvidia-caps": 9, "null": 3} {
		if err := unix.Mknod(filepath.Join(dir, name), unix.S_IFCHR|0o666, int(unix.Mkdev(1, minor))); err != nil {
			t.Fatal(err)
		}
	}
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(dir, "nvidia1"), "no device")
	write(filepath.Join(proc, "gpus/0000:01:00.0/information"), "Model: \t\t Big\nGPU UUID: \t GPU-01234567-0000-1111-2222-333344445555\nDevice Minor: \t 2\n")
	write(filepath.Join(proc, "gpus/0000:02:00.0/information"), "GPU UUID: \t GPU-????????\nDevice Minor: \t none\n")
	h, err := Find(dir, proc, "node")
	if err != nil {
		t.Fatal(err)
	}
	ids := h.IDs()
	if len(ids) != 3 || ids[1] != "GPU-01234567-0000-1111-2222-333344445555" || !strings.HasPrefix(ids[0], "GPU-") || len(ids[0]) != len(ids[1]) || ids[0] == ids[2] {
		t.Fatalf("found %v", ids)
	}
	again, err := Find(dir, proc, "node")
	if err != nil || !slices.Equal(again.IDs(), ids) {
		t.Errorf("found again %v, %v", again.IDs(), err)
	}
	if other, err := Find(dir, proc, "other"); err != nil || other.IDs()[0] == ids[0] {
		t.Errorf("another host has the same: %v, %v", other.IDs(), err)
	}
	got, err := h.Devices(ids[1:])
	var names []string
	for _, d := range got {
		names = append(names, strings.TrimPrefix(d.Target, "/dev/"))
		if d.Source != filepath.Join(dir, filepath.Base(d.Target)) || d.Permissions != "rw" {
			t.Errorf("device %+v", d)
		}
	}
	if err != nil || !slices.Equal(names, []string{"nvidia2", "nvidia10", "nvidiactl"}) {
		t.Errorf("devices %v, %v", names, err)
	}
	if got, err := h.Devices(nil); got != nil || err != nil {
		t.Errorf("without a GPU: %v, %v", got, err)
	}
	for _, h := range []*Host{h, nil} {
		if _, err := h.Devices([]string{"GPU-gone"}); err == nil || !strings.Contains(err.Error(), "GPU-gone") {
			t.Errorf("one that is gone: %v", err)
		}
	}
	if _, err := Find(filepath.Join(dir, "none"), proc, "node"); err == nil {
		t.Error("no directory: no error")
	}
}
