package images

import (
	"context"
	"fmt"
	"time"

	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/image-spec/identity"

	"github.com/berth/berth/agent/runtime"
)

// labelRootfs marks the snapshots that are root file systems.
const labelRootfs = "berth/rootfs"

// Prepare makes a writable root file system from a present image, under a key.
// One that is there already under that key is taken as it is.
func (s *Store) Prepare(ctx context.Context, key, ref string) ([]mount.Mount, error) {
	rec, err := s.record(ctx, ref)
	if err != nil {
		return nil, err
	}
	config, err := s.config(ctx, rec.Target)
	if err != nil {
		return nil, fmt.Errorf("read image %s: %w", rec.Name, err)
	}
	parent := ""
	if len(config.RootFS.DiffIDs) > 0 {
		parent = identity.ChainID(config.RootFS.DiffIDs).String()
	}
	mounts, err := s.snaps.Prepare(ns(ctx), key, parent, snapshots.WithLabels(map[string]string{
		gcRoot:      time.Now().UTC().Format(time.RFC3339),
		labelRootfs: "true",
	}))
	if errdefs.IsAlreadyExists(err) {
		return s.Mounts(ctx, key)
	}
	if err != nil {
		return nil, fmt.Errorf("make a root file system from %s: %w", rec.Name, err)
	}
	return mounts, nil
}

// Mounts tells how to mount a root file system.
func (s *Store) Mounts(ctx context.Context, key string) ([]mount.Mount, error) {
	mounts, err := s.snaps.Mounts(ns(ctx), key)
	if errdefs.IsNotFound(err) {
		return nil, fmt.Errorf("root file system %s: %w", key, runtime.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("find root file system %s: %w", key, err)
	}
	return mounts, nil
}

// Discard removes a root file system, which must not be mounted. Its files go
// in the background. One that is not there is no error.
func (s *Store) Discard(ctx context.Context, key string) error {
	if err := s.snaps.Remove(ns(ctx), key); err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("remove root file system %s: %w", key, err)
	}
	s.Collect()
	return nil
}

// Keys lists the root file systems.
func (s *Store) Keys(ctx context.Context) ([]string, error) {
	var keys []string
	err := s.snaps.Walk(ns(ctx), func(_ context.Context, info snapshots.Info) error {
		if info.Labels[labelRootfs] != "" {
			keys = append(keys, info.Name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list root file systems: %w", err)
	}
	return keys, nil
}
