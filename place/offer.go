package place

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/place/query"
	"github.com/berth/berth/state"
)

// ready is what state.Node.Status says of a node that answers.
const ready = "READY"

// Offer is a container instance, and what tasks hold of it. It never changes. A
// node may be capacity of several clusters: what tasks have as those of another's
// instance is taken here, too, but they don't count as this one's.
type Offer struct {
	Instance *state.ContainerInstance
	Node     *state.Node // nil while it has no record

	// Tasks counts those that have not stopped, Pending those of them that are not
	// RUNNING yet.
	Tasks, Pending int

	held   *holding
	groups []groupCount // sorted
	class  string       // its class's key
	// stray is set while the instance has tasks and no record.
	stray bool
}

// holding is what the tasks on all container instances of a node hold of it.
type holding struct {
	cpu, memory int64
	ports       []Port // sorted
	gpus        []string
}

// groupCount is how many tasks of a group an instance has: one or more.
type groupCount struct {
	group string
	tasks int
}

// Free is what is left of the instance's CPU units and MiB.
func (o *Offer) Free() (cpu, memory int64) {
	return int64(o.Instance.CPU) - o.held.cpu, int64(o.Instance.Memory) - o.held.memory
}

// FreeGPUs are the IDs of the devices that no task has.
func (o *Offer) FreeGPUs() []string {
	return slices.DeleteFunc(slices.Clone(o.Instance.GPUs), func(id string) bool { return slices.Contains(o.held.gpus, id) })
}

// Ports are those that tasks have, by protocol and number.
func (o *Offer) Ports() []Port { return o.held.ports }

// Of is how many tasks of a group the instance has.
func (o *Offer) Of(group string) int {
	i, ok := o.find(group)
	if !ok {
		return 0
	}
	return o.groups[i].tasks
}

func (o *Offer) find(group string) (int, bool) {
	return slices.BinarySearchFunc(o.groups, group, func(g groupCount, name string) int { return cmp.Compare(g.group, name) })
}

// Query is the instance as expressions see it.
func (o *Offer) Query() query.Instance {
	return query.Instance{Record: o.Instance, Running: o.Tasks - o.Pending, Pending: o.Pending, Groups: func(yield func(string) bool) {
		for _, g := range o.groups {
			if !yield(g.group) {
				return
			}
		}
	}}
}

// taken reports whether a port is a task's or reserved.
func (o *Offer) taken(p Port) bool {
	if _, ok := slices.BinarySearchFunc(o.held.ports, p, Port.compare); ok {
		return true
	}
	reserved := o.Instance.TCPPorts
	if p.Protocol == types.TransportProtocolUdp {
		reserved = o.Instance.UDPPorts
	}
	return slices.Contains(reserved, p.Number)
}

func (p Port) compare(q Port) int {
	return cmp.Or(cmp.Compare(p.Protocol, q.Protocol), cmp.Compare(p.Number, q.Number))
}

// Miss returns why the instance can't run a task: ECS's reason and what goes
// after "3 of 5"; or "".
func (o *Offer) Miss(d *Demand) (code, detail string) {
	if code, detail = o.missAlike(d); code != "" {
		return code, detail
	}
	return o.missOwn(d)
}

// missAlike is Miss as far as all instances of a class have it in common.
func (o *Offer) missAlike(d *Demand) (code, detail string) {
	switch {
	case o.Instance.Status != types.ContainerInstanceStatusActive:
		return NotActive, "not ACTIVE"
	case !o.Instance.Connected || o.Node == nil || o.Node.Status != ready:
		return NoAgent, "not connected"
	case d.Arch != "" && d.Arch != o.Node.Arch:
		return NoAttribute, "of another CPU architecture than " + d.Arch
	case d.HostKernel != "" && state.OwnKernel(o.Node.Runtime):
		return NoAttribute, "with the runtime " + o.Node.Runtime + ", which has no " + d.HostKernel
	}
	for _, a := range d.Attributes {
		if !o.has(a) {
			return NoAttribute, "without the attribute " + aws.ToString(a.Name)
		}
	}
	for _, x := range d.Members {
		if x.Alike() && !x.Match(query.Instance{Record: o.Instance}) {
			return NotMember, "for which " + x.String() + " does not hold"
		}
	}
	if d.Zones != nil && !slices.ContainsFunc(o.Node.Zones, func(z string) bool { return slices.Contains(d.Zones, z) }) {
		return NoLocation, "in an availability zone that no subnet of the call is in"
	}
	return "", ""
}

// missOwn is the rest of Miss.
func (o *Offer) missOwn(d *Demand) (code, detail string) {
	for _, x := range d.Members {
		if !x.Alike() && !x.Match(o.Query()) {
			return NotMember, "for which " + x.String() + " does not hold"
		}
	}
	cpu, memory := o.Free()
	switch {
	case d.Distinct && o.Of(d.Group) > 0:
		return NotDistinct, "with a task of the group " + d.Group
	case int64(d.CPU) > cpu:
		return NoCPU, fmt.Sprintf("with fewer than %d CPU units free", d.CPU)
	case int64(d.Memory) > memory:
		return NoMemory, fmt.Sprintf("with less than %d MiB of memory free", d.Memory)
	case d.GPUs > 0 && d.GPUs > len(o.FreeGPUs()):
		return NoGPU, fmt.Sprintf("with fewer than %d GPUs free", d.GPUs)
	}
	if _, ok := o.Bind(d.Ports); !ok {
		return NoPorts, "where a port is taken"
	}
	return "", ""
}

// has reports whether the instance has an attribute.
func (o *Offer) has(want types.Attribute) bool {
	return slices.ContainsFunc(o.Instance.Attributes, func(a types.Attribute) bool {
		return aws.ToString(a.Name) == aws.ToString(want.Name) && (want.Value == nil || aws.ToString(a.Value) == *want.Value)
	})
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

// count adds a task to what the instance has, or takes it away.
func (o *Offer) count(t *state.Task, by int) {
	o.Tasks += by
	if phase(t) == pending {
		o.Pending += by
	}
	o.groups = slices.Clone(o.groups)
	i, ok := o.find(t.Group)
	if !ok {
		o.groups = slices.Insert(o.groups, i, groupCount{group: t.Group})
	}
	if o.groups[i].tasks += by; o.groups[i].tasks == 0 {
		o.groups = slices.Delete(o.groups, i, i+1)
	}
}

// hold returns what is held with a task, or without it.
func (h *holding) hold(t *state.Task, by int64) *holding {
	c := *h
	cpu, memory := t.Reserves()
	c.cpu += by * int64(cpu)
	c.memory += by * int64(memory)
	for i := range t.Containers {
		for _, b := range t.Containers[i].Ports {
			for k := range max(b.Count, 1) {
				c.ports = change(c.ports, Port{b.Protocol, b.HostPort + k}, Port.compare, by)
			}
		}
		for _, g := range t.Containers[i].GPUs {
			c.gpus = change(c.gpus, g, cmp.Compare[string], by)
		}
	}
	return &c
}

// change is a sorted list with a value more or less, as a copy.
func change[T any](list []T, v T, compare func(T, T) int, by int64) []T {
	i, ok := slices.BinarySearchFunc(list, v, compare)
	switch {
	case by > 0:
		return slices.Insert(slices.Clip(list), i, v)
	case ok:
		return slices.Delete(slices.Clone(list), i, i+1)
	}
	return list
}
