package ecs

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/internal/arn"
	"github.com/berth/berth/internal/id"
	"github.com/berth/berth/place"
	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
)

// runNetwork is a call's awsvpcConfiguration, resolved.
type runNetwork struct {
	vpc     *state.VPC
	subnets []*state.Subnet
	groups  []string
	public  bool
}

// planNetwork checks and resolves the network configuration. The limits are
// the SDK's, types.AwsVpcConfiguration: 16 subnets and 5 security groups.
func (s *Service) planNetwork(tx *store.Tx, r *run, in *types.NetworkConfiguration) (runNetwork, error) {
	var n runNetwork
	if in == nil || in.AwsvpcConfiguration == nil {
		return n, invalid("Network Configuration must be provided when networkMode 'awsvpc' is specified.")
	}
	c := in.AwsvpcConfiguration
	if len(c.Subnets) == 0 {
		return n, invalid("subnets can not be empty.")
	}
	if len(c.Subnets) > 16 {
		return n, invalid("subnets can have at most 16 items.")
	}
	if len(c.SecurityGroups) > 5 {
		return n, invalid("securityGroups can have at most 5 items.")
	}
	switch c.AssignPublicIp {
	case "", types.AssignPublicIpDisabled:
	case types.AssignPublicIpEnabled:
		n.public = true
	default:
		return n, invalid("assignPublicIp must be ENABLED or DISABLED, not %q.", c.AssignPublicIp)
	}
	scope := scopeOf(r.caller)
	for _, ref := range c.Subnets {
		subnet, ok := store.Subnets.Get(tx, scope.Key(ref))
		if !ok {
			return n, invalid("Error retrieving subnet information for [%s]: The subnet ID '%s' does not exist (ErrorCode: InvalidSubnetID.NotFound)", ref, ref)
		}
		if len(n.subnets) > 0 && n.subnets[0].VPC != subnet.VPC {
			return n, invalid("The subnets must all belong to the same VPC: %s is in %s and %s in %s.", n.subnets[0].ID, n.subnets[0].VPC, subnet.ID, subnet.VPC)
		}
		if !slices.Contains(n.subnets, subnet) {
			n.subnets = append(n.subnets, subnet)
		}
	}
	vpc, ok := store.VPCs.Get(tx, scope.Key(n.subnets[0].VPC))
	if !ok {
		return n, fmt.Errorf("subnet %s is of VPC %s, which has no record", n.subnets[0].ID, n.subnets[0].VPC)
	}
	n.vpc = vpc
	for _, ref := range c.SecurityGroups {
		group, ok := store.SecurityGroups.Get(tx, scope.Key(ref))
		switch {
		case ref == "":
			return n, invalid("security group cannot be blank")
		case !ok:
			return n, invalid("Error retrieving security group information for [%s]: The security group '%s' does not exist (ErrorCode: InvalidGroup.NotFound)", ref, ref)
		case group.VPC != vpc.ID:
			return n, invalid("Security group %s does not belong to VPC %s of the subnets.", ref, vpc.ID)
		}
		if !slices.Contains(n.groups, ref) {
			n.groups = append(n.groups, ref)
		}
	}
	if len(n.groups) == 0 {
		for g := range store.SecurityGroups.List(tx, scope, "") {
			if g.VPC == vpc.ID && g.Name == "default" {
				n.groups = []string{g.ID}
			}
		}
	}
	return n, nil
}

// place finds a node, an interface and addresses for the i-th task of a run and
// writes it all into the transaction, or says why it can't.
func (s *Service) place(tx *store.Tx, r *run, i int) (*state.Task, *types.Failure) {
	began, taskID := s.now(), id.Hex(16)
	seed := taskSeed(taskID)
	var candidates []place.Candidate
	for n := range store.Nodes.All(tx) {
		candidates = append(candidates, place.Load(n, store.Tasks.By(tx, store.TasksByNode, n.ID)))
	}
	request := place.Request{CPU: r.cpu, Memory: r.mem, Arch: architecture(r.def)}
	var refusal *place.Refusal
	// Tasks of one call go round the subnets, from a random one on.
	for k := range r.network.subnets {
		subnet := r.network.subnets[(int(seed%uint64(len(r.network.subnets)))+i+k)%len(r.network.subnets)]
		request.Zone = subnet.Zone
		best, no := place.Pick(request, candidates)
		if no != nil {
			refusal = no
			continue
		}
		eni, reason := s.takeInterface(tx, r, subnet, taskID, candidates[best].Node.ID, seed)
		if eni == nil {
			return nil, &types.Failure{Reason: aws.String("RESOURCE:ENI"), Detail: aws.String(reason)}
		}
		task := s.newTask(r, i, taskID)
		task.attach(subnet, eni)
		task.Node, task.Zone = eni.Node, subnet.Zone
		task.placed(began, s.now())
		store.Tasks.Put(tx, task.Task)
		return task.Task, nil
	}
	return nil, &types.Failure{
		Reason: aws.String("Capacity is unavailable at this time. Please try again later or in a different availability zone."),
		Detail: aws.String(refusal.Code() + ": " + refusal.String()),
	}
}

// takeInterface makes the task's ENI with its addresses, or says which of them
// there was none of.
func (s *Service) takeInterface(tx *store.Tx, r *run, subnet *state.Subnet, taskID, node string, seed uint64) (*state.ENI, string) {
	scope := scopeOf(r.caller)
	eni := &state.ENI{
		Scope: scope, ID: id.Resource("eni"), VPC: subnet.VPC, Subnet: subnet.ID, Zone: subnet.Zone,
		Groups: r.network.groups, TaskID: taskID, Node: node, AttachmentID: id.Resource("eni-attach"), CreatedAt: s.now(),
		Task: (&state.Task{Scope: scope, Cluster: r.cluster.Name, ID: taskID}).ARN(),
	}
	taken := func(space string, in state.Scope) func(netip.Addr) bool {
		return func(a netip.Addr) bool {
			_, ok := store.Addresses.Get(tx, (&state.Address{Scope: in, Space: space, Addr: a}).Key())
			return ok
		}
	}
	var ok bool
	if eni.Address, ok = state.PickAddress(subnet.Prefix, taken(subnet.VPC, scope), seed); !ok {
		return nil, fmt.Sprintf("subnet %s (%s) has no free address left", subnet.ID, subnet.Prefix)
	}
	store.Addresses.Put(tx, &state.Address{Scope: scope, Space: subnet.VPC, Addr: eni.Address, ENI: eni.ID})
	if r.network.public {
		if eni.Public, ok = state.PickPublic(s.publicPool, taken("public", state.Scope{}), seed); !ok {
			store.Addresses.Delete(tx, (&state.Address{Scope: scope, Space: subnet.VPC, Addr: eni.Address}).Key())
			return nil, fmt.Sprintf("the pool of public addresses, %s, has no free address left: give 'berth up' a larger --public-pool", s.publicPool)
		}
		store.Addresses.Put(tx, &state.Address{Space: "public", Addr: eni.Public, ENI: eni.ID})
	}
	eni.MAC = state.MAC(eni.ID)
	eni.Description = arn.ECS(scope.Region, scope.Account, "attachment/"+attachmentID(taskID))
	store.ENIs.Put(tx, eni)
	return eni, ""
}

// attachmentID is the UUID of a task's network attachment, made of its ID.
func attachmentID(taskID string) string {
	return taskID[:8] + "-" + taskID[8:12] + "-4" + taskID[13:16] + "-a" + taskID[17:20] + "-" + taskID[20:]
}

// taskSeed is a number that differs from task to task.
func taskSeed(taskID string) uint64 {
	seed, err := strconv.ParseUint(taskID[:16], 16, 64)
	if err != nil {
		panic("a task ID is hexadecimal: " + err.Error())
	}
	return seed
}

// newTask is a task's record in the making.
type newTask struct{ *state.Task }

// placed notes how long it took to find the task its place.
func (t newTask) placed(began, ended time.Time) {
	t.Steps = []state.Step{{Name: state.StepPlace, Began: began, Took: ended.Sub(began)}}
}

// attach gives the task its interface.
func (t newTask) attach(subnet *state.Subnet, eni *state.ENI) {
	t.ENI, t.AttachmentID = eni.ID, attachmentID(t.ID)
	t.Interface = state.Interface{
		ENI: eni.ID, VPC: eni.VPC, Subnet: eni.Subnet, MAC: eni.MAC, Address: eni.Address,
		SubnetPrefix: subnet.Prefix, Gateway: subnet.Prefix.Masked().Addr().Next(), Public: eni.Public,
		PrivateDNS: state.PrivateDNS(subnet.Region, eni.Address),
	}
}

// newTask is the record of a task that isn't placed yet.
func (s *Service) newTask(r *run, i int, taskID string) newTask {
	t := &state.Task{
		Scope: scopeOf(r.caller), Cluster: r.cluster.Name, ID: taskID,
		Family: r.def.Family, Revision: r.def.Revision, LaunchType: r.launch, NetworkMode: r.mode(),
		Group: r.group, StartedBy: r.startedBy, Tags: r.tags,
		CPU: r.cpu, Memory: r.mem, Arch: architecture(r.def),
		Desired: state.Running, Last: state.Provisioning, Health: types.HealthStatusUnknown, Version: 1, CreatedAt: s.now(),
	}
	if !r.onInstances() {
		t.PlatformVersion, t.PlatformFamily, t.EphemeralGiB = r.platform, "Linux", 20
	}
	t.Overrides.V = r.overrides
	t.ExecuteCommand = r.exec
	if r.providers != nil {
		t.CapacityProvider = r.providers[i]
	}
	t.Containers = r.containers()
	return newTask{t}
}

// containers are the containers of each task, their ports as asked for.
func (r *run) containers() []state.Container {
	var all []state.Container
	for _, d := range r.def.Spec.V.ContainerDefinitions {
		size := containerSize(d, r.overrides)
		c := state.Container{Name: aws.ToString(d.Name), ID: id.UUID(), Image: aws.ToString(d.Image), Last: state.Pending,
			Essential: d.Essential == nil || *d.Essential, HealthCheck: d.HealthCheck != nil,
			Health: types.HealthStatusUnknown, CPU: strconv.Itoa(int(size.cpu))}
		if size.memory > 0 {
			c.Memory = strconv.Itoa(int(size.memory))
		}
		if size.reservation > 0 {
			c.MemoryReservation = strconv.Itoa(int(size.reservation))
		}
		if r.exec {
			c.ExecAgent = state.ExecAgentPending
		}
		c.Ports = bindings(d, r.mode())
		all = append(all, c)
	}
	return all
}

// size is what one container asks for: CPU units and MiB, 0 for nothing.
type size struct{ cpu, memory, reservation int32 }

// containerSize is a container's size after overrides.
func containerSize(d types.ContainerDefinition, o types.TaskOverride) size {
	out := size{cpu: d.Cpu, memory: aws.ToInt32(d.Memory), reservation: aws.ToInt32(d.MemoryReservation)}
	for _, c := range o.ContainerOverrides {
		if aws.ToString(c.Name) != aws.ToString(d.Name) {
			continue
		}
		if c.Cpu != nil {
			out.cpu = *c.Cpu
		}
		if c.Memory != nil {
			out.memory = *c.Memory
		}
		if c.MemoryReservation != nil {
			out.reservation = *c.MemoryReservation
		}
	}
	return out
}

// architecture is the CPU architecture that a definition's tasks need.
func architecture(d *state.TaskDefinition) string {
	if p := d.Spec.V.RuntimePlatform; p != nil && p.CpuArchitecture != "" {
		return string(p.CpuArchitecture)
	}
	return string(types.CPUArchitectureX8664)
}
