package services

import (
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/state"
)

// What Service.Status says.
const (
	active   = "ACTIVE"
	draining = "DRAINING"
	inactive = "INACTIVE"
)

// decide is what to do about a service.
func decide(p *picture) {
	switch {
	case p.service.Status == inactive:
	case p.service.Status == draining:
		p.drain()
	case p.controlled():
		p.keepSets()
	default:
		if d := p.primary(); d != nil {
			p.deploy(d)
		}
	}
}

// deploy brings a service to its primary deployment.
func (p *picture) deploy(d *state.Deployment) {
	p.begin(d)
	p.prove(d)
	p.countEnds(d)
	switch {
	case p.asked(d), p.broken(d), p.shifts(d) && p.stage(d):
		return // the next step goes on from there
	}
	var k kept
	switch {
	case p.daemon():
		k = p.keepDaemon(d)
	case p.shifts(d):
		k = p.keepBoth(d)
	default:
		c := p.crew(d)
		k = p.keep(c, p.order(d, p.balanced(d, c)))
	}
	if d.Rollout == types.DeploymentRolloutStateInProgress {
		d.Failed += int32(k.sick)
		d.FailedTasks += int32(k.sick)
	}
	p.roles(d)
	if k.stuck && p.service.Unplaced != stuckMark {
		p.service.Unplaced = stuckMark
		p.events = append(p.events, stuck(p.service.Name))
	}
	if k.steady && d.Rollout == types.DeploymentRolloutStateInProgress {
		p.complete(d)
	}
	p.steady(k.steady && d.Rollout == types.DeploymentRolloutStateCompleted)
}

// stuckMark is what Service.Unplaced says of a deployment that its configuration
// keeps from going on.
const stuckMark = "CONFIGURATION"

// steady notes whether the service is in a steady state, and says so once.
func (p *picture) steady(is bool) {
	switch {
	case !is:
		p.service.SteadyAt = time.Time{}
	case p.service.SteadyAt.IsZero():
		p.service.SteadyAt = p.now
		p.after = append(p.after, steady(p.service.Name))
	}
}

// order is what the primary deployment is brought to.
func (p *picture) order(d *state.Deployment, desired int) order {
	return order{
		start: start{of: d.ID, revision: d.Revision}, desired: desired, limits: p.limits(p.config(d), int(p.service.Desired)),
		strategy: p.service.Spec.V.CapacityProviderStrategy, closed: d.Rollout == types.DeploymentRolloutStateFailed, reason: scaling(d),
	}
}

// crew sorts all tasks of the service for its primary deployment. One that takes
// another back takes over the tasks of its own revision.
func (p *picture) crew(d *state.Deployment) *crew {
	c := &crew{}
	for _, of := range p.deployments {
		own := of == d || d.RollbackOf != "" && of.Revision == d.Revision
		for _, t := range p.tasks[of.ID] {
			p.sorted(c, t, own)
			if own && of != d && t.Last <= state.Running && t.Desired == state.Running && len(p.moves) < batch {
				p.moves = append(p.moves, move{t, d.ID})
			}
		}
	}
	return c
}

// begin starts a deployment, and ends those before it that were under way.
func (p *picture) begin(d *state.Deployment) {
	if !d.StartedAt.IsZero() {
		return
	}
	d.StartedAt, d.UpdatedAt, d.Role = p.now, p.now, state.RolePrimary
	d.Rollout, d.Status = types.DeploymentRolloutStateInProgress, types.ServiceDeploymentStatusInProgress
	if d.RolloutReason == "" || d.RollbackOf == "" {
		d.RolloutReason = fmt.Sprintf("ECS deployment %s in progress.", d.ID)
	}
	// An update returns the service to a state in which nothing is throttled.
	p.service.Starts, p.service.Unplaced = state.Backoff{}, ""
	for _, other := range p.deployments {
		if other == d {
			continue
		}
		switch other.Status {
		case types.ServiceDeploymentStatusPending, types.ServiceDeploymentStatusInProgress, types.ServiceDeploymentStatusStopRequested, types.ServiceDeploymentStatusRollbackRequested:
			p.over(other, types.ServiceDeploymentStatusStopped, "A newer deployment, "+d.ID+", took its place.")
		case types.ServiceDeploymentStatusRollbackInProgress:
			if other.ID != d.RollbackOf {
				p.over(other, types.ServiceDeploymentStatusRollbackFailed, "A newer deployment, "+d.ID+", took the rollback's place.")
			}
		}
	}
}

// over is the end of a service deployment.
func (p *picture) over(d *state.Deployment, s types.ServiceDeploymentStatus, why string) {
	d.Status, d.StatusReason, d.UpdatedAt, d.FinishedAt = s, why, p.now, p.now
	if s == types.ServiceDeploymentStatusStopped {
		d.StoppedAt = p.now
	}
}

// prove looks whether more of the primary deployment's tasks are healthy than
// before: then what failed until now failed by chance.
func (p *picture) prove(d *state.Deployment) {
	if d.Rollout != types.DeploymentRolloutStateInProgress && p.service.Starts.Failed == 0 {
		return
	}
	n := int32(count(p.tasks[d.ID], func(t *state.Task) bool { return t.Desired == state.Running && p.healthy(t) }))
	if n > d.Proven {
		p.service.Starts = state.Backoff{}
		if resets(p.config(d)) {
			d.Failed = 0
		}
	}
	d.Proven = n
}

// countEnds counts the tasks that ended by themselves: for the circuit breaker,
// and for the time until the next try.
func (p *picture) countEnds(d *state.Deployment) {
	hasty := false
	for _, of := range p.deployments {
		hasty = p.countEnded(p.tasks[of.ID], func() {
			if of.Rollout == types.DeploymentRolloutStateInProgress {
				of.Failed++
				of.FailedTasks++
			}
		}) || hasty
	}
	p.throttle(hasty)
}

// countEnded counts some tasks that ended, and reports whether any did so before
// it had come to anything.
func (p *picture) countEnded(tasks []*state.Task, bad func()) (hasty bool) {
	for _, t := range tasks {
		if t.Last != state.Stopped || t.Counted || len(p.counts) >= 2*batch {
			continue
		}
		p.counts = append(p.counts, t)
		wrong, early := failed(t)
		if wrong {
			bad()
		}
		hasty = hasty || early && wrong
	}
	return hasty
}

// throttle puts the next try off after one that failed. Tasks that fail together
// are one try.
func (p *picture) throttle(hasty bool) {
	b := &p.service.Starts
	if !hasty || b.Failed > 0 && p.now.Before(b.Until) {
		return
	}
	b.Failed++
	b.Until = p.now.Add(backoff(b.Failed))
	if b.Failed == saysSo {
		p.events = append(p.events, cantStart(p.service.Name))
	}
}

// asked does what StopServiceDeployment asks for, and reports whether that was
// anything.
func (p *picture) asked(d *state.Deployment) bool {
	if d.StopRequested == "" || d.Rollout != types.DeploymentRolloutStateInProgress {
		return false
	}
	if d.StopRequested == types.StopServiceDeploymentStopTypeRollback {
		return p.takeBack(d, "the deployment was stopped", "ECS deployment was stopped: ")
	}
	d.Rollout, d.RolloutReason = types.DeploymentRolloutStateFailed, fmt.Sprintf("ECS deployment %s was stopped.", d.ID)
	p.over(d, types.ServiceDeploymentStatusStopped, "The deployment was stopped by a user.")
	p.events = append(p.events, deploymentFailed(p.service.Name, d.ID, "it was stopped"))
	return true
}

// broken is the circuit breaker. It reports whether it ended the deployment.
func (p *picture) broken(d *state.Deployment) bool {
	b := p.config(d).DeploymentCircuitBreaker
	if b == nil || !b.Enable || d.Rollout != types.DeploymentRolloutStateInProgress || d.Failed < state.BreakerThreshold(b, p.service.Desired) {
		return false
	}
	const why = "tasks failed to start"
	if b.Rollback && d.RollbackOf == "" {
		return p.takeBack(d, why, "ECS deployment circuit breaker: ")
	}
	d.Rollout, d.RolloutReason = types.DeploymentRolloutStateFailed, "ECS deployment circuit breaker: "+why+"."
	p.over(d, types.ServiceDeploymentStatusStopped, d.RolloutReason)
	p.endRollback(d, types.ServiceDeploymentStatusRollbackFailed)
	p.events = append(p.events, deploymentFailed(p.service.Name, d.ID, why))
	return true
}

// takeBack ends a deployment and makes another, to the revision of the last one
// that was completed.
func (p *picture) takeBack(d *state.Deployment, why, by string) bool {
	d.Rollout, d.RolloutReason = types.DeploymentRolloutStateFailed, by+why+"."
	p.events = append(p.events, deploymentFailed(p.service.Name, d.ID, why))
	var last *state.Deployment
	for _, other := range p.deployments {
		if other != d && other.Rollout == types.DeploymentRolloutStateCompleted && (last == nil || other.CreatedAt.After(last.CreatedAt)) {
			last = other
		}
	}
	if last == nil {
		p.over(d, types.ServiceDeploymentStatusRollbackFailed, d.RolloutReason+" There is no deployment before it that was completed.")
		return true
	}
	d.Status, d.StatusReason, d.UpdatedAt = types.ServiceDeploymentStatusRollbackInProgress, d.RolloutReason, p.now
	d.RollbackReason, d.RollbackRevision, d.RollbackAt = d.RolloutReason, last.Revision, p.now
	d.Role = state.RoleActive
	p.events = append(p.events, rollingBack(p.service.Name, last.ID))
	p.rollback = &state.Deployment{
		Scope: d.Scope, Cluster: d.Cluster, Service: d.Service, Revision: last.Revision, Sources: []string{d.Revision}, Config: d.Config,
		Role: state.RolePrimary, Desired: p.service.Desired, Rollout: types.DeploymentRolloutStateInProgress, RolloutReason: fmt.Sprintf("%srolling back to deploymentId %s.", by, last.ID),
		Status: types.ServiceDeploymentStatusPending, RollbackOf: d.ID, CreatedAt: p.now, UpdatedAt: p.now,
	}
	return true
}

// complete is a deployment's good end.
func (p *picture) complete(d *state.Deployment) {
	d.Rollout, d.RolloutReason = types.DeploymentRolloutStateCompleted, fmt.Sprintf("ECS deployment %s completed.", d.ID)
	d.Failed = 0
	p.over(d, types.ServiceDeploymentStatusSuccessful, "")
	p.endRollback(d, types.ServiceDeploymentStatusRollbackSuccessful)
	p.after = append(p.after, completed(p.service.Name, d.ID))
}

// endRollback tells the deployment that this one takes back how that went.
func (p *picture) endRollback(d *state.Deployment, s types.ServiceDeploymentStatus) {
	for _, other := range p.deployments {
		if other.ID == d.RollbackOf && other.Status == types.ServiceDeploymentStatusRollbackInProgress {
			p.over(other, s, other.StatusReason)
		}
	}
}

// roles brings what deployments show of themselves to what they are.
func (p *picture) roles(primary *state.Deployment) {
	for _, d := range p.deployments {
		if d == primary {
			d.Role, d.Desired = state.RolePrimary, p.service.Desired
			continue
		}
		live := 0
		d.Desired = 0
		for _, t := range p.tasks[d.ID] {
			if t.Last > state.Running || p.down[t.Node] {
				continue
			}
			live++
			if t.Desired == state.Running {
				d.Desired++
			}
		}
		d.Role = state.RoleActive
		if live == 0 {
			d.Role, d.Proven = state.RoleInactive, 0
		}
	}
}
