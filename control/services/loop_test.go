package services

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
)

func plain(*state.Service) {}

var ids = regexp.MustCompile(`(ecs-svc/)?[0-9a-f]{19,32}`)

// told are a service's events with their IDs made alike.
func (w *world) told(name string) []string {
	var out []string
	for _, e := range w.events(name) {
		out = append(out, ids.ReplaceAllString(e, "ID"))
	}
	return out
}

func (w *world) expectEvents(t *testing.T, name string, want ...string) {
	t.Helper()
	if got := w.told(name); !slices.Equal(got, want) {
		t.Errorf("the events are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestCreateScaleReplace(t *testing.T) {
	w := newWorld(t, 3)
	w.create("web", good, 3, plain)
	w.run("web", forever)
	if n := len(w.tasks("web")); n != 3 {
		t.Fatalf("%d tasks run, want 3", n)
	}
	d := w.primary("web")
	if d.Rollout != types.DeploymentRolloutStateCompleted || d.RolloutReason != "ECS deployment "+d.ID+" completed." || d.Status != types.ServiceDeploymentStatusSuccessful || d.Desired != 3 {
		t.Errorf("the deployment is %+v", d)
	}
	zones := map[string]bool{}
	for _, task := range w.tasks("web") {
		zones[task.Zone] = true
		if task.StartedBy != d.ID || task.Group != "service:web" {
			t.Errorf("task %+v", task)
		}
	}
	if len(zones) != 3 {
		t.Errorf("the tasks are in %v", zones)
	}
	begun := []string{"(service web) has started 3 tasks: (task ID) (task ID) (task ID).", "(service web) (deployment ID) deployment completed.", "(service web) has reached a steady state."}
	w.expectEvents(t, "web", begun...)

	w.change("web", func(s *state.Service) { s.Desired = 1 })
	w.run("web", forever)
	begun = append(begun, "(service web) has stopped 2 running tasks: (task ID) (task ID).", "(service web) has reached a steady state.")
	w.expectEvents(t, "web", begun...)
	for task := range store.Tasks.List(w.View(), scope, "c/") {
		if task.Desired == state.Stopped && (task.StopCode != types.TaskStopCodeServiceSchedulerInitiated || task.StoppedReason != "Scaling activity initiated by (deployment "+d.ID+")") {
			t.Errorf("%s: %s", task.StopCode, task.StoppedReason)
		}
	}

	w.write(func(tx *store.Tx) {
		task := w.tasks("web")[0].Clone()
		w.exit(task)
		store.Tasks.Put(tx, task)
	})
	w.run("web", forever)
	begun = append(begun, "(service web) has started 1 tasks: (task ID).", "(service web) has reached a steady state.")
	w.expectEvents(t, "web", begun...)

	w.change("web", func(s *state.Service) { s.Desired, s.Status = 0, draining })
	w.run("web", forever)
	if s := w.service("web"); s.Status != inactive || s.DeletedAt.IsZero() {
		t.Errorf("the service is %s", s.Status)
	}
}

func percents(least, most int32) func(*state.Service) {
	return func(s *state.Service) {
		s.Spec.V.DeploymentConfiguration = &types.DeploymentConfiguration{MinimumHealthyPercent: aws.Int32(least), MaximumPercent: aws.Int32(most)}
	}
}

// The limits are held at each step by world.hold.
func TestRolling(t *testing.T) {
	for _, c := range []struct {
		desired, least, most int32
		done                 bool
	}{
		{10, 100, 200, true}, {10, 50, 100, true}, {10, 0, 100, true}, {3, 50, 150, true}, {1, 100, 200, true}, {1, 0, 100, true}, {7, 80, 120, true}, {4, 100, 125, true},
		{1, 50, 100, false}, {3, 100, 100, false}, {3, 100, 120, false}, {7, 90, 110, false},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			w := newWorld(t, 3)
			w.create("web", good, c.desired, percents(c.least, c.most))
			w.run("web", forever)
			w.deploy("web", checks)
			w.run("web", forever)
			d := w.primary("web")
			if !c.done {
				if last := w.told("web"); d.Rollout != types.DeploymentRolloutStateInProgress || last[len(last)-1] != stuck("web") {
					t.Errorf("it is %s: %v", d.Rollout, last)
				}
				return
			}
			if d.Rollout != types.DeploymentRolloutStateCompleted || len(w.tasks("web")) != int(c.desired) {
				t.Errorf("it is %s with %d tasks", d.Rollout, len(w.tasks("web")))
			}
			for _, task := range w.tasks("web") {
				if task.Deployment != d.ID {
					t.Errorf("a task is of %s", task.Deployment)
				}
			}
			if old := w.deployments("web")[0]; old.Role != state.RoleInactive || old.Desired != 0 {
				t.Errorf("the old deployment is %+v", old)
			}
		})
	}
}

func breaker(rollback bool) func(*state.Service) {
	return func(s *state.Service) {
		s.Spec.V.DeploymentConfiguration = &types.DeploymentConfiguration{DeploymentCircuitBreaker: &types.DeploymentCircuitBreaker{Enable: true, Rollback: rollback}}
	}
}

func TestBreakerRollsBack(t *testing.T) {
	for _, does := range []string{crashes, missing, sick} {
		t.Run(does, func(t *testing.T) {
			w := newWorld(t, 3)
			w.create("web", good, 4, breaker(true))
			w.run("web", forever)
			first := w.primary("web")
			kept := w.tasks("web")
			w.deploy("web", does)
			bad := w.primary("web")
			w.run("web", forever)
			d := w.primary("web")
			if d.RollbackOf != bad.ID || d.Revision != first.Revision || d.Rollout != types.DeploymentRolloutStateCompleted {
				t.Fatalf("the deployment is %+v", d)
			}
			now := w.tasks("web")
			if len(now) != 4 {
				t.Fatalf("%d tasks", len(now))
			}
			for i, task := range now {
				if task.ID != kept[i].ID || task.Deployment != d.ID {
					t.Errorf("task %s of %s was not kept", task.ID, task.Deployment)
				}
			}
			if b, _ := store.Deployments.Get(w.View(), bad.Key()); b.Rollout != types.DeploymentRolloutStateFailed || b.RolloutReason != "ECS deployment circuit breaker: tasks failed to start." ||
				b.Status != types.ServiceDeploymentStatusRollbackSuccessful || b.RollbackRevision != first.Revision || b.Role != state.RoleInactive || b.FailedTasks < 3 {
				t.Errorf("the bad deployment is %+v", b)
			}
			told := strings.Join(w.told("web"), "\n")
			if !strings.Contains(told, "(service web) (deployment ID) deployment failed: tasks failed to start.\n(service web) rolling back to deployment ID.") {
				t.Errorf("the events are\n%s", told)
			}
			if !strings.HasSuffix(told, "(service web) (deployment ID) deployment completed.\n(service web) has reached a steady state.") {
				t.Errorf("the events are\n%s", told)
			}
		})
	}
}

func TestBreakerStops(t *testing.T) {
	w := newWorld(t, 3)
	w.create("web", missing, 2, breaker(false))
	w.run("web", forever)
	d := w.primary("web")
	if d.Rollout != types.DeploymentRolloutStateFailed || d.Status != types.ServiceDeploymentStatusStopped || d.Failed < 3 || len(w.tasks("web")) != 0 {
		t.Errorf("it is %+v", d)
	}
	// The next one begins anew.
	w.deploy("web", good)
	w.run("web", forever)
	if d := w.primary("web"); d.Rollout != types.DeploymentRolloutStateCompleted {
		t.Errorf("it is %+v", d)
	}
}

// Tasks that fail again and again are started ever more seldom, and one event says
// so.
func TestThrottle(t *testing.T) {
	w := newWorld(t, 3)
	w.create("web", crashes, 1, plain)
	w.run("web", time.Minute)
	began := w.now
	if w.service("web").Starts.Failed < 6 || w.wait < time.Minute || w.wait > 2*time.Minute+8*time.Second {
		t.Fatalf("it waits %v after %d", w.wait, w.service("web").Starts.Failed)
	}
	if n := strings.Count(strings.Join(w.told("web"), "\n"), "unable to consistently start tasks successfully"); n != 1 {
		t.Errorf("%d events say so", n)
	}
	for w.now.Sub(began) < 24*time.Hour {
		w.run("web", w.wait-1)
		w.now = w.now.Add(w.wait)
	}
	if w.service("web").Starts.Failed > 70 || w.wait < mostBackoff-time.Minute {
		t.Errorf("after a day %d tries, and a wait of %v", w.service("web").Starts.Failed, w.wait)
	}
	w.deploy("web", good)
	w.run("web", forever)
	if s := w.service("web"); s.Starts.Failed != 0 || s.SteadyAt.IsZero() {
		t.Errorf("%+v", s.Starts)
	}
}

func TestUnhealthyIsReplacedFirst(t *testing.T) {
	w := newWorld(t, 3)
	w.create("web", checks, 2, plain)
	w.run("web", forever)
	bad := w.tasks("web")[0]
	w.write(func(tx *store.Tx) {
		c := bad.Clone()
		c.Health = types.HealthStatusUnhealthy
		store.Tasks.Put(tx, c)
		w.does[bad.Revision] = good // whatever it was, it stays so
	})
	w.step("web")
	if n := len(w.tasks("web")); n != 3 {
		t.Fatalf("%d tasks, want the sick one and another in its place", n)
	}
	w.does[bad.Revision] = ""
	for range 3 {
		w.tick()
	}
	w.write(func(tx *store.Tx) {
		for _, task := range w.tasks("web") {
			if task.ID != bad.ID {
				c := task.Clone()
				c.Health = types.HealthStatusHealthy
				store.Tasks.Put(tx, c)
			}
		}
	})
	w.run("web", forever)
	got, _ := store.Tasks.Get(w.View(), bad.Key())
	if got.StoppedReason != "Task failed container health checks" || len(w.tasks("web")) != 2 {
		t.Errorf("it stopped for %q", got.StoppedReason)
	}
}

func TestNoRoom(t *testing.T) {
	w := newWorld(t, 1) // 16 vCPU, 64 tasks
	w.create("web", good, 70, plain)
	w.run("web", time.Second*10)
	if n := len(w.tasks("web")); n != 64 {
		t.Fatalf("%d tasks", n)
	}
	told := w.told("web")
	if last := told[len(told)-1]; !strings.HasPrefix(last, "(service web) was unable to place a task. Reason: Capacity is unavailable at this time.") {
		t.Errorf("the last event is %s", last)
	}
	for range 5 {
		w.now = w.now.Add(placeAgain)
		w.step("web")
	}
	if n := len(w.told("web")); n != len(told) {
		t.Errorf("it is said again: %v", w.told("web"))
	}
	w.write(func(tx *store.Tx) {
		n, _ := store.Nodes.Get(tx, state.Key{ID: "node0"})
		c := *n
		c.CPU, c.Memory = 2*c.CPU, 2*c.Memory
		store.Nodes.Put(tx, &c)
	})
	w.run("web", forever)
	if s := w.service("web"); len(w.tasks("web")) != 70 || s.SteadyAt.IsZero() || s.Unplaced != "" {
		t.Errorf("%d tasks", len(w.tasks("web")))
	}
}

func TestProtected(t *testing.T) {
	w := newWorld(t, 3)
	w.create("web", good, 3, plain)
	w.run("web", forever)
	safe := w.tasks("web")[1]
	w.write(func(tx *store.Tx) {
		c := safe.Clone()
		c.ProtectedUntil = w.now.Add(time.Hour)
		store.Tasks.Put(tx, c)
	})
	w.change("web", func(s *state.Service) { s.Desired = 1 })
	w.run("web", time.Minute)
	if all := w.tasks("web"); len(all) != 1 || all[0].ID != safe.ID {
		t.Fatalf("%d tasks", len(all))
	}
	w.deploy("web", good)
	w.run("web", time.Minute)
	if d := w.primary("web"); len(w.tasks("web")) != 2 || d.Rollout != types.DeploymentRolloutStateInProgress {
		t.Fatalf("%d tasks, %s", len(w.tasks("web")), d.Rollout)
	}
	w.run("web", 2*time.Hour)
	if d := w.primary("web"); len(w.tasks("web")) != 1 || d.Rollout != types.DeploymentRolloutStateCompleted {
		t.Fatalf("%d tasks, %s", len(w.tasks("web")), d.Rollout)
	}
}

func TestStopRequested(t *testing.T) {
	w := newWorld(t, 3)
	w.create("web", good, 3, plain)
	w.run("web", forever)
	first := w.primary("web")
	w.deploy("web", missing)
	bad := w.primary("web")
	w.run("web", time.Second)
	w.changeDeployment(bad, func(d *state.Deployment) { d.StopRequested = types.StopServiceDeploymentStopTypeAbort })
	w.run("web", forever)
	if d := w.primary("web"); d.ID != bad.ID || d.Status != types.ServiceDeploymentStatusStopped || len(w.tasks("web")) != 3 {
		t.Fatalf("%+v", d)
	}
	w.deploy("web", missing)
	bad = w.primary("web")
	w.run("web", time.Second)
	w.changeDeployment(bad, func(d *state.Deployment) { d.StopRequested = types.StopServiceDeploymentStopTypeRollback })
	w.run("web", forever)
	if d := w.primary("web"); d.RollbackOf != bad.ID || d.Revision != first.Revision || d.Rollout != types.DeploymentRolloutStateCompleted || len(w.tasks("web")) != 3 {
		t.Fatalf("%+v", d)
	}
}

func TestLostNode(t *testing.T) {
	w := newWorld(t, 4)
	w.create("web", good, 8, plain)
	w.run("web", forever)
	w.setNode("node1", state.NodeDown)
	w.run("web", forever)
	for _, task := range w.tasks("web") {
		if task.Node == "node1" {
			t.Errorf("task %s is on the node that is lost", task.ID)
		}
	}
	if s := w.service("web"); len(w.tasks("web")) != 8 || s.SteadyAt.IsZero() {
		t.Errorf("%d tasks run", len(w.tasks("web")))
	}
	w.setNode("node1", "READY")
	w.run("web", forever)
	if len(w.tasks("web")) != 8 {
		t.Errorf("%d tasks run", len(w.tasks("web")))
	}
}

func (w *world) setNode(id, status string) {
	w.write(func(tx *store.Tx) {
		n, _ := store.Nodes.Get(tx, state.Key{ID: id})
		c := *n
		c.Status = status
		store.Nodes.Put(tx, &c)
	})
}
