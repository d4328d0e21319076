package images

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/metadata"
	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// GC says when images that nobody uses make room.
type GC struct {
	// High is how much of the disk may be in use, in percent of it; with more,
	// images go until no more than Low is.
	High, Low int
	// MinAge is how long an image stays after its last use, as with AWS's agent
	// (ECS_IMAGE_MINIMUM_CLEANUP_AGE).
	MinAge time.Duration
	// Interval is how often the disk is looked at.
	Interval time.Duration
}

// Check returns what is wrong with the settings.
func (g GC) Check() error {
	switch {
	case g.Low < 1 || g.High > 99 || g.Low > g.High:
		return fmt.Errorf("images are removed from %d percent of the disk in use down to %d: give numbers from 1 to 99, the second at most the first", g.High, g.Low)
	case g.MinAge < 0:
		return errors.New("an image can't stay for less than no time")
	case g.Interval < time.Second:
		return errors.New("the disk can be looked at once a second at most")
	}
	return nil
}

// uses are when images were used last.
type uses struct {
	mu   sync.Mutex
	last map[string]time.Time // by name, what this process has seen
	open time.Time            // when this process began: an earlier one may have used all until then
}

func (u *uses) touch(name string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.last[name] = time.Now()
}

func (u *uses) forget(name string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.last, name)
}

// of is when an image was last used, or a later time.
func (u *uses) of(name string) time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	if at, ok := u.last[name]; ok {
		return at
	}
	return u.open
}

// Tend keeps the use of the disk within bounds until ctx ends. keep returns the
// images of all tasks that there are, started or not: a task is in it before its
// images are asked for.
func (s *Store) Tend(ctx context.Context, gc GC, keep func() []string) error {
	ticker := time.NewTicker(gc.Interval)
	defer ticker.Stop()
	for {
		removed, err := s.evict(ctx, gc, keep, s.level, time.Now())
		if len(removed) > 0 {
			s.log.Info("images removed to make room on the disk", "images", removed)
		}
		if err != nil && ctx.Err() == nil {
			s.log.Error("could not remove images to make room on the disk", "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// level is how much of the store's disk is in use, in percent.
func (s *Store) level() (float64, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(s.dir, &fs); err != nil {
		return 0, fmt.Errorf("ask how much room the disk of %s has: %w", s.dir, err)
	}
	return 100 * (1 - float64(fs.Bavail)/float64(fs.Blocks)), nil
}

// evict removes images, the one that was not used for longest first, until the
// disk's level is right. It leaves those that are in use, that a task is about to
// use, that were used lately, and those that can't be had again.
func (s *Store) evict(ctx context.Context, gc GC, keep func() []string, level func() (float64, error), now time.Time) (removed []string, err error) {
	at, err := level()
	if err != nil || at < float64(gc.High) {
		return nil, err
	}
	recs, err := s.records(ctx)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(recs, func(a, b images.Image) int {
		if c := s.uses.of(a.Name).Compare(s.uses.of(b.Name)); c != 0 {
			return c
		}
		return a.UpdatedAt.Compare(b.UpdatedAt)
	})
	for _, rec := range recs {
		if at <= float64(gc.Low) {
			break
		}
		gone, err := s.evictOne(ctx, rec, gc, keep, now)
		if err != nil {
			return removed, err
		}
		if !gone {
			continue
		}
		removed = append(removed, rec.Name)
		if at, err = level(); err != nil {
			return removed, err
		}
	}
	return removed, nil
}

// evictOne looks and removes while nobody can pull the image: who pulls it next
// finds it gone.
func (s *Store) evictOne(ctx context.Context, rec images.Image, gc GC, keep func() []string, now time.Time) (bool, error) {
	unlock, err := s.refs.Lock(ctx, rec.Name)
	if err != nil {
		return false, err
	}
	defer unlock()
	if rec.Labels[labelOrigin] == imported || now.Sub(s.uses.of(rec.Name)) < gc.MinAge || s.inUse(ctx, rec) {
		return false, nil
	}
	for _, ref := range keep() {
		if name, err := normalize(ref); err == nil && name == rec.Name {
			return false, nil
		}
	}
	err = metadata.NewImageStore(s.db).Delete(ns(ctx), rec.Name)
	if err != nil && !errdefs.IsNotFound(err) {
		return false, fmt.Errorf("remove the record of image %s: %w", rec.Name, err)
	}
	s.uses.forget(rec.Name)
	return err == nil, s.collectNow(ctx)
}

// inUse tells whether a container runs on an image's layers. One that can't be
// read is in nobody's use.
func (s *Store) inUse(ctx context.Context, rec images.Image) bool {
	config, err := s.config(ctx, rec.Target)
	if err != nil {
		return false
	}
	lazily := (&lazyBase{Chain: chainOf(config)}).id()
	s.bases.mu.Lock()
	defer s.bases.mu.Unlock()
	return s.bases.uses[baseOf(config)] > 0 || s.bases.uses[lazily] > 0 || !s.bases.taken
}
