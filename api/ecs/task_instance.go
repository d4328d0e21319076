package ecs

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/internal/id"
	"github.com/berth/berth/place"
	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
	"github.com/berth/berth/wire"
)

// The limits of placement (SDK, RunTaskInput).
const maxPlacementConstraints, maxPlacementStrategies = 10, 5

// planInstances checks what RunTask and StartTask say of placement on container
// instances.
func (r *run) planInstances(constraints []types.PlacementConstraint, strategy []types.PlacementStrategy) error {
	switch {
	case len(constraints) > maxPlacementConstraints:
		return invalid("The number of placement constraints must be at most %d.", maxPlacementConstraints)
	case len(strategy) > maxPlacementStrategies:
		return invalid("The number of placement strategies must be at most %d.", maxPlacementStrategies)
	}
	for _, c := range constraints {
		switch c.Type {
		case types.PlacementConstraintTypeDistinctInstance:
			if aws.ToString(c.Expression) != "" {
				return invalid("An expression is not allowed with the constraint distinctInstance.")
			}
			r.distinct = true
		case types.PlacementConstraintTypeMemberOf:
			return invalid("placementConstraints[].type memberOf is not supported: the cluster query language is not built yet.")
		default:
			return invalid("Invalid placement constraint type: %s", c.Type)
		}
	}
	for _, p := range strategy {
		field := aws.ToString(p.Field)
		switch p.Type {
		case types.PlacementStrategyTypeRandom:
			if field != "" {
				return invalid("The field of the placement strategy random must be empty.")
			}
		case types.PlacementStrategyTypeBinpack:
			if !strings.EqualFold(field, "cpu") && !strings.EqualFold(field, "memory") {
				return invalid("The field of the placement strategy binpack must be cpu or memory.")
			}
		case types.PlacementStrategyTypeSpread:
			if field != "instanceId" && field != "host" && !strings.HasPrefix(field, "attribute:") {
				return invalid("The field of the placement strategy spread must be instanceId, host or attribute:NAME.")
			}
		default:
			return invalid("Invalid placement strategy type: %s", p.Type)
		}
	}
	r.strategy = strategy
	return nil
}

// demand is what each task of the run needs of an instance.
func (r *run) demand() place.Demand {
	sample := &state.Task{CPU: r.cpu, Memory: r.mem, Containers: r.containers()}
	d := place.Demand{Arch: architecture(r.def), Attributes: r.def.Spec.V.RequiresAttributes}
	d.CPU, d.Memory = sample.Reserves()
	if r.distinct {
		d.Distinct = r.group
	}
	for _, c := range sample.Containers {
		d.Ports = append(d.Ports, c.Ports...)
	}
	for _, c := range r.def.Spec.V.ContainerDefinitions {
		for _, q := range c.ResourceRequirements {
			if q.Type == types.ResourceTypeGpu {
				n, _ := strconv.Atoi(aws.ToString(q.Value)) // was checked with the definition
				d.GPUs += n
			}
		}
	}
	return d
}

// bindings are the port mappings of a container outside awsvpc, as asked for:
// host port 0 is any.
func bindings(d types.ContainerDefinition, mode types.NetworkMode) []state.PortBinding {
	if mode == types.NetworkModeAwsvpc || mode == types.NetworkModeNone {
		return nil
	}
	var out []state.PortBinding
	for _, p := range d.PortMappings {
		b := state.PortBinding{BindIP: "0.0.0.0", Protocol: protocolOf(p), ContainerPort: aws.ToInt32(p.ContainerPort), HostPort: aws.ToInt32(p.HostPort), Count: 1}
		if p.ContainerPortRange != nil {
			first, last, err := portRange(*p.ContainerPortRange)
			if err != nil {
				continue // was checked with the definition
			}
			b.ContainerPort, b.Count = first, last-first+1
		}
		out = append(out, b)
	}
	return out
}

// portRange reads "8080-8090".
func portRange(text string) (first, last int32, err error) {
	from, to, ok := strings.Cut(text, "-")
	a, err1 := strconv.ParseUint(from, 10, 16)
	b, err2 := strconv.ParseUint(to, 10, 16)
	if !ok || err1 != nil || err2 != nil || a < 1 || a > b {
		return 0, 0, invalid("Invalid port range: %s", text)
	}
	return int32(a), int32(b), nil
}

// placeOnInstance puts the i-th task of a run on a container instance: the one
// that only names, or the one that the strategies choose.
func (s *Service) placeOnInstance(tx *store.Tx, r *run, i int, only string) (*state.Task, []types.Failure) {
	began, taskID := s.now(), id.Hex(16)
	seed := taskSeed(taskID)
	demand, all := r.demand(), offers(tx, r.cluster)
	if only != "" {
		all = slices.DeleteFunc(all, func(o place.Offer) bool { return o.Instance.ID != only })
	}
	best, missed := place.PickInstance(demand, all, r.strategy, seed)
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
	task := s.newTask(r, i, taskID)
	task.Node, task.ContainerInstance, task.Zone = offer.Node.ID, offer.Instance.ID, place.Attribute(offer.Instance, "ecs.availability-zone")
	if r.mode() == types.NetworkModeAwsvpc {
		at := slices.IndexFunc(r.network.subnets, func(n *state.Subnet) bool { return slices.Contains(offer.Node.Zones, n.Zone) })
		if at < 0 {
			return refused("LOCATION", "no subnet of the call is in an availability zone of the container instance")
		}
		eni, reason := s.takeInterface(tx, r, r.network.subnets[at], taskID, offer.Node.ID, seed)
		if eni == nil {
			return refused("RESOURCE:ENI", reason)
		}
		task.attach(r.network.subnets[at], eni)
	}
	// Both were found free when the instance was picked.
	ports, _ := offer.Bind(demand.Ports)
	gpus := offer.FreeGPUs()
	for k := range task.Containers {
		c := &task.Containers[k]
		c.Ports, ports = ports[:len(c.Ports):len(c.Ports)], ports[len(c.Ports):]
		for _, q := range r.def.Spec.V.ContainerDefinitions[k].ResourceRequirements {
			if n, _ := strconv.Atoi(aws.ToString(q.Value)); q.Type == types.ResourceTypeGpu {
				c.GPUs, gpus = gpus[:n:n], gpus[n:]
			}
		}
	}
	task.placed(began, s.now())
	store.Tasks.Put(tx, task.Task)
	return task.Task, nil
}

// StartTask starts one task on each of up to ten container instances that the
// caller chose.
func (s *Service) StartTask(ctx context.Context, in *ecs.StartTaskInput) (*ecs.StartTaskOutput, error) {
	caller := wire.CallerFrom(ctx)
	var out *ecs.StartTaskOutput
	err := s.store.Update(ctx, func(tx *store.Tx) error {
		out = &ecs.StartTaskOutput{Tasks: []types.Task{}, Failures: []types.Failure{}}
		switch n := len(in.ContainerInstances); {
		case n == 0:
			return invalid("Container instances can not be empty.")
		case n > 10:
			return invalid("A maximum of 10 container instances is allowed.")
		}
		run, err := s.planRun(tx, caller, &ecs.RunTaskInput{
			TaskDefinition: in.TaskDefinition, Cluster: in.Cluster, EnableECSManagedTags: in.EnableECSManagedTags, EnableExecuteCommand: in.EnableExecuteCommand,
			Group: in.Group, NetworkConfiguration: in.NetworkConfiguration, Overrides: in.Overrides, PropagateTags: in.PropagateTags, StartedBy: in.StartedBy,
			Tags: in.Tags, LaunchType: types.LaunchTypeEc2,
		})
		if err != nil {
			return err
		}
		for i, ref := range in.ContainerInstances {
			instance, err := s.instance(tx, caller, run.cluster, ref)
			if err != nil {
				return err
			}
			if instance == nil {
				out.Failures = append(out.Failures, missing(caller, run.cluster, ref))
				continue
			}
			task, failures := s.placeOnInstance(tx, run, i, instance.ID)
			if task == nil {
				out.Failures = append(out.Failures, failures...)
				continue
			}
			out.Tasks = append(out.Tasks, renderTask(task, s.eni(tx, task), true))
		}
		return nil
	})
	return out, err
}

// instanceSize works out the size of a task on a container instance, which need
// have none of its own.
func (r *run) instanceSize(cpu, memory string) error {
	var err error
	if r.cpu, err = cpuUnits(cpu); err != nil {
		return err
	}
	if r.mem, err = mebibytes(memory); err != nil {
		return err
	}
	if r.cpu != 0 && (r.cpu < minTaskCPU || r.cpu > maxTaskCPU) {
		return invalid("Invalid 'cpu' setting for task.")
	}
	for _, d := range r.def.Spec.V.ContainerDefinitions {
		c := containerSize(d, r.overrides)
		if r.mem == 0 && cmp.Or(c.memory, c.reservation) == 0 {
			return invalid("Invalid setting for container '%s'. At least one of 'memory' or 'memoryReservation' must be specified.", aws.ToString(d.Name))
		}
	}
	return nil
}
