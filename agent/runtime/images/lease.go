package images

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/errdefs"
)

// resumeWithin is how long what a cut-off pull has fetched is kept for the next
// one of the same image.
const resumeWithin = time.Hour

// labelBoot is the boot of the host that a pull's lease is of. What was written
// before a power cut may not be on the disk.
const labelBoot = "berth/boot"

// cut are the leases of pulls that ended with an earlier process, and that no
// pull has taken up yet.
type cut struct {
	mu     sync.Mutex
	leases map[string]leases.Lease
}

// takeUpCut finds the leases that an earlier process left, keeps those of pulls
// that can be gone on with, and ends all others.
func (s *Store) takeUpCut(ctx context.Context) error {
	boot, err := bootID()
	if err != nil {
		return err
	}
	left, err := s.leases.List(ns(ctx))
	if err != nil {
		return fmt.Errorf("list the leases in %s: %w", s.dir, err)
	}
	s.cut.leases = map[string]leases.Lease{}
	for _, l := range left {
		if l.Labels[labelBoot] == boot && time.Since(l.CreatedAt) < resumeWithin {
			s.cut.leases[l.ID] = l
			continue
		}
		if err := s.leases.Delete(ns(ctx), l); err != nil {
			return fmt.Errorf("end the lease of a pull that was cut off: %w", err)
		}
	}
	return nil
}

// dropCut ends the leases that no pull has taken up.
func (s *Store) dropCut(ctx context.Context) {
	s.cut.mu.Lock()
	defer s.cut.mu.Unlock()
	for id, l := range s.cut.leases {
		s.endLease(ctx, l)
		delete(s.cut.leases, id)
	}
}

func bootID() (string, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read the host's boot ID: %w", err)
	}
	return strings.TrimSpace(string(boot)), nil
}

// lease keeps all content that is written under its context until done is
// called, or, should this process end, until the next Open.
func (s *Store) lease(ctx context.Context) (_ context.Context, done func(), err error) {
	l, err := s.leases.Create(ns(ctx), leases.WithRandomID())
	if err != nil {
		return nil, nil, fmt.Errorf("take a lease on image content: %w", err)
	}
	return leases.WithLease(ns(ctx), l.ID), func() { s.endLease(ctx, l) }, nil
}

// pullLease is a lease that the next process keeps for its pull of that name,
// whose lock is held.
func (s *Store) pullLease(ctx context.Context, name string) (_ context.Context, done func(), err error) {
	sum := sha256.Sum256([]byte(name))
	id := "pull-" + hex.EncodeToString(sum[:16])
	s.cut.mu.Lock()
	l, left := s.cut.leases[id]
	delete(s.cut.leases, id)
	s.cut.mu.Unlock()
	if !left {
		boot, err := bootID()
		if err != nil {
			return nil, nil, err
		}
		if l, err = s.leases.Create(ns(ctx), leases.WithID(id), leases.WithLabels(map[string]string{labelBoot: boot})); err != nil {
			return nil, nil, fmt.Errorf("take a lease on image content: %w", err)
		}
	}
	return leases.WithLease(ns(ctx), l.ID), func() { s.endLease(ctx, l) }, nil
}

func (s *Store) endLease(ctx context.Context, l leases.Lease) {
	if err := s.leases.Delete(ns(context.WithoutCancel(ctx)), l); err != nil && !errdefs.IsNotFound(err) {
		s.log.Error("could not end a lease on image content", "lease", l.ID, "error", err)
	}
}
