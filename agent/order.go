package agent

import (
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/state"
)

// verdict says whether a container may start now.
type verdict struct {
	ready bool
	// never says why it can't start any more.
	never string
	// waits says what it waits for, and until when it may (zero: for ever).
	waits string
	until time.Time
}

// mayStart decides by dependsOn whether container i may start.
//
// START is reached once the other was started, even when it has ended since.
// COMPLETE and SUCCESS are reached by its end, HEALTHY by its health check, all
// three within the *other's* startTimeout, counted from its start (ECS API
// Reference, ContainerDefinition.startTimeout). An UNHEALTHY container may yet
// become HEALTHY.
func (p *plan) mayStart(i int, have []containerProgress, now time.Time) verdict {
	c := p.containers[i]
	var v verdict
	for _, d := range c.dependsOn {
		other, o := p.containers[d.on], &have[d.on]
		ended := o.Last == state.Stopped
		reached, hopeless := false, false
		switch d.condition {
		case types.ContainerConditionStart:
			reached = !o.StartedAt.IsZero()
			hopeless = ended
		case types.ContainerConditionComplete:
			reached = ended && !o.StartedAt.IsZero()
			hopeless = ended
		case types.ContainerConditionSuccess:
			reached = ended && o.ExitCode != nil && *o.ExitCode == 0
			hopeless = ended
		case types.ContainerConditionHealthy:
			reached = !ended && o.Health == types.HealthStatusHealthy
			hopeless = ended || other.check == nil
		default:
			hopeless = true
		}
		if reached {
			continue
		}
		if hopeless {
			return verdict{never: fmt.Sprintf("container %s depends on %s reaching %s, and that can't be reached any more: %s", c.name, other.name, d.condition, o.describe())}
		}
		if v.waits == "" {
			v.waits = fmt.Sprintf("container %s waits until %s has reached %s", c.name, other.name, d.condition)
		}
		if d.condition == types.ContainerConditionStart || other.startTimeout == 0 || o.StartedAt.IsZero() {
			continue
		}
		until := o.StartedAt.Add(other.startTimeout)
		if !now.Before(until) {
			return verdict{never: fmt.Sprintf("container %s depends on %s reaching %s, which it didn't within its startTimeout of %d seconds", c.name, other.name, d.condition, int(other.startTimeout.Seconds()))}
		}
		if v.until.IsZero() || until.Before(v.until) {
			v.until = until
		}
	}
	v.ready = v.waits == ""
	return v
}

// mayStop decides whether container i may be told to stop: the containers that
// depend on it have ended.
func (p *plan) mayStop(i int, have []containerProgress) bool {
	for j, c := range p.containers {
		for _, d := range c.dependsOn {
			if d.on == i && have[j].Last != state.Stopped {
				return false
			}
		}
	}
	return true
}

// describe says how a container ended.
func (c *containerProgress) describe() string {
	switch {
	case c.Reason != "":
		return c.Reason
	case c.ExitCode != nil:
		return fmt.Sprintf("it exited with code %d", *c.ExitCode)
	}
	return "it has ended"
}
