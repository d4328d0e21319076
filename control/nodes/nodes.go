// Package nodes keeps the records of the machines that run tasks: they are
// READY while they are heard of, and DOWN when they are not.
package nodes

import (
	"context"
	"fmt"
	"time"

	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
)

const (
	// beat is how often a node is written down as seen. It is long, so that an
	// idle installation hardly writes.
	beat = 30 * time.Second
	// lost is how long a node may be silent before it counts as DOWN.
	lost = 3 * beat
)

// Register writes the node down as READY. What an earlier registration said of
// its capacity is replaced.
func Register(ctx context.Context, s *store.Store, n state.Node, now time.Time) error {
	n.Status, n.LastSeen = "READY", now
	err := s.Update(ctx, func(tx *store.Tx) error {
		n := n
		n.RegisteredAt = now
		if old, ok := store.Nodes.Get(tx, n.Key()); ok {
			n.RegisteredAt = old.RegisteredAt
		}
		store.Nodes.Put(tx, &n)
		return nil
	})
	if err != nil {
		return fmt.Errorf("register node %s: %w", n.Name, err)
	}
	return nil
}

// Watch writes the node down as seen from time to time, and others as DOWN that
// have not been, until ctx ends.
func Watch(ctx context.Context, s *store.Store, self string, now func() time.Time) error {
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		err := s.Update(ctx, func(tx *store.Tx) error {
			for n := range store.Nodes.All(tx) {
				changed := *n
				switch {
				case n.ID == self:
					changed.Status, changed.LastSeen = "READY", now()
				case n.Status == "READY" && now().Sub(n.LastSeen) > lost:
					changed.Status = "DOWN"
				default:
					continue
				}
				store.Nodes.Put(tx, &changed)
			}
			return nil
		})
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("write node %s down as seen: %w", self, err)
		}
	}
}
