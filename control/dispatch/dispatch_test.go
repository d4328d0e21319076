package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"pgregory.net/rapid"

	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
	"github.com/berth/berth/store/memory"
)

var scope = state.Scope{Account: "123456789012", Region: "us-east-1"}

// node takes assignments as an agent does, and so knows what it has to run.
type node struct {
	got      chan state.Assignments
	tasks    map[string]state.Assignment
	networks map[string]state.VPCPlan
}

func newNode() *node {
	return &node{got: make(chan state.Assignments, 1000), tasks: map[string]state.Assignment{}, networks: map[string]state.VPCPlan{}}
}

func (n *node) Assign(ctx context.Context, a state.Assignments) error {
	n.got <- a
	return nil
}

func (n *node) take(a state.Assignments) {
	if a.Full {
		clear(n.tasks)
		clear(n.networks)
	}
	for _, t := range a.Tasks {
		n.tasks[t.Task.ID] = t
	}
	for _, id := range a.Gone {
		delete(n.tasks, id)
	}
	for _, p := range a.Networks {
		n.networks[p.VPC] = p
	}
}

// next takes the next assignments and says what is in them.
func (n *node) next(t *testing.T) string {
	t.Helper()
	select {
	case a := <-n.got:
		n.take(a)
		var s []string
		if a.Full {
			s = append(s, "full")
		}
		for _, t := range a.Tasks {
			s = append(s, fmt.Sprint("task:", t.Task.ID, "=", t.Task.Desired))
		}
		for _, id := range a.Gone {
			s = append(s, "gone:"+id)
		}
		for _, p := range a.Networks {
			s = append(s, fmt.Sprint("vpc:", p.VPC, "=", len(p.Groups), "+", len(p.Interfaces)))
		}
		return strings.Join(s, " ")
	case <-time.After(30 * time.Second):
		t.Fatal("the node is told nothing")
		panic("unreachable")
	}
}

// world is a store with two VPCs, a and b, in it.
type world struct {
	*store.Store
	d *Dispatch
}

func newWorld(tb interface {
	Fatal(...any)
	Cleanup(func())
}) *world {
	s, err := store.Open(context.Background(), memory.New())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	w := &world{s, New(s, time.Now, slog.New(slog.DiscardHandler))}
	w.write(func(tx *store.Tx) {
		for i, name := range []string{"a", "b"} {
			prefix := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), 0, 0}), 16)
			store.VPCs.Put(tx, &state.VPC{Scope: scope, ID: "vpc-" + name, Prefix: prefix})
			store.Subnets.Put(tx, &state.Subnet{Scope: scope, ID: "subnet-" + name, VPC: "vpc-" + name, Prefix: prefix})
			store.SecurityGroups.Put(tx, &state.SecurityGroup{Scope: scope, ID: "sg-" + name, VPC: "vpc-" + name})
		}
		def := &state.TaskDefinition{Scope: scope, Family: "f", Revision: 1}
		def.Spec.V.ContainerDefinitions = []types.ContainerDefinition{{Name: aws.String("main")}}
		store.TaskDefinitions.Put(tx, def)
	})
	return w
}

func (w *world) write(fn func(tx *store.Tx)) {
	if err := w.Update(context.Background(), func(tx *store.Tx) error { fn(tx); return nil }); err != nil {
		panic(err)
	}
}

// run places a task as RunTask does.
func (w *world) run(id, node, vpc string, host byte) {
	w.write(func(tx *store.Tx) {
		net := byte(0)
		if vpc == "b" {
			net = 1
		}
		eni := &state.ENI{
			Scope: scope, ID: "eni-" + id, VPC: "vpc-" + vpc, Subnet: "subnet-" + vpc, MAC: state.MAC("eni-" + id), Groups: []string{"sg-" + vpc},
			Address: netip.AddrFrom4([4]byte{10, net, 0, host}), Public: netip.AddrFrom4([4]byte{127, 9, net, host}), Node: node, TaskID: id,
		}
		store.ENIs.Put(tx, eni)
		store.Addresses.Put(tx, &state.Address{Scope: scope, Space: eni.VPC, Addr: eni.Address, ENI: eni.ID})
		store.Addresses.Put(tx, &state.Address{Space: "public", Addr: eni.Public, ENI: eni.ID})
		store.Tasks.Put(tx, &state.Task{
			Scope: scope, Cluster: "c", ID: id, Family: "f", Revision: 1, Node: node, ENI: eni.ID, Desired: state.Running, Last: state.Provisioning,
			Interface: state.Interface{ENI: eni.ID, VPC: eni.VPC, Subnet: eni.Subnet, Address: eni.Address}, Containers: []state.Container{{Name: "main"}},
		})
	})
}

func (w *world) change(id string, fn func(t *state.Task)) {
	w.write(func(tx *store.Tx) {
		if t, ok := store.Tasks.Get(tx, scope.Key("c/"+id)); ok {
			t = t.Clone()
			fn(t)
			store.Tasks.Put(tx, t)
		}
	})
}

func (w *world) stop(id string) {
	w.change(id, func(t *state.Task) { t.Stop(types.TaskStopCodeUserInitiated, "", time.Now()) })
}

func (w *world) report(r ...state.TaskReport) {
	if err := w.d.Report(context.Background(), r); err != nil {
		panic(err)
	}
}

func report(id string, s state.TaskState) state.TaskReport {
	return state.TaskReport{Scope: scope, Cluster: "c", TaskID: id, State: s, Containers: []state.ContainerReport{{Name: "main", Last: min(s, state.Stopped)}}}
}

func (w *world) connect(t *testing.T, id string) *node {
	t.Helper()
	n := newNode()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- w.d.Connect(ctx, id, n) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Connect returned %v", err)
		}
	})
	return n
}

func TestConnect(t *testing.T) {
	w := newWorld(t)
	w.run("1", "n1", "a", 1)
	w.run("2", "n2", "a", 2)
	w.run("3", "n1", "b", 3)
	w.report(report("3", state.Stopped))
	n := w.connect(t, "n1")
	expect := func(want string) {
		t.Helper()
		if got := n.next(t); got != want {
			t.Fatalf("the node is told %q, want %q", got, want)
		}
	}
	expect("full task:1=RUNNING vpc:vpc-a=1+2")
	if got := n.tasks["1"]; len(got.Definition.V.ContainerDefinitions) != 1 || got.Interface.ENI != "eni-1" || got.Task.Family != "f" {
		t.Errorf("task 1 is %+v", got)
	}
	if got := n.networks["vpc-a"]; got.Prefixes[0].String() != "10.0.0.0/16" || got.Interfaces[1].Subnet.String() != "10.0.0.0/16" || got.Interfaces[1].Node != "n2" {
		t.Errorf("VPC a is %+v", got)
	}
	w.run("4", "n1", "b", 4)
	expect("task:4=RUNNING vpc:vpc-b=1+1")
	w.run("5", "n2", "a", 5)
	expect("vpc:vpc-a=1+3") // a neighbour that its groups may name
	w.stop("1")
	expect("task:1=STOPPED")
	w.stop("1")
	w.report(report("1", state.Stopping))
	w.report(report("1", state.Stopped))
	expect("gone:1 vpc:vpc-a=1+2")
	w.write(func(tx *store.Tx) {
		store.SecurityGroups.Put(tx, &state.SecurityGroup{Scope: scope, ID: "sg-a", VPC: "vpc-a", Tags: []state.Tag{{Key: "k", Value: "v"}}})
	})
	w.write(func(tx *store.Tx) { // the tags told nothing
		store.SecurityGroups.Put(tx, &state.SecurityGroup{Scope: scope, ID: "sg-a2", VPC: "vpc-a"})
	})
	expect("vpc:vpc-a=2+2")
	w.write(func(tx *store.Tx) { store.Tasks.Delete(tx, scope.Key("c/1")) }) // by the reaper, later
	w.write(func(tx *store.Tx) { store.Tasks.Delete(tx, scope.Key("c/4")) })
	expect("gone:4")
}

// A task whose definition is gone is assigned, so that its node can say so.
func TestNoDefinition(t *testing.T) {
	w := newWorld(t)
	w.run("1", "n1", "a", 1)
	w.write(func(tx *store.Tx) { store.TaskDefinitions.Delete(tx, scope.Key(state.RevisionID("f", 1))) })
	n := w.connect(t, "n1")
	if got := n.next(t); got != "full task:1=RUNNING vpc:vpc-a=1+1" {
		t.Errorf("the node is told %q", got)
	}
}

func TestReport(t *testing.T) {
	w := newWorld(t)
	w.run("1", "n1", "a", 1)
	w.run("2", "n1", "a", 2)
	attached := time.Now().Add(time.Second)
	up := report("1", state.Running)
	up.ConnectivityAt = attached
	w.report(up, report("2", state.Pending), report("nobody", state.Running))
	v := w.View()
	if eni, ok := store.ENIs.Get(v, scope.Key("eni-1")); !ok || !eni.AttachedAt.Equal(attached) {
		t.Errorf("the interface is %+v", eni)
	}
	if got, _ := store.Tasks.Get(v, scope.Key("c/2")); got.Last != state.Pending {
		t.Errorf("task 2 is %v", got.Last)
	}
	rev := w.View().Revision()
	w.report(up, report("2", state.Provisioning))
	if w.View().Revision() != rev {
		t.Error("reports that say nothing new were written")
	}
	w.report(report("1", state.Stopped), report("1", state.Running))
	v = w.View()
	if got, _ := store.Tasks.Get(v, scope.Key("c/1")); got.Last != state.Stopped || got.StoppedAt.IsZero() {
		t.Errorf("task 1 is %+v", got)
	}
	if _, ok := store.ENIs.Get(v, scope.Key("eni-1")); ok {
		t.Error("a stopped task's interface is there")
	}
	var held []string
	for a := range store.Addresses.All(v) {
		held = append(held, a.Addr.String())
	}
	slices.Sort(held)
	if want := []string{"10.0.0.2", "127.9.0.2"}; !slices.Equal(held, want) {
		t.Errorf("held are %v, want %v", held, want)
	}
}

// However the world changes while a node is connected, it ends up knowing what a
// node would be told that connects then.
func TestChangesAddUp(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(rt)
		n := newNode()
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- w.d.Connect(ctx, "n1", n) }()
		defer func() { cancel(); <-ended }()
		runs := 0
		for range rapid.IntRange(1, 25).Draw(rt, "changes") {
			some := fmt.Sprint(rapid.IntRange(0, max(runs-1, 0)).Draw(rt, "some"))
			switch rapid.IntRange(0, 5).Draw(rt, "what") {
			case 0, 1:
				w.run(fmt.Sprint(runs), rapid.SampledFrom([]string{"n1", "n2"}).Draw(rt, "node"), rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "vpc"), byte(runs))
				runs++
			case 2:
				w.stop(some)
			case 3:
				w.report(report(some, state.TaskState(rapid.IntRange(1, 8).Draw(rt, "state"))))
			case 4:
				port := int32(rapid.IntRange(1, 100).Draw(rt, "port"))
				vpc := rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "vpc")
				w.write(func(tx *store.Tx) {
					store.SecurityGroups.Put(tx, &state.SecurityGroup{Scope: scope, ID: "sg-" + vpc, VPC: "vpc-" + vpc, Rules: []state.SecurityGroupRule{
						{Protocol: "tcp", FromPort: port, ToPort: port, IPv4: "0.0.0.0/0"},
					}})
				})
			case 5:
				w.write(func(tx *store.Tx) {
					if t, ok := store.Tasks.Get(tx, scope.Key("c/"+some)); ok && t.Last == state.Stopped {
						store.Tasks.Delete(tx, t.Key())
					}
				})
			}
		}
		w.run("last", "n1", "a", 255)
		for n.tasks["last"].Task.ID == "" {
			select {
			case a := <-n.got:
				n.take(a)
			case <-time.After(30 * time.Second):
				rt.Fatal("the node is not told of the last task")
			}
		}
		want := newNode()
		want.take(w.d.full(w.View(), "n1", map[string]bool{}))
		for id, a := range want.tasks {
			if got, ok := n.tasks[id]; !ok || got.Task.Desired != a.Task.Desired || !reflect.DeepEqual(got.Interface, a.Interface) {
				rt.Fatalf("of task %s the node knows %+v, want %+v", id, got, a)
			}
		}
		if len(n.tasks) != len(want.tasks) {
			rt.Fatalf("the node has %d tasks, want %d", len(n.tasks), len(want.tasks))
		}
		for id, p := range want.networks {
			if got := n.networks[id]; !reflect.DeepEqual(got, p) {
				rt.Fatalf("of %s the node knows %+v, want %+v", id, got, p)
			}
		}
	})
}

func TestRulePlan(t *testing.T) {
	prefix := netip.MustParsePrefix
	for _, c := range []struct {
		rule state.SecurityGroupRule
		want state.RulePlan
		ok   bool
	}{
		{state.SecurityGroupRule{Protocol: "tcp", FromPort: 80, ToPort: 90, IPv4: "10.1.2.3/8"}, state.RulePlan{Protocol: 6, From: 80, To: 90, Prefix: prefix("10.0.0.0/8")}, true},
		{state.SecurityGroupRule{Protocol: "udp", FromPort: 53, ToPort: 53, Group: "sg-1"}, state.RulePlan{Protocol: 17, From: 53, To: 53, Group: "sg-1"}, true},
		{state.SecurityGroupRule{Protocol: "icmp", FromPort: 8, ToPort: -1, IPv4: "0.0.0.0/0"}, state.RulePlan{Protocol: 1, From: 8, To: -1, Prefix: prefix("0.0.0.0/0")}, true},
		{state.SecurityGroupRule{Protocol: "icmpv6", FromPort: -1, ToPort: -1, IPv6: "::/0"}, state.RulePlan{Protocol: 58, From: -1, To: -1, Prefix: prefix("::/0")}, true},
		{state.SecurityGroupRule{Protocol: "-1", IPv4: "10.0.0.0/8"}, state.RulePlan{Protocol: -1, From: -1, To: -1, Prefix: prefix("10.0.0.0/8")}, true},
		{state.SecurityGroupRule{Protocol: "50", FromPort: 1, ToPort: 2, IPv4: "10.0.0.0/8"}, state.RulePlan{Protocol: 50, From: -1, To: -1, Prefix: prefix("10.0.0.0/8")}, true},
		{state.SecurityGroupRule{Protocol: "6", FromPort: 1, ToPort: 2, IPv4: "10.0.0.0/8"}, state.RulePlan{Protocol: 6, From: 1, To: 2, Prefix: prefix("10.0.0.0/8")}, true},
		{state.SecurityGroupRule{Protocol: "tcp", FromPort: 1, ToPort: 2}, state.RulePlan{}, false},
		{state.SecurityGroupRule{Protocol: "smoke", IPv4: "10.0.0.0/8"}, state.RulePlan{}, false},
	} {
		got, ok := rulePlan(c.rule)
		if ok != c.ok || ok && got != c.want {
			t.Errorf("%+v became %+v, %v, want %+v", c.rule, got, ok, c.want)
		}
	}
}
