package crun

import (
	"context"

	"github.com/berth/berth/agent/runtime"
	"github.com/berth/berth/agent/runtime/images"
)

// Pulls tells how the pulls under way stand, the oldest first.
func (r *Runtime) Pulls() []runtime.Pulling { return r.store.Pulls() }

// TendImages keeps the use of the disk within bounds until ctx ends: see
// images.Store.Tend.
func (r *Runtime) TendImages(ctx context.Context, gc images.GC, keep func() []string) error {
	return r.store.Tend(ctx, gc, keep)
}
