package images

import (
	"context"
	"fmt"
	"strings"

	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/image-spec/identity"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// labelBase marks the snapshots that are bases.
const labelBase = "berth/base"

// Base is the read-only root file system of an image. Containers put a writable
// directory of their own over it; so that starting one writes nothing to the
// image store, all containers of an image have the same base.
type Base struct {
	// ID is of the layers it is made of, whatever image they belong to.
	ID string
	// Layers are directories, the topmost first. Where the host can mount no
	// overlay (Copy) there is one, with all that is in the image.
	Layers []string
	// Copy says that the layers can't be part of an overlay.
	Copy bool
}

// Base returns the base of a present image. It is kept, whatever becomes of the
// image, until Release.
func (s *Store) Base(ctx context.Context, ref string) (Base, error) {
	rec, err := s.record(ctx, ref)
	if err != nil {
		return Base{}, err
	}
	config, err := s.config(ctx, rec.Target)
	if err != nil {
		return Base{}, fmt.Errorf("read image %s: %w", rec.Name, err)
	}
	s.uses.touch(rec.Name)
	parent, id := chainOf(config), baseOf(config)
	s.bases.mu.Lock()
	defer s.bases.mu.Unlock()
	b, known := s.bases.known[id]
	if !known {
		b, err = s.makeBase(ctx, id, parent)
		if lazily, ok := s.lazyBaseOf(parent); ok && errdefs.IsNotFound(err) {
			s.bases.uses[lazily.ID]++
			return lazily, nil
		}
		if err != nil {
			return Base{}, fmt.Errorf("find the layers of image %s: %w", rec.Name, err)
		}
		s.bases.known[id] = b
	}
	s.bases.uses[id]++
	return b, nil
}

// chainOf is the snapshot of an image's topmost layer.
func chainOf(config v1.Image) string {
	if len(config.RootFS.DiffIDs) == 0 {
		return ""
	}
	return identity.ChainID(config.RootFS.DiffIDs).String()
}

// baseOf is the ID of an image's base.
func baseOf(config v1.Image) string { return "base-" + strings.TrimPrefix(chainOf(config), "sha256:") }

func (s *Store) makeBase(ctx context.Context, id, parent string) (Base, error) {
	mounts, err := s.snaps.View(ns(ctx), id, parent, snapshots.WithLabels(map[string]string{gcRoot: "base", labelBase: "true"}))
	if errdefs.IsAlreadyExists(err) {
		mounts, err = s.snaps.Mounts(ns(ctx), id)
	}
	if err != nil {
		return Base{}, err
	}
	layers, err := layersOf(mounts)
	return Base{ID: id, Layers: layers, Copy: s.snapKey != overlayKey}, err
}

// layersOf reads the directories from how a snapshot would be mounted: a single
// one as a bind, several as an overlay.
func layersOf(mounts []mount.Mount) ([]string, error) {
	if len(mounts) == 1 && mounts[0].Type == "bind" {
		return []string{mounts[0].Source}, nil
	}
	if len(mounts) == 1 && mounts[0].Type == "overlay" {
		for _, o := range mounts[0].Options {
			if dirs, ok := strings.CutPrefix(o, "lowerdir="); ok {
				return strings.Split(dirs, ":"), nil
			}
		}
	}
	return nil, fmt.Errorf("a snapshot would be mounted in an unknown way: %v", mounts)
}

// Take counts a use of a base that an earlier process had from Base.
func (s *Store) Take(id string) {
	s.bases.mu.Lock()
	defer s.bases.mu.Unlock()
	s.bases.uses[id]++
}

// Taken says that Take was called for each base in use: from here on those that
// are not, and whose image is gone, are removed.
func (s *Store) Taken() {
	s.bases.mu.Lock()
	s.bases.taken = true
	s.bases.mu.Unlock()
	s.releaseLazies()
	s.Collect()
}

// Release ends a use of a base. It goes with the last one if its image is gone.
func (s *Store) Release(id string) {
	s.bases.mu.Lock()
	s.bases.uses[id]--
	last := s.bases.uses[id] <= 0
	if last {
		delete(s.bases.uses, id)
	}
	orphan := last && !s.bases.named[id]
	s.bases.mu.Unlock()
	if strings.HasPrefix(id, lazyPrefix) {
		s.releaseLazy(id)
		return
	}
	if orphan {
		s.Collect()
	}
}

// dropBases removes the bases that neither an image nor a container has.
func (s *Store) dropBases(ctx context.Context) error {
	named, err := s.basesOfImages(ctx)
	if err != nil {
		return err
	}
	s.bases.mu.Lock()
	defer s.bases.mu.Unlock()
	s.bases.named = named
	if !s.bases.taken {
		return nil
	}
	var idle []string
	err = s.snaps.Walk(ns(ctx), func(_ context.Context, info snapshots.Info) error {
		if info.Labels[labelBase] != "" && !named[info.Name] && s.bases.uses[info.Name] == 0 {
			idle = append(idle, info.Name)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list the bases of containers: %w", err)
	}
	for _, id := range idle {
		delete(s.bases.known, id)
		if err := s.snaps.Remove(ns(ctx), id); err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("remove %s: %w", id, err)
		}
	}
	return nil
}

// basesOfImages are the IDs that the bases of all present images have.
func (s *Store) basesOfImages(ctx context.Context) (map[string]bool, error) {
	recs, err := s.records(ctx)
	if err != nil {
		return nil, err
	}
	named := map[string]bool{}
	for _, rec := range recs {
		config, err := s.config(ctx, rec.Target)
		if err != nil {
			continue // one that can't be read can't be run either
		}
		named[baseOf(config)] = true
	}
	return named, nil
}
