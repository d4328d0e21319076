package dispatch

import (
	"context"
	"fmt"

	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
)

// Protection is a task's, after the change if there is one; or why it can have
// none. A task asks for its own by its node: so nobody but its node may call this
// for it.
func (d *Dispatch) Protection(ctx context.Context, task *state.Task, change *state.ProtectionChange) (state.Protection, *state.ProtectionFailure, error) {
	gone := &state.ProtectionFailure{Reason: "MISSING"}
	if change == nil {
		t, ok := store.Tasks.Get(d.store.View(), task.Key())
		if !ok {
			return state.Protection{}, gone, nil
		}
		p, no := t.Protection(d.now())
		return p, no, nil
	}
	var p state.Protection
	var no *state.ProtectionFailure
	err := d.store.Update(ctx, func(tx *store.Tx) error {
		p, no = state.Protection{}, gone
		t, ok := store.Tasks.Get(tx, task.Key())
		if !ok {
			return nil
		}
		t = t.Clone()
		if no = t.Protect(*change, d.now()); no != nil {
			return nil
		}
		store.Tasks.Put(tx, t)
		p, no = t.Protection(d.now())
		return nil
	})
	if err != nil {
		return p, nil, fmt.Errorf("protect task %s: %w", task.ID, err)
	}
	return p, no, nil
}
