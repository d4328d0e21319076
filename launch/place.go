package launch

import (
	"iter"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/internal/id"
	"github.com/berth/berth/place"
	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
)

// Launcher starts tasks.
type Launcher struct {
	// PublicPool is where tasks with assignPublicIp get their address from.
	PublicPool netip.Prefix
	Now        func() time.Time
	// SpotFallback gives tasks of FARGATE_SPOT the capacity of FARGATE while Spot
	// capacity is not to be had. AWS never does that.
	SpotFallback bool
}

// Place finds the i-th task of an order a place and writes it into the
// transaction, or says why it can't. provider is its capacity provider, empty
// with a launch type.
func (l *Launcher) Place(tx *store.Tx, o *Order, i int, provider string) (*state.Task, *place.Refusal) {
	if !o.OnInstances() {
		provider, no := l.fromSpot(tx, provider)
		if no != nil {
			return nil, no
		}
		return l.placeFargate(tx, o, i, provider)
	}
	began, taskID := l.Now(), id.Hex(16)
	d := o.demand(provider, taskSeed(taskID))
	offer, no := store.Places(tx).PickInstance(o.Cluster.Key(), d)
	if no != nil {
		return nil, no
	}
	return l.placeOn(tx, o, d, offer, taskID, began)
}

// PlaceOn starts a task of an order on a container instance.
func (l *Launcher) PlaceOn(tx *store.Tx, o *Order, instance *state.ContainerInstance) (*state.Task, *place.Refusal) {
	began, taskID := l.Now(), id.Hex(16)
	d := o.demand("", taskSeed(taskID))
	offer, ok := store.Places(tx).Offer(o.Cluster.Key(), instance.ID)
	if !ok {
		return nil, place.Refused(place.NotActive, "not registered", instance)
	}
	if code, detail := offer.Miss(d); code != "" {
		return nil, place.Refused(code, detail, instance)
	}
	return l.placeOn(tx, o, d, offer, taskID, began)
}

func (l *Launcher) placeFargate(tx *store.Tx, o *Order, i int, provider string) (*state.Task, *place.Refusal) {
	began, taskID := l.Now(), id.Hex(16)
	seed, places := taskSeed(taskID), store.Places(tx)
	request := place.Request{CPU: o.CPU, Memory: o.Memory, Arch: o.architecture(), HostKernel: o.hostKernel()}
	var refusal *place.Refusal
	for _, subnet := range o.subnets(i, seed) {
		request.Zone = subnet.Zone
		node, no := places.PickNode(request)
		if no != nil {
			refusal = no
			continue
		}
		eni, reason := l.takeInterface(tx, o, subnet, taskID, node.ID, seed)
		if eni == nil {
			return nil, place.Refused(place.NoENI, reason, nil)
		}
		task := l.newTask(o, taskID, provider)
		attach(task, subnet, eni)
		task.Node, task.Zone, task.Runtime = eni.Node, subnet.Zone, node.FargateRuntime
		l.put(tx, task, began)
		return task, nil
	}
	return nil, refusal
}

// subnets are those of an order in the order in which they are tried for its i-th
// task: round, from a random one on, and those first in whose zones there are the
// fewest tasks.
func (o *Order) subnets(i int, seed uint64) []*state.Subnet {
	all := o.Network.Subnets
	first := (int(seed%uint64(len(all))) + i) % len(all)
	out := slices.Concat(all[first:], all[:first])
	if o.Zones != nil {
		slices.SortStableFunc(out, func(a, b *state.Subnet) int { return o.Zones[a.Zone] - o.Zones[b.Zone] })
	}
	return out
}

// placeOn puts a task on a container instance that can run it.
func (l *Launcher) placeOn(tx *store.Tx, o *Order, d *place.Demand, offer *place.Offer, taskID string, began time.Time) (*state.Task, *place.Refusal) {
	task := l.newTask(o, taskID, d.Provider)
	task.Runtime, task.Arch = offer.Node.Runtime, offer.Node.Arch
	task.Node, task.ContainerInstance, task.Zone = offer.Node.ID, offer.Instance.ID, place.Attribute(offer.Instance, place.ZoneAttribute)
	if o.Mode() == types.NetworkModeAwsvpc {
		at := slices.IndexFunc(o.Network.Subnets, func(n *state.Subnet) bool { return slices.Contains(offer.Node.Zones, n.Zone) })
		eni, reason := l.takeInterface(tx, o, o.Network.Subnets[at], taskID, offer.Node.ID, d.Seed)
		if eni == nil {
			return nil, place.Refused(place.NoENI, reason, offer.Instance)
		}
		attach(task, o.Network.Subnets[at], eni)
	}
	// Both were found free when the instance was picked.
	ports, _ := offer.Bind(d.Ports)
	free := offer.FreeGPUs()
	for k := range task.Containers {
		c := &task.Containers[k]
		c.Ports, ports = ports[:len(c.Ports):len(c.Ports)], ports[len(c.Ports):]
		n := GPUs(o.Definition.Spec.V.ContainerDefinitions[k], o.Overrides)
		c.GPUs, free = free[:n:n], free[n:]
	}
	l.put(tx, task, began)
	return task, nil
}

// put writes a task that has all it needs, and how long that took.
func (l *Launcher) put(tx *store.Tx, t *state.Task, began time.Time) {
	t.Steps = []state.Step{{Name: state.StepPlace, Began: began, Took: l.Now().Sub(began)}}
	store.Tasks.Put(tx, t)
}

// newTask is the record of a task that isn't placed yet.
func (l *Launcher) newTask(o *Order, taskID, provider string) *state.Task {
	t := &state.Task{
		Scope: o.Scope, Cluster: o.Cluster.Name, ID: taskID,
		Family: o.Definition.Family, Revision: o.Definition.Revision, LaunchType: o.Launch, NetworkMode: o.Mode(), CapacityProvider: provider,
		Group: o.Group, StartedBy: o.StartedBy, Service: o.Service, Deployment: o.Deployment, Tags: o.Tags,
		CPU: o.CPU, Memory: o.Memory, Arch: o.architecture(),
		Desired: state.Running, Last: state.Provisioning, Health: types.HealthStatusUnknown, Version: 1, CreatedAt: l.Now(),
	}
	if !o.OnInstances() {
		t.PlatformVersion, t.PlatformFamily, t.EphemeralGiB = o.Platform, "Linux", o.ephemeralGiB()
	}
	t.Overrides.V = o.Overrides
	t.ExecuteCommand = o.Exec
	t.Containers, t.Volumes = o.containers(), o.volumes()
	return t
}

// taskSeed is a number that differs from task to task.
func taskSeed(taskID string) uint64 {
	seed, err := strconv.ParseUint(taskID[:16], 16, 64)
	if err != nil {
		panic("a task ID is hexadecimal: " + err.Error())
	}
	return seed
}

// Eligible yields the container instances that could run tasks of an order if
// nothing else ran there.
func (l *Launcher) Eligible(v store.View, o *Order) iter.Seq[*place.Offer] {
	d := o.demand("", 0)
	return func(yield func(*place.Offer) bool) {
		for offer := range store.Places(v).Offers(o.Cluster.Key()) {
			switch code, _ := offer.Miss(d); code {
			case place.NotActive, place.NoAgent, place.NoAttribute, place.NotMember, place.NoLocation:
				continue
			}
			if !yield(offer) {
				return
			}
		}
	}
}
