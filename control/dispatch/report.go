package dispatch

import (
	"context"
	"fmt"

	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
)

// Report writes down what a node says of its tasks, all in one transaction. A
// task that has stopped gives back its interface and addresses in the same one.
// Reports that say nothing new write nothing; those of tasks that have no record
// any more are ignored, since nobody can ask for them.
func (d *Dispatch) Report(ctx context.Context, reports []state.TaskReport) error {
	err := d.store.Update(ctx, func(tx *store.Tx) error {
		for _, r := range reports {
			d.observe(tx, r)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write down %d reports: %w", len(reports), err)
	}
	return nil
}

func (d *Dispatch) observe(tx *store.Tx, r state.TaskReport) {
	before, ok := store.Tasks.Get(tx, r.Scope.Key(r.Cluster+"/"+r.TaskID))
	if !ok {
		return
	}
	t := before.Clone()
	if !t.Observe(r, d.now()) {
		return
	}
	store.Tasks.Put(tx, t)
	eni, ok := store.ENIs.Get(tx, t.Scope.Key(t.ENI))
	switch {
	case !ok:
	case t.Last == state.Stopped:
		release(tx, eni)
	case before.ConnectivityAt.IsZero() && !t.ConnectivityAt.IsZero():
		attached := *eni
		attached.AttachedAt = t.ConnectivityAt
		store.ENIs.Put(tx, &attached)
	}
}

// release deletes an interface and gives its addresses back.
func release(tx *store.Tx, eni *state.ENI) {
	store.ENIs.Delete(tx, eni.Key())
	held := []*state.Address{{Scope: eni.Scope, Space: eni.VPC, Addr: eni.Address}}
	if eni.Public.IsValid() {
		held = append(held, &state.Address{Space: "public", Addr: eni.Public})
	}
	for _, a := range held {
		if a, ok := store.Addresses.Get(tx, a.Key()); ok && a.ENI == eni.ID {
			store.Addresses.Delete(tx, a.Key())
		}
	}
}
