package lazy

import (
	"bytes"
	"container/list"
	"fmt"
	"io"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/containerd/stargz-snapshotter/estargz"
	"github.com/klauspost/compress/gzip"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/singleflight"
)

// TOCDigest is the annotation of a layer's descriptor that makes it one that can
// be had lazily: the digest of its table of contents (eStargz specification,
// "Content verification").
const TOCDigest = estargz.TOCJSONDigestAnnotation

// Layer is a layer whose table of contents is there.
type Layer struct {
	blob   io.ReaderAt
	toc    *estargz.Reader
	verify estargz.TOCEntryVerifier
	root   *estargz.TOCEntry
	inodes map[*estargz.TOCEntry]uint64
	began  time.Time

	pieces *pieces
	flight singleflight.Group
	id     string // of the layer, among the pieces
}

// Open reads a layer's table of contents, and holds it to its digest.
func Open(blob io.ReaderAt, size int64, toc digest.Digest, id string, keep *pieces) (*Layer, error) {
	if err := checkTOC(blob, size); err != nil {
		return nil, fmt.Errorf("read a layer's table of contents: %w", err)
	}
	r, err := estargz.Open(io.NewSectionReader(blob, 0, size))
	if err != nil {
		return nil, fmt.Errorf("read a layer's table of contents: %w", err)
	}
	verify, err := r.VerifyTOC(toc)
	if err != nil {
		return nil, fmt.Errorf("a layer's table of contents is not the one that its manifest names: %w", err)
	}
	root, ok := r.Lookup("")
	if !ok {
		return nil, fmt.Errorf("a layer's table of contents has no root")
	}
	l := &Layer{blob: blob, toc: r, verify: verify, root: root, inodes: map[*estargz.TOCEntry]uint64{}, began: time.Now(), pieces: keep, id: id}
	l.number(root)
	return l, nil
}

// number gives each file an inode number.
func (l *Layer) number(e *estargz.TOCEntry) {
	if _, known := l.inodes[e]; known {
		return // a second name of the same file
	}
	l.inodes[e] = uint64(len(l.inodes)) + 2
	e.ForeachChild(func(_ string, child *estargz.TOCEntry) bool {
		l.number(child)
		return true
	})
}

// readAt reads a part of a file, and returns less only at its end.
func (l *Layer) readAt(e *estargz.TOCEntry, p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) && off < e.Size {
		piece, ok := l.toc.ChunkEntryForOffset(e.Name, off)
		if !ok {
			return n, fmt.Errorf("%s has no piece at %d", e.Name, off)
		}
		data, err := l.piece(e, piece)
		if err != nil {
			return n, err
		}
		had := copy(p[n:], data[off-piece.ChunkOffset:])
		if had == 0 {
			return n, fmt.Errorf("%s is shorter at %d than its table of contents says", e.Name, off)
		}
		n, off = n+had, off+int64(had)
	}
	return n, nil
}

// mostPiece is the largest piece of a file that is taken, in bytes. Builders make
// pieces of 4 MiB, or of whole small files.
const mostPiece = 64 << 20

// piece returns a piece of a file, verified. Many may want it at a time.
func (l *Layer) piece(e, piece *estargz.TOCEntry) ([]byte, error) {
	size := piece.ChunkSize
	if size == 0 {
		size = e.Size - piece.ChunkOffset
	}
	if size < 0 || size > mostPiece {
		return nil, fmt.Errorf("a piece of %s has %d bytes, and may have %d", e.Name, size, mostPiece)
	}
	key := fmt.Sprintf("%s %d %d", l.id, piece.Offset, piece.InnerOffset)
	if data, ok := l.pieces.get(key); ok {
		return data, nil
	}
	data, err, _ := l.flight.Do(key, func() (any, error) {
		data, err := l.decompress(piece, size)
		if err != nil {
			return nil, fmt.Errorf("read %d bytes at %d of %s: %w", size, piece.ChunkOffset, e.Name, err)
		}
		v, err := l.verify.Verifier(piece)
		if err != nil {
			return nil, err
		}
		if _, err := v.Write(data); err != nil || !v.Verified() {
			return nil, fmt.Errorf("%d bytes at %d of %s are not what the table of contents says (%v)", size, piece.ChunkOffset, e.Name, err)
		}
		l.pieces.put(key, data)
		return data, nil
	})
	if err != nil {
		return nil, err
	}
	return data.([]byte), nil
}

// decompress reads a piece out of the stream that it is in. Each stream is fetched
// whole, and nothing behind it: the library would read far ahead.
func (l *Layer) decompress(piece *estargz.TOCEntry, size int64) ([]byte, error) {
	length := piece.NextOffset() - piece.Offset
	if length <= 0 || length > mostPiece {
		return nil, fmt.Errorf("its stream has %d bytes, and may have %d", length, mostPiece)
	}
	stream := make([]byte, length)
	if _, err := l.blob.ReadAt(stream, piece.Offset); err != nil && err != io.EOF {
		return nil, err
	}
	plain, err := gzip.NewReader(bytes.NewReader(stream))
	if err != nil {
		return nil, err
	}
	defer plain.Close()
	if _, err := io.CopyN(io.Discard, plain, piece.InnerOffset); err != nil {
		return nil, err
	}
	data := make([]byte, size)
	_, err = io.ReadFull(plain, data)
	return data, err
}

// hidden tells whether a name of the root is the format's own.
func hidden(name string) bool {
	return name == estargz.TOCTarName || name == estargz.PrefetchLandmark || name == estargz.NoPrefetchLandmark
}

// The names by which a layer says that something is deleted (OCI image
// specification, "Whiteouts").
const (
	whiteoutPrefix = ".wh."
	opaqueMark     = ".wh..wh..opq"
)

// whiteout tells whether a name says that another is deleted, and which.
func whiteout(name string) (deleted string, ok bool) {
	if name == opaqueMark || strings.HasPrefix(name, ".wh..wh.") {
		return "", false
	}
	return strings.CutPrefix(path.Base(name), whiteoutPrefix)
}

// pieces are the last pieces that were read, of all layers.
type pieces struct {
	mu    sync.Mutex
	most  int // bytes
	have  int
	order *list.List // of piece, the last used first
	by    map[string]*list.Element
}

type kept struct {
	key  string
	data []byte
}

func newPieces(most int) *pieces {
	return &pieces{most: most, order: list.New(), by: map[string]*list.Element{}}
}

func (p *pieces) get(key string) ([]byte, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e, ok := p.by[key]
	if !ok {
		return nil, false
	}
	p.order.MoveToFront(e)
	return e.Value.(kept).data, true
}

func (p *pieces) put(key string, data []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.by[key] != nil || len(data) > p.most {
		return
	}
	p.by[key] = p.order.PushFront(kept{key, data})
	for p.have += len(data); p.have > p.most; {
		last := p.order.Back()
		old := p.order.Remove(last).(kept)
		delete(p.by, old.key)
		p.have -= len(old.data)
	}
}
