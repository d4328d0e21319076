package services

import (
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/state"
)

// settle is how long a task without health check must be RUNNING to count as
// healthy.
const settle = 2 * time.Second

// crew are the tasks of a service, or of one task set of it, sorted by what is to
// become of them.
type crew struct {
	// wanted are of the right revision, and well as far as one knows.
	wanted []*state.Task
	// old are of another revision, or on an instance that is DRAINING, and sick are
	// of the right revision and UNHEALTHY: others are to take their place.
	old, sick []*state.Task
	// leaving is how many are to stop and may be RUNNING yet.
	leaving int
	// lost are on a node that isn't heard of any more, and not told to stop yet.
	lost []*state.Task
	// ended have stopped by themselves, and were not counted yet.
	ended []*state.Task
	// rest is how many have stopped for all that matters but not in full.
	rest int
}

// all is how many may be RUNNING or are to be.
func (c *crew) all() int { return len(c.wanted) + len(c.old) + len(c.sick) + c.leaving }

// sorted adds a task. right is whether it is of the revision that is wanted.
func (p *picture) sorted(c *crew, t *state.Task, right bool) {
	switch {
	case t.Last == state.Stopped:
		if !t.Counted && t.StopCode != types.TaskStopCodeServiceSchedulerInitiated {
			c.ended = append(c.ended, t)
		}
	case p.down[t.Node]:
		if t.Desired != state.Stopped {
			c.lost = append(c.lost, t)
		}
	case t.Last > state.Running:
		c.rest++
	case t.Desired == state.Stopped:
		c.leaving++
	case !right || p.draining[t.ContainerInstance]:
		c.old = append(c.old, t)
	case t.Health == types.HealthStatusUnhealthy:
		c.sick = append(c.sick, t)
	default:
		c.wanted = append(c.wanted, t)
	}
}

// checked reports whether a task's health is known by health checks.
func checked(t *state.Task) bool {
	return slices.ContainsFunc(t.Containers, func(c state.Container) bool { return c.Essential && c.HealthCheck })
}

// up reports whether a task runs, and isn't known to be unhealthy.
func up(t *state.Task) bool {
	return t.Last == state.Running && t.Health != types.HealthStatusUnhealthy
}

// healthy reports whether a task counts as healthy. If it needs but time for that,
// the picture remembers to look again.
func (p *picture) healthy(t *state.Task) bool {
	if !up(t) {
		return false
	}
	if checked(t) {
		return t.Health == types.HealthStatusHealthy
	}
	for_ := p.now.Sub(t.StartedAt)
	if for_ >= settle || for_ < -settle { // a clock was set back
		return true
	}
	p.wait(min(settle-for_, settle))
	return false
}

// count is how many of the tasks a condition holds for.
func count(tasks []*state.Task, is func(*state.Task) bool) int {
	n := 0
	for _, t := range tasks {
		if is(t) {
			n++
		}
	}
	return n
}

// failed reports whether a task ended because something is wrong with it, and
// early whether it did so before it had come to anything.
func failed(t *state.Task) (bad, early bool) {
	switch t.StopCode {
	case types.TaskStopCodeTaskFailedToStart, types.TaskStopCodeEssentialContainerExited:
	default:
		return false, false
	}
	end := t.StoppedAt
	if !t.ExecutionStoppedAt.IsZero() {
		end = t.ExecutionStoppedAt
	}
	return true, t.StartedAt.IsZero() || end.Sub(t.StartedAt) < settle
}

// protected reports whether a task must not be stopped for the sake of counts and
// deployments. The picture remembers to look again.
func (p *picture) protected(t *state.Task) bool {
	if !t.Protected(p.now) {
		return false
	}
	p.wait(t.ProtectedUntil.Sub(p.now))
	return true
}
