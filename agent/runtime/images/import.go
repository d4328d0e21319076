package images

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/images/archive"
	"github.com/containerd/containerd/v2/pkg/archive/compression"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/berth/berth/agent/runtime"
)

// Import reads an OCI layout tar or a docker-archive (what `docker save`
// writes), plain or compressed, unpacks its images for this platform and names
// them. ref names the image if the archive doesn't.
func (s *Store) Import(ctx context.Context, r io.Reader, ref string) (_ []runtime.Image, err error) {
	plain, err := compression.DecompressStream(r)
	if err != nil {
		return nil, fmt.Errorf("read the archive: %w", err)
	}
	defer plain.Close()
	leased, done, err := s.lease(ctx)
	if err != nil {
		return nil, err
	}
	defer s.collectAfter(&err)
	defer done()

	room, err := s.free()
	if err != nil {
		return nil, err
	}
	counted, stop := countFiles(&limited{r: plain, left: room})
	defer stop()
	store := s.db.ContentStore()
	index, err := archive.ImportIndex(leased, store, counted)
	if err != nil {
		return nil, fmt.Errorf("read the archive, which must be an OCI layout or a docker-archive: %w", err)
	}
	data, err := content.ReadBlob(leased, store, index)
	if err != nil {
		return nil, fmt.Errorf("read the archive's index: %w", err)
	}
	var list v1.Index
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("read the archive's index: %w", err)
	}
	wanted, err := pick(list.Manifests, ref)
	if err != nil {
		return nil, err
	}
	var had []runtime.Image
	for _, w := range wanted {
		p, ended := s.beginPull(w.name)
		err := s.unpack(leased, w.target, nil, p)
		ended()
		if err != nil {
			return nil, fmt.Errorf("unpack image %s: %w", w.name, err)
		}
		rec, err := s.name(leased, w.name, w.target, imported)
		if err != nil {
			return nil, err
		}
		img, err := s.describe(ctx, rec)
		if err != nil {
			return nil, err
		}
		had = append(had, img)
	}
	return had, nil
}

// maxFiles is how many files an archive may have, whose names are all held in
// memory: more than any image has blobs.
const maxFiles = 10_000

// countFiles ends an archive that has too many files.
func countFiles(r io.Reader) (_ io.Reader, stop func()) {
	seen, copied := io.Pipe()
	go func() {
		files := tar.NewReader(seen)
		for range maxFiles {
			if _, err := files.Next(); err != nil {
				// Whatever is wrong with it, who reads it sees that too.
				io.Copy(io.Discard, seen)
				return
			}
		}
		seen.CloseWithError(fmt.Errorf("it has more than %d files", maxFiles))
	}()
	return io.TeeReader(r, copied), func() { copied.Close() }
}

type named struct {
	name   string
	target v1.Descriptor
}

// pick chooses an archive's images: for each name the first manifest that fits
// this host. ref is the name of what has none.
func pick(manifests []v1.Descriptor, ref string) ([]named, error) {
	var picked []named
	seen := map[string]bool{}
	other, unnamed := 0, 0
	for _, m := range manifests {
		if m.Platform != nil && !platform().Match(*m.Platform) {
			other++
			continue
		}
		name := nameOf(m)
		if name == "" {
			name = ref
		}
		if name == "" {
			unnamed++
			continue
		}
		full, err := normalize(name)
		if err != nil {
			return nil, err
		}
		if !seen[full] {
			seen[full] = true
			picked = append(picked, named{full, m})
		}
	}
	switch {
	case len(picked) > 0:
		return picked, nil
	case unnamed > 0:
		return nil, errors.New("the archive does not name its image: give a name")
	case other > 0:
		return nil, platformError()
	default:
		return nil, errors.New("the archive holds no image")
	}
}

// nameOf is the full name that an archive gives a manifest. In OCI layouts the
// ref.name is often a tag alone, which is no name.
func nameOf(m v1.Descriptor) string {
	if name := m.Annotations[images.AnnotationImageName]; name != "" {
		return name
	}
	if name := m.Annotations[v1.AnnotationRefName]; strings.ContainsAny(name, "/:@") {
		return name
	}
	return ""
}
