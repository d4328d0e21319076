package place

import (
	"fmt"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"pgregory.net/rapid"

	"github.com/berth/berth/state"
)

func instance(id string, cpu, memory int32) *state.ContainerInstance {
	return &state.ContainerInstance{ID: id, CPU: cpu, Memory: memory, Status: types.ContainerInstanceStatusActive, Connected: true}
}

func offer(id string, cpu, memory int32, tasks ...*state.Task) Offer {
	for _, t := range tasks {
		t.ContainerInstance = id
	}
	return NewOffer(instance(id, cpu, memory), node(id, cpu, memory), func(yield func(*state.Task) bool) {
		for _, t := range tasks {
			if !yield(t) {
				return
			}
		}
	})
}

func held(cpu, memory int32, ports ...state.PortBinding) *state.Task {
	return &state.Task{Group: "family:f", Last: state.Running, CPU: cpu, Memory: memory, Containers: []state.Container{{Ports: ports}}}
}

func tcp(host int32) state.PortBinding {
	return state.PortBinding{Protocol: types.TransportProtocolTcp, ContainerPort: 80, HostPort: host, Count: 1}
}

func TestMiss(t *testing.T) {
	small := Demand{CPU: 100, Memory: 100, Arch: "X86_64"}
	with := func(change func(*Demand)) Demand {
		d := small
		change(&d)
		return d
	}
	draining, gone, gpus := offer("a", 1000, 1000), offer("a", 1000, 1000), offer("a", 1000, 1000)
	draining.Instance.Status = types.ContainerInstanceStatusDraining
	gone.Node = nil
	gpus.Instance.GPUs = []string{"g0", "g1"}
	gpus.GPUs["g0"] = true
	racked := offer("a", 1000, 1000)
	racked.Instance.Attributes = []types.Attribute{{Name: aws.String("rack"), Value: aws.String("7")}}
	for _, c := range []struct {
		name   string
		demand Demand
		offer  Offer
		want   string
	}{
		{"fits", small, offer("a", 100, 100), ""},
		{"draining", small, draining, "INACTIVE"},
		{"no node", small, gone, "AGENT"},
		{"architecture", with(func(d *Demand) { d.Arch = "ARM64" }), offer("a", 1000, 1000), "ATTRIBUTE"},
		{"attribute that it lacks", with(func(d *Demand) { d.Attributes = []types.Attribute{{Name: aws.String("rack")}} }), offer("a", 1000, 1000), "ATTRIBUTE"},
		{"attribute", with(func(d *Demand) { d.Attributes = []types.Attribute{{Name: aws.String("rack")}} }), racked, ""},
		{"attribute's value", with(func(d *Demand) { d.Attributes = []types.Attribute{{Name: aws.String("rack"), Value: aws.String("7")}} }), racked, ""},
		{"attribute's other value", with(func(d *Demand) { d.Attributes = []types.Attribute{{Name: aws.String("rack"), Value: aws.String("8")}} }), racked, "ATTRIBUTE"},
		{"CPU", small, offer("a", 1000, 1000, held(901, 1)), "RESOURCE:CPU"},
		{"memory", small, offer("a", 1000, 1000, held(1, 901)), "RESOURCE:MEMORY"},
		{"port", with(func(d *Demand) { d.Ports = []state.PortBinding{tcp(80)} }), offer("a", 1000, 1000, held(1, 1, tcp(80))), "RESOURCE:PORTS"},
		{"port of the other protocol", with(func(d *Demand) {
			d.Ports = []state.PortBinding{{Protocol: types.TransportProtocolUdp, HostPort: 80, Count: 1}}
		}), offer("a", 1000, 1000, held(1, 1, tcp(80))), ""},
		{"the same port twice", with(func(d *Demand) { d.Ports = []state.PortBinding{tcp(80), tcp(80)} }), offer("a", 1000, 1000), "RESOURCE:PORTS"},
		{"GPU", with(func(d *Demand) { d.GPUs = 2 }), gpus, "RESOURCE:GPU"},
		{"free GPU", with(func(d *Demand) { d.GPUs = 1 }), gpus, ""},
		{"distinct", with(func(d *Demand) { d.Distinct = "family:f" }), offer("a", 1000, 1000, held(1, 1)), "distinctInstance placement constraint unsatisfied."},
	} {
		if got := c.offer.Miss(c.demand); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestPickInstance(t *testing.T) {
	zone := func(o Offer, name string) Offer {
		o.Instance.Attributes = []types.Attribute{{Name: aws.String("ecs.availability-zone"), Value: &name}}
		return o
	}
	offers := []Offer{
		zone(offer("a", 1000, 1000, held(100, 500), held(1, 1)), "1a"), zone(offer("b", 1000, 1000, held(500, 100)), "1a"), zone(offer("c", 1000, 1000, held(1, 1), held(1, 1)), "1b"),
	}
	for _, c := range []struct {
		strategy []types.PlacementStrategy
		want     string
	}{
		{nil, "b"},
		{[]types.PlacementStrategy{{Type: "binpack", Field: aws.String("memory")}}, "a"},
		{[]types.PlacementStrategy{{Type: "binpack", Field: aws.String("cpu")}}, "b"},
		{[]types.PlacementStrategy{{Type: "spread", Field: aws.String("instanceId")}}, "b"},
		{[]types.PlacementStrategy{{Type: "spread", Field: aws.String("attribute:ecs.availability-zone")}}, "c"},
		{[]types.PlacementStrategy{{Type: "spread", Field: aws.String("attribute:none")}, {Type: "binpack", Field: aws.String("memory")}}, "a"},
		{[]types.PlacementStrategy{{Type: "random"}}, "c"},
	} {
		best, missed := PickInstance(Demand{CPU: 1, Memory: 1}, offers, c.strategy, 5)
		if best < 0 || offers[best].Instance.ID != c.want {
			t.Errorf("%v: %d, %v, want %s", c.strategy, best, missed, c.want)
		}
	}
	if best, missed := PickInstance(Demand{CPU: 2000}, offers, nil, 0); best >= 0 || len(missed) != 3 || missed[0].Reason != "RESOURCE:CPU" {
		t.Errorf("%d, %+v", best, missed)
	}
}

// Whatever comes and goes, no instance gives more than it has, and no port of it
// has two tasks.
func TestInstancesAreNeverOversold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		instances := []*state.ContainerInstance{instance("a", 1000, 1000), instance("b", 700, 1500)}
		tasks := map[string][]*state.Task{}
		for n := range rapid.IntRange(1, 40).Draw(t, "tasks") {
			var offers []Offer
			for _, i := range instances {
				offers = append(offers, offer(i.ID, i.CPU, i.Memory, tasks[i.ID]...))
			}
			d := Demand{CPU: rapid.Int32Range(0, 300).Draw(t, "cpu"), Memory: rapid.Int32Range(1, 400).Draw(t, "memory")}
			for range rapid.IntRange(0, 3).Draw(t, "ports") {
				d.Ports = append(d.Ports, state.PortBinding{
					Protocol: rapid.SampledFrom([]types.TransportProtocol{"tcp", "udp"}).Draw(t, "protocol"),
					HostPort: rapid.SampledFrom([]int32{0, 0, 80, 81, 32768, 32769}).Draw(t, "port"), Count: rapid.Int32Range(1, 3).Draw(t, "count"),
				})
			}
			best, missed := PickInstance(d, offers, nil, uint64(n))
			if best < 0 {
				for _, m := range missed {
					if m.Reason == "" {
						t.Fatal("an instance was left out without a reason")
					}
				}
				continue
			}
			ports, ok := offers[best].Bind(d.Ports)
			if !ok {
				t.Fatal("the instance that was picked has no ports")
			}
			id := offers[best].Instance.ID
			tasks[id] = append(tasks[id], held(d.CPU, d.Memory, ports...))
			if rapid.IntRange(0, 4).Draw(t, "ends") == 0 {
				tasks[id][0].Last = state.Stopped
				tasks[id] = tasks[id][1:]
			}
		}
		for _, i := range instances {
			var cpu, memory int32
			ports := map[string]bool{}
			for _, task := range tasks[i.ID] {
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
			if cpu > i.CPU || memory > i.Memory {
				t.Fatalf("instance %s has %d CPU units and %d MiB and gave %d and %d", i.ID, i.CPU, i.Memory, cpu, memory)
			}
		}
	})
}

// A node in two clusters gives each port, and all else, once.
func TestNodeOfTwoClusters(t *testing.T) {
	other := held(400, 300, tcp(80))
	other.ContainerInstance = "b"
	fargate := held(100, 100)
	o := NewOffer(instance("a", 1000, 1000), node("a", 1000, 1000), slices.Values([]*state.Task{other, fargate}))
	if cpu, memory := o.Free(); cpu != 600 || memory != 700 || o.Tasks != 0 || len(o.Groups) != 0 {
		t.Errorf("%d CPU units and %d MiB are free, with %d tasks of %v", cpu, memory, o.Tasks, o.Groups)
	}
	if got := o.Miss(Demand{CPU: 1, Memory: 1, Ports: []state.PortBinding{tcp(80)}}); got != "RESOURCE:PORTS" {
		t.Errorf("the other cluster's port: %q", got)
	}
	if got := o.Miss(Demand{CPU: 1, Memory: 1, Distinct: "family:f"}); got != "" {
		t.Errorf("the other cluster's group: %q", got)
	}
}
