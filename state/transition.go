package state

import (
	"fmt"
	"reflect"
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
	switch next {
	case Running:
		once(&t.StartedAt, at, t.CreatedAt, t.PullStoppedAt)
	case Stopped:
		t.Desired = Stopped
		once(&t.StoppedAt, at, t.before()...)
		once(&t.StoppingAt, t.StoppedAt)
		for i := range t.Containers {
			t.Containers[i].Last = Stopped
			if t.Containers[i].ExecAgent != "" {
				t.Containers[i].ExecAgent = ExecAgentStopped
			}
		}
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
	once(&t.StoppingAt, at, t.CreatedAt)
	t.Version++
	return true
}

// Observe takes in what the task's node says of it, and reports whether that
// changed anything. Reports may be late, repeated or in any order: nothing moves
// down, and what was said once stays. After STOPPED nothing changes.
func (t *Task) Observe(r TaskReport, at time.Time) (changed bool) {
	if t.Last == Stopped {
		return false
	}
	was := t.Clone()
	if r.StopCode != "" && t.Desired != Stopped {
		t.Desired = Stopped
		t.StopCode, t.StoppedReason = r.StopCode, r.StoppedReason
	}
	once(&t.ConnectivityAt, r.ConnectivityAt, t.CreatedAt)
	once(&t.PullStartedAt, r.PullStartedAt, t.CreatedAt)
	once(&t.PullStoppedAt, r.PullStoppedAt, t.CreatedAt, t.PullStartedAt)
	once(&t.StartedAt, r.StartedAt, t.CreatedAt, t.PullStoppedAt)
	once(&t.StoppingAt, r.StoppingAt, t.CreatedAt)
	once(&t.ExecutionStoppedAt, r.ExecutionStoppedAt, t.CreatedAt, t.StartedAt)
	if r.State == Stopped {
		once(&t.StoppedAt, r.StoppedAt, t.before()...)
	}
	for _, cr := range r.Containers {
		for i := range t.Containers {
			if t.Containers[i].Name == cr.Name {
				t.Containers[i].observe(cr)
			}
		}
	}
	t.observeSteps(r.Steps)
	t.Health = t.health()
	if r.State > t.Last && r.State <= Stopped {
		return t.To(r.State, at) == nil
	}
	if t.differs(was) {
		t.Version++
		return true
	}
	return false
}

// observe takes in what the node says of one container.
func (c *Container) observe(r ContainerReport) {
	if r.Last > c.Last && r.Last <= Stopped {
		c.Last = r.Last
	}
	first(&c.RuntimeID, r.RuntimeID)
	first(&c.ImageDigest, r.ImageDigest)
	first(&c.Reason, r.Reason)
	if c.ExitCode == nil {
		c.ExitCode = r.ExitCode
	}
	c.Restarts = max(c.Restarts, r.Restarts)
	// An agent that has stopped does not come back.
	if r.ExecAgent != "" && c.ExecAgent != ExecAgentStopped {
		c.ExecAgent, c.ExecAgentAt = r.ExecAgent, r.ExecAgentAt
	}
	// Health goes up and down, but not after the end.
	if r.Health != "" && c.Last < Stopped {
		c.Health = r.Health
	}
}

// observeSteps takes in the node's steps, of which there are only ever more.
// They follow the server's own, which is the placement.
func (t *Task) observeSteps(steps []Step) {
	own := 0
	if len(t.Steps) > 0 && t.Steps[0].Name == StepPlace {
		own = 1
	}
	if len(steps) > len(t.Steps)-own {
		t.Steps = append(t.Steps[:own:own], steps...)
	}
}

// health is the task's: that of its essential containers which have a health
// check. UNHEALTHY when one of them is, HEALTHY when all are, else UNKNOWN
// (Amazon ECS Developer Guide, "Determine Amazon ECS task health using
// container health checks").
func (t *Task) health() types.HealthStatus {
	healthy, unknown := false, false
	for i := range t.Containers {
		c := &t.Containers[i]
		switch {
		case !c.Essential || !c.HealthCheck:
		case c.Health == types.HealthStatusUnhealthy:
			return types.HealthStatusUnhealthy
		case c.Health == types.HealthStatusHealthy:
			healthy = true
		default:
			unknown = true
		}
	}
	if healthy && !unknown {
		return types.HealthStatusHealthy
	}
	return types.HealthStatusUnknown
}

// differs reports whether users could see a difference.
func (t *Task) differs(was *Task) bool {
	if t.Desired != was.Desired || t.Health != was.Health || t.ConnectivityAt != was.ConnectivityAt || t.PullStartedAt != was.PullStartedAt ||
		t.PullStoppedAt != was.PullStoppedAt || t.StartedAt != was.StartedAt || t.StoppingAt != was.StoppingAt ||
		t.ExecutionStoppedAt != was.ExecutionStoppedAt || t.StoppedAt != was.StoppedAt {
		return true
	}
	return !reflect.DeepEqual(t.Containers, was.Containers) || len(t.Steps) != len(was.Steps)
}

// before are the times that a task's end can't be earlier than.
func (t *Task) before() []time.Time {
	return []time.Time{t.CreatedAt, t.ConnectivityAt, t.PullStartedAt, t.PullStoppedAt, t.StartedAt, t.StoppingAt, t.ExecutionStoppedAt}
}

// once sets a time that isn't set, and to none earlier than what must be before
// it: a server's clock and a node's may differ.
func once(t *time.Time, at time.Time, before ...time.Time) {
	if !t.IsZero() || at.IsZero() {
		return
	}
	for _, b := range before {
		if b.After(at) {
			at = b
		}
	}
	*t = at
}

// first sets a text that isn't set.
func first(s *string, to string) {
	if *s == "" {
		*s = to
	}
}
