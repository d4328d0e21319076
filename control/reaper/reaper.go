// Package reaper forgets what has had its time: tasks that stopped a while ago,
// clusters and services that were deleted a while ago, idempotency tokens, changes,
// and task definitions that were deleted and that no task and no service needs.
//
// It is a control.Loop. A key is one record; its step deletes the record if it
// is due, and else says when to come again.
package reaper

import (
	"context"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/control"
	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
)

// Reaper is the loop. Its keys are the tables' names and the records' keys,
// joined by spaces.
type Reaper struct {
	store *store.Store
	now   func() time.Time
	// retention is how long a stopped task and a deleted cluster or service stay visible.
	retention time.Duration
}

// New returns the loop. Stopped tasks and deleted clusters stay visible for
// retention; on AWS stopped tasks do for an hour (Amazon ECS Developer Guide,
// "Viewing stopped task errors").
func New(s *store.Store, now func() time.Time, retention time.Duration) *Reaper {
	return &Reaper{store: s, now: now, retention: retention}
}

// On says which events concern the loop.
func On() control.On {
	return control.On{
		store.Tasks.Name(): func(e store.Event, wake func(string)) {
			t, ok := e.New.(*state.Task)
			if ok && t.Last != state.Stopped {
				return
			}
			if !ok { // it was deleted
				t = e.Old.(*state.Task)
			}
			wake(taskName(t))
			// These may have waited for its end.
			wake(name(store.TaskDefinitions.Name(), t.Scope.Key(state.RevisionID(t.Family, t.Revision))))
			wake(name(store.Clusters.Name(), t.Scope.Key(t.Cluster)))
		},
		store.Services.Name():        wakeService,
		store.Clusters.Name():        wakeRecord,
		store.Grants.Name():          wakeRecord,
		store.TaskDefinitions.Name(): wakeRecord,
	}
}

func wakeRecord(e store.Event, wake func(string)) {
	if e.New != nil {
		wake(name(e.Table, e.Key))
	}
}

// wakeService wakes a service that was deleted, and the definition that a service
// has no more.
func wakeService(e store.Event, wake func(string)) {
	now, _ := e.New.(*state.Service)
	if now != nil && now.Status == inactive {
		wake(name(e.Table, e.Key))
	}
	if old, ok := e.Old.(*state.Service); ok && !uses(now, aws.ToString(old.Spec.V.TaskDefinition)) {
		if _, ref, ok := strings.Cut(aws.ToString(old.Spec.V.TaskDefinition), "/"); ok {
			family, number, _ := strings.Cut(ref, ":")
			if n, err := strconv.ParseInt(number, 10, 32); err == nil {
				wake(name(store.TaskDefinitions.Name(), e.Key.Scope.Key(state.RevisionID(family, int32(n)))))
			}
		}
	}
}

// inactive is the status of a service that was deleted and has no tasks left.
const inactive = "INACTIVE"

// uses reports whether a service starts tasks of a definition; nil starts none.
func uses(s *state.Service, definition string) bool {
	return s != nil && s.Status != inactive && aws.ToString(s.Spec.V.TaskDefinition) == definition
}

func taskName(t *state.Task) string { return name(store.Tasks.Name(), t.Key()) }

func name(table string, k state.Key) string {
	return strings.Join([]string{table, k.Account, k.Region, k.ID}, " ")
}

// Keys implements control.Loop: what will be due, or may be.
func (r *Reaper) Keys(v *store.Snapshot) iter.Seq[string] {
	return func(yield func(string) bool) {
		if !yield(changesKey()) {
			return
		}
		for t := range store.Tasks.All(v) {
			if t.Last == state.Stopped && !yield(taskName(t)) {
				return
			}
		}
		for c := range store.Clusters.All(v) {
			if !c.DeletedAt.IsZero() && !yield(name(store.Clusters.Name(), c.Key())) {
				return
			}
		}
		for s := range store.Services.All(v) {
			if s.Status == inactive && !yield(name(store.Services.Name(), s.Key())) {
				return
			}
		}
		for g := range store.Grants.All(v) {
			if !yield(name(store.Grants.Name(), g.Key())) {
				return
			}
		}
		for d := range store.TaskDefinitions.All(v) {
			if deleted(d) && !yield(name(store.TaskDefinitions.Name(), d.Key())) {
				return
			}
		}
	}
}

func deleted(d *state.TaskDefinition) bool {
	return d.Spec.V.Status == types.TaskDefinitionStatusDeleteInProgress
}

// Step implements control.Loop.
func (r *Reaper) Step(ctx context.Context, key string) (time.Duration, error) {
	if key == changesKey() {
		return r.stepChanges(ctx)
	}
	p := strings.SplitN(key, " ", 4)
	table, k := p[0], state.Scope{Account: p[1], Region: p[2]}.Key(p[3])
	wait, remove := r.due(r.store.View(), table, k)
	if remove == nil {
		return wait, nil
	}
	err := r.store.Update(ctx, func(tx *store.Tx) error {
		if wait, remove = r.due(tx, table, k); remove != nil {
			remove(tx)
		}
		return nil
	})
	return wait, err
}

// due tells how to remove a record that has had its time, or how long it has yet
// (0: nobody knows).
func (r *Reaper) due(v store.View, table string, k state.Key) (wait time.Duration, remove func(*store.Tx)) {
	var end time.Time
	switch table {
	case store.Tasks.Name():
		t, ok := store.Tasks.Get(v, k)
		if !ok || t.Last != state.Stopped {
			return 0, nil
		}
		end = t.StoppedAt.Add(r.retention)
		remove = func(tx *store.Tx) { store.Tasks.Delete(tx, k) }
	case store.Clusters.Name():
		c, ok := store.Clusters.Get(v, k)
		if !ok || c.DeletedAt.IsZero() {
			return 0, nil
		}
		for range store.Tasks.List(v, k.Scope, k.ID+"/") {
			return 0, nil // until the last of its tasks is gone
		}
		end = c.DeletedAt.Add(r.retention)
		remove = func(tx *store.Tx) { store.Clusters.Delete(tx, k) }
	case store.Services.Name():
		s, ok := store.Services.Get(v, k)
		if !ok || s.Status != inactive {
			return 0, nil
		}
		end = s.DeletedAt.Add(r.retention)
		remove = func(tx *store.Tx) {
			store.DeleteParts(tx, s)
			store.Services.Delete(tx, k)
		}
	case store.Grants.Name():
		g, ok := store.Grants.Get(v, k)
		if !ok {
			return 0, nil
		}
		end = g.Expires
		remove = func(tx *store.Tx) { store.Grants.Delete(tx, k) }
	case store.TaskDefinitions.Name():
		// It is deleted at once when no task needs it (Amazon ECS API Reference,
		// DeleteTaskDefinitions).
		d, ok := store.TaskDefinitions.Get(v, k)
		if !ok || !deleted(d) {
			return 0, nil
		}
		for t := range store.Tasks.List(v, k.Scope, "") {
			if t.Family == d.Family && t.Revision == d.Revision && t.Last != state.Stopped {
				return 0, nil // until it has stopped
			}
		}
		for s := range store.Services.List(v, k.Scope, "") {
			if uses(s, aws.ToString(d.Spec.V.TaskDefinitionArn)) {
				return 0, nil // until it has another
			}
		}
		remove = func(tx *store.Tx) { store.TaskDefinitions.Delete(tx, k) }
	}
	if wait = end.Sub(r.now()); !end.IsZero() && wait > 0 {
		return wait, nil
	}
	return 0, remove
}
