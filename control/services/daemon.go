package services

import (
	"slices"

	"github.com/berth/berth/state"
)

// keepDaemon keeps one task on each container instance that can have one. On an
// instance whose tasks are drained it stops last (Amazon ECS Developer Guide,
// "Amazon ECS services", daemon). With a maximumPercent of 100 a new task waits
// until the old one on its instance has gone.
func (p *picture) keepDaemon(d *state.Deployment) kept {
	if p.unresolved {
		return kept{}
	}
	eligible := map[string]bool{}
	for _, i := range p.eligible {
		eligible[i.ID] = true
	}
	desired := len(eligible)
	p.service.Desired = int32(desired)
	c := &crew{}
	var strays []*state.Task // on no instance that shall have one
	placed, taken := map[string]bool{}, map[string]bool{}
	for _, of := range p.deployments {
		own := of == d || d.RollbackOf != "" && of.Revision == d.Revision
		for _, t := range p.tasks[of.ID] {
			on, n := t.ContainerInstance, len(c.wanted)
			live := t.Last <= state.Running && !p.down[t.Node]
			if live && t.Desired == state.Running && (!eligible[on] || own && placed[on]) {
				if eligible[on] || !p.draining[on] || !p.busy[on] {
					strays = append(strays, t)
				}
				continue
			}
			if p.sorted(c, t, own); len(c.wanted) > n {
				placed[on] = true
			}
			if live {
				taken[on] = true
			}
			if own && of != d && live && t.Desired == state.Running && len(p.moves) < batch {
				p.moves = append(p.moves, move{t, d.ID})
			}
		}
	}
	o := p.order(d, desired)
	k := kept{healthy: count(c.wanted, p.healthy)}
	stops := len(p.stops)
	p.stopLost(c, "")
	p.stopAll(strays, "", o.reason)
	held := p.throttled()
	room := o.most - c.all()
	missing := slices.DeleteFunc(slices.Clone(p.eligible), func(i *state.ContainerInstance) bool {
		return placed[i.ID] || taken[i.ID] && o.most <= desired
	})
	slices.SortStableFunc(missing, func(a, b *state.ContainerInstance) int { return falseFirst(taken[a.ID], taken[b.ID]) })
	if n := min(len(missing), room); n > 0 && !o.closed && !held {
		o.start.count, o.start.on = n, missing[:n]
		p.start(o.start)
	}
	if !o.closed {
		k.sick = p.stopAll(c.sick, "", sickReason)
		p.stopOld(c, "", k.healthy, o)
	}
	quiet := len(p.stops) == stops && len(p.starts) == 0 && c.leaving == 0
	k.steady = quiet && len(c.wanted) == desired && k.healthy == desired && len(c.old) == 0 && !o.closed
	return k
}
