package loopfs

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A file system holds what its size says and no more, and gives the room of what
// was removed back to the disk that its file is on.
func TestFull(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("this test mounts file systems: run it as root")
	}
	const size = 32 << 20
	for _, use := range []Use{{Ext4, true}, {Ext4, false}, {Ext3, false}} {
		t.Run(string(use.Kind), func(t *testing.T) {
			file, dir := filepath.Join(t.TempDir(), "image"), t.TempDir()
			if err := use.Make(t.Context(), file, size); err != nil {
				t.Fatal(err)
			}
			if blocks := held(t, file); blocks > 9<<20 {
				t.Errorf("an empty file system takes %d bytes", blocks)
			}
			if err := use.Mount(file, dir); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := Unmount(dir); err != nil {
					t.Error(err)
				}
				if err := Unmount(dir); err != nil {
					t.Errorf("again: %v", err)
				}
			})
			if err := os.WriteFile(filepath.Join(dir, "f"), make([]byte, 2*size), 0o600); !errors.Is(err, unix.ENOSPC) {
				t.Errorf("%v, want no space left", err)
			}
			total, used, err := Room(dir)
			if err != nil || total > size || used < total*9/10 {
				t.Errorf("of %d bytes %d are used, %v", total, used, err)
			}
		})
	}
}

func held(t *testing.T, file string) int64 {
	t.Helper()
	var s unix.Stat_t
	if err := unix.Stat(file, &s); err != nil {
		t.Fatal(err)
	}
	return s.Blocks * 512
}

func TestNoProgram(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	file := filepath.Join(t.TempDir(), "image")
	if err := (Use{Kind: XFS}).Make(t.Context(), file, 1<<30); err == nil || err.Error() != "mkfs.xfs is not installed: install xfsprogs" {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("a file is left")
	}
}
