package services

import (
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/state"
)

// drain ends a service that was deleted: its tasks stop, protected or not, and then
// it is INACTIVE. Tasks on a node that isn't heard of any more are not waited for.
func (p *picture) drain() {
	left, ended := 0, []*state.Task(nil)
	end := func(id, set, reason string) {
		for _, t := range p.tasks[id] {
			switch {
			case t.Last == state.Stopped:
				ended = append(ended, t)
				continue
			case t.Desired == state.Running:
				p.stop(t, set, reason)
			}
			if !p.down[t.Node] || t.Desired == state.Running {
				left++
			}
		}
	}
	for _, d := range p.deployments {
		end(d.ID, "", scaling(d))
	}
	for _, s := range p.sets {
		end(s.ID, s.ID, scalingSet(s.ID))
	}
	p.countEnded(ended, func() {})
	if left > 0 {
		p.steady(false)
		if d := p.primary(); d != nil {
			p.roles(d)
		}
		return
	}
	p.service.Status, p.service.DeletedAt = inactive, p.now
	for _, d := range p.deployments {
		if d.Status == types.ServiceDeploymentStatusInProgress || d.Status == types.ServiceDeploymentStatusPending {
			p.over(d, types.ServiceDeploymentStatusStopped, "The service was deleted.")
		}
		d.Role, d.Desired = state.RoleInactive, 0
	}
	p.gone = append(p.gone, p.sets...)
}
