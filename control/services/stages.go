package services

import (
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/state"
)

// stages are those of a deployment that runs the new revision ("green") in full
// beside the old one ("blue") before it takes that one's place, in order (SDK,
// types.DeploymentLifecycleHook.LifecycleStages). Until there are load balancers
// nothing is to be done in those that shift traffic: they pass, once their hooks
// have.
var stages = [...]types.ServiceDeploymentLifecycleStage{
	types.ServiceDeploymentLifecycleStageReconcileService,
	types.ServiceDeploymentLifecycleStagePreScaleUp,
	types.ServiceDeploymentLifecycleStageScaleUp,
	types.ServiceDeploymentLifecycleStagePostScaleUp,
	types.ServiceDeploymentLifecycleStageTestTrafficShift,
	types.ServiceDeploymentLifecycleStagePostTestTrafficShift,
	types.ServiceDeploymentLifecycleStageProductionTrafficShift,
	types.ServiceDeploymentLifecycleStagePostProductionTrafficShift,
	types.ServiceDeploymentLifecycleStageBakeTime,
	types.ServiceDeploymentLifecycleStageCleanUp,
}

// A pause without a timeoutConfiguration ends after this time, with a rollback
// (SDK, types.DeploymentLifecycleHookTimeoutConfiguration).
const pauseTimeout = 1440 * time.Minute

// shifts reports whether a deployment that goes through the stages is under way.
func (p *picture) shifts(d *state.Deployment) bool {
	return strategy(d) != types.DeploymentStrategyRolling && d.Rollout == types.DeploymentRolloutStateInProgress
}

// sides are the tasks of a deployment through stages: those of the new revision,
// of the one that it replaces, and of others that were under way.
type sides struct {
	blueOf            *state.Deployment // nil: there is none
	green, blue, rest crew
}

func (p *picture) sides(d *state.Deployment) *sides {
	s := &sides{}
	for _, of := range p.deployments {
		if of.ID == d.Replaces {
			s.blueOf = of
		}
	}
	for _, of := range p.deployments {
		c := &s.rest
		switch of {
		case d:
			c = &s.green
		case s.blueOf:
			c = &s.blue
		}
		for _, t := range p.tasks[of.ID] {
			p.sorted(c, t, true)
		}
	}
	return s
}

// replaced is the deployment that does the service's work when another begins; nil
// for none.
func (p *picture) replaced(d *state.Deployment) *state.Deployment {
	var best *state.Deployment
	for _, of := range p.deployments {
		if of == d || !slices.ContainsFunc(p.tasks[of.ID], func(t *state.Task) bool { return t.Last <= state.Running }) {
			continue
		}
		if best == nil || p.serves(of) >= p.serves(best) {
			best = of
		}
	}
	return best
}

// serves ranks deployments by who does a service's work now: one that was
// completed, else the one that has the most tasks up.
func (p *picture) serves(d *state.Deployment) int {
	n := count(p.tasks[d.ID], func(t *state.Task) bool { return up(t) && t.Desired == state.Running })
	if d.Rollout == types.DeploymentRolloutStateCompleted {
		n += 1 << 30
	}
	return n
}

// keepBoth keeps both sides of a deployment as its stage wants them: green from
// SCALE_UP on, blue until CLEAN_UP.
func (p *picture) keepBoth(d *state.Deployment) kept {
	s, desired := p.sides(d), int(p.service.Desired)
	at := slices.Index(stages[:], d.Stage)
	target := func(want bool) int {
		if want {
			return desired
		}
		return 0
	}
	// Both in full, and one to take another's place.
	most := 2*desired + 1
	keep := func(c *crew, of *state.Deployment, target, others int) kept {
		o := p.order(of, target)
		o.limits, o.closed, o.reason = limits{target, most - others}, false, scaling(d)
		return p.keep(c, o)
	}
	k := keep(&s.green, d, target(at >= slices.Index(stages[:], types.ServiceDeploymentLifecycleStageScaleUp)), s.blue.all()+s.rest.all())
	if s.blueOf != nil {
		starting := 0
		for _, begun := range p.starts {
			starting += begun.count
		}
		cleans := d.Stage == types.ServiceDeploymentLifecycleStageCleanUp && k.healthy >= desired
		keeps := target(!cleans)
		if s.blueOf.Rollout != types.DeploymentRolloutStateCompleted {
			keeps = min(keeps, len(s.blue.wanted)) // it never was all well: nothing of it is started again
		}
		blue := keep(&s.blue, s.blueOf, keeps, s.green.all()+starting+s.rest.all())
		k.steady = k.steady && blue.steady
	}
	s.rest.old = slices.Concat(s.rest.wanted, s.rest.old, s.rest.sick)
	p.stopOld(&s.rest, "", k.healthy+count(s.blue.wanted, up), order{limits: limits{least: desired}, reason: scaling(d)})
	over := d.Stage == types.ServiceDeploymentLifecycleStageCleanUp && s.blue.all()+s.rest.all() == 0
	k.steady = k.steady && over
	return k
}

// stage moves a deployment on through its stages as far as it can go now. It
// reports whether it was taken back instead.
func (p *picture) stage(d *state.Deployment) bool {
	if d.Stage == "" {
		d.Stage, d.StageAt = stages[0], p.now
		if blue := p.replaced(d); blue != nil {
			d.Replaces = blue.ID
		}
	}
	s := p.sides(d)
	for {
		done, back := p.hooks(d, types.DeploymentLifecycleHookStage(d.Stage))
		if back {
			return true
		}
		if !done || !p.passed(d, s) {
			return false
		}
		next := slices.Index(stages[:], d.Stage) + 1
		if next == len(stages) {
			return false
		}
		// This stage of hooks is no stage of deployments.
		if stages[next] == types.ServiceDeploymentLifecycleStageProductionTrafficShift {
			done, back := p.hooks(d, types.DeploymentLifecycleHookStagePreProductionTrafficShift)
			if back || !done {
				return back
			}
		}
		d.Stage, d.StageAt, d.UpdatedAt = stages[next], p.now, p.now
	}
}

// passed reports whether all of a stage is done.
func (p *picture) passed(d *state.Deployment, s *sides) bool {
	switch d.Stage {
	case types.ServiceDeploymentLifecycleStageScaleUp:
		return count(s.green.wanted, p.healthy) >= int(p.service.Desired)
	case types.ServiceDeploymentLifecycleStageBakeTime:
		bake := time.Duration(aws.ToInt32(d.Config.V.BakeTimeInMinutes)) * time.Minute
		if left := bake - p.now.Sub(d.StageAt); left > 0 && left <= bake {
			p.wait(left)
			return false
		}
	}
	return true
}

// hooks comes to the hooks of a stage. It reports whether all have let the
// deployment go on, and whether one had it taken back.
func (p *picture) hooks(d *state.Deployment, stage types.DeploymentLifecycleHookStage) (done, back bool) {
	done = true
	for i, h := range d.Config.V.LifecycleHooks {
		if !slices.Contains(h.LifecycleStages, stage) {
			continue
		}
		at := slices.IndexFunc(d.Hooks, func(r state.DeploymentHook) bool { return r.Hook == i && r.Stage == stage })
		if at < 0 {
			d.Hooks = append(slices.Clip(d.Hooks), p.pause(i, stage, h))
			at = len(d.Hooks) - 1
		}
		switch again := p.resolve(d, at); d.Hooks[at].Status {
		case types.DeploymentLifecycleHookStatusAwaitingAction:
			done = false
			p.wait(again)
		case types.DeploymentLifecycleHookStatusFailed:
			return false, p.takeBack(d, "a lifecycle hook rolled it back in "+string(stage), "ECS deployment lifecycle hook: ")
		case types.DeploymentLifecycleHookStatusTimedOut:
			if d.Hooks[at].TimeoutAction != types.DeploymentLifecycleHookActionContinue {
				return false, p.takeBack(d, "a lifecycle hook timed out in "+string(stage), "ECS deployment lifecycle hook: ")
			}
		}
	}
	return done, false
}

// pause is a hook that a deployment comes to.
func (p *picture) pause(i int, stage types.DeploymentLifecycleHookStage, h types.DeploymentLifecycleHook) state.DeploymentHook {
	out := state.DeploymentHook{
		ID: p.newID(), Hook: i, Stage: stage, Status: types.DeploymentLifecycleHookStatusAwaitingAction,
		Expires: p.now.Add(pauseTimeout), TimeoutAction: types.DeploymentLifecycleHookActionRollback,
	}
	if c := h.TimeoutConfiguration; c != nil {
		if c.TimeoutInMinutes != nil {
			out.Expires = p.now.Add(time.Duration(*c.TimeoutInMinutes) * time.Minute)
		}
		if c.Action != "" {
			out.TimeoutAction = c.Action
		}
	}
	if h.TargetType != types.DeploymentLifecycleHookTargetTypePause {
		out.Status = types.DeploymentLifecycleHookStatusFailed // nothing here can call its target
	}
	return out
}

// resolve takes in what was asked for, or that nothing was in time. It returns how
// long a hook has yet.
func (p *picture) resolve(d *state.Deployment, at int) time.Duration {
	h := d.Hooks[at]
	if h.Status != types.DeploymentLifecycleHookStatusAwaitingAction {
		return 0
	}
	switch {
	case h.Action == types.DeploymentLifecycleHookActionContinue:
		h.Status = types.DeploymentLifecycleHookStatusSucceeded
	case h.Action == types.DeploymentLifecycleHookActionRollback:
		h.Status = types.DeploymentLifecycleHookStatusFailed
	case !p.now.Before(h.Expires):
		h.Status = types.DeploymentLifecycleHookStatusTimedOut
	default:
		return h.Expires.Sub(p.now)
	}
	d.Hooks = slices.Clone(d.Hooks)
	d.Hooks[at] = h
	return 0
}
