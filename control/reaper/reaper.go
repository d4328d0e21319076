// Package reaper forgets what has had its time: stopped tasks, idempotency
// tokens, and task definitions that were deleted and that no task needs.
package reaper

import (
	"context"
	"iter"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/control"
	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
)

// Reaper is the loop. Its keys are the tables' names and the records' keys,
// joined by a space.
type Reaper struct {
	store *store.Store
	now   func() time.Time
	// stopped is how long a stopped task stays visible.
	stopped time.Duration
}

// New returns the loop.
func New(s *store.Store, now func() time.Time, stopped time.Duration) *Reaper {
	return &Reaper{store: s, now: now, stopped: stopped}
}

// On says which events concern the loop.
func On() control.On {
	return control.On{
		store.Tasks.Name(): func(e store.Event) (string, bool) {
			t, _ := e.New.(*state.Task)
			return name(store.Tasks.Name(), e.Key), t != nil && t.Last == state.Stopped
		},
		store.Grants.Name(): func(e store.Event) (string, bool) {
			return name(store.Grants.Name(), e.Key), e.New != nil
		},
		store.TaskDefinitions.Name(): func(e store.Event) (string, bool) {
			d, _ := e.New.(*state.TaskDefinition)
			return name(store.TaskDefinitions.Name(), e.Key), d != nil && d.Spec.V.Status == types.TaskDefinitionStatusDeleteInProgress
		},
	}
}

func name(table string, k state.Key) string {
	return strings.Join([]string{table, k.Account, k.Region, k.ID}, " ")
}

// Keys implements control.Loop.
func (r *Reaper) Keys(v *store.Snapshot) iter.Seq[string] {
	return func(yield func(string) bool) {
		for t := range store.Tasks.All(v) {
			if t.Last == state.Stopped && !yield(name(store.Tasks.Name(), t.Key())) {
				return
			}
		}
		for g := range store.Grants.All(v) {
			if !yield(name(store.Grants.Name(), g.Key())) {
				return
			}
		}
		for d := range store.TaskDefinitions.All(v) {
			if d.Spec.V.Status == types.TaskDefinitionStatusDeleteInProgress && !yield(name(store.TaskDefinitions.Name(), d.Key())) {
				return
			}
		}
	}
}

// Step implements control.Loop.
func (r *Reaper) Step(ctx context.Context, key string) (wait time.Duration, err error) {
	p := strings.SplitN(key, " ", 4)
	table, k := p[0], state.Scope{Account: p[1], Region: p[2]}.Key(p[3])
	err = r.store.Update(ctx, func(tx *store.Tx) error {
		switch table {
		case store.Tasks.Name():
			if t, ok := store.Tasks.Get(tx, k); ok && t.Last == state.Stopped {
				if wait = t.StoppedAt.Add(r.stopped).Sub(r.now()); wait <= 0 {
					store.Tasks.Delete(tx, k)
				}
			}
		case store.Grants.Name():
			if g, ok := store.Grants.Get(tx, k); ok {
				if wait = g.Expires.Sub(r.now()); wait <= 0 {
					store.Grants.Delete(tx, k)
				}
			}
		case store.TaskDefinitions.Name():
			d, ok := store.TaskDefinitions.Get(tx, k)
			if !ok || d.Spec.V.Status != types.TaskDefinitionStatusDeleteInProgress {
				return nil
			}
			for t := range store.Tasks.List(tx, k.Scope, "") {
				if t.Family == d.Family && t.Revision == d.Revision && t.Last != state.Stopped {
					// Asked again when the period comes round; nobody is in a hurry.
					return nil
				}
			}
			store.TaskDefinitions.Delete(tx, k)
		}
		return nil
	})
	return max(wait, 0), err
}
