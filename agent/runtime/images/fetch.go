package images

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes"
	remoteerrors "github.com/containerd/containerd/v2/core/remotes/errors"
	"github.com/containerd/containerd/v2/core/unpack"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/berth/berth/internal/keylock"
)

// errPlatform says that an image is not for this host. The words are ECS's.
var errPlatform = errors.New("image Manifest does not contain descriptor matching platform")

func platformError() error { return fmt.Errorf("%w '%s'", errPlatform, platformName()) }

// parallel is how many blobs are fetched at a time, of all images together.
const parallel = 6

// blobLocks has the unpackers of several images do once what they share.
type blobLocks struct {
	locks keylock.Locks
	mu    sync.Mutex
	held  map[string]func()
}

func (b *blobLocks) Lock(ctx context.Context, key string) error {
	unlock, err := b.locks.Lock(ctx, key)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held[key] = unlock
	return nil
}

func (b *blobLocks) Unlock(key string) {
	b.mu.Lock()
	unlock := b.held[key]
	delete(b.held, key)
	b.mu.Unlock()
	unlock()
}

// fetching fetches blobs, and tries again what may pass: a blob that was cut off
// goes on where it ended. most is told how often one had to be tried.
func (s *Store) fetching(p *pulling, fetcher remotes.Fetcher, most *atomic.Int64) images.Handler {
	store := s.db.ContentStore()
	from := remotes.FetcherFunc(func(ctx context.Context, desc v1.Descriptor) (io.ReadCloser, error) {
		blob, err := fetcher.Fetch(ctx, desc)
		if err != nil {
			return nil, err
		}
		return &counted{ReadCloser: blob, p: p, blob: desc.Digest}, nil
	})
	return images.HandlerFunc(func(ctx context.Context, desc v1.Descriptor) ([]v1.Descriptor, error) {
		// A manifest can name other places to have a blob from. This host asks the
		// image's registry and nobody else.
		desc.URLs = nil
		tries, err := retry(ctx, blobTries, func() int64 { return p.of(desc.Digest) }, func() error {
			err := remotes.Fetch(ctx, store, from, desc)
			if noRange(err) {
				// All of it has to come again.
				p.reached(desc.Digest, 0)
				err = errors.Join(errRange, store.Abort(context.WithoutCancel(ctx), remotes.MakeRefKey(ctx, desc)))
			}
			return err
		})
		for was := most.Load(); int64(tries) > was && !most.CompareAndSwap(was, int64(tries)); was = most.Load() {
		}
		if errdefs.IsAlreadyExists(err) {
			p.reached(desc.Digest, desc.Size)
			return nil, nil
		}
		if errdefs.IsFailedPrecondition(err) {
			// It is not what its digest says. What came must not be gone on with.
			err = errors.Join(err, store.Abort(context.WithoutCancel(ctx), remotes.MakeRefKey(ctx, desc)))
		}
		return nil, err
	})
}

// noRange tells whether a registry doesn't give a part of a blob.
func noRange(err error) bool {
	var status remoteerrors.ErrUnexpectedStatus
	return errors.As(err, &status) && status.StatusCode == http.StatusRequestedRangeNotSatisfiable
}

// unpack walks an image down from its manifest or index, fetching each blob by
// fetch (nil: all are present), and unpacks its layers while others still come.
// All is labelled so that a name given to target keeps it. p may be nil.
func (s *Store) unpack(ctx context.Context, target v1.Descriptor, fetch images.Handler, p *pulling) error {
	store := s.db.ContentStore()
	children := images.SetChildrenLabels(store, images.ChildrenHandler(store))
	children = images.FilterPlatforms(children, platform())
	children = images.LimitManifests(children, platform(), 1)
	check := &checker{s: s, found: func(ctx context.Context, m v1.Manifest) error { return s.expect(ctx, m, p) }}
	handlers := []images.Handler{check, children}
	if fetch != nil {
		handlers = append([]images.Handler{fetch}, handlers...)
	}
	u, err := unpack.NewUnpacker(ctx, store, unpack.WithUnpackPlatform(unpack.Platform{
		Platform:       platforms.All, // checkPlatform has the last word
		SnapshotterKey: s.snapKey,
		Snapshotter:    s.snaps,
		Applier:        &applier{blobs: store, free: s.free, done: p.layerDone},
	}), unpack.WithLimiter(s.fetches), unpack.WithDuplicationSuppressor(&s.blobs))
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

// expect finds how much of an image is to come, and whether there is room.
func (s *Store) expect(ctx context.Context, m v1.Manifest, p *pulling) error {
	var missing int64
	for _, desc := range append([]v1.Descriptor{m.Config}, m.Layers...) {
		if _, err := s.db.ContentStore().Info(ctx, desc.Digest); errdefs.IsNotFound(err) {
			missing += desc.Size
		} else if err != nil {
			return fmt.Errorf("look for blob %s: %w", desc.Digest, err)
		}
	}
	p.expect(m, missing)
	return s.checkRoom(missing)
}

// checkPlatform refuses an image of another platform when its config is there
// and its layers are not yet asked for.
func (s *Store) checkPlatform(ctx context.Context, desc v1.Descriptor) ([]v1.Descriptor, error) {
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
