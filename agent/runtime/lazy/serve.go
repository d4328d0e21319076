package lazy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// socketName is where the process listens, in its directory.
const socketName = "sock"

// keepPieces is how many bytes of pieces the process keeps in memory. The kernel
// keeps what was read of files by itself.
const keepPieces = 32 << 20

// Mount is one layer to show.
type Mount struct {
	Digest digest.Digest // of the blob
	Size   int64         // bytes
	TOC    digest.Digest // of its table of contents
	// From says where the blob is had: the opener's own words.
	From json.RawMessage
}

// Dir is where a layer is mounted, below the process's directory.
func Dir(root string, layer digest.Digest) string { return filepath.Join(root, layer.Encoded()) }

// Blob is a layer's, read in parts.
type Blob = io.ReaderAt

// Opener opens a blob. Reads of it may be far apart in time.
type Opener func(m Mount) (Blob, error)

// server is the process that has the mounts.
type server struct {
	dir    string
	open   Opener
	log    *slog.Logger
	pieces *pieces
	ended  chan struct{}

	mu     sync.Mutex
	mounts map[digest.Digest]*fuse.Server
}

// Serve mounts and unmounts layers below a directory as it is told over the
// socket there, until it is told to end or ctx ends; that unmounts all. It calls
// ready when it listens.
func Serve(ctx context.Context, dir string, open Opener, ready func(), log *slog.Logger) error {
	s := &server{dir: dir, open: open, log: log, pieces: newPieces(keepPieces), ended: make(chan struct{}), mounts: map[digest.Digest]*fuse.Server{}}
	socket, release, err := socketIn(dir)
	if err != nil {
		return err
	}
	defer release()
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", socket)
	if err != nil {
		return fmt.Errorf("listen for what to mount: %w", err)
	}
	if err := os.Chmod(socket, 0o600); err != nil {
		return err
	}
	ready()
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /mounts/{digest}", s.mount)
	mux.HandleFunc("DELETE /mounts/{digest}", s.unmount)
	mux.HandleFunc("GET /mounts", s.list)
	mux.HandleFunc("GET /alive", s.alive)
	mux.HandleFunc("GET /pid", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, os.Getpid()) })
	mux.HandleFunc("POST /end", func(w http.ResponseWriter, _ *http.Request) {
		s.unmountAll()
		close(s.ended)
	})
	h := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- h.Serve(l) }()
	select {
	case err = <-served:
	case <-ctx.Done():
	case <-s.ended:
		// Its answer is on its way.
		short, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		h.Shutdown(short)
	}
	s.unmountAll()
	return err
}

// socketIn is the socket's path in a directory, made short: the kernel takes no
// path of a socket that is longer than 107 bytes.
func socketIn(dir string) (path string, release func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", f.Fd(), socketName), func() { f.Close() }, nil
}

func (s *server) unmountAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for d := range s.mounts {
		s.drop(d)
	}
}

// drop unmounts a layer, at once even if it is in use. s.mu is held.
func (s *server) drop(d digest.Digest) {
	dir := Dir(s.dir, d)
	if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
		s.log.Error("unmount a layer", "dir", dir, "err", err)
	}
	delete(s.mounts, d)
	if err := os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
		s.log.Error("remove a layer's mount point", "dir", dir, "err", err)
	}
}

func (s *server) mount(w http.ResponseWriter, r *http.Request) {
	var m Mount
	err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&m)
	if err == nil {
		err = m.Digest.Validate()
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mounts[m.Digest] != nil {
		return
	}
	if err := s.add(m); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

func (s *server) add(m Mount) error {
	blob, err := s.open(m)
	if err != nil {
		return err
	}
	layer, err := Open(blob, m.Size, m.TOC, m.Digest.Encoded(), s.pieces)
	if err != nil {
		return err
	}
	dir := Dir(s.dir, m.Digest)
	// One that a process before this had is dead.
	if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount what was at %s: %w", dir, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	served, err := mount(layer, dir, "berth-layer", s.log)
	if err != nil {
		return fmt.Errorf("mount a layer by FUSE: %w", err)
	}
	s.mounts[m.Digest] = served
	return nil
}

func (s *server) unmount(_ http.ResponseWriter, r *http.Request) {
	d := digest.Digest(r.PathValue("digest"))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mounts[d] != nil {
		s.drop(d)
	}
}

func (s *server) list(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []digest.Digest{}
	for d := range s.mounts {
		all = append(all, d)
	}
	slices.Sort(all)
	json.NewEncoder(w).Encode(all)
}

// alive answers for as long as the process lives: its end is the end of the
// answer.
func (s *server) alive(w http.ResponseWriter, r *http.Request) {
	w.WriteHeader(http.StatusOK)
	w.(http.Flusher).Flush()
	select {
	case <-r.Context().Done():
	case <-s.ended:
	}
}
