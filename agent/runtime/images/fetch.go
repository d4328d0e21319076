package images

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/unpack"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/semaphore"
)

// errPlatform says that an image is not for this host. The words are ECS's.
var errPlatform = errors.New("image Manifest does not contain descriptor matching platform")

func platformError() error { return fmt.Errorf("%w '%s'", errPlatform, platformName()) }

// parallel is how many blobs of one image are fetched at a time.
const parallel = 6

// unpack walks an image down from its manifest or index, fetching each blob by
// fetch (nil: all are present), and unpacks its layers while others still come.
// All is labelled so that a name given to target keeps it.
func (s *Store) unpack(ctx context.Context, target v1.Descriptor, fetch images.Handler) error {
	store := s.db.ContentStore()
	children := images.SetChildrenLabels(store, images.ChildrenHandler(store))
	children = images.FilterPlatforms(children, platform())
	children = images.LimitManifests(children, platform(), 1)
	handlers := []images.Handler{images.HandlerFunc(s.checkPlatform), children}
	if fetch != nil {
		handlers = append([]images.Handler{fetch}, handlers...)
	}
	u, err := unpack.NewUnpacker(ctx, store, unpack.WithUnpackPlatform(unpack.Platform{
		Platform:       platforms.All, // checkPlatform has the last word
		SnapshotterKey: s.snapKey,
		Snapshotter:    s.snaps,
		Applier:        s.applier,
	}), unpack.WithLimiter(semaphore.NewWeighted(parallel)))
	if err != nil {
		return err
	}
	err = images.Dispatch(ctx, u.Unpack(images.Handlers(handlers...)), nil, target)
	done, waitErr := u.Wait()
	if errdefs.IsNotFound(err) && images.IsIndexType(target.MediaType) && s.noManifest(ctx, target) {
		return platformError()
	}
	if err = errors.Join(err, waitErr); err != nil {
		return err
	}
	if done.Unpacks == 0 {
		return s.unpackedNothing(ctx, target)
	}
	return nil
}

// checkPlatform refuses an image of another platform when its config is there
// and its layers are not yet asked for.
func (s *Store) checkPlatform(ctx context.Context, desc v1.Descriptor) ([]v1.Descriptor, error) {
	if !images.IsConfigType(desc.MediaType) {
		return nil, nil
	}
	data, err := content.ReadBlob(ctx, s.db.ContentStore(), desc)
	if err != nil {
		return nil, err
	}
	var config v1.Image
	if err := json.Unmarshal(data, &config); err != nil {
		return nil, fmt.Errorf("image config %s: %w", desc.Digest, err)
	}
	// Some builders leave it out. Then it is the builder's word that it fits.
	if config.OS == "" && config.Architecture == "" {
		return nil, nil
	}
	if !platform().Match(platforms.Normalize(config.Platform)) {
		return nil, platformError()
	}
	return nil, nil
}

// noManifest tells whether a present index has nothing for this host.
func (s *Store) noManifest(ctx context.Context, index v1.Descriptor) bool {
	all, err := images.Children(ctx, s.db.ContentStore(), index)
	if err != nil {
		return false
	}
	for _, desc := range all {
		if desc.Platform == nil || platform().Match(*desc.Platform) {
			return false
		}
	}
	return true
}

// unpackedNothing tells an image without layers, which is fine, from what is no
// image at all.
func (s *Store) unpackedNothing(ctx context.Context, target v1.Descriptor) error {
	config, err := s.config(ctx, target)
	if err != nil {
		return fmt.Errorf("%s of type %q is not an image: %w", target.Digest, target.MediaType, err)
	}
	if len(config.RootFS.DiffIDs) > 0 {
		return fmt.Errorf("%s of type %q has layers that could not be unpacked", target.Digest, target.MediaType)
	}
	return nil
}
