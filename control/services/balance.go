package services

import (
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/state"
)

// balanceAgain is how long after one task was moved for the balance of zones, or
// could not be, the next is looked for.
const balanceAgain = 10 * time.Second

// balanced is how many tasks there shall be now: one more than desired while one
// is on its way to another availability zone. When that one is healthy, scaling in
// takes one from the zone that has the most. It begins such a move when a service
// is in a steady state whose zones differ by more than one task (Amazon ECS
// Developer Guide, "Balancing an Amazon ECS service across Availability Zones":
// started first, then stopped; only with a maximumPercent above 100).
func (p *picture) balanced(d *state.Deployment, c *crew) int {
	s, desired := p.service, int(p.service.Desired)
	if s.Rebalance != "" {
		i := slices.IndexFunc(c.wanted, func(t *state.Task) bool { return t.ID == s.Rebalance })
		if i >= 0 && !p.healthy(c.wanted[i]) && d.Rollout == types.DeploymentRolloutStateCompleted {
			return desired + 1
		}
		s.Rebalance = ""
		return desired
	}
	if s.Spec.V.AvailabilityZoneRebalancing != types.AvailabilityZoneRebalancingEnabled || s.SteadyAt.IsZero() || d.Rollout != types.DeploymentRolloutStateCompleted ||
		len(c.wanted) != desired || c.all() != desired || p.limits(p.config(d), desired).most <= desired {
		return desired
	}
	least, most, spread := p.spread(c.wanted)
	if most == "" || spread < 2 {
		return desired
	}
	if left := s.RebalancedAt.Add(balanceAgain).Sub(p.now); left > 0 && left <= balanceAgain {
		p.wait(left)
		return desired
	}
	s.RebalancedAt = p.now
	leaver := p.pick(slices.DeleteFunc(slices.Clone(c.wanted), func(t *state.Task) bool { return t.Zone != most }), 1, nil)
	if len(leaver) == 0 {
		return desired // all of them are protected
	}
	p.start(start{of: d.ID, revision: d.Revision, count: 1, zones: map[string]int{}, zone: least, provider: leaver[0].CapacityProvider})
	return desired
}

// spread is the zone that has the fewest tasks, the one that has the most, and by
// how many they differ.
func (p *picture) spread(tasks []*state.Task) (least, most string, by int) {
	have := zones(tasks)
	for _, z := range p.zones() {
		if least == "" || have[z] < have[least] || have[z] == have[least] && strings.Compare(z, least) < 0 {
			least = z
		}
	}
	for z := range have {
		if most == "" || have[z] > have[most] || have[z] == have[most] && strings.Compare(z, most) < 0 {
			most = z
		}
	}
	if least == "" || most == "" {
		return "", "", 0
	}
	return least, most, have[most] - have[least]
}
