package launch

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/internal/id"
	"github.com/berth/berth/place"
	"github.com/berth/berth/place/query"
	"github.com/berth/berth/state"
)

// Order is what each task of a RunTask call, or of a service's revision, shall be.
type Order struct {
	Scope      state.Scope
	Cluster    *state.Cluster
	Definition *state.TaskDefinition
	// Launch is EC2 or EXTERNAL for container instances, else FARGATE.
	Launch    types.LaunchType
	Platform  string // version; for FARGATE
	Overrides types.TaskOverride
	// CPU in CPU units and Memory in MiB are the task's size after overrides; 0 for
	// none of its own, which FARGATE does not allow.
	CPU, Memory int32
	Group       string
	StartedBy   string
	// Service and Deployment are who starts the tasks, if it is a service: its name,
	// and the ID of its deployment or task set.
	Service, Deployment string
	Exec                bool // enableExecuteCommand
	// Volumes are the EBS volumes that each task gets, without their IDs.
	Volumes []state.Volume
	Tags    []state.Tag
	Network Network // of awsvpc
	// Digests are those that images must have, by container; none: any.
	Digests map[string]string
	// Zones is how many tasks there are in which availability zone. On FARGATE those
	// that have the fewest are tried first; nil leaves it to chance.
	Zones map[string]int
	// Distinct keeps tasks of one group on container instances of their own, Members
	// are the expressions of memberOf.
	Distinct bool
	Members  []*query.Expr
	Strategy []types.PlacementStrategy
}

// OnInstances reports whether the tasks go to container instances.
func (o *Order) OnInstances() bool { return o.Launch != types.LaunchTypeFargate }

// Mode is the network mode of the tasks. Without one it is Docker's default.
func (o *Order) Mode() types.NetworkMode {
	return cmp.Or(o.Definition.Spec.V.NetworkMode, types.NetworkModeBridge)
}

// Size is what one container asks for: CPU units and MiB, 0 for nothing.
type Size struct{ CPU, Memory, Reservation int32 }

// ContainerSize is a container's size after overrides.
func ContainerSize(d types.ContainerDefinition, o types.TaskOverride) Size {
	out := Size{CPU: d.Cpu, Memory: aws.ToInt32(d.Memory), Reservation: aws.ToInt32(d.MemoryReservation)}
	for _, c := range o.ContainerOverrides {
		if aws.ToString(c.Name) != aws.ToString(d.Name) {
			continue
		}
		if c.Cpu != nil {
			out.CPU = *c.Cpu
		}
		if c.Memory != nil {
			out.Memory = *c.Memory
		}
		if c.MemoryReservation != nil {
			out.Reservation = *c.MemoryReservation
		}
	}
	return out
}

// ephemeralGiB is the size of the ephemeral storage of each task on Fargate.
func (o *Order) ephemeralGiB() int32 {
	for _, s := range []*types.EphemeralStorage{o.Overrides.EphemeralStorage, o.Definition.Spec.V.EphemeralStorage} {
		if s != nil {
			return s.SizeInGiB
		}
	}
	return state.DefaultEphemeralGiB
}

// volumes are the EBS volumes of a task.
func (o *Order) volumes() []state.Volume {
	all := slices.Clone(o.Volumes)
	for i := range all {
		all[i].ID, all[i].AttachmentID = id.Resource("vol"), id.UUID()
	}
	return all
}

// containers are the containers of each task, their ports as asked for.
func (o *Order) containers() []state.Container {
	var all []state.Container
	for _, d := range o.Definition.Spec.V.ContainerDefinitions {
		size := ContainerSize(d, o.Overrides)
		c := state.Container{Name: aws.ToString(d.Name), ID: id.UUID(), Image: aws.ToString(d.Image), Last: state.Pending,
			Essential: d.Essential == nil || *d.Essential, HealthCheck: d.HealthCheck != nil,
			Health: types.HealthStatusUnknown, CPU: strconv.Itoa(int(size.CPU))}
		if size.Memory > 0 {
			c.Memory = strconv.Itoa(int(size.Memory))
		}
		if size.Reservation > 0 {
			c.MemoryReservation = strconv.Itoa(int(size.Reservation))
		}
		if d.VersionConsistency != types.VersionConsistencyDisabled {
			c.Pinned = o.Digests[c.Name]
		}
		if o.Exec {
			c.ExecAgent = state.ExecAgentPending
		}
		c.Ports = bindings(d, o.Mode())
		all = append(all, c)
	}
	return all
}

// bindings are the port mappings of a container outside awsvpc, as asked for:
// host port 0 is any.
func bindings(d types.ContainerDefinition, mode types.NetworkMode) []state.PortBinding {
	if mode == types.NetworkModeAwsvpc || mode == types.NetworkModeNone || aws.ToBool(d.DisableNetworking) {
		return nil
	}
	var out []state.PortBinding
	for _, p := range d.PortMappings {
		b := state.PortBinding{
			BindIP: "0.0.0.0", Protocol: cmp.Or(p.Protocol, types.TransportProtocolTcp),
			ContainerPort: aws.ToInt32(p.ContainerPort), HostPort: aws.ToInt32(p.HostPort), Count: 1,
		}
		if p.ContainerPortRange != nil {
			first, last, err := PortRange(*p.ContainerPortRange)
			if err != nil {
				continue // was checked with the definition
			}
			b.ContainerPort, b.Count = first, last-first+1
		}
		out = append(out, b)
	}
	return out
}

// PortRange reads "8080-8090".
func PortRange(text string) (first, last int32, err error) {
	from, to, ok := strings.Cut(text, "-")
	a, err1 := strconv.ParseUint(from, 10, 16)
	b, err2 := strconv.ParseUint(to, 10, 16)
	if !ok || err1 != nil || err2 != nil || a < 1 || a > b {
		return 0, 0, &types.InvalidParameterException{Message: aws.String(fmt.Sprintf("Invalid port range: %s", text))}
	}
	return int32(a), int32(b), nil
}

// demand is what each task of the order needs of a container instance.
func (o *Order) demand(provider string, seed uint64) *place.Demand {
	sample := &state.Task{CPU: o.CPU, Memory: o.Memory, Containers: o.containers()}
	d := &place.Demand{
		Arch: o.architecture(), HostKernel: o.hostKernel(), Attributes: o.Definition.Spec.V.RequiresAttributes, Group: o.Group, Distinct: o.Distinct,
		Members: o.members(), Provider: provider, Strategy: o.Strategy, Seed: seed,
	}
	d.CPU, d.Memory = sample.Reserves()
	if len(o.Strategy) == 0 && o.Service != "" {
		d.Strategy = place.ServiceStrategy()
	}
	if o.Mode() == types.NetworkModeAwsvpc {
		for _, n := range o.Network.Subnets {
			d.Zones = append(d.Zones, n.Zone)
		}
	}
	for _, c := range sample.Containers {
		d.Ports = append(d.Ports, c.Ports...)
	}
	for _, c := range o.Definition.Spec.V.ContainerDefinitions {
		d.GPUs += GPUs(c, o.Overrides)
	}
	return d
}

// GPUs is how many GPUs a container needs after overrides.
func GPUs(c types.ContainerDefinition, o types.TaskOverride) int {
	asked := c.ResourceRequirements
	for _, over := range o.ContainerOverrides {
		if aws.ToString(over.Name) == aws.ToString(c.Name) && len(over.ResourceRequirements) > 0 {
			asked = over.ResourceRequirements
		}
	}
	at := slices.IndexFunc(asked, func(q types.ResourceRequirement) bool { return q.Type == types.ResourceTypeGpu })
	if at < 0 {
		return 0
	}
	n, _ := strconv.Atoi(aws.ToString(asked[at].Value)) // was checked with the definition
	return n
}

// hostKernel is the field for which the tasks need the host's kernel; "" is none.
func (o *Order) hostKernel() string {
	for _, c := range o.Definition.Spec.V.ContainerDefinitions {
		if GPUs(c, o.Overrides) > 0 {
			return "resourceRequirements"
		}
	}
	return state.HostKernel(&o.Definition.Spec.V)
}

// architecture is the CPU architecture that the order's tasks need. On container
// instances a definition that names none has no need: what its image runs on is
// for it to know (Amazon ECS Developer Guide, task definition parameters for
// Amazon EC2, "CPU architecture").
func (o *Order) architecture() string {
	if p := o.Definition.Spec.V.RuntimePlatform; p != nil && p.CpuArchitecture != "" {
		return string(p.CpuArchitecture)
	}
	if o.OnInstances() {
		return ""
	}
	return string(types.CPUArchitectureX8664)
}
