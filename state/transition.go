package state

import (
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// To moves the task up to next. Moving to where it is does nothing; moving down
// is refused.
func (t *Task) To(next TaskState, at time.Time) error {
	switch {
	case next == t.Last:
		return nil
	case next < t.Last || next < Provisioning || next > Stopped:
		return fmt.Errorf("task %s can't go from %v to %v", t.ID, t.Last, next)
	}
	t.Last = next
	t.Version++
	if next >= Running && next < Deactivating {
		once(&t.StartedAt, at)
	}
	if next == Stopped {
		t.Desired = Stopped
		once(&t.StoppingAt, at)
		once(&t.StoppedAt, at)
	}
	return nil
}

// Stop makes STOPPED what is wanted, with the reason that users will read. It
// does nothing for a task that is to stop already, and reports whether it did.
func (t *Task) Stop(code types.TaskStopCode, reason string, at time.Time) bool {
	if t.Desired == Stopped {
		return false
	}
	t.Desired = Stopped
	t.StopCode, t.StoppedReason = code, reason
	once(&t.StoppingAt, at)
	t.Version++
	return true
}

// Observe takes in what the task's node says of it, and reports whether that
// changed anything. Reports may be late, repeated or in any order: nothing moves
// down, and what was said once stays.
func (t *Task) Observe(r TaskReport, at time.Time) (changed bool) {
	if t.Last == Stopped {
		return false
	}
	before := *t
	before.Containers = append([]Container(nil), t.Containers...)
	if r.StopCode != "" && t.Desired != Stopped {
		t.Desired = Stopped
		t.StopCode, t.StoppedReason = r.StopCode, r.StoppedReason
	}
	for _, seen := range []struct {
		field *time.Time
		at    time.Time
	}{
		{&t.ConnectivityAt, r.ConnectivityAt}, {&t.PullStartedAt, r.PullStartedAt}, {&t.PullStoppedAt, r.PullStoppedAt},
		{&t.StartedAt, r.StartedAt}, {&t.StoppingAt, r.StoppingAt}, {&t.ExecutionStoppedAt, r.ExecutionStoppedAt}, {&t.StoppedAt, r.StoppedAt},
	} {
		once(seen.field, seen.at)
	}
	for _, cr := range r.Containers {
		for i := range t.Containers {
			if t.Containers[i].Name == cr.Name {
				t.Containers[i].observe(cr)
			}
		}
	}
	t.Health = t.health()
	if r.State > t.Last && r.State <= Stopped {
		return t.To(r.State, at) == nil
	}
	if t.differs(&before) {
		t.Version++
		return true
	}
	return false
}

// observe takes in what the node says of one container.
func (c *Container) observe(r ContainerReport) {
	if r.Last > c.Last {
		c.Last = r.Last
	}
	first(&c.RuntimeID, r.RuntimeID)
	first(&c.ImageDigest, r.ImageDigest)
	first(&c.Reason, r.Reason)
	if c.ExitCode == nil {
		c.ExitCode = r.ExitCode
	}
	// Health goes up and down, but not after the end.
	if r.Health != "" && c.Last < Stopped {
		c.Health = r.Health
	}
}

// health is the task's: UNHEALTHY when a container is, HEALTHY when all that
// have a check are, else UNKNOWN (Amazon ECS Developer Guide, "Determine Amazon
// ECS task health using container health checks"). A container without a check
// is UNKNOWN for ever, and doesn't count.
func (t *Task) health() types.HealthStatus {
	all := types.HealthStatusUnknown
	for i := range t.Containers {
		switch t.Containers[i].Health {
		case types.HealthStatusUnhealthy:
			return types.HealthStatusUnhealthy
		case types.HealthStatusHealthy:
			all = types.HealthStatusHealthy
		}
	}
	return all
}

// differs reports whether users could see a difference.
func (t *Task) differs(before *Task) bool {
	if t.Desired != before.Desired || t.Health != before.Health || t.ConnectivityAt != before.ConnectivityAt || t.PullStartedAt != before.PullStartedAt ||
		t.PullStoppedAt != before.PullStoppedAt || t.StartedAt != before.StartedAt || t.StoppingAt != before.StoppingAt ||
		t.ExecutionStoppedAt != before.ExecutionStoppedAt || t.StoppedAt != before.StoppedAt {
		return true
	}
	for i := range t.Containers {
		if t.Containers[i] != before.Containers[i] {
			return true
		}
	}
	return false
}

// once sets a time that isn't set.
func once(t *time.Time, at time.Time) {
	if t.IsZero() {
		*t = at
	}
}

// first sets a text that isn't set.
func first(s *string, to string) {
	if *s == "" {
		*s = to
	}
}
