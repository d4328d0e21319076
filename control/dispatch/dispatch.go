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
	here := map[string]bool{}
	for next := d.full(view, nodeID, here); ; {
		if next.Full || len(next.Tasks)+len(next.Gone)+len(next.Networks) > 0 {
			if err := n.Assign(ctx, next); err != nil {
				return fmt.Errorf("assign tasks to node %s: %w", nodeID, err)
			}
		}
		events, err := watch.Next(ctx)
		if err != nil {
			return err
		}
		next = d.change(d.store.View(), nodeID, here, events)
	}
}

// full is all that a node must know. It notes in here which VPCs have, or had,
// interfaces on the node.
func (d *Dispatch) full(v *store.Snapshot, nodeID string, here map[string]bool) state.Assignments {
	out := state.Assignments{Full: true}
	for t := range store.Tasks.By(v, store.TasksByNode, nodeID) {
		if t.Last != state.Stopped {
			out.Tasks = append(out.Tasks, d.assignment(v, t))
			if t.Interface.VPC != "" {
				here[t.Interface.VPC] = true
			}
		}
	}
	for _, vpc := range slices.Sorted(maps.Keys(here)) {
		out.Networks = append(out.Networks, plan(v, vpc))
	}
	return out
}

// change is what events mean for a node. v is of the last of them or later: what
// came later will be said again.
func (d *Dispatch) change(v *store.Snapshot, nodeID string, here map[string]bool, events []store.Event) state.Assignments {
	var out state.Assignments
	tasks, vpcs := map[state.Key]bool{}, map[string]bool{}
	for _, e := range events {
		for _, vpc := range replans(e) {
			vpcs[vpc] = true
		}
		if e.Table != store.Tasks.Name() {
			continue
		}
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
	}
	for key := range tasks {
		t, ok := store.Tasks.Get(v, key)
		if !ok || t.Last == state.Stopped {
			continue // it is in Gone, now or next time
		}
		out.Tasks = append(out.Tasks, d.assignment(v, t))
		if vpc := t.Interface.VPC; vpc != "" && !here[vpc] {
			here[vpc], vpcs[vpc] = true, true
		}
	}
	for _, vpc := range slices.Sorted(maps.Keys(vpcs)) {
		if here[vpc] {
			out.Networks = append(out.Networks, plan(v, vpc))
		}
	}
	return out
}

// assignment is all that a node must know of a task. A task whose definition is
// missing is assigned all the same, without containers: its node then ends it
// and says why.
func (d *Dispatch) assignment(v store.View, t *state.Task) state.Assignment {
	a := state.Assignment{Task: *t.Clone(), Interface: t.Interface}
	def, ok := store.TaskDefinitions.Get(v, t.Scope.Key(state.RevisionID(t.Family, t.Revision)))
	if !ok {
		d.log.Error("a task's definition has no record", "task", t.ARN(), "definition", t.DefinitionARN())
		return a
	}
	a.Definition = def.Spec
	return a
}
