package state

import (
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"pgregory.net/rapid"
)

func drawReport(t *rapid.T, at time.Time) TaskReport {
	r := TaskReport{State: TaskState(rapid.IntRange(0, 9).Draw(t, "state"))}
	if r.State >= Running {
		r.StartedAt = at
	}
	if rapid.Bool().Draw(t, "stops") {
		r.StopCode, r.StoppedReason = types.TaskStopCodeEssentialContainerExited, "Essential container in task exited"
	}
	for _, name := range []string{"a", "b"} {
		c := ContainerReport{Name: name, Last: rapid.SampledFrom([]TaskState{Pending, Running, Stopped}).Draw(t, "container"),
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
// what was said once stays, and saying it again changes nothing.
func TestStatesOnlyGoUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		task := &Task{ID: "x", Last: Provisioning, Desired: Running, Version: 1, Containers: []Container{{Name: "a", Last: Pending}, {Name: "b", Last: Pending}}}
		at := time.Unix(1000, 0)
		for range rapid.IntRange(1, 30).Draw(t, "events") {
			at = at.Add(time.Second)
			before := task.Clone()
			var changed bool
			switch rapid.IntRange(0, 2).Draw(t, "kind") {
			case 0:
				r := drawReport(t, at)
				changed = task.Observe(r, at)
				if again := task.Clone(); again.Observe(r, at.Add(time.Hour)) {
					t.Fatalf("the same report changed %+v to %+v", task, again)
				}
			case 1:
				changed = task.Stop(types.TaskStopCodeUserInitiated, "enough", at)
			case 2:
				next := TaskState(rapid.IntRange(0, 9).Draw(t, "next"))
				err := task.To(next, at)
				if refused := next < before.Last || next > Stopped || next < Provisioning; (err != nil) != refused {
					t.Fatalf("from %v to %v: %v", before.Last, next, err)
				}
				changed = task.Last != before.Last
			}
			if task.Last < before.Last {
				t.Fatalf("went down from %v to %v", before.Last, task.Last)
			}
			if before.Desired == Stopped && (task.Desired != Stopped || task.StopCode != before.StopCode || task.StoppedReason != before.StoppedReason) {
				t.Fatalf("the stop changed from %+v to %+v", before, task)
			}
			if before.Last == Stopped && changed {
				t.Fatalf("a stopped task changed from %+v to %+v", before, task)
			}
			if changed != (task.Version > before.Version) {
				t.Fatalf("changed is %v, version %d after %d", changed, task.Version, before.Version)
			}
			for i, c := range task.Containers {
				if b := before.Containers[i]; c.Last < b.Last || b.ExitCode != nil && *c.ExitCode != *b.ExitCode {
					t.Fatalf("container went from %+v to %+v", b, c)
				}
			}
			if task.Last == Stopped && (task.StoppedAt.IsZero() || task.Desired != Stopped) {
				t.Fatalf("a stopped task: %+v", task)
			}
			times := []time.Time{task.StoppingAt, task.StoppedAt}
			if !task.StoppedAt.IsZero() && !slices.IsSortedFunc(times, time.Time.Compare) {
				t.Fatalf("times out of order: %v", times)
			}
		}
	})
}
