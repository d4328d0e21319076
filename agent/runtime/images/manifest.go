package images

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
)

const (
	// maxLayers is as many as Docker's storage takes.
	maxLayers = 127
	// maxIndexes is how deep indexes may lie in one another.
	maxIndexes = 4
	// maxConfig is more than any image's config, in bytes.
	maxConfig = 8 << 20
	// roomLeft is what stays free on the disk, in bytes: others write there too.
	roomLeft = 256 << 20
)

// checker refuses what is no image that can be run, once its manifest is there
// and before anything that it names is asked for.
type checker struct {
	s       *Store
	indexes atomic.Int32
	// found is told of the manifest of this host's platform.
	found func(ctx context.Context, m v1.Manifest) error
}

func (c *checker) Handle(ctx context.Context, desc v1.Descriptor) ([]v1.Descriptor, error) {
	switch {
	case images.IsIndexType(desc.MediaType):
		if c.indexes.Add(1) > maxIndexes {
			return nil, fmt.Errorf("indexes lie more than %d deep in one another", maxIndexes)
		}
		return nil, bounded(desc, maxManifest)
	case images.IsManifestType(desc.MediaType):
		if err := bounded(desc, maxManifest); err != nil {
			return nil, err
		}
		data, err := content.ReadBlob(ctx, c.s.db.ContentStore(), desc)
		if err != nil {
			return nil, err
		}
		var m v1.Manifest
		if err := json.Unmarshal(data, &m); err != nil {
			return nil, fmt.Errorf("manifest %s: %w", desc.Digest, err)
		}
		if err := checkManifest(m); err != nil {
			return nil, fmt.Errorf("manifest %s: %w", desc.Digest, err)
		}
		return nil, c.found(ctx, m)
	case images.IsConfigType(desc.MediaType):
		return c.s.checkPlatform(ctx, desc)
	}
	return nil, nil
}

// checkType refuses what a name leads to before it is fetched, unless it is an
// image or may be one.
func checkType(desc v1.Descriptor) error {
	switch {
	case images.IsManifestType(desc.MediaType), images.IsIndexType(desc.MediaType):
		return bounded(desc, maxManifest)
	case strings.HasPrefix(desc.MediaType, "application/vnd.docker.distribution.manifest.v1+"):
		return fmt.Errorf("manifests of type %q (schema 1) are not supported: build and push the image anew, which makes a manifest of schema 2", desc.MediaType)
	}
	return fmt.Errorf("%s of type %q is not an image", desc.Digest, desc.MediaType)
}

func bounded(desc v1.Descriptor, most int64) error {
	if desc.Size < 0 || desc.Size > most {
		return fmt.Errorf("%s of type %q has %d bytes, and may have %d", desc.Digest, desc.MediaType, desc.Size, most)
	}
	return nil
}

func checkManifest(m v1.Manifest) error {
	if !images.IsConfigType(m.Config.MediaType) {
		kind := m.ArtifactType
		if kind == "" {
			kind = m.Config.MediaType
		}
		return fmt.Errorf("an artifact of type %q is not an image", kind)
	}
	if err := bounded(m.Config, maxConfig); err != nil {
		return err
	}
	if len(m.Layers) > maxLayers {
		return fmt.Errorf("max depth exceeded: the image has %d layers, and may have %d", len(m.Layers), maxLayers)
	}
	for _, l := range m.Layers {
		if images.IsNonDistributable(l.MediaType) {
			return fmt.Errorf("layer %s of type %q is foreign: registries don't have it, and Linux images don't need such", l.Digest, l.MediaType)
		}
		if _, err := images.DiffCompression(context.Background(), l.MediaType); err != nil || !images.IsLayerType(l.MediaType) || strings.HasSuffix(l.MediaType, "+encrypted") {
			return fmt.Errorf("layer %s is of type %q, which can't be unpacked", l.Digest, l.MediaType)
		}
		if l.Size <= 0 {
			return fmt.Errorf("layer %s has a size of %d bytes", l.Digest, l.Size)
		}
	}
	return nil
}

// free is how many bytes may still be written to the disk of the store.
func (s *Store) free() (int64, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(s.dir, &fs); err != nil {
		return 0, fmt.Errorf("ask how much room the disk of %s has: %w", s.dir, err)
	}
	return max(0, int64(fs.Bavail)*fs.Bsize-roomLeft), nil
}

// checkRoom refuses what has no room on the disk before it is fetched.
func (s *Store) checkRoom(missing int64) error {
	free, err := s.free()
	if err != nil {
		return err
	}
	if missing > free {
		return fmt.Errorf("failed to register layer: %d MiB are to come and the disk of %s has room for %d: %w", missing>>20, s.dir, free>>20, syscall.ENOSPC)
	}
	return nil
}
