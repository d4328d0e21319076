package services

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/internal/id"
	"github.com/berth/berth/launch"
	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
	"github.com/berth/berth/store/memory"
)

var scope = state.Scope{Account: "123456789012", Region: "us-east-1"}

// What tasks of a revision do.
const (
	good    = "good"
	crashes = "crashes" // ends at once
	missing = "missing" // its image can't be pulled
	sick    = "sick"    // becomes UNHEALTHY
	checks  = "checks"  // has a health check, and passes it
)

// world is a store with a cluster, nodes that run tasks a state a tick, and a
// clock that moves only when it is told to.
type world struct {
	*store.Store
	t     fataler
	l     *Loop
	now   time.Time
	does  map[int32]string // by revision of the definition
	count int              // of records made, for their IDs
	wait  time.Duration    // what the last step asked for
}

// fataler is what testing.T and rapid.T have in common.
type fataler interface {
	Fatalf(string, ...any)
	Cleanup(func())
}

func newWorld(t fataler, nodes int) *world {
	s, err := store.Open(context.Background(), memory.New())
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() { s.Close() })
	w := &world{Store: s, t: t, now: time.Unix(1_700_000_000, 0).UTC(), does: map[int32]string{}}
	clock := func() time.Time { return w.now }
	w.l = New(s, &launch.Launcher{PublicPool: netip.MustParsePrefix("127.9.0.0/16"), Now: clock}, clock)
	w.write(func(tx *store.Tx) {
		store.Clusters.Put(tx, &state.Cluster{Scope: scope, Name: "c", Status: "ACTIVE"})
		store.VPCs.Put(tx, &state.VPC{Scope: scope, ID: "vpc-1", Prefix: netip.MustParsePrefix("10.0.0.0/8")})
		store.SecurityGroups.Put(tx, &state.SecurityGroup{Scope: scope, ID: "sg-1", VPC: "vpc-1", Name: "default"})
		for i := range 3 {
			zone := fmt.Sprintf("us-east-1%c", 'a'+i)
			store.Subnets.Put(tx, &state.Subnet{Scope: scope, ID: "subnet-" + zone, VPC: "vpc-1", Zone: zone, Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), 0, 0}), 16)})
		}
		for i := range nodes {
			zone := fmt.Sprintf("us-east-1%c", 'a'+i%3)
			n := &state.Node{ID: fmt.Sprintf("node%d", i), Zones: []string{zone}, Arch: "X86_64", CPU: 16384, Memory: 65536, CPUOvercommit: 1, MemoryOvercommit: 1, Status: "READY"}
			store.Nodes.Put(tx, n)
		}
	})
	return w
}

func (w *world) write(fn func(tx *store.Tx)) {
	if err := w.Update(context.Background(), func(tx *store.Tx) error { fn(tx); return nil }); err != nil {
		w.t.Fatalf("%v", err)
	}
}

// revision makes a revision whose tasks do something.
func (w *world) revision(tx *store.Tx, service, does string, on types.LaunchType) *state.ServiceRevision {
	w.count++
	n := int32(w.count)
	w.does[n] = does
	d := &state.TaskDefinition{Scope: scope, Family: "app", Revision: n}
	d.Spec.V.NetworkMode = types.NetworkModeAwsvpc
	if on != types.LaunchTypeFargate {
		d.Spec.V.NetworkMode = types.NetworkModeHost
	}
	c := types.ContainerDefinition{Name: aws.String("main"), Essential: aws.Bool(true), Cpu: 256, Memory: aws.Int32(512)}
	if does == sick || does == checks {
		c.HealthCheck = &types.HealthCheck{Command: []string{"true"}}
	}
	d.Spec.V.ContainerDefinitions = []types.ContainerDefinition{c}
	store.TaskDefinitions.Put(tx, d)
	r := &state.ServiceRevision{Scope: scope, Cluster: "c", Service: service, ID: fmt.Sprintf("%020d", w.count), Family: "app", Revision: n, LaunchType: on, CPU: 256, Memory: 512, CreatedAt: w.now}
	r.Spec.V.TaskDefinition = aws.String(d.ARN())
	if on == types.LaunchTypeFargate {
		r.Spec.V.NetworkConfiguration = &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{Subnets: []string{"subnet-us-east-1a", "subnet-us-east-1b", "subnet-us-east-1c"}}}
	}
	store.Revisions.Put(tx, r)
	return r
}

// create makes a service as CreateService does.
func (w *world) create(name, does string, desired int32, set func(*state.Service)) {
	w.write(func(tx *store.Tx) {
		s := &state.Service{Scope: scope, Cluster: "c", Name: name, Desired: desired, Status: active, CreatedAt: w.now}
		s.Spec.V.LaunchType = types.LaunchTypeFargate
		s.Spec.V.DeploymentConfiguration = &types.DeploymentConfiguration{}
		set(s)
		store.Services.Put(tx, s)
		if c := s.Spec.V.DeploymentController; c == nil || c.Type == types.DeploymentControllerTypeEcs {
			w.deployIn(tx, s, does)
		}
	})
}

// deploy updates a service to a new revision as UpdateService does.
func (w *world) deploy(name, does string) {
	w.write(func(tx *store.Tx) {
		s, _ := store.Services.Get(tx, scope.Key("c/"+name))
		c := *s
		w.deployIn(tx, &c, does)
	})
}

func (w *world) deployIn(tx *store.Tx, s *state.Service, does string) {
	r := w.revision(tx, s.Name, does, s.Spec.V.LaunchType)
	d := &state.Deployment{
		Scope: scope, Cluster: "c", Service: s.Name, ID: "ecs-svc/" + id.Digits(19), Number: fmt.Sprintf("%020d", w.count), Revision: r.ID, Role: state.RolePrimary,
		Status: types.ServiceDeploymentStatusPending, CreatedAt: w.now.Add(time.Duration(w.count)), UpdatedAt: w.now,
	}
	d.Config.V = *s.Spec.V.DeploymentConfiguration
	s.Deployment = d.ID
	store.Deployments.Put(tx, d)
	store.Services.Put(tx, s)
}

// change changes a service's record as an API does.
func (w *world) change(name string, fn func(s *state.Service)) {
	w.write(func(tx *store.Tx) {
		s, _ := store.Services.Get(tx, scope.Key("c/"+name))
		c := *s
		fn(&c)
		store.Services.Put(tx, &c)
	})
}

func (w *world) service(name string) *state.Service {
	s, ok := store.Services.Get(w.View(), scope.Key("c/"+name))
	if !ok {
		w.t.Fatalf("no service %s", name)
	}
	return s
}

// primary is the service's primary deployment.
func (w *world) primary(name string) *state.Deployment {
	for d := range store.Deployments.List(w.View(), scope, "c/"+name+"/") {
		if d.ID == w.service(name).Deployment {
			return d
		}
	}
	w.t.Fatalf("service %s has no primary deployment", name)
	return nil
}

func (w *world) changeDeployment(d *state.Deployment, fn func(*state.Deployment)) {
	w.write(func(tx *store.Tx) {
		d, _ := store.Deployments.Get(tx, d.Key())
		c := *d
		c.Hooks = slices.Clone(d.Hooks)
		fn(&c)
		store.Deployments.Put(tx, &c)
	})
}

func (w *world) deployments(name string) []*state.Deployment {
	all := slices.Collect(store.Deployments.List(w.View(), scope, "c/"+name+"/"))
	slices.SortFunc(all, func(a, b *state.Deployment) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return all
}

// tasks are a service's that are to run, and have not ended.
func (w *world) tasks(name string) []*state.Task {
	var out []*state.Task
	for t := range store.Tasks.List(w.View(), scope, "c/") {
		if t.Service == name && t.Desired == state.Running && t.Last < state.Stopped {
			out = append(out, t)
		}
	}
	return out
}

// events are a service's, oldest first.
func (w *world) events(name string) []string {
	var out []string
	next := int64(0)
	for e := range store.ServiceEvents.List(w.View(), scope, "c/"+name+"/") {
		if next != 0 && e.Number != next {
			w.t.Fatalf("event %d of %s is missing", next, name)
		}
		next = e.Number + 1
		out = append(out, e.Message)
	}
	if last := w.service(name).LastEvent; last != max(next-1, 0) || int64(len(out)) != min(last, keptEvents) {
		w.t.Fatalf("service %s has %d events, the last is %d, which of %d", name, len(out), next-1, last)
	}
	return out
}

// step takes one step of a service, and holds it to the limits.
func (w *world) step(name string) {
	before := w.tally(name)
	wait, err := w.l.Step(context.Background(), scope.Account+" "+scope.Region+" c/"+name)
	if err != nil {
		w.t.Fatalf("step: %v", err)
	}
	w.wait = wait
	w.hold(name, before, w.tally(name))
	w.events(name)
}

// counts are a service's tasks as those see them who use it.
type counts struct {
	up, all int // RUNNING and to stay, RUNNING or on the way there
	made    int
	drains  bool
}

func (w *world) tally(name string) counts {
	var c counts
	v := w.View()
	s, _ := store.Services.Get(v, scope.Key("c/"+name))
	c.drains = s.Status != active
	for t := range store.Tasks.List(v, scope, "c/") {
		if t.Service != name {
			continue
		}
		c.made++
		if n, _ := store.Nodes.Get(v, state.Key{ID: t.Node}); n.Status == state.NodeDown || t.Last > state.Running {
			continue
		}
		c.all++
		if up(t) && t.Desired == state.Running {
			c.up++
		}
	}
	return c
}

// hold fails when a step has left the limits by its own act.
func (w *world) hold(name string, before, after counts) {
	s := w.service(name)
	if after.drains || s.Spec.V.DeploymentController != nil {
		return
	}
	p := &picture{service: s}
	d := w.primary(name)
	l := p.limits(p.config(d), int(s.Desired))
	if strategy(d) != types.DeploymentStrategyRolling {
		l = limits{int(s.Desired), 2*int(s.Desired) + 1}
	}
	if after.up < before.up && after.up < l.least && !p.daemon() {
		w.t.Fatalf("a step left %d of %d tasks RUNNING, of %d desired: the least is %d", after.up, before.up, s.Desired, l.least)
	}
	if after.made > before.made && after.all > l.most {
		w.t.Fatalf("a step started %d tasks to %d, of %d desired: the most is %d", after.made-before.made, after.all, s.Desired, l.most)
	}
}

// tick lets each node do one thing for each of its tasks, and reports whether there
// was anything to do.
func (w *world) tick() bool {
	busy := false
	w.write(func(tx *store.Tx) {
		for t := range store.Tasks.List(tx, scope, "c/") {
			if n, _ := store.Nodes.Get(tx, state.Key{ID: t.Node}); n.Status == state.NodeDown || t.Last == state.Stopped {
				continue
			}
			c := t.Clone()
			w.move(tx, c)
			if c.Last != t.Last || c.Health != t.Health || c.Desired != t.Desired {
				busy = true
				store.Tasks.Put(tx, c)
			}
		}
	})
	return busy
}

func (w *world) move(tx *store.Tx, t *state.Task) {
	to := func(s state.TaskState) {
		if err := t.To(s, w.now); err != nil {
			w.t.Fatalf("%v", err)
		}
		if s == state.Stopped && t.ENI != "" {
			for _, a := range []state.Address{{Scope: scope, Space: "vpc-1", Addr: t.Interface.Address}} {
				store.Addresses.Delete(tx, a.Key())
			}
			store.ENIs.Delete(tx, scope.Key(t.ENI))
		}
	}
	does := w.does[t.Revision]
	switch {
	case t.Desired == state.Stopped && t.Last <= state.Running:
		to(state.Stopping)
	case t.Desired == state.Stopped:
		to(state.Stopped)
	case t.Last < state.Pending:
		to(state.Pending)
	case t.Last < state.Running && does == missing:
		t.Stop(types.TaskStopCodeTaskFailedToStart, "CannotPullContainerError: no such image", w.now)
		to(state.Stopped)
	case t.Last < state.Running:
		to(state.Running)
	case does == crashes:
		w.exit(t)
	case does == sick:
		t.Health = types.HealthStatusUnhealthy
	case does == checks:
		t.Health = types.HealthStatusHealthy
	}
}

func (w *world) exit(t *state.Task) {
	t.Stop(types.TaskStopCodeEssentialContainerExited, "Essential container in task exited", w.now)
	t.ExecutionStoppedAt = w.now
}

// run lets everything happen until nothing is left to do but to wait for longer
// than patience. It fails when that takes too many steps.
func (w *world) run(name string, patience time.Duration) {
	for range 600 {
		before := w.View().Revision()
		w.step(name)
		busy := w.tick()
		if busy || w.View().Revision() != before {
			w.now = w.now.Add(100 * time.Millisecond)
			continue
		}
		if w.wait == 0 || w.wait > patience {
			return
		}
		w.now = w.now.Add(w.wait)
	}
	w.t.Fatalf("it never comes to rest; last events: %s", strings.Join(w.events(name), "\n"))
}

// forever is a patience for all waits of deployments.
const forever = time.Hour
