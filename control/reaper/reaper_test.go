package reaper

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/control"
	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
	"github.com/berth/berth/store/memory"
)

var scope = state.Scope{Account: "123456789012", Region: "us-east-1"}

// reaped runs test in a bubble beside a reaper that keeps things for an hour.
// before is in the store when the reaper starts.
func reaped(t *testing.T, before func(*store.Tx), test func(t *testing.T, s *store.Store)) {
	synctest.Test(t, func(t *testing.T) {
		s, err := store.Open(t.Context(), memory.New())
		if err != nil {
			t.Fatal(err)
		}
		write(t, s, before)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			control.New("reaper", s, New(s, time.Now, time.Hour), On(), slog.New(slog.DiscardHandler)).Run(ctx)
		}()
		synctest.Wait()
		test(t, s)
		cancel()
		<-done
		s.Close()
	})
}

func write(t *testing.T, s *store.Store, fn func(*store.Tx)) {
	t.Helper()
	if err := s.Update(t.Context(), func(tx *store.Tx) error { fn(tx); return nil }); err != nil {
		t.Fatal(err)
	}
}

func task(id string, last state.TaskState) *state.Task {
	t := &state.Task{Scope: scope, Cluster: "c", ID: id, Family: "f", Revision: 1, Desired: state.Running, Last: state.Running, CreatedAt: time.Now()}
	if err := t.To(last, time.Now()); err != nil {
		panic(err)
	}
	return t
}

func definition(revision int32, status types.TaskDefinitionStatus) *state.TaskDefinition {
	d := &state.TaskDefinition{Scope: scope, Family: "f", Revision: revision}
	d.Spec.V.Status = status
	d.Spec.V.TaskDefinitionArn = aws.String(fmt.Sprintf("arn:aws:ecs:us-east-1:123456789012:task-definition/f:%d", revision))
	return d
}

func service(status string, revision int32) *state.Service {
	s := &state.Service{Scope: scope, Cluster: "c", Name: "web", Status: status}
	s.Spec.V.TaskDefinition = definition(revision, "").Spec.V.TaskDefinitionArn
	if status == inactive {
		s.DeletedAt = time.Now()
	}
	return s
}

// A service that was deleted goes with all its parts; a definition that one uses
// stays until it uses another, or is no more.
func TestServices(t *testing.T) {
	reaped(t, func(tx *store.Tx) {
		store.Services.Put(tx, service("ACTIVE", 1))
		store.Deployments.Put(tx, &state.Deployment{Scope: scope, Cluster: "c", Service: "web", Number: "1"})
		store.Deployments.Put(tx, &state.Deployment{Scope: scope, Cluster: "c", Service: "web2", Number: "1"})
		store.TaskDefinitions.Put(tx, definition(1, types.TaskDefinitionStatusDeleteInProgress))
		store.TaskDefinitions.Put(tx, definition(2, types.TaskDefinitionStatusInactive))
	}, func(t *testing.T, s *store.Store) {
		expect(t, s, 2*time.Hour, "definition:DELETE_IN_PROGRESS definition:INACTIVE deployment:web deployment:web2 service:web")
		write(t, s, func(tx *store.Tx) { store.Services.Put(tx, service("ACTIVE", 2)) })
		expect(t, s, 0, "definition:INACTIVE deployment:web deployment:web2 service:web")
		write(t, s, func(tx *store.Tx) {
			store.TaskDefinitions.Put(tx, definition(2, types.TaskDefinitionStatusDeleteInProgress))
			store.Services.Put(tx, service("DRAINING", 2))
		})
		expect(t, s, 0, "definition:DELETE_IN_PROGRESS deployment:web deployment:web2 service:web")
		write(t, s, func(tx *store.Tx) { store.Services.Put(tx, service(inactive, 2)) })
		expect(t, s, time.Hour-1, "deployment:web deployment:web2 service:web")
		expect(t, s, 1, "deployment:web2")
	})
}

// left is all that the reaper looks after, at a time that has come.
func left(s *store.Store, after time.Duration) string {
	time.Sleep(after) // in the bubble's time
	synctest.Wait()
	var all []string
	v := s.View()
	for t := range store.Tasks.All(v) {
		all = append(all, "task:"+t.ID)
	}
	for c := range store.Clusters.All(v) {
		all = append(all, "cluster:"+c.Name)
	}
	for g := range store.Grants.All(v) {
		all = append(all, "grant:"+g.Token)
	}
	for d := range store.TaskDefinitions.All(v) {
		all = append(all, "definition:"+string(d.Spec.V.Status))
	}
	for d := range store.Deployments.All(v) {
		all = append(all, "deployment:"+d.Service)
	}
	for s := range store.Services.All(v) {
		all = append(all, "service:"+s.Name)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func expect(t *testing.T, s *store.Store, after time.Duration, want string) {
	t.Helper()
	if got := left(s, after); got != want {
		t.Errorf("there is %q, want %q", got, want)
	}
}

func TestTasksAndGrants(t *testing.T) {
	reaped(t, func(tx *store.Tx) {
		store.Tasks.Put(tx, task("old", state.Stopped))
		store.Tasks.Put(tx, task("runs", state.Running))
		store.Grants.Put(tx, &state.Grant{Scope: scope, Call: "x", Token: "old", Expires: time.Now().Add(30 * time.Minute)})
	}, func(t *testing.T, s *store.Store) {
		expect(t, s, 30*time.Minute-1, "grant:old task:old task:runs")
		expect(t, s, 1, "task:old task:runs")
		write(t, s, func(tx *store.Tx) {
			store.Tasks.Put(tx, task("new", state.Stopped))
			store.Grants.Put(tx, &state.Grant{Scope: scope, Call: "x", Token: "new", Expires: time.Now().Add(time.Minute)})
		})
		expect(t, s, time.Minute, "task:new task:old task:runs")
		expect(t, s, 29*time.Minute-1, "task:new task:old task:runs")
		expect(t, s, 1, "task:new task:runs")
		expect(t, s, 30*time.Minute, "task:runs")
		expect(t, s, 1000*time.Hour, "task:runs")
	})
}

func TestDefinitions(t *testing.T) {
	reaped(t, func(tx *store.Tx) {
		store.Tasks.Put(tx, task("a", state.Running))
		store.TaskDefinitions.Put(tx, definition(1, types.TaskDefinitionStatusActive))
		store.TaskDefinitions.Put(tx, definition(2, types.TaskDefinitionStatusInactive))
		store.TaskDefinitions.Put(tx, definition(3, types.TaskDefinitionStatusDeleteInProgress))
	}, func(t *testing.T, s *store.Store) {
		expect(t, s, 0, "definition:ACTIVE definition:INACTIVE task:a")
		write(t, s, func(tx *store.Tx) {
			store.TaskDefinitions.Put(tx, definition(1, types.TaskDefinitionStatusDeleteInProgress))
		})
		expect(t, s, time.Hour, "definition:DELETE_IN_PROGRESS definition:INACTIVE task:a")
		write(t, s, func(tx *store.Tx) { store.Tasks.Put(tx, task("a", state.Stopped)) })
		expect(t, s, 0, "definition:INACTIVE task:a") // at once
	})
}

func TestClusters(t *testing.T) {
	reaped(t, func(tx *store.Tx) {
		store.Clusters.Put(tx, &state.Cluster{Scope: scope, Name: "c", Status: "ACTIVE"})
		store.Clusters.Put(tx, &state.Cluster{Scope: scope, Name: "cc", Status: "ACTIVE"})
	}, func(t *testing.T, s *store.Store) {
		write(t, s, func(tx *store.Tx) {
			store.Clusters.Put(tx, &state.Cluster{Scope: scope, Name: "c", Status: "INACTIVE", DeletedAt: time.Now()})
			store.Clusters.Put(tx, &state.Cluster{Scope: scope, Name: "cc", Status: "INACTIVE", DeletedAt: time.Now()})
		})
		expect(t, s, 59*time.Minute, "cluster:c cluster:cc")
		write(t, s, func(tx *store.Tx) {
			// It was made anew, and has a task.
			store.Clusters.Put(tx, &state.Cluster{Scope: scope, Name: "cc", Status: "ACTIVE"})
			store.Tasks.Put(tx, task("last", state.Stopped))
		})
		expect(t, s, 2*time.Minute, "cluster:c cluster:cc task:last")
		expect(t, s, 58*time.Minute, "cluster:cc") // with its last task
	})
}

// Changes are kept for a day, and no more than so many.
func TestChanges(t *testing.T) {
	reaped(t, func(tx *store.Tx) {}, func(t *testing.T, s *store.Store) {
		count := func() (sets, changes int) {
			for set := range store.Changes.All(s.View()) {
				sets, changes = sets+1, changes+set.Count
			}
			return sets, changes
		}
		set := func(n int64, changes int) {
			write(t, s, func(tx *store.Tx) {
				store.Changes.Put(tx, &state.ChangeSet{Number: n, Process: "p", At: time.Now(), Count: changes})
			})
		}
		for n := range int64(1500) {
			set(n, 10)
		}
		time.Sleep(changesEvery + time.Second)
		if sets, _ := count(); sets != 1500 {
			t.Errorf("%d sets are left of 1500", sets)
		}
		set(2000, changesCount-3)
		time.Sleep(changesEvery + time.Second)
		if sets, changes := count(); sets != 1 || changes != changesCount-3 {
			t.Errorf("%d sets with %d changes are left", sets, changes)
		}
		time.Sleep(changesKept)
		if sets, _ := count(); sets != 0 {
			t.Errorf("%d sets are left after a day", sets)
		}
	})
}
