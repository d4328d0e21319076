package services

import (
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/state"
)

// order is what keep is to bring a crew to.
type order struct {
	start        // of what, and from which revision
	desired  int // tasks
	limits       // that hold all the while
	strategy []types.CapacityProviderStrategyItem
	// closed is that none is started and none replaced any more: a deployment that
	// has failed.
	closed bool
	reason string // of stops, in AWS's words
}

// kept is how a crew is.
type kept struct {
	healthy int // of the wanted
	sick    int // that are stopped for it now
	steady  bool
	stuck   bool // neither a start nor a stop is within the limits, nor will be
}

// keep starts what is missing of a crew while that stays within the most there may
// be, and stops what is too many, sick or old while that leaves the least that must
// be healthy. What is RUNNING counts as one there may be until its stop has begun,
// so that the limits hold at every instant. A sick task goes when another has taken
// its place or, if there is no room for another, before (SDK,
// types.DeploymentConfiguration.MaximumPercent).
func (p *picture) keep(c *crew, o order) kept {
	k := kept{healthy: count(c.wanted, p.healthy)}
	set := ""
	if o.set {
		set = o.of
	}
	stops := len(p.stops)
	p.stopLost(c, set)
	missing := o.desired - len(c.wanted)
	if missing < 0 {
		p.stopAll(p.pick(c.wanted, -missing, o.strategy), set, o.reason)
	}
	room := o.most - c.all()
	held := p.throttled()
	if missing > 0 && room > 0 && !o.closed && !held {
		o.start.count, o.start.have, o.start.zones = min(missing, room), providers(c.wanted), zones(c.wanted)
		p.start(o.start)
	}
	if !o.closed {
		k.sick = p.stopSick(c, set, k.healthy, missing, room, o.desired)
		p.stopOld(c, set, k.healthy, o)
	}
	quiet := len(p.stops) == stops && len(p.starts) == 0 && c.leaving == 0
	k.steady = quiet && missing == 0 && k.healthy == len(c.wanted) && len(c.old)+len(c.sick) == 0 && !o.closed
	k.stuck = quiet && !held && missing > 0 && room <= 0 && k.healthy == len(c.wanted) && len(c.old) > 0 && !slices.ContainsFunc(c.old, p.protected)
	return k
}

// stopLost lets go of tasks whose node isn't heard of any more. If it comes back,
// it is told to stop them.
func (p *picture) stopLost(c *crew, set string) {
	for _, t := range c.lost {
		if !p.stop(t, set, lostReason) {
			return
		}
		p.stops[len(p.stops)-1].code = types.TaskStopCodeInfrastructureHealth
	}
}

// stopSick stops tasks that are unhealthy: when others do their work, or to make
// room for those.
func (p *picture) stopSick(c *crew, set string, healthy, missing, room, desired int) int {
	n := 0
	switch {
	case healthy >= desired:
		n = len(c.sick)
	case missing > 0 && (room <= 0 || p.service.Unplaced != ""):
		n = min(missing, len(c.sick))
	}
	return p.stopAll(c.sick[:n], set, sickReason)
}

// stopOld stops old tasks: those at once that don't run, or not well, and of the
// others as many as leave enough.
func (p *picture) stopOld(c *crew, set string, healthy int, o order) {
	var idle, busy []*state.Task
	for _, t := range c.old {
		switch {
		case !up(t):
			if !p.protected(t) {
				idle = append(idle, t)
			}
		default:
			busy = append(busy, t)
		}
	}
	p.stopAll(idle, set, o.reason)
	if n := healthy + len(busy) - o.least; n > 0 {
		p.stopAll(p.pick(busy, n, o.strategy), set, o.reason)
	}
}

// throttled reports whether no task is started for the time being, since they fail
// again and again.
func (p *picture) throttled() bool {
	left := p.service.Starts.Until.Sub(p.now)
	if left <= 0 || left > mostBackoff { // the clock was set back
		return false
	}
	p.wait(left)
	return true
}
