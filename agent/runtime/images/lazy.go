package images

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/berth/berth/agent/runtime"
	"github.com/berth/berth/agent/runtime/lazy"
	"github.com/berth/berth/internal/wholefile"
)

const (
	lazyDir = "lazy"
	// lazyPrefix begins the IDs of bases whose layers are still to come.
	lazyPrefix = "lazy-"
	// lazyLeast is how large an image must be, in compressed bytes, for a lazy pull
	// to be worth its while.
	lazyLeast = 1 << 20
)

// ServeLazy is the process that has the mounts of a store's lazy layers: dir is
// what the store's Lazily gave to start. It calls ready when it can be spoken to.
func ServeLazy(ctx context.Context, dir string, ready func(), log *slog.Logger) error {
	content := filepath.Join(filepath.Dir(dir), "content")
	return lazy.Serve(ctx, dir, func(m lazy.Mount) (lazy.Blob, error) { return openBlob(content, m) }, ready, log)
}

// lazies are the images whose containers may run before their layers are there.
// Each has a record in a file, until its layers are there and nobody runs on its
// mounts any more.
type lazies struct {
	dir    string
	start  func(dir string) error // nil: images are pulled whole
	lost   func(bases []string)
	client *lazy.Client
	work   sync.WaitGroup

	mu     sync.Mutex
	alive  bool // the process is there, and is watched
	bases  map[string]*lazyBase
	broken map[string]bool // bases whose mounts are dead
}

// lazyBase is one of them.
type lazyBase struct {
	Image  string
	Target v1.Descriptor
	Chain  string // the snapshot that is to come
	Layers []lazy.Mount

	complete bool
}

func (b *lazyBase) id() string { return lazyPrefix + strings.TrimPrefix(b.Chain, "sha256:") }

// Lazily lets images be pulled lazily. start starts a process that calls
// ServeLazy with a directory, and returns when that is ready; it outlives this
// one. lost is told of the bases whose mounts are gone with it.
func (s *Store) Lazily(ctx context.Context, start func(dir string) error, lost func(bases []string)) error {
	z := &s.lazy
	z.dir = filepath.Join(s.dir, lazyDir)
	if err := os.MkdirAll(z.dir, 0o711); err != nil {
		return err
	}
	z.start, z.lost, z.client, z.bases, z.broken = start, lost, lazy.NewClient(z.dir), map[string]*lazyBase{}, map[string]bool{}
	mounted, err := z.client.Mounts(ctx)
	z.alive = err == nil
	if err != nil && !errors.Is(err, lazy.ErrNone) {
		s.log.Warn("the process that has lazy layers doesn't answer: it is left alone, and images on it are pulled again", "err", err)
	}
	files, err := filepath.Glob(filepath.Join(z.dir, "*.json"))
	if err != nil {
		return err
	}
	for _, file := range files {
		b := &lazyBase{}
		found, err := wholefile.ReadJSON(file, b)
		if err != nil || !found {
			s.log.Warn("the record of an image that was pulled lazily can't be read", "file", file, "err", err)
			os.Remove(file)
			continue
		}
		if slices.ContainsFunc(b.Layers, func(m lazy.Mount) bool { return !slices.Contains(mounted, m.Digest) }) {
			s.breakBase(b)
			continue
		}
		z.bases[b.id()] = b
		s.completeLater(b)
	}
	if z.alive {
		s.watchLazy()
	}
	return nil
}

// breakBase notes that the mounts of a base are gone, and clears away what is
// left. z.mu is held, or nobody else has the store yet.
func (s *Store) breakBase(b *lazyBase) {
	z := &s.lazy
	z.broken[b.id()] = true
	delete(z.bases, b.id())
	if err := os.Remove(s.lazyFile(b)); err != nil && !errors.Is(err, os.ErrNotExist) {
		s.log.Error("remove the record of an image that was pulled lazily", "err", err)
	}
	if z.alive {
		return
	}
	for _, m := range b.Layers {
		if err := unix.Unmount(lazy.Dir(z.dir, m.Digest), unix.MNT_DETACH); err == nil {
			os.Remove(lazy.Dir(z.dir, m.Digest))
		}
	}
}

func (s *Store) lazyFile(b *lazyBase) string { return filepath.Join(s.lazy.dir, b.id()+".json") }

// Lost tells whether the files of a base can't be read any more.
func (s *Store) Lost(base string) bool {
	s.lazy.mu.Lock()
	defer s.lazy.mu.Unlock()
	return s.lazy.broken[base]
}

// watchLazy waits for the end of the process that has the mounts, which is the
// end of all of them.
func (s *Store) watchLazy() {
	z := &s.lazy
	z.work.Go(func() {
		err := z.client.Alive(s.running)
		if s.running.Err() != nil {
			return
		}
		z.mu.Lock()
		z.alive = false
		var ids []string
		for id, b := range z.bases {
			ids = append(ids, id)
			s.breakBase(b)
		}
		z.mu.Unlock()
		if len(ids) > 0 {
			s.log.Error("the process that has lazy layers has ended: containers that run on them can't read their files any more", "bases", len(ids), "err", err)
			z.lost(ids)
		}
	})
}

// pullLazily makes an image present whose layers are still to come, if it is one
// of which that can be done. The fetcher's blobs are kept by ctx's lease.
func (s *Store) pullLazily(ctx context.Context, name string, target v1.Descriptor, fetch images.Handler) (img runtime.Image, ok bool) {
	if s.lazy.start == nil || s.snapKey != overlayKey {
		return img, false
	}
	b, err := s.planLazily(ctx, name, target, fetch)
	if err == nil && b != nil {
		err = s.mountLazily(ctx, b)
	}
	var rec images.Image
	if err == nil && b != nil {
		rec, err = s.name(ctx, name, target, pulled)
	}
	if err == nil && b != nil {
		img, err = s.describe(ctx, rec)
	}
	if err != nil || b == nil {
		if err != nil && ctx.Err() == nil {
			s.log.Info("an image is pulled whole", "image", name, "because", err)
		}
		return img, false // the whole pull says what is wrong with it
	}
	img.Coming = true
	s.completeLater(b)
	s.log.Debug("image pulled lazily", "image", name, "layers", len(b.Layers))
	return img, true
}

// planLazily fetches an image's manifest and config, and returns what is to be
// mounted of it; nil if it isn't made for that.
func (s *Store) planLazily(ctx context.Context, name string, target v1.Descriptor, fetch images.Handler) (*lazyBase, error) {
	store := s.db.ContentStore()
	children := images.LimitManifests(images.FilterPlatforms(images.SetChildrenLabels(store, images.ChildrenHandler(store)), platform()), platform(), 1)
	heads := images.HandlerFunc(func(ctx context.Context, desc v1.Descriptor) ([]v1.Descriptor, error) {
		all, err := children(ctx, desc)
		return slices.DeleteFunc(all, func(d v1.Descriptor) bool { return images.IsLayerType(d.MediaType) }), err
	})
	var m v1.Manifest
	check := &checker{s: s, found: func(_ context.Context, found v1.Manifest) error {
		m = found
		return nil
	}}
	if err := images.Dispatch(ctx, images.Handlers(fetch, check, heads), nil, target); err != nil {
		return nil, err
	}
	config, err := s.config(ctx, target)
	if err != nil {
		return nil, err
	}
	b := &lazyBase{Image: name, Target: target, Chain: chainOf(config)}
	where, err := json.Marshal(from{name, s.reg})
	if err != nil {
		return nil, err
	}
	var size int64
	for _, l := range m.Layers {
		toc := digest.Digest(l.Annotations[lazy.TOCDigest])
		if toc.Validate() != nil || l.MediaType != v1.MediaTypeImageLayerGzip && l.MediaType != images.MediaTypeDockerSchema2LayerGzip {
			return nil, nil
		}
		size += l.Size
		b.Layers = append(b.Layers, lazy.Mount{Digest: l.Digest, Size: l.Size, TOC: toc, From: where})
	}
	if size < lazyLeast || len(config.RootFS.DiffIDs) != len(m.Layers) {
		return nil, nil
	}
	if _, err := s.snaps.Stat(ns(ctx), b.Chain); err == nil || !errdefs.IsNotFound(err) {
		return nil, err // its layers are there, by another name
	}
	return b, s.checkRoom(size)
}

// mountLazily has the layers mounted, and notes that they are.
func (s *Store) mountLazily(ctx context.Context, b *lazyBase) error {
	z := &s.lazy
	z.mu.Lock()
	defer z.mu.Unlock()
	if !z.alive {
		if err := z.start(z.dir); err != nil {
			return fmt.Errorf("start the process that has lazy layers: %w", err)
		}
		z.alive = true
		s.watchLazy()
	}
	var all errgroup.Group
	for _, m := range b.Layers {
		all.Go(func() error { return z.client.Mount(ctx, m) })
	}
	err := all.Wait()
	if err == nil {
		err = wholefile.WriteJSON(s.lazyFile(b), b)
	}
	if err != nil {
		return errors.Join(err, s.unmountUnused(context.WithoutCancel(ctx), b))
	}
	delete(z.broken, b.id())
	z.bases[b.id()] = b
	return nil
}

// unmountUnused unmounts what no base but this one has mounted, and ends the
// process when nothing is. z.mu is held.
func (s *Store) unmountUnused(ctx context.Context, b *lazyBase) error {
	z := &s.lazy
	if !z.alive {
		return nil
	}
	others := 0
	used := map[digest.Digest]bool{}
	for id, o := range z.bases {
		if id != b.id() {
			others++
			for _, m := range o.Layers {
				used[m.Digest] = true
			}
		}
	}
	if others == 0 {
		z.alive = false // the end of it is no loss
		return z.client.End(ctx)
	}
	var errs []error
	for _, m := range b.Layers {
		if !used[m.Digest] {
			errs = append(errs, z.client.Unmount(ctx, m.Digest))
		}
	}
	return errors.Join(errs...)
}

// lazyBaseOf is the base of an image whose layers are still to come.
func (s *Store) lazyBaseOf(chain string) (Base, bool) {
	z := &s.lazy
	z.mu.Lock()
	defer z.mu.Unlock()
	b := z.bases[(&lazyBase{Chain: chain}).id()]
	if b == nil {
		return Base{}, false
	}
	out := Base{ID: b.id()}
	for _, m := range slices.Backward(b.Layers) {
		out.Layers = append(out.Layers, lazy.Dir(z.dir, m.Digest))
	}
	return out, true
}

// runnable tells whether containers can be made of a present image: its layers
// are there, or mounted.
func (s *Store) runnable(ctx context.Context, name string) bool {
	if s.lazy.start == nil {
		return true
	}
	rec, err := s.record(ctx, name)
	if err != nil {
		return false
	}
	config, err := s.config(ctx, rec.Target)
	if err != nil || chainOf(config) == "" {
		return err == nil
	}
	if _, ok := s.lazyBaseOf(chainOf(config)); ok {
		return true
	}
	_, err = s.snaps.Stat(ns(ctx), chainOf(config))
	return err == nil
}

// releaseLazy lets go of a base that nobody runs on, if its layers are there by
// now.
func (s *Store) releaseLazy(id string) {
	s.bases.mu.Lock() // first, as in Base
	defer s.bases.mu.Unlock()
	z := &s.lazy
	z.mu.Lock()
	defer z.mu.Unlock()
	b := z.bases[id]
	if b == nil || !b.complete || s.bases.uses[id] > 0 || !s.bases.taken {
		return
	}
	delete(z.bases, id)
	if err := errors.Join(os.Remove(s.lazyFile(b)), s.unmountUnused(s.running, b)); err != nil && s.running.Err() == nil {
		s.log.Error("let go of layers that were pulled lazily", "image", b.Image, "err", err)
	}
}

// releaseLazies lets go of all that nobody needs.
func (s *Store) releaseLazies() {
	s.lazy.mu.Lock()
	ids := slices.Collect(maps.Keys(s.lazy.bases))
	s.lazy.mu.Unlock()
	for _, id := range ids {
		s.releaseLazy(id)
	}
}

// completeLater has the layers come, until they are there or the image is gone.
func (s *Store) completeLater(b *lazyBase) {
	s.lazy.work.Go(func() {
		for n := 0; s.running.Err() == nil; n++ {
			err := s.completeOnce(s.running, b)
			if err == nil {
				s.lazy.mu.Lock()
				b.complete = true
				s.lazy.mu.Unlock()
				s.releaseLazy(b.id())
				return
			}
			s.log.Warn("the layers of an image that was pulled lazily can't be had yet", "image", b.Image, "tries", n+1, "err", err)
			select {
			case <-s.running.Done():
			case <-time.After(min(time.Second<<min(n, 10), 5*time.Minute)):
			}
		}
	})
}

// completeOnce pulls the layers of an image that is still wanted.
func (s *Store) completeOnce(ctx context.Context, b *lazyBase) (err error) {
	rec, err := s.record(ctx, b.Image)
	if errors.Is(err, runtime.ErrNotFound) || err == nil && rec.Target.Digest != b.Target.Digest {
		return nil // nobody wants it any more
	}
	if err != nil {
		return err
	}
	leased, done, err := s.pullLease(ctx, lazyPrefix+b.Image)
	if err != nil {
		return err
	}
	defer s.collectAfter(&err)
	defer done()
	p, ended := s.beginPull(b.Image)
	defer ended()
	resolver, err := s.reg.resolver()
	if err != nil {
		return err
	}
	fetcher, err := resolver.Fetcher(leased, b.Image)
	if err != nil {
		return err
	}
	var most atomic.Int64
	if err := s.unpack(leased, b.Target, s.fetching(p, fetcher, &most), p); err != nil {
		return err
	}
	return s.sync()
}

// EndLazy ends the process that has the mounts: nobody runs on them.
func (s *Store) EndLazy(ctx context.Context) error {
	z := &s.lazy
	z.mu.Lock()
	defer z.mu.Unlock()
	if !z.alive {
		return nil
	}
	z.alive = false
	clear(z.bases)
	if err := z.client.End(ctx); err != nil && !errors.Is(err, lazy.ErrNone) {
		return fmt.Errorf("end the process that has lazy layers: %w", err)
	}
	return nil
}
