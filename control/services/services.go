package services

import (
	"context"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/berth/berth/control"
	"github.com/berth/berth/launch"
	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
)

// placeAgain is when a task that had no place is tried again, if nothing that may
// give it one has happened before.
const placeAgain = 15 * time.Second

// Loop keeps services.
type Loop struct {
	store    *store.Store
	launcher *launch.Launcher
	now      func() time.Time

	mu sync.Mutex
	// short are the keys of services that wait for room. What frees some wakes them.
	short map[string]bool
}

// New returns the loop. It starts tasks by the launcher.
func New(s *store.Store, l *launch.Launcher, now func() time.Time) *Loop {
	return &Loop{store: s, launcher: l, now: now, short: map[string]bool{}}
}

// Keys implements control.Loop.
func (l *Loop) Keys(v *store.Snapshot) iter.Seq[string] {
	return func(yield func(string) bool) {
		for s := range store.Services.All(v) {
			if s.Status != inactive && !yield(name(s.Scope, s.Cluster, s.Name)) {
				return
			}
		}
	}
}

func name(s state.Scope, cluster, service string) string {
	return s.Account + " " + s.Region + " " + cluster + "/" + service
}

// On says which events concern the loop.
func (l *Loop) On() control.On {
	return control.On{
		store.Services.Name(): func(e store.Event, wake func(string)) {
			if s, ok := e.New.(*state.Service); ok {
				wake(name(s.Scope, s.Cluster, s.Name))
			}
		},
		store.Deployments.Name(): func(e store.Event, wake func(string)) {
			if d, ok := e.New.(*state.Deployment); ok {
				wake(name(d.Scope, d.Cluster, d.Service))
			}
		},
		store.TaskSets.Name(): func(e store.Event, wake func(string)) {
			if s, ok := e.New.(*state.TaskSet); ok {
				wake(name(s.Scope, s.Cluster, s.Service))
			}
		},
		store.Tasks.Name():     l.onTask,
		store.Instances.Name(): l.onInstance,
		store.Nodes.Name(): func(e store.Event, wake func(string)) {
			before, _ := e.Old.(*state.Node)
			after, _ := e.New.(*state.Node)
			if before == nil || after == nil || before.Status != after.Status {
				l.wakeAll(wake, "")
			}
		},
	}
}

func (l *Loop) onTask(e store.Event, wake func(string)) {
	before, _ := e.Old.(*state.Task)
	after, _ := e.New.(*state.Task)
	if after == nil {
		if before.Service != "" && before.Last != state.Stopped {
			wake(name(before.Scope, before.Cluster, before.Service))
		}
		return
	}
	if before != nil && before.Last == after.Last && before.Desired == after.Desired && before.Health == after.Health &&
		before.ProtectedUntil.Equal(after.ProtectedUntil) && before.Deployment == after.Deployment {
		return
	}
	if after.Service != "" {
		wake(name(after.Scope, after.Cluster, after.Service))
	}
	if after.Last != state.Stopped {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for key := range l.short {
		wake(key)
	}
}

// onInstance wakes a cluster's services: there may be room, or none any more, or
// one more place for a daemon.
func (l *Loop) onInstance(e store.Event, wake func(string)) {
	before, _ := e.Old.(*state.ContainerInstance)
	after, _ := e.New.(*state.ContainerInstance)
	if before != nil && after != nil && before.Status == after.Status && before.Connected == after.Connected && slices.Equal(before.Attributes, after.Attributes) {
		return
	}
	l.wakeAll(wake, e.Key.Account+" "+e.Key.Region+" "+e.Key.ID[:strings.Index(e.Key.ID, "/")+1])
}

func (l *Loop) wakeAll(wake func(string), prefix string) {
	for key := range l.Keys(l.store.View()) {
		if strings.HasPrefix(key, prefix) {
			wake(key)
		}
	}
}

// Step implements control.Loop.
func (l *Loop) Step(ctx context.Context, key string) (time.Duration, error) {
	part := strings.SplitN(key, " ", 3)
	k := state.Scope{Account: part[0], Region: part[1]}.Key(part[2])
	p := l.look(l.store.View(), k)
	if p == nil {
		return 0, nil
	}
	decide(p.picture)
	wait := p.again
	if p.changed() {
		err := l.store.Update(ctx, func(tx *store.Tx) error {
			wait = 0
			if p = l.look(tx, k); p == nil {
				return nil
			}
			decide(p.picture)
			l.apply(tx, p)
			wait = p.again
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.short, key)
	if p != nil && p.refused {
		l.short[key] = true
	}
	return wait, nil
}
