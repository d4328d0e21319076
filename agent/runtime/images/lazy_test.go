package images

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/stargz-snapshotter/estargz"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sys/unix"

	"github.com/berth/berth/agent/runtime/lazy"
)

// With this word before it, the test's program has lazy layers.
const lazyWord = "lazy-layers"

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == lazyWord {
		ready := func() { os.NewFile(3, "ready").Close() }
		if err := ServeLazy(context.Background(), os.Args[2], ready, slog.New(slog.NewTextHandler(os.Stderr, nil))); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// lazily opens a store that pulls lazily. lost gets the bases that are lost.
func lazily(t *testing.T, dir string) (s *Store, lost chan []string) {
	t.Helper()
	s, lost = open(t, dir, Registries{}), make(chan []string, 10)
	start := func(dir string) error {
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		defer r.Close()
		cmd := exec.Command(os.Args[0], lazyWord, dir)
		cmd.Stderr, cmd.ExtraFiles = os.Stderr, []*os.File{w}
		err = cmd.Start()
		w.Close()
		if err == nil {
			go cmd.Wait()
			_, err = io.ReadAll(r)
		}
		return err
	}
	if err := s.Lazily(t.Context(), start, func(bases []string) { lost <- bases }); err != nil {
		t.Fatal(err)
	}
	return s, lost
}

// stargz is an image of layers that can be had lazily: each has a file of its own
// and one that all have.
func stargz(t *testing.T, layers, size int) v1.Image {
	t.Helper()
	img, random := mutate.MediaType(empty.Image, types.OCIManifestSchema1), rand.NewChaCha8([32]byte{1})
	img = mutate.ConfigMediaType(img, types.OCIConfigJSON)
	for i := range layers {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		large := make([]byte, size)
		random.Read(large)
		for name, data := range map[string][]byte{fmt.Sprintf("large%d", i): large, "which": fmt.Appendf(nil, "layer %d", i)} {
			w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(data))})
			w.Write(data)
		}
		if i == 1 {
			w.WriteHeader(&tar.Header{Name: ".wh.large0", Mode: 0o644})
		}
		w.Close()
		made, err := estargz.Build(io.NewSectionReader(bytes.NewReader(b.Bytes()), 0, int64(b.Len())))
		if err != nil {
			t.Fatal(err)
		}
		blob, err := io.ReadAll(made)
		if err = errors.Join(err, made.Close()); err != nil { // it has files
			t.Fatal(err)
		}
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(blob)), nil }, tarball.WithMediaType(types.OCILayer))
		if err != nil {
			t.Fatal(err)
		}
		img, err = mutate.Append(img, mutate.Addendum{Layer: layer, MediaType: types.OCILayer, Annotations: map[string]string{lazy.TOCDigest: made.TOCDigest().String()}})
		if err != nil {
			t.Fatal(err)
		}
	}
	return img
}

// over mounts a base as a container has it.
func over(t *testing.T, b Base) string {
	t.Helper()
	dir := t.TempDir()
	for _, sub := range []string{"upper", "work", "root"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	root := filepath.Join(dir, "root")
	options := fmt.Sprintf("workdir=%s/work,upperdir=%s/upper,lowerdir=%s", dir, dir, strings.Join(b.Layers, ":"))
	if err := unix.Mount("overlay", root, "overlay", 0, options); err != nil {
		t.Fatalf("mount %s: %v", options, err)
	}
	t.Cleanup(func() { unix.Unmount(root, unix.MNT_DETACH) })
	return root
}

// reads wants the files of such an image.
func reads(t *testing.T, root string, layers int) {
	t.Helper()
	which, err := os.ReadFile(filepath.Join(root, "which"))
	if err != nil || string(which) != fmt.Sprintf("layer %d", layers-1) {
		t.Errorf("the file that all layers have: %q, %v", which, err)
	}
	if _, err := os.Stat(filepath.Join(root, "large0")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is deleted: %v", err)
	}
}

// withhold keeps the layers of an image from coming whole, until the returned
// function is called.
func (w *world) withhold(t *testing.T, img v1.Image) (give func()) {
	t.Helper()
	config, err := img.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	gate := make(chan struct{})
	give = sync.OnceFunc(func() { close(gate) })
	t.Cleanup(give)
	w.harm(func(_ http.ResponseWriter, r *http.Request) bool {
		part := r.Header.Get("Range") != "" && !strings.HasSuffix(r.Header.Get("Range"), "-")
		if strings.Contains(r.URL.Path, "/blobs/") && !part && !strings.HasSuffix(r.URL.Path, config.String()) {
			select {
			case <-gate:
			case <-r.Context().Done():
			}
		}
		return false
	})
	return give
}

// until waits for what another goroutine brings about.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(30 * time.Second); !f(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("still not: %s", what)
		}
	}
}

// An image can be run before its layers are there, and is on the disk in the end.
func TestLazy(t *testing.T) {
	w, dir := newWorld(t), t.TempDir()
	img := stargz(t, 3, 2<<20)
	ref := w.push(t, "lazy:v1", img)
	give := w.withhold(t, img)
	s, _ := lazily(t, dir)
	pulled, err := s.Pull(t.Context(), ref, true)
	if err != nil || !pulled.Coming {
		t.Fatalf("pulled %+v, %v", pulled, err)
	}
	if again, err := s.Pull(t.Context(), ref, true); err != nil || again.Digest != pulled.Digest {
		t.Errorf("pulled again: %+v, %v", again, err)
	}
	b, err := s.Base(t.Context(), ref)
	if err != nil || len(b.Layers) != 3 || !strings.HasPrefix(b.ID, lazyPrefix) {
		t.Fatalf("base %+v, %v", b, err)
	}
	s.Taken()
	reads(t, over(t, b), 3)

	// The next process finds it as it was.
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, _ = lazily(t, dir)
	defer func() {
		if err := errors.Join(s.EndLazy(context.Background()), s.Close()); err != nil {
			t.Error(err)
		}
	}()
	if s.Lost(b.ID) {
		t.Error("the base is lost with the process that made it")
	}
	s.Take(b.ID)
	s.Taken()
	root := over(t, b)
	reads(t, root, 3)

	give()
	rec, err := s.record(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.config(t.Context(), rec.Target)
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the layers have come", func() bool {
		_, err := s.snaps.Stat(ns(t.Context()), chainOf(c))
		return err == nil
	})
	w.harm(func(rw http.ResponseWriter, _ *http.Request) bool { rw.WriteHeader(http.StatusForbidden); return true })
	// Who runs on it reads on, without the registry.
	if data, err := os.ReadFile(filepath.Join(root, "large2")); err != nil || len(data) != 2<<20 {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	now, err := s.Base(t.Context(), ref)
	if err != nil || strings.HasPrefix(now.ID, lazyPrefix) {
		t.Fatalf("base %+v, %v", now, err)
	}
	reads(t, over(t, now), 3)
	if err := unix.Unmount(root, 0); err != nil {
		t.Error(err)
	}
	until(t, "the base is complete", func() bool {
		s.lazy.mu.Lock()
		defer s.lazy.mu.Unlock()
		return s.lazy.bases[b.ID].complete
	})
	s.Release(b.ID)
	if left, _ := os.ReadDir(filepath.Join(dir, lazyDir)); len(left) > 1 { // the socket
		t.Errorf("left: %v", left)
	}
	if _, err := s.lazy.client.Mounts(t.Context()); !errors.Is(err, lazy.ErrNone) {
		t.Errorf("the process that had the layers is still there: %v", err)
	}
}

// When the process that has the layers is killed, its bases are lost, and their
// images are pulled again.
func TestLazyLost(t *testing.T) {
	w, dir := newWorld(t), t.TempDir()
	img := stargz(t, 2, 1<<20)
	ref := w.push(t, "lazy:v1", img)
	w.withhold(t, img)
	s, lost := lazily(t, dir)
	defer func() {
		if err := errors.Join(s.EndLazy(context.Background()), s.Close()); err != nil {
			t.Error(err)
		}
	}()
	if _, err := s.Pull(t.Context(), ref, false); err != nil {
		t.Fatal(err)
	}
	b, err := s.Base(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("pkill", "-KILL", "-f", lazyWord+" "+filepath.Join(dir, lazyDir)).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if ids := <-lost; len(ids) != 1 || ids[0] != b.ID || !s.Lost(b.ID) {
		t.Errorf("lost: %v", ids)
	}
	s.Release(b.ID)
	if _, err := s.Pull(t.Context(), ref, false); err != nil {
		t.Fatal(err)
	}
	b, err = s.Base(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	reads(t, over(t, b), 2)
}

// A registry that gives no parts of layers has them pulled whole.
func TestLazyRefused(t *testing.T) {
	w := newWorld(t)
	ref := w.push(t, "lazy:v1", stargz(t, 2, 1<<20))
	w.harm(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Range") == "" {
			return false
		}
		r.Header.Del("Range")
		w.plain.ServeHTTP(rw, r)
		return true
	})
	s, _ := lazily(t, t.TempDir())
	defer s.Close()
	if _, err := s.Pull(t.Context(), ref, false); err != nil {
		t.Fatal(err)
	}
	b, err := s.Base(t.Context(), ref)
	if err != nil || strings.HasPrefix(b.ID, lazyPrefix) {
		t.Fatalf("base %+v, %v", b, err)
	}
	reads(t, over(t, b), 2)
	if _, err := s.lazy.client.Mounts(t.Context()); !errors.Is(err, lazy.ErrNone) {
		t.Errorf("a process is left: %v", err)
	}
}
