package place

import (
	"cmp"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/state"
)

// The range of dynamic host ports: Linux's default range of ephemeral ports
// (Amazon ECS Developer Guide, PortMapping.hostPort).
const (
	firstDynamic, lastDynamic = 32768, 60999
	dynamicPorts              = lastDynamic - firstDynamic + 1
)

// Port is a port of a host.
type Port struct {
	Protocol types.TransportProtocol
	Number   int32
}

// Demand is what a task needs of a container instance.
type Demand struct {
	CPU    int32 // CPU units
	Memory int32 // MiB
	Arch   string
	GPUs   int
	// Attributes are what the instance must have. One without a value may have any.
	Attributes []types.Attribute
	// Ports are the mappings of all its containers. A host port of 0 is any.
	Ports []state.PortBinding
	// Distinct is the group of which there may be no other task; or empty.
	Distinct string
}

// Offer is a container instance, and what its tasks hold of it.
type Offer struct {
	Instance *state.ContainerInstance
	Node     *state.Node

	CPU, Memory int64
	Ports       map[Port]bool
	GPUs        map[string]bool
	Tasks       int
	Groups      map[string]int // tasks by group
}

// NewOffer adds up what the tasks of its node hold of an instance. A node may be
// capacity of several clusters: what tasks have as those of another's instance is
// taken here, too, but they don't count as this one's.
func NewOffer(i *state.ContainerInstance, n *state.Node, tasks func(func(*state.Task) bool)) Offer {
	o := Offer{Instance: i, Node: n, Ports: map[Port]bool{}, GPUs: map[string]bool{}, Groups: map[string]int{}}
	for _, p := range i.TCPPorts {
		o.Ports[Port{types.TransportProtocolTcp, p}] = true
	}
	for _, p := range i.UDPPorts {
		o.Ports[Port{types.TransportProtocolUdp, p}] = true
	}
	for t := range tasks {
		switch {
		case t.Last == state.Stopped || t.ContainerInstance == "":
		case t.ContainerInstance == i.ID:
			o.Hold(t)
		default:
			o.reserve(t)
		}
	}
	return o
}

// Hold counts a task on the instance.
func (o *Offer) Hold(t *state.Task) {
	o.Tasks++
	o.Groups[t.Group]++
	o.reserve(t)
}

// reserve takes what a task has of the node.
func (o *Offer) reserve(t *state.Task) {
	cpu, memory := t.Reserves()
	o.CPU += int64(cpu)
	o.Memory += int64(memory)
	for _, c := range t.Containers {
		for _, p := range c.Ports {
			for k := range max(p.Count, 1) {
				o.Ports[Port{p.Protocol, p.HostPort + k}] = true
			}
		}
		for _, g := range c.GPUs {
			o.GPUs[g] = true
		}
	}
}

// Free is what is left of the instance's CPU units and MiB.
func (o *Offer) Free() (cpu, memory int64) {
	return int64(o.Instance.CPU) - o.CPU, int64(o.Instance.Memory) - o.Memory
}

// FreeGPUs are the IDs of the devices that no task has.
func (o *Offer) FreeGPUs() []string {
	return slices.DeleteFunc(slices.Clone(o.Instance.GPUs), func(id string) bool { return o.GPUs[id] })
}

// Miss returns ECS's reason why an instance can't run a task, or "" (Amazon ECS
// Developer Guide, "API failure reasons").
func (o *Offer) Miss(d Demand) string {
	cpu, memory := o.Free()
	switch {
	case o.Instance.Status != types.ContainerInstanceStatusActive:
		return "INACTIVE"
	case !o.Instance.Connected || o.Node == nil || o.Node.Status != "READY":
		return "AGENT"
	case d.Arch != "" && d.Arch != o.Node.Arch:
		return "ATTRIBUTE"
	case slices.ContainsFunc(d.Attributes, func(a types.Attribute) bool { return !o.has(a) }):
		return "ATTRIBUTE"
	case d.Distinct != "" && o.Groups[d.Distinct] > 0:
		return "distinctInstance placement constraint unsatisfied."
	case int64(d.CPU) > cpu:
		return "RESOURCE:CPU"
	case int64(d.Memory) > memory:
		return "RESOURCE:MEMORY"
	case d.GPUs > len(o.FreeGPUs()):
		return "RESOURCE:GPU"
	}
	if _, ok := o.Bind(d.Ports); !ok {
		return "RESOURCE:PORTS"
	}
	return ""
}

// has reports whether the instance has an attribute.
func (o *Offer) has(want types.Attribute) bool {
	return slices.ContainsFunc(o.Instance.Attributes, func(a types.Attribute) bool {
		return aws.ToString(a.Name) == aws.ToString(want.Name) && (want.Value == nil || aws.ToString(a.Value) == *want.Value)
	})
}

// firstDynamic is where in the dynamic range an instance begins: each elsewhere,
// so that installations that share a host, and don't know of each other's ports,
// seldom want the same.
func (o *Offer) firstDynamic() int32 {
	h := fnv.New32a()
	h.Write([]byte(o.Instance.ID))
	return int32(h.Sum32() % uint32(dynamicPorts))
}

// Bind gives each mapping its host ports: those that it asks for, or the next
// free ones of the dynamic range, which for a range of ports are in a row. It
// reports false when there are none. Nothing is held yet.
func (o *Offer) Bind(ports []state.PortBinding) ([]state.PortBinding, bool) {
	taken := map[Port]bool{}
	free := func(p types.TransportProtocol, from, count int32) bool {
		for n := from; n < from+count; n++ {
			if port := (Port{p, n}); o.Ports[port] || taken[port] {
				return false
			}
		}
		return true
	}
	bound := slices.Clone(ports)
	first := o.firstDynamic()
	// Those that are fixed go first, so that no dynamic one takes their place.
	for _, dynamic := range []bool{false, true} {
		for i := range bound {
			b := &bound[i]
			if (ports[i].HostPort == 0) != dynamic {
				continue
			}
			count := max(b.Count, 1)
			for n := int32(0); dynamic && b.HostPort == 0 && n < dynamicPorts; n++ {
				if from := firstDynamic + (first+n)%dynamicPorts; from+count-1 <= lastDynamic && free(b.Protocol, from, count) {
					b.HostPort = from
				}
			}
			if b.HostPort == 0 || !free(b.Protocol, b.HostPort, count) {
				return nil, false
			}
			for k := range count {
				taken[Port{b.Protocol, b.HostPort + k}] = true
			}
		}
	}
	return bound, true
}

// Missed is an instance that can't run a task, and why.
type Missed struct {
	Instance *state.ContainerInstance
	Reason   string
}

// PickInstance returns the index of the instance that a task goes to, by the
// strategies in their order, or why none will do. Among equals it is the one
// with the fewest tasks, then the one with the lower ID; with the strategy random
// it is the one that seed points at.
func PickInstance(d Demand, offers []Offer, strategy []types.PlacementStrategy, seed uint64) (int, []Missed) {
	var fit []int
	var missed []Missed
	for i := range offers {
		if reason := offers[i].Miss(d); reason != "" {
			missed = append(missed, Missed{offers[i].Instance, reason})
			continue
		}
		fit = append(fit, i)
	}
	if len(fit) == 0 {
		return -1, missed
	}
	for _, s := range strategy {
		if s.Type == types.PlacementStrategyTypeRandom {
			return fit[int(seed%uint64(len(fit)))], nil
		}
		best := int64(0)
		var kept []int
		for _, i := range fit {
			switch rank := rank(s, offers, i); {
			case len(kept) == 0 || rank < best:
				best, kept = rank, []int{i}
			case rank == best:
				kept = append(kept, i)
			}
		}
		fit = kept
	}
	return slices.MinFunc(fit, func(a, b int) int {
		return cmp.Or(cmp.Compare(offers[a].Tasks, offers[b].Tasks), cmp.Compare(offers[a].Instance.ID, offers[b].Instance.ID))
	}), nil
}

// rank is how well a strategy likes an instance: the less the better.
func rank(s types.PlacementStrategy, offers []Offer, i int) int64 {
	o := &offers[i]
	cpu, memory := o.Free()
	field := aws.ToString(s.Field)
	switch {
	case s.Type == types.PlacementStrategyTypeBinpack && strings.EqualFold(field, "cpu"):
		return cpu
	case s.Type == types.PlacementStrategyTypeBinpack:
		return memory
	}
	// spread: the tasks on all instances with the same value.
	of := func(o *Offer) string {
		if field == "instanceId" || field == "host" {
			return o.Instance.ID
		}
		return Attribute(o.Instance, strings.TrimPrefix(field, "attribute:"))
	}
	tasks := int64(0)
	for k := range offers {
		if of(&offers[k]) == of(o) {
			tasks += int64(offers[k].Tasks)
		}
	}
	return tasks
}

// Attribute is the value of an instance's attribute, or "".
func Attribute(i *state.ContainerInstance, name string) string {
	for _, a := range i.Attributes {
		if aws.ToString(a.Name) == name {
			return aws.ToString(a.Value)
		}
	}
	return ""
}
