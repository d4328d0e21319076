package images

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// On a disk without a byte left, images that nobody uses still make room.
func TestEvictOnFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("berth-test", dir, "tmpfs", 0, "size=400m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	w := newWorld(t)
	s := open(t, filepath.Join(dir, "images"), Registries{})
	defer s.Close()
	s.Taken()
	var refs []string
	for _, name := range []string{"one", "two", "three"} {
		ref := w.push(t, name+":1", newImage(t, gzipped(t, reg("f", noise(5<<20)+name))))
		if _, err := s.Pull(t.Context(), ref, false); err != nil {
			t.Fatal(err)
		}
		refs = append(refs, ref)
	}
	filler, err := os.Create(filepath.Join(dir, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	defer filler.Close()
	for chunk := make([]byte, 1<<20); len(chunk) > 0; {
		if _, err := filler.Write(chunk); errors.Is(err, syscall.ENOSPC) {
			chunk = chunk[:len(chunk)/2]
		} else if err != nil {
			t.Fatal(err)
		}
	}
	removed, err := s.evict(t.Context(), GC{High: 90, Low: 1}, func() []string { return refs[2:] }, s.level, time.Now().Add(time.Hour))
	if err != nil || len(removed) != 2 {
		t.Errorf("removed %v, %v", removed, err)
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		t.Fatal(err)
	}
	if free := int64(fs.Bavail) * fs.Bsize; free < 15<<20 {
		t.Errorf("%d KiB are free now", free>>10)
	}
	if got := read(t, s, refs[2], "f"); len(got) < 5<<20 {
		t.Errorf("the image in use has %d bytes of its file", len(got))
	}
}
