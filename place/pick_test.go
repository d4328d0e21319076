package place

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"pgregory.net/rapid"

	"github.com/berth/berth/place/query"
	"github.com/berth/berth/state"
)

func parsed(t interface{ Fatal(...any) }, text string) *query.Expr {
	x, err := query.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestMiss(t *testing.T) {
	small := Demand{CPU: 100, Memory: 100, Arch: "X86_64", Group: "family:f"}
	with := func(change func(*Demand)) Demand {
		d := small
		change(&d)
		return d
	}
	big := func(change func(*state.ContainerInstance)) *state.ContainerInstance {
		i := instance("a", 1000, 1000, attribute("rack", "7"))
		change(i)
		return i
	}
	plain := big(func(*state.ContainerInstance) {})
	for _, c := range []struct {
		name     string
		demand   Demand
		instance *state.ContainerInstance
		tasks    []*state.Task
		want     string
	}{
		{"fits", small, instance("a", 100, 100), nil, ""},
		{"draining", small, big(func(i *state.ContainerInstance) { i.Status = types.ContainerInstanceStatusDraining }), nil, NotActive},
		{"not connected", small, big(func(i *state.ContainerInstance) { i.Connected = false }), nil, NoAgent},
		{"architecture", with(func(d *Demand) { d.Arch = "ARM64" }), plain, nil, NoAttribute},
		{"attribute that it lacks", with(func(d *Demand) { d.Attributes = []types.Attribute{{Name: aws.String("row")}} }), plain, nil, NoAttribute},
		{"attribute", with(func(d *Demand) { d.Attributes = []types.Attribute{{Name: aws.String("rack")}} }), plain, nil, ""},
		{"attribute's value", with(func(d *Demand) { d.Attributes = []types.Attribute{attribute("rack", "7")} }), plain, nil, ""},
		{"attribute's other value", with(func(d *Demand) { d.Attributes = []types.Attribute{attribute("rack", "8")} }), plain, nil, NoAttribute},
		{"member", with(func(d *Demand) {
			d.Members = []*query.Expr{parsed(t, "attribute:rack > 6"), parsed(t, "runningTasksCount == 0 or task:group != x")}
		}), plain, nil, ""},
		{"no member by its attributes", with(func(d *Demand) { d.Members = []*query.Expr{parsed(t, "attribute:rack in [1, 2]")} }), plain, nil, NotMember},
		{"no member by its tasks", with(func(d *Demand) { d.Members = []*query.Expr{parsed(t, "runningTasksCount < 1")} }), plain, []*state.Task{task("1", "a", 1, 1)}, NotMember},
		{"no subnet's zone", with(func(d *Demand) { d.Zones = []string{"us-east-1b"} }), plain, nil, NoLocation},
		{"CPU", small, plain, []*state.Task{task("1", "a", 901, 1)}, NoCPU},
		{"memory", small, plain, []*state.Task{task("1", "a", 1, 901)}, NoMemory},
		{"port", with(func(d *Demand) { d.Ports = []state.PortBinding{tcp(80)} }), plain, []*state.Task{task("1", "a", 1, 1, tcp(80))}, NoPorts},
		{"port of the other protocol", with(func(d *Demand) {
			d.Ports = []state.PortBinding{{Protocol: types.TransportProtocolUdp, HostPort: 80, Count: 1}}
		}), plain, []*state.Task{task("1", "a", 1, 1, tcp(80))}, ""},
		{"the same port twice", with(func(d *Demand) { d.Ports = []state.PortBinding{tcp(80), tcp(80)} }), plain, nil, NoPorts},
		{"reserved port", with(func(d *Demand) { d.Ports = []state.PortBinding{tcp(80)} }), big(func(i *state.ContainerInstance) { i.TCPPorts = []int32{80} }), nil, NoPorts},
		{"GPU", with(func(d *Demand) { d.GPUs = 2 }), big(func(i *state.ContainerInstance) { i.GPUs = []string{"g0", "g1"} }),
			[]*state.Task{{Cluster: "c", ID: "1", Node: "a", ContainerInstance: "a", Containers: []state.Container{{GPUs: []string{"g0"}}}}}, NoGPU},
		{"free GPU", with(func(d *Demand) { d.GPUs = 1 }), big(func(i *state.ContainerInstance) { i.GPUs = []string{"g0", "g1"} }),
			[]*state.Task{{Cluster: "c", ID: "1", Node: "a", ContainerInstance: "a", Containers: []state.Container{{GPUs: []string{"g0"}}}}}, ""},
		{"distinct", with(func(d *Demand) { d.Distinct = true }), plain, []*state.Task{task("1", "a", 1, 1)}, NotDistinct},
		{"a stopped task has nothing", with(func(d *Demand) { d.Distinct = true }), plain, []*state.Task{{Cluster: "c", ID: "1", Node: "a", ContainerInstance: "a", Group: "family:f", Last: state.Stopped, CPU: 1000}}, ""},
		{"another cluster's task", with(func(d *Demand) { d.Distinct = true }), plain, []*state.Task{{Cluster: "d", ID: "1", Node: "a", ContainerInstance: "b", Group: "family:f", Last: state.Running, CPU: 900}}, ""},
		{"another cluster's task takes room", small, plain, []*state.Task{{Cluster: "d", ID: "1", Node: "a", ContainerInstance: "b", Last: state.Running, CPU: 901}}, NoCPU},
		{"Fargate's task takes none", small, plain, []*state.Task{{Cluster: "c", ID: "1", Node: "a", Last: state.Running, CPU: 901}}, ""},
	} {
		offer, no := index([]*state.ContainerInstance{c.instance}, c.tasks...).PickInstance(cluster, &c.demand)
		switch {
		case c.want == "" && offer == nil, c.want != "" && (no == nil || no.Code() != c.want || no.Missed[0].Code != c.want || no.Nodes != 1):
			t.Errorf("%s: %v, %v; want %q", c.name, offer, no, c.want)
		}
	}
	if _, no := index(nil).PickInstance(cluster, &small); no == nil || no.String() != "the cluster has no container instance" {
		t.Errorf("an empty cluster: %v", no)
	}
}

func TestStrategies(t *testing.T) {
	instances := []*state.ContainerInstance{instance("a", 1000, 1000, zone("1a")), instance("b", 1000, 1000, zone("1a")), instance("c", 1000, 1000, zone("1b"))}
	other := task("5", "a", 1, 1)
	other.Group = "service:other"
	x := index(instances, task("1", "a", 100, 500), other, task("2", "b", 500, 100), task("3", "c", 1, 1), task("4", "c", 1, 1))
	for _, c := range []struct {
		strategy []types.PlacementStrategy
		want     string
	}{
		{nil, "b"},
		{[]types.PlacementStrategy{binpack("memory")}, "a"},
		{[]types.PlacementStrategy{binpack("CPU")}, "b"},
		{[]types.PlacementStrategy{spreadOver("instanceId")}, "b"}, // one task of the group, as a has; a has one more
		{[]types.PlacementStrategy{spreadOver("host"), binpack("memory")}, "a"},
		{[]types.PlacementStrategy{spreadOver("attribute:ecs.availability-zone")}, "b"}, // two tasks on both sides: the one with the fewest
		{[]types.PlacementStrategy{spreadOver("attribute:ecs.availability-zone"), binpack("memory")}, "a"},
		{[]types.PlacementStrategy{spreadOver("attribute:none"), binpack("memory")}, "a"},
	} {
		best, no := x.PickInstance(cluster, &Demand{CPU: 1, Memory: 1, Strategy: c.strategy, Group: "family:f"})
		if best == nil || best.Instance.ID != c.want {
			t.Errorf("%v: %v, %v, want %s", c.strategy, best, no, c.want)
		}
	}
	drawn := map[string]int{}
	for seed := range uint64(300) {
		best, _ := x.PickInstance(cluster, &Demand{CPU: 1, Memory: 1, Strategy: []types.PlacementStrategy{random}, Seed: seed})
		drawn[best.Instance.ID]++
	}
	for _, id := range []string{"a", "b", "c"} {
		if drawn[id] < 60 {
			t.Errorf("random gave %v", drawn)
		}
	}
}

// reference picks as the strategies are described, by a look at each instance.
func reference(all []*Offer, d *Demand) *Offer {
	var fit []*Offer
	for _, o := range all {
		if code, _ := o.Miss(d); code == "" && (d.Provider == "" || d.Provider == o.Instance.CapacityProvider) {
			fit = append(fit, o)
		}
	}
	packed := false
	for _, s := range d.Strategy {
		field := aws.ToString(s.Field)
		fit = least(fit, func(o *Offer) int64 {
			cpu, memory := o.Free()
			switch {
			case s.Type == types.PlacementStrategyTypeBinpack && field == "cpu":
				packed = true
				return cpu
			case s.Type == types.PlacementStrategyTypeBinpack:
				packed = true
				return memory
			case field == "instanceId":
				return int64(o.Of(d.Group))
			}
			name, tasks := strings.TrimPrefix(field, "attribute:"), 0
			for _, p := range all {
				if Attribute(p.Instance, name) == Attribute(o.Instance, name) {
					tasks += p.Of(d.Group)
				}
			}
			return int64(tasks)
		})
	}
	if packed {
		fit = least(fit, func(o *Offer) int64 { _, memory := o.Free(); return memory })
		fit = least(fit, func(o *Offer) int64 { cpu, _ := o.Free(); return cpu })
	}
	if len(fit) == 0 {
		return nil
	}
	return slices.MinFunc(fit, func(a, b *Offer) int { return cmp.Or(a.Tasks-b.Tasks, strings.Compare(a.Instance.ID, b.Instance.ID)) })
}

func least(all []*Offer, by func(*Offer) int64) []*Offer {
	var kept []*Offer
	for _, o := range all {
		switch {
		case len(kept) == 0 || by(o) < by(kept[0]):
			kept = []*Offer{o}
		case by(o) == by(kept[0]):
			kept = append(kept, o)
		}
	}
	return kept
}

// Whatever comes and goes, each decision is the one that a look at all instances
// gives; no instance gives more than it has, no port has two tasks; and the index
// is what one made anew of the same records is.
func TestDecisionsAreExact(t *testing.T) {
	strategies := []types.PlacementStrategy{
		binpack("cpu"), binpack("memory"), spreadOver("instanceId"), spreadOver("attribute:rack"), spreadOver("attribute:ecs.availability-zone"),
	}
	texts := []string{"attribute:rack != r1", "runningTasksCount < 3", "task:group != g2", "not task:group == g0 or attribute:rack == r0", "pendingTasksCount == 0"}
	rapid.Check(t, func(t *rapid.T) {
		nodes, instances, tasks := map[string]*state.Node{}, map[string]*state.ContainerInstance{}, map[string]*state.Task{}
		x := NewIndex(func(func(*state.Node) bool) {}, func(func(*state.ContainerInstance) bool) {}, func(func(*state.Task) bool) {})
		register := func(k int) {
			id := fmt.Sprintf("i%d", k)
			n := node(id, 1000, 1000)
			if old, ok := nodes[id]; ok {
				n.Status = rapid.SampledFrom([]string{ready, ready, "DOWN"}).Draw(t, "status")
				x = x.Change(old, n)
			} else {
				x = x.Change(nil, n)
			}
			nodes[id] = n
			i := instance(id, rapid.SampledFrom([]int32{600, 1000, 1000}).Draw(t, "cpu"), rapid.SampledFrom([]int32{700, 1000}).Draw(t, "memory"),
				attribute("rack", rapid.SampledFrom([]string{"r0", "r1"}).Draw(t, "rack")), zone(rapid.SampledFrom([]string{"za", "zb", "zc"}).Draw(t, "zone")))
			i.Status = rapid.SampledFrom([]types.ContainerInstanceStatus{"ACTIVE", "ACTIVE", "ACTIVE", "DRAINING"}).Draw(t, "instance status")
			i.CapacityProvider = rapid.SampledFrom([]string{"", "p"}).Draw(t, "provider")
			if old, ok := instances[id]; ok {
				x = x.Change(old, i)
			} else {
				x = x.Change(nil, i)
			}
			instances[id] = i
		}
		for k := range rapid.IntRange(1, 8).Draw(t, "instances") {
			register(k)
		}
		for n := range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0:
				register(rapid.IntRange(0, 8).Draw(t, "which"))
				continue
			case 1, 2:
				if len(tasks) > 0 {
					old := tasks[rapid.SampledFrom(slices.Sorted(keys(tasks))).Draw(t, "task")]
					now := old.Clone()
					now.Last = rapid.SampledFrom([]state.TaskState{state.Running, state.Stopping, state.Stopped}).Draw(t, "state")
					x = x.Change(old, now)
					if tasks[now.ID] = now; now.Last == state.Stopped {
						delete(tasks, now.ID)
					}
				}
				continue
			case 3:
				if id := fmt.Sprintf("i%d", rapid.IntRange(0, 8).Draw(t, "gone")); instances[id] != nil {
					x = x.Change(instances[id], nil)
					delete(instances, id)
				}
				continue
			}
			d := &Demand{
				CPU: rapid.SampledFrom([]int32{0, 100, 250}).Draw(t, "c"), Memory: rapid.SampledFrom([]int32{1, 100, 300}).Draw(t, "m"),
				Group: rapid.SampledFrom([]string{"g0", "g1", "g2"}).Draw(t, "group"), Distinct: rapid.IntRange(0, 5).Draw(t, "distinct") == 0,
				Provider: rapid.SampledFrom([]string{"", "", "p"}).Draw(t, "from"), Strategy: rapid.SliceOfN(rapid.SampledFrom(strategies), 0, 4).Draw(t, "strategy"),
			}
			if rapid.IntRange(0, 3).Draw(t, "member") == 0 {
				d.Members = append(d.Members, parsed(t, rapid.SampledFrom(texts).Draw(t, "expression")))
			}
			for range rapid.IntRange(0, 2).Draw(t, "ports") {
				d.Ports = append(d.Ports, state.PortBinding{
					Protocol: rapid.SampledFrom([]types.TransportProtocol{"tcp", "udp"}).Draw(t, "protocol"),
					HostPort: rapid.SampledFrom([]int32{0, 80, 81, 32768}).Draw(t, "port"), Count: rapid.Int32Range(1, 3).Draw(t, "count"),
				})
			}
			all := slices.Collect(x.Offers(cluster))
			best, no := x.PickInstance(cluster, d)
			if want := reference(all, d); best != want {
				t.Fatalf("%+v: picked %v (%v), want %v", d, best, no, want)
			}
			if best == nil {
				asked := 0
				for _, r := range no.Reasons {
					asked += r.Nodes
				}
				if asked != no.Nodes || len(no.Missed) != no.Nodes || slices.ContainsFunc(no.Missed, func(m Missed) bool { return m.Code == "" }) {
					t.Fatalf("%+v", no)
				}
				continue
			}
			ports, ok := best.Bind(d.Ports)
			if !ok {
				t.Fatal("the instance that was picked has no ports")
			}
			made := task(fmt.Sprint("t", n), best.Instance.ID, d.CPU, d.Memory, ports...)
			made.Group, made.Last = d.Group, state.Pending
			tasks[made.ID] = made
			x = x.Change(nil, made)
		}
		for _, i := range instances {
			var cpu, memory int32
			ports := map[string]bool{}
			for _, task := range tasks {
				if task.ContainerInstance != i.ID {
					continue
				}
				cpu, memory = cpu+task.CPU, memory+task.Memory
				for _, p := range task.Containers[0].Ports {
					for k := range p.Count {
						key := fmt.Sprint(p.Protocol, p.HostPort+k)
						if p.HostPort+k > 65535 || p.HostPort == 0 || ports[key] {
							t.Fatalf("port %s was given twice, or is none", key)
						}
						ports[key] = true
					}
				}
			}
			if o, _ := x.Offer(cluster, i.ID); o.held.cpu != int64(cpu) || o.held.memory != int64(memory) || len(o.held.ports) != len(ports) {
				t.Fatalf("instance %s holds %+v, its tasks %d CPU units, %d MiB and %v", i.ID, o.held, cpu, memory, ports)
			}
		}
		again := NewIndex(values(nodes), values(instances), values(tasks))
		if a, b := shape(x), shape(again); a != b {
			t.Fatalf("the index is\n%s\nwant\n%s", a, b)
		}
	})
}

func keys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func values[V any](m map[string]V) func(func(V) bool) {
	return func(yield func(V) bool) {
		for _, k := range slices.Sorted(keys(m)) {
			if !yield(m[k]) {
				return
			}
		}
	}
}

// shape is all that an index has, in words.
func shape(x *Index) string {
	var b strings.Builder
	for id, h := range x.hosts.All() {
		fmt.Fprintln(&b, "host", id, h.cpu, h.memory, h.tasks, len(h.offers), *h.held)
	}
	for key, p := range x.fargate.All() {
		p.byShare.each(minimum, minimum, func(h *host) bool { fmt.Fprintln(&b, "pool", key, h.id); return true })
	}
	classes, _ := x.classes.Get(cluster.String())
	for key, c := range classes.All() {
		fmt.Fprintf(&b, "class %x %d %d %d\n", key, c.byTasks.count(), c.byMemory.count(), c.byCPU.count())
		for _, tree := range []*knot[*Offer]{c.byTasks, c.byMemory, c.byCPU} {
			tree.each(minimum, minimum, func(o *Offer) bool { fmt.Fprintln(&b, o.Instance.ID, o.Tasks, o.Pending, o.groups); return true })
		}
		for g, t := range c.groups.All() {
			fmt.Fprintln(&b, g, t)
		}
	}
	for key, c := range x.clusters.All() {
		fmt.Fprintln(&b, "counts", key, c.Running[""], c.Pending[""])
	}
	return b.String()
}
