package images

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"log"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// world is a registry on loopback with something in between that may do ill.
type world struct {
	host  string
	plain http.Handler // the registry itself

	mu       sync.Mutex
	requests []string // "GET /v2/…", with " bytes=…" where a range was asked for
	// ill handles a request instead of the registry if it returns true.
	ill func(w http.ResponseWriter, r *http.Request) bool
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{plain: registry.New(registry.Logger(log.New(io.Discard, "", 0)))}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		line := r.Method + " " + r.URL.Path
		if at := r.Header.Get("Range"); at != "" {
			line += " " + at
		}
		w.requests = append(w.requests, line)
		ill := w.ill
		w.mu.Unlock()
		if ill == nil || !ill(rw, r) {
			w.serve(rw, r)
		}
	}))
	t.Cleanup(server.Close)
	w.host = strings.TrimPrefix(server.URL, "http://")
	return w
}

// serve answers as the registry does, and ranges too, which that one knows but
// in part.
func (w *world) serve(rw http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Range") == "" {
		w.plain.ServeHTTP(rw, r)
		return
	}
	whole := r.Clone(r.Context())
	whole.Header.Del("Range")
	had := httptest.NewRecorder()
	w.plain.ServeHTTP(had, whole)
	http.ServeContent(rw, r, "", time.Time{}, bytes.NewReader(had.Body.Bytes()))
}

// short is an answer that is cut off after so many bytes: by cut, which doesn't
// return.
type short struct {
	http.ResponseWriter
	left int
	cut  func()
}

func (s *short) Write(p []byte) (int, error) {
	n, err := s.ResponseWriter.Write(p[:min(len(p), s.left)])
	if s.left -= n; s.left == 0 {
		s.ResponseWriter.(http.Flusher).Flush()
		s.cut()
	}
	return n, err
}

// harm sets what happens from here on, and forgets the requests until now.
func (w *world) harm(ill func(w http.ResponseWriter, r *http.Request) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ill, w.requests = ill, nil
}

// asked are the requests since, that have all of these parts.
func (w *world) asked(parts ...string) (found []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.requests {
		all := true
		for _, p := range parts {
			all = all && strings.Contains(r, p)
		}
		if all {
			found = append(found, r)
		}
	}
	return found
}

// push puts an image or an index into the registry.
func (w *world) push(t testing.TB, repo string, what any) string {
	t.Helper()
	ref, err := name.ParseReference(w.host + "/" + repo)
	if err != nil {
		t.Fatal(err)
	}
	switch what := what.(type) {
	case v1.Image:
		err = remote.Write(ref, what)
	case v1.ImageIndex:
		err = remote.WriteIndex(ref, what)
	}
	if err != nil {
		t.Fatal(err)
	}
	return w.host + "/" + repo
}

func open(t testing.TB, dir string, reg Registries) *Store {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("these tests mount: run them as root")
	}
	s, err := Open(t.Context(), dir, reg, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// newStore is a store that ends with the test.
func newStore(t testing.TB, reg Registries) *Store {
	t.Helper()
	s := open(t, t.TempDir(), reg)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// file is one entry of a layer's archive.
type file struct {
	tar.Header
	data string
}

func reg(name, data string) file {
	return file{tar.Header{Name: name, Mode: 0o644, Size: int64(len(data)), Typeflag: tar.TypeReg}, data}
}

func archived(t testing.TB, files ...file) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range files {
		if err := w.WriteHeader(&f.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// layer is a layer whose bytes are given, with the digest that they have when
// unpacked.
type layer struct {
	v1.Layer
	diff v1.Hash
}

func (l layer) DiffID() (v1.Hash, error) { return l.diff, nil }

func newLayer(t testing.TB, plain, packed []byte, kind types.MediaType) v1.Layer {
	t.Helper()
	diff, _, err := v1.SHA256(bytes.NewReader(plain))
	if err != nil {
		t.Fatal(err)
	}
	return layer{static.NewLayer(packed, kind), diff}
}

func zip(t testing.TB, plain []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func gzipped(t testing.TB, files ...file) v1.Layer {
	plain := archived(t, files...)
	return newLayer(t, plain, zip(t, plain), types.OCILayer)
}

func newImage(t testing.TB, layers ...v1.Layer) v1.Image {
	t.Helper()
	base := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	base = mutate.ConfigMediaType(base, types.OCIConfigJSON)
	img, err := mutate.AppendLayers(base, layers...)
	if err != nil {
		t.Fatal(err)
	}
	return forPlatform(t, img, runtime.GOARCH)
}

func forPlatform(t testing.TB, img v1.Image, arch string) v1.Image {
	t.Helper()
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", arch
	if img, err = mutate.ConfigFile(img, config); err != nil {
		t.Fatal(err)
	}
	return img
}

// noise doesn't get smaller by compression.
func noise(n int) string {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16)})
	r.Read(b)
	return string(b)
}

// tops are the directories of an image's base, the topmost first.
func tops(t testing.TB, s *Store, ref string) []string {
	t.Helper()
	b, err := s.Base(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Release(b.ID) })
	return b.Layers
}

// read returns what a file of the image holds, of the topmost layer that has it.
func read(t testing.TB, s *Store, ref, path string) string {
	t.Helper()
	for _, dir := range tops(t, s, ref) {
		if data, err := os.ReadFile(filepath.Join(dir, path)); err == nil {
			return string(data)
		}
	}
	t.Errorf("%s has no file %s", ref, path)
	return ""
}
