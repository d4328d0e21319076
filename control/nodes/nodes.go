// Package nodes keeps the records of the machines that run tasks: a node is
// READY while it is heard of, and DOWN when it is not. It is the only writer of
// nodes.
//
// Register comes before the node is given tasks, and Watch goes on as long as
// the node's process does. An idle installation writes once a beat.
package nodes

import (
	"context"
	"fmt"
	"time"

	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
)

// What Node.Status says.
const (
	Ready = "READY"
	Down  = state.NodeDown
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
	n.Status, n.LastSeen = Ready, now
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
// have not been, until ctx or the store ends. A beat that can't be written is
// left out.
func Watch(ctx context.Context, s *store.Store, self string, now func() time.Time) error {
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.Ended():
			return s.Err()
		case <-tick.C:
		}
		err := s.Update(ctx, func(tx *store.Tx) error {
			for n := range store.Nodes.All(tx) {
				if n, changed := seen(n, self, now()); changed {
					store.Nodes.Put(tx, n)
				}
			}
			return nil
		})
		if s.Err() != nil {
			return fmt.Errorf("write node %s down as seen: %w", self, err)
		}
	}
}

// seen is what a beat of the node self makes of a node's record.
func seen(n *state.Node, self string, now time.Time) (*state.Node, bool) {
	c := *n
	switch {
	case n.ID == self:
		c.Status, c.LastSeen = Ready, now
	case n.Status == Ready && now.Sub(n.LastSeen) > lost:
		c.Status = Down
	default:
		return n, false
	}
	return &c, true
}
