package launch

import (
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
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
}

// Place finds the i-th task of an order a place and writes it into the
// transaction, or says why it can't: ECS's failure reasons. provider is its
// capacity provider, empty with a launch type.
func (l *Launcher) Place(tx *store.Tx, o *Order, i int, provider string) (*state.Task, []types.Failure) {
	if o.OnInstances() {
		return l.placeOn(tx, o, Offers(tx, o.Cluster), provider)
	}
	return l.placeFargate(tx, o, i, provider)
}

// PlaceOn starts a task of an order on a container instance.
func (l *Launcher) PlaceOn(tx *store.Tx, o *Order, instance *state.ContainerInstance) (*state.Task, []types.Failure) {
	others := func(f place.Offer) bool { return f.Instance.ID != instance.ID }
	return l.placeOn(tx, o, slices.DeleteFunc(Offers(tx, o.Cluster), others), "")
}

// Offers are the instances of a cluster as capacity.
func Offers(v store.View, cluster *state.Cluster) []place.Offer {
	var out []place.Offer
	for i := range store.Instances.List(v, cluster.Scope, cluster.Name+"/") {
		n, _ := store.Nodes.Get(v, state.Key{ID: i.Node})
		out = append(out, place.NewOffer(i, n, store.Tasks.By(v, store.TasksByNode, i.Node)))
	}
	return out
}

func (l *Launcher) placeFargate(tx *store.Tx, o *Order, i int, provider string) (*state.Task, []types.Failure) {
	began, taskID := l.Now(), id.Hex(16)
	seed := taskSeed(taskID)
	var candidates []place.Candidate
	for n := range store.Nodes.All(tx) {
		candidates = append(candidates, place.Load(n, store.Tasks.By(tx, store.TasksByNode, n.ID)))
	}
	request := place.Request{CPU: o.CPU, Memory: o.Memory, Arch: Architecture(o.Definition)}
	var refusal *place.Refusal
	// Tasks of one order go round the subnets, from a random one on.
	for k := range o.Network.Subnets {
		subnet := o.Network.Subnets[(int(seed%uint64(len(o.Network.Subnets)))+i+k)%len(o.Network.Subnets)]
		request.Zone = subnet.Zone
		best, no := place.Pick(request, candidates)
		if no != nil {
			refusal = no
			continue
		}
		eni, reason := l.takeInterface(tx, o, subnet, taskID, candidates[best].Node.ID, seed)
		if eni == nil {
			return nil, []types.Failure{{Reason: aws.String("RESOURCE:ENI"), Detail: aws.String(reason)}}
		}
		task := l.newTask(o, taskID, provider)
		attach(task, subnet, eni)
		task.Node, task.Zone = eni.Node, subnet.Zone
		l.put(tx, task, began)
		return task, nil
	}
	return nil, []types.Failure{{
		Reason: aws.String("Capacity is unavailable at this time. Please try again later or in a different availability zone."),
		Detail: aws.String(refusal.Code() + ": " + refusal.String()),
	}}
}

// placeOn puts a task on that of the instances which the strategies choose.
func (l *Launcher) placeOn(tx *store.Tx, o *Order, all []place.Offer, provider string) (*state.Task, []types.Failure) {
	began, taskID := l.Now(), id.Hex(16)
	seed, demand := taskSeed(taskID), o.demand()
	best, missed := place.PickInstance(demand, all, o.Strategy, seed)
	if best < 0 {
		var failures []types.Failure
		for _, m := range missed {
			failures = append(failures, types.Failure{Arn: aws.String(m.Instance.ARN()), Reason: aws.String(m.Reason)})
		}
		return nil, failures
	}
	offer := &all[best]
	refused := func(reason, detail string) (*state.Task, []types.Failure) {
		return nil, []types.Failure{{Arn: aws.String(offer.Instance.ARN()), Reason: &reason, Detail: &detail}}
	}
	task := l.newTask(o, taskID, provider)
	task.Node, task.ContainerInstance, task.Zone = offer.Node.ID, offer.Instance.ID, place.Attribute(offer.Instance, "ecs.availability-zone")
	if o.Mode() == types.NetworkModeAwsvpc {
		at := slices.IndexFunc(o.Network.Subnets, func(n *state.Subnet) bool { return slices.Contains(offer.Node.Zones, n.Zone) })
		if at < 0 {
			return refused("LOCATION", "no subnet of the call is in an availability zone of the container instance")
		}
		eni, reason := l.takeInterface(tx, o, o.Network.Subnets[at], taskID, offer.Node.ID, seed)
		if eni == nil {
			return refused("RESOURCE:ENI", reason)
		}
		attach(task, o.Network.Subnets[at], eni)
	}
	// Both were found free when the instance was picked.
	ports, _ := offer.Bind(demand.Ports)
	free := offer.FreeGPUs()
	for k := range task.Containers {
		c := &task.Containers[k]
		c.Ports, ports = ports[:len(c.Ports):len(c.Ports)], ports[len(c.Ports):]
		n := gpus(o.Definition.Spec.V.ContainerDefinitions[k])
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
		CPU: o.CPU, Memory: o.Memory, Arch: Architecture(o.Definition),
		Desired: state.Running, Last: state.Provisioning, Health: types.HealthStatusUnknown, Version: 1, CreatedAt: l.Now(),
	}
	if !o.OnInstances() {
		t.PlatformVersion, t.PlatformFamily, t.EphemeralGiB = o.Platform, "Linux", 20
	}
	t.Overrides.V = o.Overrides
	t.ExecuteCommand = o.Exec
	t.Containers = o.containers()
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
