package services

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/place"
	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
)

func onInstances(s *state.Service) { s.Spec.V.LaunchType = types.LaunchTypeEc2 }

// instance registers a container instance on a node.
func (w *world) instance(node int, status types.ContainerInstanceStatus) string {
	id := fmt.Sprintf("%032d", node)
	w.write(func(tx *store.Tx) {
		n, _ := store.Nodes.Get(tx, state.Key{ID: fmt.Sprintf("node%d", node)})
		store.Instances.Put(tx, &state.ContainerInstance{
			Scope: scope, Cluster: "c", ID: id, Node: n.ID, Status: status, CPU: n.CPU, Memory: n.Memory, Connected: true,
			Attributes: []types.Attribute{{Name: aws.String(place.ZoneAttribute), Value: aws.String(n.Zones[0])}},
		})
	})
	return id
}

func (w *world) where(name string) map[string]int {
	on := map[string]int{}
	for _, t := range w.tasks(name) {
		on[t.ContainerInstance]++
	}
	return on
}

func TestDaemon(t *testing.T) {
	w := newWorld(t, 4)
	for i := range 3 {
		w.instance(i, types.ContainerInstanceStatusActive)
	}
	w.create("agent", good, 0, func(s *state.Service) {
		onInstances(s)
		s.Spec.V.SchedulingStrategy = types.SchedulingStrategyDaemon
	})
	each := func(want int) {
		t.Helper()
		w.run("agent", forever)
		on := w.where("agent")
		for i, n := range on {
			if n != 1 {
				t.Errorf("%d tasks on %s", n, i)
			}
		}
		if s := w.service("agent"); len(on) != want || int(s.Desired) != want || s.SteadyAt.IsZero() {
			t.Errorf("tasks on %d instances, want %d; desired %d", len(on), want, s.Desired)
		}
	}
	each(3)
	last := w.instance(3, types.ContainerInstanceStatusActive)
	each(4)
	w.deploy("agent", good)
	each(4)
	if d := w.primary("agent"); d.Rollout != types.DeploymentRolloutStateCompleted {
		t.Errorf("%+v", d)
	}
	// Its task stays on an instance that is drained until others' have gone.
	w.create("web", good, 12, onInstances)
	w.run("web", forever)
	w.instance(3, types.ContainerInstanceStatusDraining)
	w.step("agent")
	if w.where("agent")[last] != 1 {
		t.Error("the daemon's task stops before the others")
	}
	w.run("web", forever)
	if on := w.where("web"); on[last] != 0 || len(w.tasks("web")) != 12 {
		t.Errorf("%v", on)
	}
	each(3)
}

func TestDrainingInstance(t *testing.T) {
	w := newWorld(t, 3)
	for i := range 3 {
		w.instance(i, types.ContainerInstanceStatusActive)
	}
	w.create("web", good, 9, func(s *state.Service) { onInstances(s); percents(50, 100)(s) })
	w.run("web", forever)
	if on := w.where("web"); len(on) != 3 || on[fmt.Sprintf("%032d", 0)] != 3 {
		t.Fatalf("%v", on)
	}
	gone := w.instance(0, types.ContainerInstanceStatusDraining)
	w.run("web", forever) // within the limits: world.hold
	if on := w.where("web"); on[gone] != 0 || len(w.tasks("web")) != 9 {
		t.Errorf("%v", on)
	}
}

func TestTaskSets(t *testing.T) {
	w := newWorld(t, 3)
	w.create("web", good, 5, func(s *state.Service) {
		s.Spec.V.DeploymentController = &types.DeploymentController{Type: types.DeploymentControllerTypeExternal}
	})
	w.run("web", forever)
	put := func(id string, percent float64, status string) {
		w.write(func(tx *store.Tx) {
			set := &state.TaskSet{Scope: scope, Cluster: "c", Service: "web", ID: "ecs-svc/" + id, Percent: percent, Status: status, Stability: types.StabilityStatusStabilizing, CreatedAt: w.now}
			if old, ok := store.TaskSets.Get(tx, set.Key()); ok {
				c := *old
				c.Percent, c.Status = percent, status
				set = &c
			} else {
				set.Revision = w.revision(tx, "web", good, types.LaunchTypeFargate).ID
			}
			store.TaskSets.Put(tx, set)
		})
		w.run("web", forever)
	}
	expect := func(id string, want int) {
		t.Helper()
		n := 0
		for _, task := range w.tasks("web") {
			if task.Deployment == "ecs-svc/"+id {
				n++
			}
		}
		set, ok := store.TaskSets.Get(w.View(), scope.Key("c/web/ecs-svc/"+id))
		if n != want || !ok || set.Stability != types.StabilityStatusSteadyState {
			t.Errorf("task set %s has %d tasks, want %d: %+v", id, n, want, set)
		}
	}
	put("1", 50, "ACTIVE")
	expect("1", 3) // 2.5, rounded up
	put("1", 100, state.RolePrimary)
	expect("1", 5)
	put("2", 20, "ACTIVE")
	expect("1", 5)
	expect("2", 1)
	put("2", 100, state.RolePrimary)
	put("1", 100, state.RoleDraining)
	expect("2", 5)
	if n := len(slices.Collect(store.TaskSets.All(w.View()))); n != 1 || len(w.tasks("web")) != 5 {
		t.Errorf("%d task sets, %d tasks", n, len(w.tasks("web")))
	}
	if told := w.events("web"); !strings.HasPrefix(told[0], "(service web, taskSet ecs-svc/1) has started 3 tasks: (task ") {
		t.Errorf("the first event is %s", told[0])
	}
}

func blueGreen(bake int32, hooks ...types.DeploymentLifecycleHook) func(*state.Service) {
	return func(s *state.Service) {
		s.Spec.V.DeploymentConfiguration = &types.DeploymentConfiguration{Strategy: types.DeploymentStrategyBlueGreen, BakeTimeInMinutes: aws.Int32(bake), LifecycleHooks: hooks}
	}
}

func TestBlueGreen(t *testing.T) {
	w := newWorld(t, 3)
	w.create("web", good, 4, blueGreen(10))
	w.run("web", forever)
	blue := w.primary("web")
	if blue.Rollout != types.DeploymentRolloutStateCompleted || blue.Stage != types.ServiceDeploymentLifecycleStageCleanUp {
		t.Fatalf("%+v", blue)
	}
	w.deploy("web", good)
	w.run("web", time.Minute)
	green := w.primary("web")
	if green.Stage != types.ServiceDeploymentLifecycleStageBakeTime || len(w.tasks("web")) != 8 {
		t.Fatalf("it is in %s with %d tasks", green.Stage, len(w.tasks("web")))
	}
	// Blue is kept while green bakes.
	w.write(func(tx *store.Tx) {
		for _, task := range w.tasks("web") {
			if task.Deployment == blue.ID {
				c := task.Clone()
				w.exit(c)
				store.Tasks.Put(tx, c)
				break
			}
		}
	})
	w.run("web", time.Minute)
	if n := len(w.tasks("web")); n != 8 {
		t.Fatalf("%d tasks", n)
	}
	w.run("web", forever)
	if d := w.primary("web"); d.Rollout != types.DeploymentRolloutStateCompleted || len(w.tasks("web")) != 4 || w.now.Sub(d.StartedAt) < 10*time.Minute {
		t.Fatalf("%s with %d tasks", d.Rollout, len(w.tasks("web")))
	}

	// It is taken back at once within the bake time: blue never stopped.
	kept := w.tasks("web")
	w.deploy("web", good)
	w.run("web", time.Minute)
	w.changeDeployment(w.primary("web"), func(d *state.Deployment) { d.StopRequested = types.StopServiceDeploymentStopTypeRollback })
	bad := w.primary("web")
	w.run("web", time.Minute)
	now := w.tasks("web")
	if !slices.EqualFunc(kept, now, func(a, b *state.Task) bool { return a.ID == b.ID }) {
		t.Errorf("%d tasks, not the same", len(now))
	}
	if d := w.primary("web"); d.RollbackOf != bad.ID || d.Rollout != types.DeploymentRolloutStateCompleted {
		t.Errorf("%+v", d)
	}
}

func TestHooks(t *testing.T) {
	pause := func(stage types.DeploymentLifecycleHookStage, minutes int32, on types.DeploymentLifecycleHookAction) types.DeploymentLifecycleHook {
		return types.DeploymentLifecycleHook{
			TargetType: types.DeploymentLifecycleHookTargetTypePause, LifecycleStages: []types.DeploymentLifecycleHookStage{stage},
			TimeoutConfiguration: &types.DeploymentLifecycleHookTimeoutConfiguration{TimeoutInMinutes: aws.Int32(minutes), Action: on},
		}
	}
	w := newWorld(t, 3)
	w.create("web", good, 2, blueGreen(0, pause(types.DeploymentLifecycleHookStagePreScaleUp, 5, types.DeploymentLifecycleHookActionContinue),
		pause(types.DeploymentLifecycleHookStagePreProductionTrafficShift, 60, types.DeploymentLifecycleHookActionRollback)))
	answer := func(a types.DeploymentLifecycleHookAction) {
		t.Helper()
		w.run("web", time.Minute)
		d := w.primary("web")
		if i := len(d.Hooks) - 1; i < 0 || d.Hooks[i].Status != types.DeploymentLifecycleHookStatusAwaitingAction {
			t.Fatalf("the hooks are %+v in %s", d.Hooks, d.Stage)
		}
		w.changeDeployment(d, func(d *state.Deployment) { d.Hooks[len(d.Hooks)-1].Action = a })
	}
	answer(types.DeploymentLifecycleHookActionContinue)
	answer(types.DeploymentLifecycleHookActionContinue)
	w.run("web", time.Minute)
	first := w.primary("web")
	if first.Rollout != types.DeploymentRolloutStateCompleted || len(first.Hooks) != 2 || first.Hooks[1].Status != types.DeploymentLifecycleHookStatusSucceeded {
		t.Fatalf("%+v", first)
	}
	w.deploy("web", good)
	w.run("web", time.Minute)
	if n := len(w.tasks("web")); n != 2 {
		t.Fatalf("%d tasks before SCALE_UP", n)
	}
	w.run("web", 10*time.Minute) // the first hook times out, and lets it go on
	if d := w.primary("web"); len(d.Hooks) != 2 || d.Hooks[0].Status != types.DeploymentLifecycleHookStatusTimedOut || len(w.tasks("web")) != 4 {
		t.Fatalf("%+v", d.Hooks)
	}
	bad := w.primary("web")
	answer(types.DeploymentLifecycleHookActionRollback)
	w.run("web", time.Minute)
	if d := w.primary("web"); d.RollbackOf != bad.ID || d.Rollout != types.DeploymentRolloutStateCompleted || len(w.tasks("web")) != 2 {
		t.Fatalf("%+v", d)
	}
}

// Zones are brought into balance again once one of them is back, one task after
// another, and never with too few tasks.
func TestRebalance(t *testing.T) {
	w := newWorld(t, 3)
	w.setNode("node2", state.NodeDown)
	w.create("web", good, 6, func(s *state.Service) {
		s.Spec.V.AvailabilityZoneRebalancing = types.AvailabilityZoneRebalancingEnabled
	})
	w.run("web", time.Second*9)
	w.setNode("node2", "READY")
	w.run("web", forever)
	if z := zones(w.tasks("web")); len(z) != 3 || z["us-east-1c"] != 2 {
		t.Errorf("the tasks are in %v", z)
	}
	if w.service("web").SteadyAt.IsZero() || w.service("web").Rebalance != "" {
		t.Error("it is not steady")
	}
}

func TestPick(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	n := 0
	task := func(zone, instance string, last state.TaskState) *state.Task {
		n++
		return &state.Task{ID: fmt.Sprint(n), Zone: zone, ContainerInstance: instance, Last: last, Desired: state.Running, CreatedAt: now.Add(time.Duration(n)), StartedAt: now.Add(-time.Minute)}
	}
	p := &picture{now: now, service: &state.Service{}}
	all := []*state.Task{
		task("a", "1", state.Running), task("a", "1", state.Running), task("a", "2", state.Running), // 1 2 3
		task("b", "3", state.Running), task("b", "3", state.Running), // 4 5
		task("c", "4", state.Running), task("c", "4", state.Pending), // 6 7
	}
	safe := task("a", "1", state.Running) // 8
	safe.ProtectedUntil = now.Add(time.Hour)
	all = append(all, safe)
	var got []string
	for _, task := range p.pick(all, 10, nil) {
		got = append(got, task.ID)
	}
	// The one that doesn't run; then a has four, of which instance 1 has three; …
	if want := []string{"7", "2", "1", "5", "3", "6", "4"}; !slices.Equal(got, want) {
		t.Errorf("picked are %v, want %v", got, want)
	}
	items := []types.CapacityProviderStrategyItem{{CapacityProvider: aws.String("FARGATE"), Base: 1, Weight: 1}, {CapacityProvider: aws.String("FARGATE_SPOT"), Weight: 1}}
	all = nil
	for i := range 6 {
		one := task("a", "", state.Running)
		one.CapacityProvider = []string{"FARGATE", "FARGATE_SPOT"}[i%2]
		all = append(all, one)
	}
	have := providers(all)
	for _, one := range p.pick(all, 5, items) {
		have[one.CapacityProvider]--
	}
	if have["FARGATE"] != 1 || have["FARGATE_SPOT"] != 0 {
		t.Errorf("left are %v", have)
	}
}
