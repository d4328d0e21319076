package images

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sort"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/metadata"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/berth/berth/agent/runtime"
)

// normalize returns the full form of a reference: busybox is
// docker.io/library/busybox:latest. One with a digest loses its tag.
func normalize(ref string) (string, error) {
	named, err := reference.ParseDockerRef(ref)
	if err != nil {
		return "", fmt.Errorf("image reference %q: %w", ref, err)
	}
	return named.String(), nil
}

// platform is what this host runs.
func platform() platforms.MatchComparer { return platforms.Default() }

// platformName is its name, linux/amd64.
func platformName() string { return platforms.Format(platforms.DefaultSpec()) }

// Image returns a present image, or runtime.ErrNotFound.
func (s *Store) Image(ctx context.Context, ref string) (runtime.Image, error) {
	rec, err := s.record(ctx, ref)
	if err != nil {
		return runtime.Image{}, err
	}
	return s.describe(ctx, rec)
}

// record finds an image by its name or, if the reference has a digest, by that.
func (s *Store) record(ctx context.Context, ref string) (images.Image, error) {
	name, err := normalize(ref)
	if err != nil {
		return images.Image{}, err
	}
	rec, err := metadata.NewImageStore(s.db).Get(ns(ctx), name)
	if errdefs.IsNotFound(err) {
		return images.Image{}, fmt.Errorf("image %s: %w", name, runtime.ErrNotFound)
	}
	if err != nil {
		return images.Image{}, fmt.Errorf("read the record of image %s: %w", name, err)
	}
	return rec, nil
}

func (s *Store) describe(ctx context.Context, rec images.Image) (runtime.Image, error) {
	config, err := s.config(ctx, rec.Target)
	if err != nil {
		return runtime.Image{}, fmt.Errorf("read image %s: %w", rec.Name, err)
	}
	size, err := rec.Size(ns(ctx), s.db.ContentStore(), platform())
	if err != nil {
		return runtime.Image{}, fmt.Errorf("measure image %s: %w", rec.Name, err)
	}
	return runtime.Image{
		Ref:       rec.Name,
		Digest:    rec.Target.Digest.String(),
		Size:      size,
		CreatedAt: rec.CreatedAt,
		Config:    config.Config,
		Imported:  rec.Labels[labelOrigin] == imported,
	}, nil
}

// config reads the config of the manifest for this host's platform.
func (s *Store) config(ctx context.Context, target v1.Descriptor) (v1.Image, error) {
	ctx = ns(ctx)
	var config v1.Image
	desc, err := images.Config(ctx, s.db.ContentStore(), target, platform())
	if err != nil {
		return config, err
	}
	data, err := content.ReadBlob(ctx, s.db.ContentStore(), desc)
	if err != nil {
		return config, err
	}
	if err := json.Unmarshal(data, &config); err != nil {
		return config, fmt.Errorf("config %s: %w", desc.Digest, err)
	}
	return config, nil
}

// ListImages returns all present images, by reference.
func (s *Store) ListImages(ctx context.Context) ([]runtime.Image, error) {
	recs, err := s.records(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]runtime.Image, 0, len(recs))
	for _, rec := range recs {
		img, err := s.describe(ctx, rec)
		if err != nil {
			return nil, err
		}
		list = append(list, img)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Ref < list[j].Ref })
	return list, nil
}

func (s *Store) records(ctx context.Context) ([]images.Image, error) {
	recs, err := metadata.NewImageStore(s.db).List(ns(ctx))
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	return recs, nil
}

// RemoveImage removes a name, and all content that nothing else keeps. Root
// file systems made from the image stay as they are. It returns
// runtime.ErrNotFound if there is no such name.
func (s *Store) RemoveImage(ctx context.Context, ref string) error {
	name, err := normalize(ref)
	if err != nil {
		return err
	}
	unlock, err := s.refs.Lock(ctx, name)
	if err != nil {
		return err
	}
	defer unlock()
	err = metadata.NewImageStore(s.db).Delete(ns(ctx), name)
	if errdefs.IsNotFound(err) {
		return fmt.Errorf("image %s: %w", name, runtime.ErrNotFound)
	}
	if err != nil {
		return fmt.Errorf("remove the record of image %s: %w", name, err)
	}
	s.uses.forget(name)
	return s.collectNow(ctx)
}

// labelOrigin says where an image came from.
const labelOrigin = "berth/origin"

// The origins of images.
const (
	pulled   = "registry"
	imported = "archive" // can't be had again
)

// name gives a manifest a name. Content under it must have been labelled and
// unpacked: from here on the name keeps it, so that it must be on the disk before.
func (s *Store) name(ctx context.Context, name string, target v1.Descriptor, origin string) (images.Image, error) {
	s.uses.touch(name)
	if err := s.sync(); err != nil {
		return images.Image{}, err
	}
	store := metadata.NewImageStore(s.db)
	rec := images.Image{Name: name, Target: target, Labels: map[string]string{labelOrigin: origin}}
	made, err := store.Create(ns(ctx), rec)
	if errdefs.IsAlreadyExists(err) {
		made, err = store.Update(ns(ctx), rec, "target", "labels")
	}
	if err != nil {
		return images.Image{}, fmt.Errorf("write the record of image %s: %w", name, err)
	}
	return made, nil
}

// sync has the disk take what was unpacked: the records are written for good,
// and files that a power cut left empty would be taken for an image.
func (s *Store) sync() error {
	dir, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := unix.Syncfs(int(dir.Fd())); err != nil {
		return fmt.Errorf("write the unpacked layers to the disk of %s: %w", s.dir, err)
	}
	return nil
}
