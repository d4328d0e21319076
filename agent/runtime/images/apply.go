package images

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"path"
	"strings"
	"syscall"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/diff"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/pkg/archive"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	// maxEntries is how many files a layer may have.
	maxEntries = 2_000_000
	// maxDepth is how many directories deep a file of a layer may lie.
	maxDepth = 256
	// maxWindow is how much memory a zstd layer may ask for, in bytes: what
	// `zstd --long=27` makes, the most that zstd itself reads unasked.
	maxWindow = 128 << 20
	// piece and ahead are how far a layer is decompressed before it is written.
	piece = 256 << 10
	ahead = 16
)

// applier unpacks layers. It implements diff.Applier, as containerd's does, with
// bounds on what a layer may come to, and decompresses while it writes.
type applier struct {
	blobs content.Provider
	free  func() (int64, error) // bytes that may be written
	done  func()                // is called for each layer
}

// Apply unpacks a layer into a snapshot that nothing else uses yet. What it
// returns has the digest of the layer unpacked.
func (a *applier) Apply(ctx context.Context, desc v1.Descriptor, mounts []mount.Mount, _ ...diff.ApplyOpt) (v1.Descriptor, error) {
	none := v1.Descriptor{}
	room, err := a.free()
	if err != nil {
		return none, err
	}
	blob, err := a.blobs.ReaderAt(ctx, desc)
	if err != nil {
		return none, fmt.Errorf("read the layer: %w", err)
	}
	defer blob.Close()
	plain, err := decompress(content.NewReader(blob))
	if err != nil {
		return none, fmt.Errorf("decompress the layer: %w", err)
	}
	defer plain.Close()
	sum := digest.Canonical.Digester()
	count := &limited{r: io.TeeReader(plain, sum.Hash()), left: room}
	stream := readAhead(ctx, count)
	defer stream.Close()
	if err := untar(ctx, mounts, stream, room); err != nil {
		return none, err
	}
	// What follows the archive's end is of the digest too.
	if _, err := io.Copy(io.Discard, stream); err != nil {
		return none, err
	}
	a.done()
	return v1.Descriptor{MediaType: v1.MediaTypeImageLayer, Size: room - count.left, Digest: sum.Digest()}, nil
}

// decompress reads what the layer's first bytes say it is: many a registry has
// it otherwise in the manifest.
func decompress(r io.Reader) (io.ReadCloser, error) {
	buffered := bufio.NewReaderSize(r, 1<<20)
	magic, err := buffered.Peek(4)
	if err != nil && err != io.EOF {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b, 0x08}):
		return gzip.NewReader(buffered)
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}), len(magic) == 4 && magic[0]&0xf0 == 0x50 && bytes.Equal(magic[1:], []byte{0x2a, 0x4d, 0x18}):
		z, err := zstd.NewReader(buffered, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	}
	return io.NopCloser(buffered), nil
}

// limited ends a stream that comes to more than there is room for.
type limited struct {
	r    io.Reader
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, noRoom()
	}
	return n, err
}

func noRoom() error {
	return fmt.Errorf("failed to register layer: it comes to more than the disk has room for: %w", syscall.ENOSPC)
}

// untar writes a layer's files into a snapshot, with its whiteouts as its kind of
// snapshot has them. Nothing outside of it is touched, whatever their names are:
// that is archive.Apply's.
func untar(ctx context.Context, mounts []mount.Mount, r io.Reader, room int64) error {
	entries := 0
	filter := archive.WithFilter(func(h *tar.Header) (bool, error) {
		if entries++; entries > maxEntries {
			return false, fmt.Errorf("the layer has more than %d files", maxEntries)
		}
		// What it costs to look through the path grows with its third power.
		if strings.Count(path.Clean(h.Name), "/") > maxDepth {
			return false, fmt.Errorf("a file of the layer lies more than %d directories deep: %.80s…", maxDepth, h.Name)
		}
		// A sparse file takes few bytes of the archive and is written in full.
		if room -= h.Size; room < 0 {
			return false, fmt.Errorf("%q has %d bytes: %w", h.Name, h.Size, noRoom())
		}
		// These are how an overlay knows what is deleted, moved or elsewhere. In a
		// layer that is said by whiteouts.
		for key := range h.PAXRecords {
			if strings.HasPrefix(key, "SCHILY.xattr.trusted.overlay.") || strings.HasPrefix(key, "SCHILY.xattr.user.overlay.") {
				delete(h.PAXRecords, key)
			}
		}
		return true, nil
	})
	if len(mounts) == 1 && mounts[0].Type == "overlay" {
		var upper string
		var parents []string
		for _, o := range mounts[0].Options {
			if dir, ok := strings.CutPrefix(o, "upperdir="); ok {
				upper = dir
			} else if dirs, ok := strings.CutPrefix(o, "lowerdir="); ok {
				parents = strings.Split(dirs, ":")
			}
		}
		if upper == "" {
			return fmt.Errorf("a snapshot would be mounted in an unknown way: %v", mounts)
		}
		_, err := archive.Apply(ctx, upper, r, filter, archive.WithConvertWhiteout(archive.OverlayConvertWhiteout), archive.WithParents(parents))
		return err
	}
	return mount.WithTempMount(ctx, mounts, func(root string) error {
		_, err := archive.Apply(ctx, root, r, filter)
		return err
	})
}

// readAhead reads from r in a goroutine of its own, so that who reads from it
// works at the same time. Its end is that of Close.
func readAhead(ctx context.Context, r io.Reader) io.ReadCloser {
	ctx, cancel := context.WithCancel(ctx)
	s := &stream{full: make(chan chunk, ahead), empty: make(chan []byte, ahead), ended: make(chan struct{}), ctx: ctx, cancel: cancel}
	for range ahead {
		s.empty <- make([]byte, piece)
	}
	go func() {
		defer close(s.ended)
		for {
			var buf []byte
			select {
			case buf = <-s.empty:
			case <-ctx.Done():
				return
			}
			n, err := io.ReadFull(r, buf)
			if err == io.ErrUnexpectedEOF && n > 0 {
				// A short last piece, or a source that was cut off: the next read tells.
				err = nil
			}
			s.full <- chunk{buf[:n], err} // has a place for each buffer
			if err != nil {
				return
			}
		}
	}()
	return s
}

type chunk struct {
	data []byte
	err  error
}

type stream struct {
	full   chan chunk
	empty  chan []byte
	ended  chan struct{}
	ctx    context.Context // of the reading ahead
	cancel context.CancelFunc
	now    chunk
	rest   []byte
}

func (s *stream) Read(p []byte) (int, error) {
	for len(s.rest) == 0 {
		if s.now.err != nil {
			return 0, s.now.err
		}
		if s.now.data != nil {
			s.empty <- s.now.data[:piece]
		}
		select {
		case s.now = <-s.full:
		case <-s.ctx.Done():
			return 0, s.ctx.Err()
		}
		s.rest = s.now.data
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func (s *stream) Close() error {
	s.cancel()
	<-s.ended
	return nil
}
