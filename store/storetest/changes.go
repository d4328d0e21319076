package storetest

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
)

// told are all changes of tasks that a store keeps, in their order: by task, its
// states.
func told(t *testing.T, v store.View) map[string][]state.TaskState {
	t.Helper()
	out := map[string][]state.TaskState{}
	last := ""
	for set := range store.Changes.All(v) {
		if set.Key().ID <= last {
			t.Errorf("the set %s comes after %s", set.Key().ID, last)
		}
		last = set.Key().ID
		changes, err := set.Changes()
		if err != nil || len(changes) != set.Count {
			t.Fatalf("%d changes of %d: %v", len(changes), set.Count, err)
		}
		for _, c := range changes {
			if c.Kind != state.TaskStateChange {
				continue
			}
			var rec state.Task
			if err := json.Unmarshal(c.Record, &rec); err != nil {
				t.Fatal(err)
			}
			out[rec.ID] = append(out[rec.ID], rec.Last)
		}
	}
	return out
}

// testChanges holds that each change of a task's state is kept once and in order,
// however many transactions share a commit, and that a store that is opened anew
// goes on after the last.
func testChanges(t *testing.T, b store.Backend) {
	s := start(t, b)
	if err := s.Update(t.Context(), func(tx *store.Tx) error {
		store.Tasks.Put(tx, task("none", "n", 1))
		return fmt.Errorf("no")
	}); err == nil {
		t.Fatal("it was written")
	}
	life := []state.TaskState{state.Provisioning, state.Pending, state.Running, state.Stopped}
	const tasks = 50
	move := func(s *store.Store, id string, to state.TaskState) {
		update(t, s, func(tx *store.Tx) {
			rec := task(id, "n", 1)
			if rec.Last = to; to == state.Stopped {
				rec.Desired = state.Stopped
			}
			store.Tasks.Put(tx, rec)
		})
		// What no event tells of.
		update(t, s, func(tx *store.Tx) {
			rec, _ := store.Tasks.Get(tx, scope.Key("c/"+id))
			rec = rec.Clone()
			rec.Version++
			store.Tasks.Put(tx, rec)
		})
	}
	var all sync.WaitGroup
	for i := range tasks {
		all.Go(func() {
			for _, to := range life[:3] {
				move(s, fmt.Sprint(i), to)
			}
		})
	}
	all.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = start(t, b)
	for i := range tasks {
		move(s, fmt.Sprint(i), life[3])
		update(t, s, func(tx *store.Tx) { store.Tasks.Delete(tx, scope.Key("c/"+fmt.Sprint(i))) })
	}
	update(t, s, func(tx *store.Tx) {
		store.Instances.Put(tx, &state.ContainerInstance{Scope: scope, Cluster: "c", ID: "i", Status: types.ContainerInstanceStatusActive})
	})
	got := told(t, s.View())
	if len(got) != tasks {
		t.Errorf("changes of %d tasks, want %d", len(got), tasks)
	}
	for id, states := range got {
		if fmt.Sprint(states) != fmt.Sprint(life) {
			t.Errorf("of task %s %v is told, want %v", id, states, life)
		}
	}
}
