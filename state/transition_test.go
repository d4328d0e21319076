package state

import (
	"reflect"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"pgregory.net/rapid"
)

// begun is a task as RunTask writes it.
func begun() *Task {
	return &Task{
		ID: "x", Last: Provisioning, Desired: Running, Version: 1, Health: types.HealthStatusUnknown, CreatedAt: time.Unix(1000, 0),
		Containers: []Container{{Name: "a", Last: Pending, Essential: true, HealthCheck: true}, {Name: "b", Last: Pending}},
	}
}

// drawReport draws what a node could say, with a clock that is up to 100 seconds
// off.
func drawReport(t *rapid.T, at time.Time) TaskReport {
	at = at.Add(time.Duration(rapid.IntRange(-100, 100).Draw(t, "skew")) * time.Second)
	r := TaskReport{State: TaskState(rapid.IntRange(0, 9).Draw(t, "state"))}
	for _, f := range []*time.Time{&r.ConnectivityAt, &r.PullStartedAt, &r.StartedAt, &r.StoppingAt, &r.ExecutionStoppedAt, &r.StoppedAt} {
		if rapid.Bool().Draw(t, "knows") {
			*f = at
		}
	}
	if !r.PullStartedAt.IsZero() && rapid.Bool().Draw(t, "pulled") {
		r.PullStoppedAt = r.PullStartedAt
	}
	if rapid.Bool().Draw(t, "stops") {
		r.StopCode, r.StoppedReason = types.TaskStopCodeEssentialContainerExited, "Essential container in task exited"
	}
	for _, name := range []string{"a", "b", "stranger"} {
		c := ContainerReport{Name: name, Last: TaskState(rapid.IntRange(0, 9).Draw(t, "container")),
			Health: rapid.SampledFrom([]types.HealthStatus{"", types.HealthStatusHealthy, types.HealthStatusUnhealthy}).Draw(t, "health")}
		if c.Last == Stopped {
			code := int32(rapid.IntRange(0, 255).Draw(t, "code"))
			c.ExitCode = &code
		}
		r.Containers = append(r.Containers, c)
	}
	return r
}

// Whatever is said in whatever order, states only go up, STOPPED is the end,
// what was said once stays, times are in order, and saying it again changes
// nothing.
func TestStatesOnlyGoUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		task := begun()
		at := task.CreatedAt
		var said []TaskReport
		for range rapid.IntRange(1, 30).Draw(t, "events") {
			at = at.Add(time.Second)
			was := task.Clone()
			var changed bool
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0:
				r := drawReport(t, at)
				said = append(said, r)
				changed = task.Observe(r, at)
				if again := task.Clone(); again.Observe(r, at.Add(time.Hour)) || !reflect.DeepEqual(again, task) {
					t.Fatalf("the same report changed %+v to %+v", task, again)
				}
			case 1:
				changed = task.Stop(types.TaskStopCodeUserInitiated, "enough", at)
			case 2:
				next := TaskState(rapid.IntRange(0, 9).Draw(t, "next"))
				err := task.To(next, at)
				if refused := next < was.Last || next > Stopped || next < Provisioning; (err != nil) != refused {
					t.Fatalf("from %v to %v: %v", was.Last, next, err)
				}
				changed = task.Last != was.Last
			case 3: // late
				if len(said) > 0 {
					changed = task.Observe(rapid.SampledFrom(said).Draw(t, "late"), at)
				}
			}
			if !changed && !reflect.DeepEqual(task, was) {
				t.Fatalf("unsaid, %+v became %+v", was, task)
			}
			if changed != (task.Version == was.Version+1) {
				t.Fatalf("changed is %v, version %d after %d", changed, task.Version, was.Version)
			}
			checkStep(t, was, task)
		}
	})
}

func checkStep(t *rapid.T, was, task *Task) {
	if task.Last < was.Last || task.Last > Stopped || task.Desired < was.Desired {
		t.Fatalf("went from %v, wanted %v, to %v, %v", was.Last, was.Desired, task.Last, task.Desired)
	}
	if was.Desired == Stopped && (task.StopCode != was.StopCode || task.StoppedReason != was.StoppedReason) {
		t.Fatalf("the stop changed from %+v to %+v", was, task)
	}
	if was.Last == Stopped && !reflect.DeepEqual(was, task) {
		t.Fatalf("a stopped task changed from %+v to %+v", was, task)
	}
	for i, c := range task.Containers {
		w := was.Containers[i]
		if c.Last < w.Last || c.Last > Stopped || w.ExitCode != nil && *c.ExitCode != *w.ExitCode || task.Last == Stopped && c.Last != Stopped {
			t.Fatalf("container went from %+v to %+v", w, c)
		}
	}
	times := func(t *Task) []time.Time { return append(t.before(), t.StoppedAt) }
	for i, w := range times(was) {
		if !w.IsZero() && times(task)[i] != w {
			t.Fatalf("a time went from %v to %v", w, times(task)[i])
		}
	}
	if task.Last != Stopped {
		if !task.StoppedAt.IsZero() {
			t.Fatalf("%v since %v", task.Last, task.StoppedAt)
		}
		return
	}
	if task.Desired != Stopped || task.StoppedAt.IsZero() || task.StoppingAt.IsZero() {
		t.Fatalf("a stopped task: %+v", task)
	}
	for _, b := range times(task) {
		if b.After(task.StoppedAt) || !b.IsZero() && b.Before(task.CreatedAt) {
			t.Fatalf("times out of order: %+v", task)
		}
	}
}

// A life as a node tells it.
func TestLife(t *testing.T) {
	task := begun()
	at := func(s int) time.Time { return task.CreatedAt.Add(time.Duration(s) * time.Second) }
	zero := int32(0)
	r := TaskReport{State: Pending, ConnectivityAt: at(1), PullStartedAt: at(2)}
	observe := func(now int, want string) {
		t.Helper()
		if !task.Observe(r, at(now)) {
			t.Errorf("%v at %d changed nothing", r.State, now)
		}
		if got := task.Last.String() + " " + task.Desired.String() + " " + string(task.Health) + " " + task.Containers[0].Last.String(); got != want {
			t.Errorf("at %d it is %s, want %s", now, got, want)
		}
	}
	observe(3, "PENDING RUNNING UNKNOWN PENDING")
	r.State, r.PullStoppedAt, r.StartedAt = Running, at(4), at(5)
	r.Containers = []ContainerReport{{Name: "a", Last: Running, RuntimeID: "x-1", ImageDigest: "sha256:1", Health: types.HealthStatusUnknown}, {Name: "b", Last: Running}}
	observe(6, "RUNNING RUNNING UNKNOWN RUNNING")
	r.Containers[1].Health = types.HealthStatusUnhealthy // not essential
	observe(6, "RUNNING RUNNING UNKNOWN RUNNING")
	r.Containers[0].Health = types.HealthStatusHealthy
	observe(7, "RUNNING RUNNING HEALTHY RUNNING")
	r.Containers[0].Health = types.HealthStatusUnhealthy
	observe(8, "RUNNING RUNNING UNHEALTHY RUNNING")
	r.State, r.StoppingAt, r.ExecutionStoppedAt = Stopping, at(9), at(9)
	r.StopCode, r.StoppedReason = types.TaskStopCodeEssentialContainerExited, "Essential container in task exited"
	r.Containers[0].Last, r.Containers[0].ExitCode = Stopped, &zero
	observe(10, "STOPPING STOPPED UNHEALTHY STOPPED")
	r.State, r.StoppedAt = Stopped, at(11)
	observe(12, "STOPPED STOPPED UNHEALTHY STOPPED")
	if task.StartedAt != at(5) || task.StoppingAt != at(9) || task.ExecutionStoppedAt != at(9) || task.StoppedAt != at(11) {
		t.Errorf("the times are %+v", task)
	}
	if task.Stop(types.TaskStopCodeUserInitiated, "late", at(13)) || task.StopCode != types.TaskStopCodeEssentialContainerExited {
		t.Error("a stopped task was stopped again")
	}
}
