package services

import (
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/state"
)

// keepSets keeps the tasks of a service which is made of task sets: each has its
// percentage of the desired count, rounded up (SDK, types.TaskSet.ComputedDesiredCount).
func (p *picture) keepSets() {
	all, hasty := true, false
	for _, s := range p.sets {
		hasty = p.countEnded(p.tasks[s.ID], func() {}) || hasty
	}
	p.throttle(hasty)
	for _, s := range p.sets {
		c := &crew{}
		for _, t := range p.tasks[s.ID] {
			p.sorted(c, t, true)
		}
		desired := part(int(p.service.Desired), s.Percent)
		if s.Status == state.RoleDraining {
			desired = 0
		}
		k := p.keep(c, order{
			start: start{of: s.ID, revision: s.Revision, set: true}, desired: desired, limits: p.limits(p.config(nil), desired),
			strategy: p.service.Spec.V.CapacityProviderStrategy, reason: scalingSet(s.ID),
		})
		if s.Status == state.RoleDraining && c.all()+c.rest == 0 {
			p.gone = append(p.gone, s)
			continue
		}
		p.stability(s, k.steady)
		all = all && k.steady
	}
	if all {
		p.service.Starts = state.Backoff{}
	}
	p.steady(all && len(p.sets) > 0)
}

// stability notes whether a task set has what it shall have, and since when.
func (p *picture) stability(s *state.TaskSet, steady bool) {
	is := types.StabilityStatusStabilizing
	if steady {
		is = types.StabilityStatusSteadyState
	}
	if s.Stability != is {
		s.Stability, s.StabilityAt = is, p.now
	}
}
