package lazy

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/containerd/stargz-snapshotter/estargz"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

type entry struct {
	tar.Header
	data []byte
}

// build makes an eStargz layer.
func build(t *testing.T, entries ...entry) (blob []byte, toc digest.Digest) {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		e.Size = int64(len(e.data))
		e.Format = tar.FormatPAX
		if e.Mode == 0 {
			e.Mode = 0o644
		}
		if err := w.WriteHeader(&e.Header); err != nil {
			t.Fatal(err)
		}
		w.Write(e.data)
	}
	w.Close()
	made, err := estargz.Build(io.NewSectionReader(bytes.NewReader(b.Bytes()), 0, int64(b.Len())), estargz.WithChunkSize(1<<16))
	if err != nil {
		t.Fatal(err)
	}
	defer made.Close()
	blob, err = io.ReadAll(made)
	if err != nil {
		t.Fatal(err)
	}
	return blob, made.TOCDigest()
}

// counted counts what is read.
type counted struct {
	io.ReaderAt
	bytes atomic.Int64
	fail  atomic.Bool
}

func (c *counted) ReadAt(p []byte, off int64) (int, error) {
	if c.fail.Load() {
		return 0, errors.New("the registry is away")
	}
	c.bytes.Add(int64(len(p)))
	return c.ReaderAt.ReadAt(p, off)
}

// served mounts a layer by a process's server, in this process.
func served(t *testing.T, blob []byte, toc digest.Digest) (dir string, read *counted, c *Client, m Mount) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("these tests mount: run them as root")
	}
	root := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	read = &counted{ReaderAt: bytes.NewReader(blob)}
	listening := make(chan struct{})
	go func() {
		done <- Serve(ctx, root, func(Mount) (Blob, error) { return read, nil }, func() { close(listening) }, slog.New(slog.NewTextHandler(t.Output(), nil)))
	}()
	<-listening
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if left, _ := filepath.Glob(filepath.Join(root, "[0-9a-f]*")); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	})
	c, m = NewClient(root), Mount{Digest: digest.FromBytes(blob), Size: int64(len(blob)), TOC: toc}
	if err := c.Mount(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	return Dir(root, m.Digest), read, c, m
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// What is read is fetched, and nothing else, and it is what the layer has.
func TestReads(t *testing.T) {
	large, small := random(3<<20), []byte("text\n")
	blob, toc := build(t,
		entry{Header: tar.Header{Name: "dir/", Typeflag: tar.TypeDir, Mode: 0o1777}},
		entry{Header: tar.Header{Name: "dir/small", Typeflag: tar.TypeReg, Mode: 0o4755, Uid: 12, Gid: 34}, data: small},
		entry{Header: tar.Header{Name: "large", Typeflag: tar.TypeReg}, data: large},
		entry{Header: tar.Header{Name: "other", Typeflag: tar.TypeReg}, data: random(2 << 20)},
		entry{Header: tar.Header{Name: "empty", Typeflag: tar.TypeReg}},
		entry{Header: tar.Header{Name: "link", Typeflag: tar.TypeSymlink, Linkname: "dir/small"}},
		entry{Header: tar.Header{Name: "second", Typeflag: tar.TypeLink, Linkname: "dir/small"}},
		entry{Header: tar.Header{Name: "pipe", Typeflag: tar.TypeFifo}},
		entry{Header: tar.Header{Name: "gone/", Typeflag: tar.TypeDir, Mode: 0o755}},
		entry{Header: tar.Header{Name: "gone/.wh.file", Typeflag: tar.TypeReg}},
		entry{Header: tar.Header{Name: "opaque/", Typeflag: tar.TypeDir, Mode: 0o755}},
		entry{Header: tar.Header{Name: "opaque/.wh..wh..opq", Typeflag: tar.TypeReg}},
		entry{Header: tar.Header{Name: "capable", Typeflag: tar.TypeReg, PAXRecords: map[string]string{
			"SCHILY.xattr.user.key": "value", "SCHILY.xattr.trusted.overlay.redirect": "/etc"}}, data: small},
	)
	dir, read, c, m := served(t, blob, toc)
	if n := read.bytes.Load(); n > 64<<10 {
		t.Errorf("%d bytes were read before anybody asked", n)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "link")); err != nil || !bytes.Equal(got, small) {
		t.Errorf("small: %q, %v", got, err)
	}
	if n := read.bytes.Load(); n > 128<<10 {
		t.Errorf("%d bytes were read for a small file", n)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "large")); err != nil || !bytes.Equal(got, large) {
		t.Errorf("large: %d bytes, %v", len(got), err)
	}
	f, err := os.Open(filepath.Join(dir, "large"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	part := make([]byte, 1000)
	if _, err := f.ReadAt(part, 1<<20-500); err != nil || !bytes.Equal(part, large[1<<20-500:][:1000]) {
		t.Errorf("a part: %v", err)
	}
	if n := read.bytes.Load(); n > 4<<20 {
		t.Errorf("%d bytes were read for 3 MiB", n)
	}
	var st, second unix.Stat_t
	if err := errors.Join(unix.Stat(filepath.Join(dir, "dir/small"), &st), unix.Stat(filepath.Join(dir, "second"), &second)); err != nil ||
		st.Mode != unix.S_IFREG|0o4755 || st.Uid != 12 || st.Gid != 34 || st.Size != 5 || st.Nlink != 2 || st.Ino != second.Ino {
		t.Errorf("%+v, %v", st, err)
	}
	if err := unix.Stat(filepath.Join(dir, "gone/file"), &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != 0 {
		t.Errorf("a whiteout: %+v, %v", st, err)
	}
	value := make([]byte, 100)
	for name, want := range map[string]string{"opaque trusted.overlay.opaque": "y", "capable user.key": "value", "capable trusted.overlay.redirect": "", "dir trusted.overlay.opaque": ""} {
		var file, attr string
		fmt.Sscan(name, &file, &attr)
		n, err := unix.Getxattr(filepath.Join(dir, file), attr, value)
		if want == "" && err != unix.ENODATA || want != "" && (err != nil || string(value[:n]) != want) {
			t.Errorf("%s: %q, %v", name, value[:max(n, 0)], err)
		}
	}
	var names []string
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			t.Error(err)
		}
		names = append(names, path[len(dir):])
		return nil
	})
	want := []string{"", "/capable", "/dir", "/dir/small", "/empty", "/gone", "/gone/file", "/large", "/link", "/opaque", "/other", "/pipe", "/second"}
	if fmt.Sprint(names) != fmt.Sprint(want) {
		t.Errorf("there is %q, want %q", names, want)
	}
	if err := os.WriteFile(filepath.Join(dir, "new"), nil, 0o600); !errors.Is(err, syscall.EROFS) {
		t.Errorf("a write: %v", err)
	}
	if all, err := c.Mounts(t.Context()); err != nil || len(all) != 1 || all[0] != m.Digest {
		t.Errorf("mounts %v, %v", all, err)
	}
	f.Close()
	if err := c.Unmount(t.Context(), m.Digest); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("after the unmount: %v", err)
	}
}

// What can't be had is an I/O error and not a hang, and can be had later.
func TestAway(t *testing.T) {
	data := random(1 << 20)
	blob, toc := build(t, entry{Header: tar.Header{Name: "f", Typeflag: tar.TypeReg}, data: data})
	dir, read, _, _ := served(t, blob, toc)
	read.fail.Store(true)
	if _, err := os.ReadFile(filepath.Join(dir, "f")); !errors.Is(err, syscall.EIO) {
		t.Errorf("while the registry is away: %v", err)
	}
	read.fail.Store(false)
	if got, err := os.ReadFile(filepath.Join(dir, "f")); err != nil || !bytes.Equal(got, data) {
		t.Errorf("afterwards: %d bytes, %v", len(got), err)
	}
}

// A layer is what its manifest names, or it isn't shown.
func TestForged(t *testing.T) {
	blob, toc := build(t, entry{Header: tar.Header{Name: "f", Typeflag: tar.TypeReg}, data: random(1 << 17)})
	if _, err := Open(bytes.NewReader(blob), int64(len(blob)), digest.FromString("another"), "x", newPieces(1<<20)); err == nil {
		t.Error("a table of contents of another digest is taken")
	}
	bad := bytes.Clone(blob)
	for i := 200; i < 3000; i++ { // in the file's first piece
		bad[i] ^= 1
	}
	l, err := Open(bytes.NewReader(bad), int64(len(bad)), toc, "x", newPieces(1<<20))
	if err != nil {
		t.Fatal(err)
	}
	e, ok := l.toc.Lookup("f")
	if !ok {
		t.Fatal("no file")
	}
	if n, err := l.readAt(e, make([]byte, 10), 0); err == nil {
		t.Errorf("%d forged bytes are read", n)
	}
	circle, digestOf := build(t, entry{Header: tar.Header{Name: "a", Typeflag: tar.TypeLink, Linkname: "b"}}, entry{Header: tar.Header{Name: "b", Typeflag: tar.TypeLink, Linkname: "a"}})
	if _, err := Open(bytes.NewReader(circle), int64(len(circle)), digestOf, "x", newPieces(1<<20)); err == nil || !strings.Contains(err.Error(), "circle") {
		t.Errorf("links that lead in a circle: %v", err)
	}
	if _, err := Open(bytes.NewReader(blob[:len(blob)/2]), int64(len(blob)/2), toc, "x", newPieces(1<<20)); err == nil {
		t.Error("half a layer is opened")
	}
}

func TestPieces(t *testing.T) {
	p := newPieces(10)
	for i := range 5 {
		p.put(fmt.Sprint(i), make([]byte, 4))
		p.get("0")
	}
	p.put("huge", make([]byte, 11))
	for key, want := range map[string]bool{"0": true, "1": false, "3": false, "4": true, "huge": false} {
		if _, ok := p.get(key); ok != want {
			t.Errorf("piece %s is kept: %t", key, ok)
		}
	}
	if p.have != 8 {
		t.Errorf("%d bytes are kept", p.have)
	}
}
