package services

import (
	"math"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/state"
)

// batch is how many tasks one step starts, and how many it stops, at most.
const batch = 256

// picture is one service with all that a decision looks at, and what was decided:
// the records in it are copies which decisions change, tasks excepted.
type picture struct {
	now     time.Time
	service *state.Service
	// deployments and sets are in the order in which they were made.
	deployments []*state.Deployment
	sets        []*state.TaskSet
	// tasks are those that have not stopped, or were not counted, by deployment or
	// set.
	tasks map[string][]*state.Task
	// down are nodes that aren't heard of, draining container instances.
	down, draining map[string]bool
	// eligible are the container instances that a DAEMON has its tasks on; with
	// unresolved, nobody knows.
	eligible   []*state.ContainerInstance
	unresolved bool
	// busy are the draining instances that have tasks of others than DAEMONs.
	busy map[string]bool
	// zones are where tasks can be placed, for the balance among them. It is asked
	// only when they are to be balanced.
	zones func() []string
	newID func() string // UUIDs

	// What was decided.
	again  time.Duration // when to look again; 0 for never
	stops  []stop
	starts []start
	moves  []move        // tasks that a rollback takes over
	counts []*state.Task // tasks whose end was counted
	events []string      // before those of starts and stops
	after  []string      // after them
	// rollback is a deployment to make; it has no ID yet.
	rollback *state.Deployment
	gone     []*state.TaskSet // that are over
}

// stop is a task to stop, and why.
type stop struct {
	task   *state.Task
	reason string
	code   types.TaskStopCode
	set    string // ID of the task set that it is of; or empty
}

// start is tasks to start.
type start struct {
	of, revision string // ID of the deployment or set, and of its revision
	set          bool
	count        int
	have, zones  map[string]int             // tasks that there are, by capacity provider and by zone
	on           []*state.ContainerInstance // of a DAEMON
	// zone is where it is to be for the balance of zones, of the capacity provider
	// provider; or empty.
	zone, provider string
}

// move is a task that becomes another deployment's.
type move struct {
	task *state.Task
	to   string
}

// wait asks for another look after d.
func (p *picture) wait(d time.Duration) {
	d = max(d, time.Millisecond)
	if p.again == 0 || d < p.again {
		p.again = d
	}
}

// config is the deploymentConfiguration that holds for a deployment; of none the
// service's.
func (p *picture) config(d *state.Deployment) *types.DeploymentConfiguration {
	if d != nil {
		return &d.Config.V
	}
	if c := p.service.Spec.V.DeploymentConfiguration; c != nil {
		return c
	}
	return &types.DeploymentConfiguration{}
}

// daemon reports whether the service has a task on each instance.
func (p *picture) daemon() bool {
	return p.service.Spec.V.SchedulingStrategy == types.SchedulingStrategyDaemon
}

// controlled reports whether task sets make up the service, in place of
// deployments.
func (p *picture) controlled() bool {
	c := p.service.Spec.V.DeploymentController
	return c != nil && (c.Type == types.DeploymentControllerTypeExternal || c.Type == types.DeploymentControllerTypeCodeDeploy)
}

// limits are the fewest tasks that must be healthy, and the most that may be
// RUNNING or on their way there (SDK, types.DeploymentConfiguration: the first is
// rounded up, the second down).
type limits struct{ least, most int }

// limits are a configuration's, for a number of desired tasks.
func (p *picture) limits(c *types.DeploymentConfiguration, desired int) limits {
	least, most := int32(100), int32(200)
	if p.daemon() {
		least, most = 0, 100
	}
	if c.MinimumHealthyPercent != nil {
		least = *c.MinimumHealthyPercent
	}
	if c.MaximumPercent != nil {
		most = *c.MaximumPercent
	}
	return limits{least: part(desired, float64(least)), most: int(int64(desired) * int64(most) / 100)}
}

// part is a percentage of a number, rounded up.
func part(of int, percent float64) int {
	return int(math.Ceil(float64(of) * percent / 100))
}

// primary is the deployment that is to be the only one; nil for none.
func (p *picture) primary() *state.Deployment {
	i := slices.IndexFunc(p.deployments, func(d *state.Deployment) bool { return d.ID == p.service.Deployment })
	if i < 0 {
		return nil
	}
	return p.deployments[i]
}

// strategy is how a deployment replaces what was before. One that takes another
// back always does so by what is healthy already.
func strategy(d *state.Deployment) types.DeploymentStrategy {
	if d.RollbackOf != "" || d.Config.V.Strategy == "" {
		return types.DeploymentStrategyRolling
	}
	return d.Config.V.Strategy
}

// stop asks for a task's stop, if there is room for that in this step.
func (p *picture) stop(t *state.Task, set, reason string) bool {
	if len(p.stops) >= batch {
		return false
	}
	p.stops = append(p.stops, stop{task: t, reason: reason, code: types.TaskStopCodeServiceSchedulerInitiated, set: set})
	return true
}

// stopAll asks for the stop of all that there is room for, and returns how many.
func (p *picture) stopAll(tasks []*state.Task, set, reason string) int {
	for i, t := range tasks {
		if !p.stop(t, set, reason) {
			return i
		}
	}
	return len(tasks)
}

// start asks for tasks.
func (p *picture) start(s start) {
	room := batch
	for _, other := range p.starts {
		room -= other.count
	}
	if s.count = min(s.count, room); s.count > 0 {
		p.starts = append(p.starts, s)
	}
}

// begun reports whether anything is to be started or stopped.
func (p *picture) begun() bool {
	return len(p.starts)+len(p.stops)+len(p.moves) > 0 || p.rollback != nil
}

// resets reports whether a healthy task ends a row of failures.
func resets(c *types.DeploymentConfiguration) bool {
	b := c.DeploymentCircuitBreaker
	return b == nil || b.ResetOnHealthyTask == nil || aws.ToBool(b.ResetOnHealthyTask)
}
