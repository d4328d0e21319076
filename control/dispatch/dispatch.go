// Package dispatch sends each node its assignments and writes down what the
// node reports. It is the only writer of what a task is, and the one that gives
// a stopped task's interface and addresses back.
//
// It knows a node as something that takes assignments (Node): the agent in this
// process, or a session with another machine. It never waits for a task: orders
// are level-based, a node that missed one gets the whole again when it connects.
package dispatch

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
)

// Node takes assignments. It returns when it has them, not when they are done.
type Node interface {
	Assign(ctx context.Context, a state.Assignments) error
}

// Dispatch is one process's end of all its nodes.
type Dispatch struct {
	store *store.Store
	now   func() time.Time
	log   *slog.Logger
}

// New returns a Dispatch over a store.
func New(s *store.Store, now func() time.Time, log *slog.Logger) *Dispatch {
	return &Dispatch{store: s, now: now, log: log}
}

// Connect sends a node all of its assignments and then each change of them,
// until ctx ends, the node fails or the store does.
func (d *Dispatch) Connect(ctx context.Context, nodeID string, n Node) error {
	view, watch := d.store.ViewAndWatch(store.Tasks.Name(), store.ENIs.Name(), store.SecurityGroups.Name(), store.VPCs.Name())
	defer watch.Close()
	full := state.Assignments{Full: true}
	here := map[string]bool{} // VPCs that have interfaces on the node
	for t := range store.Tasks.By(view, store.TasksByNode, nodeID) {
		if t.Last == state.Stopped {
			continue
		}
		a, err := assignment(view, t)
		if err != nil {
			d.log.Error("a task can't be assigned", "task", t.ID, "err", err)
			continue
		}
		full.Tasks = append(full.Tasks, a)
		here[t.Interface.VPC] = true
	}
	for _, vpc := range slices.Sorted(maps.Keys(here)) {
		full.Networks = append(full.Networks, plan(view, vpc))
	}
	if err := n.Assign(ctx, full); err != nil {
		return fmt.Errorf("assign tasks to node %s: %w", nodeID, err)
	}
	for {
		events, err := watch.Next(ctx)
		if err != nil {
			return err
		}
		change := d.change(nodeID, here, events)
		if len(change.Tasks)+len(change.Gone)+len(change.Networks) == 0 {
			continue
		}
		if err := n.Assign(ctx, change); err != nil {
			return fmt.Errorf("assign tasks to node %s: %w", nodeID, err)
		}
	}
}

// change is what events mean for a node. It keeps here up to date.
func (d *Dispatch) change(nodeID string, here map[string]bool, events []store.Event) state.Assignments {
	view := d.store.View()
	var out state.Assignments
	changed := map[string]bool{} // VPCs
	tasks := map[state.Key]bool{}
	for _, e := range events {
		switch e.Table {
		case store.Tasks.Name():
			before, _ := e.Old.(*state.Task)
			after, _ := e.New.(*state.Task)
			switch {
			case after == nil:
				if before.Node == nodeID && before.Last != state.Stopped {
					out.Gone = append(out.Gone, before.ID)
				}
			case after.Node != nodeID:
			case after.Last == state.Stopped:
				if before == nil || before.Last != state.Stopped {
					out.Gone = append(out.Gone, after.ID)
				}
			case before == nil || before.Desired != after.Desired:
				tasks[e.Key] = true
			}
		case store.ENIs.Name():
			for _, rec := range []any{e.Old, e.New} {
				if eni, ok := rec.(*state.ENI); ok && eni != nil {
					changed[eni.VPC] = true
					if eni.Node == nodeID && e.New != nil {
						here[eni.VPC] = true
					}
				}
			}
		case store.SecurityGroups.Name():
			for _, rec := range []any{e.Old, e.New} {
				if g, ok := rec.(*state.SecurityGroup); ok && g != nil {
					changed[g.VPC] = true
				}
			}
		case store.VPCs.Name():
			changed[e.Key.ID] = true
		}
	}
	for key := range tasks {
		t, ok := store.Tasks.Get(view, key)
		if !ok || t.Last == state.Stopped {
			continue // a later event says so
		}
		a, err := assignment(view, t)
		if err != nil {
			d.log.Error("a task can't be assigned", "task", t.ID, "err", err)
			continue
		}
		out.Tasks = append(out.Tasks, a)
	}
	for vpc := range changed {
		if here[vpc] {
			out.Networks = append(out.Networks, plan(view, vpc))
		}
	}
	return out
}

// assignment is all that a node must know of a task.
func assignment(v store.View, t *state.Task) (state.Assignment, error) {
	a := state.Assignment{Task: *t.Clone(), Interface: t.Interface}
	def, ok := store.TaskDefinitions.Get(v, t.Scope.Key(state.RevisionID(t.Family, t.Revision)))
	if !ok {
		return a, fmt.Errorf("its task definition %s has no record", t.DefinitionARN())
	}
	a.Definition = def.Spec
	return a, nil
}

// Report writes down what a node says of its tasks, all in one transaction. A
// task that has stopped gives back its interface and addresses in the same one.
func (d *Dispatch) Report(ctx context.Context, reports []state.TaskReport) error {
	err := d.store.Update(ctx, func(tx *store.Tx) error {
		for _, r := range reports {
			t, ok := store.Tasks.Get(tx, r.Scope.Key(r.Cluster+"/"+r.TaskID))
			if !ok {
				continue // removed meanwhile: nobody asks any more
			}
			before := t
			t = t.Clone()
			if !t.Observe(r, d.now()) {
				continue
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
		return nil
	})
	if err != nil {
		return fmt.Errorf("write down %d reports: %w", len(reports), err)
	}
	return nil
}

// release deletes an interface and gives its addresses back.
func release(tx *store.Tx, eni *state.ENI) {
	store.ENIs.Delete(tx, eni.Key())
	store.Addresses.Delete(tx, (&state.Address{Scope: eni.Scope, Space: eni.VPC, Addr: eni.Address}).Key())
	if eni.Public.IsValid() {
		store.Addresses.Delete(tx, (&state.Address{Space: "public", Addr: eni.Public}).Key())
	}
}
