package ecs

import (
	"context"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/internal/arn"
	"github.com/berth/berth/internal/id"
	"github.com/berth/berth/internal/page"
	"github.com/berth/berth/place/query"
	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
	"github.com/berth/berth/wire"
)

// nodeAttribute names the node that a registration is for: `berth node` sets it.
// Without it, it is for the only node that there is.
const nodeAttribute = "berth.node"

// runtimeAttribute is the OCI runtime of a container instance or a task, where it
// isn't the one that hosts have by themselves.
const runtimeAttribute = "berth.runtime"

// providerAttribute names the capacity provider that a registered instance
// belongs to: `berth node` sets it. On AWS its Auto Scaling group says so.
const providerAttribute = "berth.capacity-provider"

// RegisterContainerInstance makes a node capacity of a cluster. With the ARN of
// an instance it is registered anew: its attributes and resources are replaced.
func (s *Service) RegisterContainerInstance(ctx context.Context, in *ecs.RegisterContainerInstanceInput) (*ecs.RegisterContainerInstanceOutput, error) {
	caller := wire.CallerFrom(ctx)
	tags, err := tagsFrom(in.Tags)
	if err != nil {
		return nil, err
	}
	var out *ecs.RegisterContainerInstanceOutput
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		cluster, err := s.activeCluster(tx, caller, in.Cluster)
		if err != nil {
			return err
		}
		node, attributes, err := registeringNode(tx, in.Attributes)
		if err != nil {
			return err
		}
		provider, attributes, err := ownProvider(cluster, attributes)
		if err != nil {
			return err
		}
		i, err := s.registered(tx, caller, cluster, node, in.ContainerInstanceArn)
		if err != nil {
			return err
		}
		i.CapacityProvider = provider
		i.CPU, i.Memory = int32(float64(node.CPU)*node.CPUOvercommit), int32(float64(node.Memory)*node.MemoryOvercommit)
		i.GPUs = node.GPUs
		if err := takeResources(i, in.TotalResources); err != nil {
			return err
		}
		for _, gpu := range i.GPUs {
			if !slices.Contains(node.GPUs, gpu) {
				return invalid("Invalid resource GPU: the host has no device %s.", gpu)
			}
		}
		i.Attributes = mergeAttributes(builtIn(node), attributes)
		if in.VersionInfo != nil {
			i.Agent = *in.VersionInfo
		}
		if len(tags) > 0 {
			i.Tags = tags
		}
		i.Connected = true
		i.Version++
		store.Instances.Put(tx, i)
		shown := renderInstance(tx, i, true)
		out = &ecs.RegisterContainerInstanceOutput{ContainerInstance: &shown}
		return nil
	})
	return out, err
}

// registeringNode finds the node that registers, and takes its name out of the
// attributes.
func registeringNode(v store.View, attributes []types.Attribute) (*state.Node, []types.Attribute, error) {
	var rest []types.Attribute
	named := ""
	for _, a := range attributes {
		if err := checkAttribute(a); err != nil {
			return nil, nil, err
		}
		if aws.ToString(a.Name) == nodeAttribute {
			named = aws.ToString(a.Value)
			continue
		}
		rest = append(rest, types.Attribute{Name: a.Name, Value: a.Value})
	}
	var found *state.Node
	for n := range store.Nodes.All(v) {
		if named == "" && found != nil {
			return nil, nil, invalid("There is more than one node: name one with the attribute %s.", nodeAttribute)
		}
		if named == "" || n.ID == named {
			found = n
		}
	}
	if found == nil {
		return nil, nil, invalid("There is no such node to register.")
	}
	return found, rest, nil
}

// ownProvider takes the capacity provider out of the attributes of an instance.
func ownProvider(cluster *state.Cluster, attributes []types.Attribute) (string, []types.Attribute, error) {
	at := slices.IndexFunc(attributes, func(a types.Attribute) bool { return aws.ToString(a.Name) == providerAttribute })
	if at < 0 {
		return "", attributes, nil
	}
	name := aws.ToString(attributes[at].Value)
	if onFargate(name) || !slices.Contains(cluster.Spec.V.CapacityProviders, name) {
		return "", nil, invalid("The capacity provider '%s' is not one of an Auto Scaling group that the cluster %s has.", name, cluster.Name)
	}
	return name, slices.Delete(attributes, at, at+1), nil
}

// registered is the record of a registration: the one that the ARN names, the
// one that the node has in the cluster, or a new one.
func (s *Service) registered(tx *store.Tx, c wire.Caller, cluster *state.Cluster, node *state.Node, ref *string) (*state.ContainerInstance, error) {
	if aws.ToString(ref) != "" {
		i, err := s.instance(tx, c, cluster, *ref)
		if err != nil {
			return nil, err
		}
		if i == nil || i.Node != node.ID {
			return nil, clientError("The referenced container instance was not found.")
		}
		return i.Clone(), nil
	}
	for i := range store.Instances.By(tx, store.InstancesByNode, node.ID) {
		if i.Scope == scopeOf(c) && i.Cluster == cluster.Name {
			return i.Clone(), nil
		}
	}
	return &state.ContainerInstance{
		Scope: scopeOf(c), Cluster: cluster.Name, ID: id.Hex(16), Node: node.ID, EC2InstanceID: "i-" + node.ID[:17],
		Status: types.ContainerInstanceStatusActive, RegisteredAt: s.now(),
	}, nil
}

// takeResources takes CPU, MEMORY, PORTS, PORTS_UDP and GPU; what isn't said is
// the node's.
func takeResources(i *state.ContainerInstance, given []types.Resource) error {
	for _, r := range given {
		switch name := aws.ToString(r.Name); name {
		case "CPU":
			i.CPU = r.IntegerValue
		case "MEMORY":
			i.Memory = r.IntegerValue
		case "GPU":
			i.GPUs = r.StringSetValue
		case "PORTS", "PORTS_UDP":
			var ports []int32
			for _, text := range r.StringSetValue {
				n, err := strconv.ParseUint(text, 10, 16)
				if err != nil {
					return invalid("Invalid resource %s: %q is not a port.", name, text)
				}
				ports = append(ports, int32(n))
			}
			if name == "PORTS" {
				i.TCPPorts = ports
			} else {
				i.UDPPorts = ports
			}
		default:
			return invalid("Invalid resource name: %s.", name)
		}
	}
	if i.CPU < 0 || i.Memory < 0 {
		return invalid("CPU and MEMORY must not be negative.")
	}
	return nil
}

// builtIn are the attributes that ECS gives an instance itself.
func builtIn(n *state.Node) []types.Attribute {
	arch := "x86_64"
	if n.Arch == string(types.CPUArchitectureArm64) {
		arch = "arm64"
	}
	zone := ""
	if len(n.Zones) > 0 {
		zone = n.Zones[0]
	}
	out := []types.Attribute{}
	for _, a := range [][2]string{
		{"ecs.availability-zone", zone}, {"ecs.cpu-architecture", arch}, {"ecs.instance-type", "berth.host"}, {"ecs.os-family", "LINUX"}, {"ecs.os-type", "linux"},
	} {
		out = append(out, types.Attribute{Name: &a[0], Value: &a[1]})
	}
	if n.Runtime != "" {
		out = append(out, types.Attribute{Name: aws.String(runtimeAttribute), Value: &n.Runtime})
	}
	return append(out, capabilityAttributes()...)
}

func mergeAttributes(base, with []types.Attribute) []types.Attribute {
	for _, a := range with {
		i := slices.IndexFunc(base, func(b types.Attribute) bool { return aws.ToString(b.Name) == aws.ToString(a.Name) })
		if i >= 0 {
			base[i] = a
		} else {
			base = append(base, a)
		}
	}
	return base
}

// instance finds a container instance of a cluster by ID or ARN; nil if there
// is none.
func (s *Service) instance(v store.View, c wire.Caller, cluster *state.Cluster, ref string) (*state.ContainerInstance, error) {
	name := ref
	if arn.Is(ref) {
		var err error
		if name, err = resourceName(c, ref, "container-instance"); err != nil {
			return nil, err
		}
		// The long form has the cluster's name.
		if n := len(name); n > 33 && name[n-33] == '/' {
			if name[:n-33] != cluster.Name {
				return nil, nil
			}
			name = name[n-32:]
		}
	}
	if len(name) != 32 && len(name) != 36 {
		return nil, invalid("containerInstance identifier length should be one of [32,36]")
	}
	i, _ := store.Instances.Get(v, cluster.Scope.Key(cluster.Name+"/"+name))
	return i, nil
}

// DeregisterContainerInstance takes a node out of a cluster. With force its tasks
// are left alone and orphaned by ECS; here they are stopped, as nobody would
// look after them.
func (s *Service) DeregisterContainerInstance(ctx context.Context, in *ecs.DeregisterContainerInstanceInput) (*ecs.DeregisterContainerInstanceOutput, error) {
	caller := wire.CallerFrom(ctx)
	var out *ecs.DeregisterContainerInstanceOutput
	err := s.store.Update(ctx, func(tx *store.Tx) error {
		cluster, err := s.cluster(tx, caller, in.Cluster)
		if err != nil {
			return err
		}
		i, err := s.instance(tx, caller, cluster, aws.ToString(in.ContainerInstance))
		if err != nil {
			return err
		}
		if i == nil {
			return invalid("Referenced container instance %s not found.", aws.ToString(in.ContainerInstance))
		}
		running := instanceTasks(tx, i)
		if len(running) > 0 && !aws.ToBool(in.Force) {
			return invalid("Found running tasks on the instance.")
		}
		for _, t := range running {
			if t.Desired != state.Stopped {
				t = t.Clone()
				t.Stop(types.TaskStopCodeTerminationNotice, "Host EC2 (instance "+i.EC2InstanceID+") deregistered.", s.now())
				store.Tasks.Put(tx, t)
			}
		}
		shown := renderInstance(tx, i, true)
		store.Instances.Delete(tx, i.Key())
		shown.Status = aws.String("INACTIVE")
		out = &ecs.DeregisterContainerInstanceOutput{ContainerInstance: &shown}
		return nil
	})
	return out, err
}

// instanceTasks are the tasks of an instance that are not STOPPED.
func instanceTasks(v store.View, i *state.ContainerInstance) []*state.Task {
	var out []*state.Task
	for t := range store.Tasks.By(v, store.TasksByNode, i.Node) {
		if t.ContainerInstance == i.ID && t.Last != state.Stopped {
			out = append(out, t)
		}
	}
	return out
}

// DescribeContainerInstances shows up to 100 instances.
func (s *Service) DescribeContainerInstances(ctx context.Context, in *ecs.DescribeContainerInstancesInput) (*ecs.DescribeContainerInstancesOutput, error) {
	caller, v := wire.CallerFrom(ctx), s.store.View()
	cluster, err := s.cluster(v, caller, in.Cluster)
	if err != nil {
		return nil, err
	}
	switch n := len(in.ContainerInstances); {
	case n == 0:
		return nil, invalid("Container instance cannot be empty.")
	case n > 100:
		return nil, invalid("At most 100 container instances can be described at once.")
	}
	for _, f := range in.Include {
		if !slices.Contains(f.Values(), f) {
			return nil, invalid("Invalid include: %s", f)
		}
	}
	out := &ecs.DescribeContainerInstancesOutput{ContainerInstances: []types.ContainerInstance{}, Failures: []types.Failure{}}
	for _, ref := range in.ContainerInstances {
		i, err := s.instance(v, caller, cluster, ref)
		if err != nil {
			return nil, err
		}
		if i == nil {
			out.Failures = append(out.Failures, missing(caller, cluster, ref))
			continue
		}
		shown := renderInstance(v, i, slices.Contains(in.Include, types.ContainerInstanceFieldTags))
		if slices.Contains(in.Include, types.ContainerInstanceFieldContainerInstanceHealth) {
			shown.HealthStatus = instanceHealth(i)
		}
		out.ContainerInstances = append(out.ContainerInstances, shown)
	}
	return out, nil
}

func missing(c wire.Caller, cluster *state.Cluster, ref string) types.Failure {
	if !arn.Is(ref) {
		ref = state.InstanceARN(scopeOf(c), cluster.Name, ref)
	}
	return types.Failure{Arn: &ref, Reason: aws.String("MISSING")}
}

// ListContainerInstances lists the ARNs of a cluster's instances.
func (s *Service) ListContainerInstances(ctx context.Context, in *ecs.ListContainerInstancesInput) (*ecs.ListContainerInstancesOutput, error) {
	caller, v := wire.CallerFrom(ctx), s.store.View()
	cluster, err := s.cluster(v, caller, in.Cluster)
	if err != nil {
		return nil, err
	}
	limit := int(aws.ToInt32(in.MaxResults))
	switch {
	case in.MaxResults != nil && (limit < 1 || limit > 100):
		return nil, invalid("maxResults must be between 1 and 100.")
	case limit == 0:
		limit = 100
	}
	if in.Status != "" && !slices.Contains(in.Status.Values(), in.Status) {
		return nil, invalid("Invalid status: %s", in.Status)
	}
	filter, err := parseFilter(in.Filter)
	if err != nil {
		return nil, err
	}
	arns := []string{}
	for o := range store.Places(v).Offers(cluster.Key()) {
		if (in.Status == "" || o.Instance.Status == in.Status) && (filter == nil || filter.Match(o.Query())) {
			arns = append(arns, o.Instance.ARN())
		}
	}
	arns, next, err := page.Cut(arns, func(a string) string { return a }, "ecs/ListContainerInstances/"+cluster.Name, aws.ToString(in.NextToken), limit)
	if err != nil {
		return nil, invalid("Invalid token: the nextToken is not one that ListContainerInstances returned for this cluster.")
	}
	return &ecs.ListContainerInstancesOutput{ContainerInstanceArns: arns, NextToken: text(next)}, nil
}

// parseFilter reads a filter in the cluster query language; nil for none.
func parseFilter(text *string) (*query.Expr, error) {
	if aws.ToString(text) == "" {
		return nil, nil
	}
	x, err := query.Parse(*text)
	if err != nil {
		return nil, invalid("Invalid filter %q: %v", *text, err)
	}
	return x, nil
}

// UpdateContainerInstancesState sets up to ten instances ACTIVE or DRAINING. On a
// DRAINING one no new task is placed.
func (s *Service) UpdateContainerInstancesState(ctx context.Context, in *ecs.UpdateContainerInstancesStateInput) (*ecs.UpdateContainerInstancesStateOutput, error) {
	caller := wire.CallerFrom(ctx)
	switch {
	case in.Status != types.ContainerInstanceStatusActive && in.Status != types.ContainerInstanceStatusDraining:
		return nil, invalid("Container instance status should be one of [ACTIVE,DRAINING].")
	case len(in.ContainerInstances) == 0:
		return nil, invalid("Container instance cannot be empty.")
	case len(in.ContainerInstances) > 10:
		return nil, invalid("Too many container instances: at most 10 can be updated at once.")
	}
	var out *ecs.UpdateContainerInstancesStateOutput
	err := s.store.Update(ctx, func(tx *store.Tx) error {
		out = &ecs.UpdateContainerInstancesStateOutput{ContainerInstances: []types.ContainerInstance{}, Failures: []types.Failure{}}
		cluster, err := s.cluster(tx, caller, in.Cluster)
		if err != nil {
			return err
		}
		for _, ref := range in.ContainerInstances {
			i, err := s.instance(tx, caller, cluster, ref)
			if err != nil {
				return err
			}
			if i == nil {
				out.Failures = append(out.Failures, missing(caller, cluster, ref))
				continue
			}
			if i.Status != in.Status {
				i = i.Clone()
				i.Status = in.Status
				i.Version++
				store.Instances.Put(tx, i)
			}
			out.ContainerInstances = append(out.ContainerInstances, renderInstance(tx, i, true))
		}
		return nil
	})
	return out, err
}

// UpdateContainerAgent refuses, as ECS does for an agent that is current: a node's
// agent is Berth itself, which is never older than the API that answers here.
func (s *Service) UpdateContainerAgent(ctx context.Context, in *ecs.UpdateContainerAgentInput) (*ecs.UpdateContainerAgentOutput, error) {
	caller, v := wire.CallerFrom(ctx), s.store.View()
	cluster, err := s.cluster(v, caller, in.Cluster)
	if err != nil {
		return nil, err
	}
	i, err := s.instance(v, caller, cluster, aws.ToString(in.ContainerInstance))
	if err != nil {
		return nil, err
	}
	if i == nil {
		return nil, invalid("Referenced container instance %s not found.", aws.ToString(in.ContainerInstance))
	}
	return nil, &types.NoUpdateAvailableException{Message: aws.String("There's no update available for this Amazon ECS container agent.")}
}
