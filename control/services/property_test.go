package services

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"pgregory.net/rapid"

	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
)

// Whatever users, programs, nodes and clocks do: the limits hold at each step
// (world.hold), no event is missing (world.events), and once all that is left is
// good, what is desired comes about and then nothing more is done. Deployments with
// stages have tests of their own (kinds_test.go).
func TestServices(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(rt, 4)
		name := "web"
		least := rapid.SampledFrom([]int32{0, 50, 100}).Draw(rt, "least")
		most := rapid.SampledFrom([]int32{150, 200}).Draw(rt, "most")
		kind := rapid.SampledFrom([]types.DeploymentStrategy{"", types.DeploymentStrategyRolling}).Draw(rt, "strategy")
		back := rapid.Bool().Draw(rt, "rollback")
		w.create(name, good, int32(rapid.IntRange(2, 8).Draw(rt, "desired")), func(s *state.Service) {
			s.Spec.V.DeploymentConfiguration = &types.DeploymentConfiguration{
				MinimumHealthyPercent: aws.Int32(least), MaximumPercent: aws.Int32(most), Strategy: kind, BakeTimeInMinutes: aws.Int32(1),
				DeploymentCircuitBreaker: &types.DeploymentCircuitBreaker{Enable: rapid.Bool().Draw(rt, "breaker"), Rollback: back},
			}
			if rapid.Bool().Draw(rt, "rebalancing") {
				s.Spec.V.AvailabilityZoneRebalancing = types.AvailabilityZoneRebalancingEnabled
			}
		})
		some := func() *state.Task {
			all := w.tasks(name)
			if len(all) == 0 {
				return nil
			}
			return all[rapid.IntRange(0, len(all)-1).Draw(rt, "some")].Clone()
		}
		put := func(task *state.Task) { w.write(func(tx *store.Tx) { store.Tasks.Put(tx, task) }) }
		for range rapid.IntRange(1, 60).Draw(rt, "acts") {
			switch rapid.IntRange(0, 13).Draw(rt, "act") {
			case 0, 1, 2, 3:
				w.step(name)
			case 4, 5, 6:
				w.tick()
			case 7:
				w.now = w.now.Add(time.Duration(rapid.IntRange(1, 5000).Draw(rt, "ms")) * time.Millisecond)
			case 8: // not 1, of which 150% is 1: no deployment goes on then
				w.change(name, func(s *state.Service) { s.Desired = rapid.SampledFrom([]int32{0, 2, 3, 5, 8, 10}).Draw(rt, "desired") })
			case 9:
				w.deploy(name, rapid.SampledFrom([]string{good, checks, crashes, missing, sick}).Draw(rt, "does"))
			case 10:
				if task := some(); task != nil {
					switch rapid.IntRange(0, 2).Draw(rt, "what") {
					case 0:
						w.exit(task)
					case 1:
						task.Stop(types.TaskStopCodeUserInitiated, "", w.now)
					case 2:
						task.ProtectedUntil = w.now.Add(time.Minute)
					}
					put(task)
				}
			case 11:
				w.setNode("node3", rapid.SampledFrom([]string{"READY", state.NodeDown}).Draw(rt, "node"))
			case 12:
				w.changeDeployment(w.primary(name), func(d *state.Deployment) {
					d.StopRequested = rapid.SampledFrom([]types.StopServiceDeploymentStopType{types.StopServiceDeploymentStopTypeAbort, types.StopServiceDeploymentStopTypeRollback}).Draw(rt, "stop")
				})
			case 13:
				w.now = w.now.Add(time.Duration(rapid.IntRange(-3, 3).Draw(rt, "hours")) * time.Hour)
			}
		}
		w.setNode("node3", "READY")
		w.deploy(name, rapid.SampledFrom([]string{good, checks}).Draw(rt, "last"))
		w.run(name, 1000*time.Hour) // clocks that went back make protections long
		d, s := w.primary(name), w.service(name)
		if d.Rollout != types.DeploymentRolloutStateCompleted || s.SteadyAt.IsZero() || len(w.tasks(name)) != int(s.Desired) {
			rt.Fatalf("it is %s (%s), steady at %v, with %d of %d tasks, backoff %+v", d.Rollout, d.RolloutReason, s.SteadyAt, len(w.tasks(name)), s.Desired, s.Starts)
		}
		for _, task := range w.tasks(name) {
			if task.Deployment != d.ID {
				rt.Fatalf("a task is of %s, not %s", task.Deployment, d.ID)
			}
		}
		for _, other := range w.deployments(name) {
			if (other.ID == d.ID) != (other.Role == state.RolePrimary) || other.ID != d.ID && other.Role != state.RoleInactive {
				rt.Fatalf("deployment %s is %s", other.ID, other.Role)
			}
			switch other.Status {
			case types.ServiceDeploymentStatusInProgress, types.ServiceDeploymentStatusPending, types.ServiceDeploymentStatusRollbackInProgress:
				rt.Fatalf("deployment %s is %s for ever", other.ID, other.Status)
			}
		}
		rev := w.View().Revision()
		for range 3 {
			w.step(name)
			w.now = w.now.Add(time.Hour)
		}
		if w.View().Revision() != rev {
			rt.Fatalf("it goes on: %v", w.events(name))
		}
	})
}
