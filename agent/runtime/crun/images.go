package crun

import "github.com/berth/berth/agent/runtime"

// Pulls tells how the pulls under way stand, the oldest first.
func (r *Runtime) Pulls() []runtime.Pulling { return r.store.Pulls() }
