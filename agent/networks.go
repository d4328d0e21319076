package agent

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/berth/berth/state"
)

// networks are the plans of the node's VPCs, as last ordered, and how far the
// host is with them.
type networks struct {
	wake chan struct{}

	mu      sync.Mutex
	plans   map[string]state.VPCPlan
	wanted  uint64        // grows with each order
	tried   uint64        // the order that was last tried
	err     error         // of that try
	changed chan struct{} // closed and made anew after each try
}

func newNetworks() *networks {
	return &networks{wake: make(chan struct{}, 1), plans: map[string]state.VPCPlan{}, changed: make(chan struct{})}
}

// put takes an order and returns its number, see ready. A full order has all
// VPCs, another one those that changed.
func (n *networks) put(full bool, plans []state.VPCPlan) uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !full && len(plans) == 0 {
		return n.wanted
	}
	if full {
		n.plans = map[string]state.VPCPlan{}
	}
	for _, p := range plans {
		n.plans[p.VPC] = p
	}
	n.wanted++
	ring(n.wake)
	return n.wanted
}

// ready waits until the order was tried, and returns what came of it.
func (n *networks) ready(ctx context.Context, order uint64) error {
	for {
		n.mu.Lock()
		tried, err, changed := n.tried, n.err, n.changed
		n.mu.Unlock()
		if tried >= order {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// failure is why the host doesn't carry the plans, if it doesn't.
func (n *networks) failure() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.err
}

// run brings the host to the plans whenever they change, and tries again what
// failed, until ctx ends.
func (n *networks) run(ctx context.Context, on Network, log *slog.Logger) {
	for failed := 0; ; {
		n.mu.Lock()
		order, tried := n.wanted, n.tried
		plans := slices.SortedFunc(maps.Values(n.plans), func(a, b state.VPCPlan) int {
			if a.VPC < b.VPC {
				return -1
			}
			return 1
		})
		n.mu.Unlock()
		if order == tried && failed == 0 {
			select {
			case <-ctx.Done():
				return
			case <-n.wake:
			}
			continue
		}
		err := on.Configure(ctx, plans)
		if ctx.Err() != nil {
			return
		}
		n.mu.Lock()
		n.tried, n.err = order, err
		close(n.changed)
		n.changed = make(chan struct{})
		n.mu.Unlock()
		if err == nil {
			failed = 0
			continue
		}
		failed++
		log.Error("configure the VPCs", "tries", failed, "err", err)
		if !again(ctx, failed) {
			return
		}
	}
}
