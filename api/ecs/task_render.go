package ecs

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/state"
)

// renderTask shows a task as ECS does. eni is nil once the interface is gone,
// and may be nil for a task that was just made.
func renderTask(t *state.Task, eni *state.ENI, tags bool) types.Task {
	cpu, memory := t.Reserves()
	out := types.Task{
		Attachments:          []types.Attachment{},
		Attributes:           append([]types.Attribute{{Name: aws.String("ecs.cpu-architecture"), Value: aws.String(taskArch(t))}}, append(timeline(t), restarts(t)...)...),
		AvailabilityZone:     text(t.Zone),
		ClusterArn:           aws.String(t.ClusterARN()),
		Containers:           []types.Container{},
		Cpu:                  aws.String(strconv.Itoa(int(cpu))),
		Memory:               aws.String(strconv.Itoa(int(memory))),
		CreatedAt:            &t.CreatedAt,
		DesiredStatus:        aws.String(t.Desired.String()),
		EnableExecuteCommand: t.ExecuteCommand,
		Group:                &t.Group,
		HealthStatus:         t.Health,
		LastStatus:           aws.String(t.Last.String()),
		LaunchType:           t.LaunchType,
		Overrides:            renderOverrides(t),
		PlatformFamily:       text(t.PlatformFamily),
		PlatformVersion:      text(t.PlatformVersion),
		StopCode:             t.StopCode,
		Tags:                 []types.Tag{},
		TaskArn:              aws.String(t.ARN()),
		TaskDefinitionArn:    aws.String(t.DefinitionARN()),
		Version:              t.Version,
		ConnectivityAt:       when(t.ConnectivityAt),
		PullStartedAt:        when(t.PullStartedAt),
		PullStoppedAt:        when(t.PullStoppedAt),
		StartedAt:            when(t.StartedAt),
		StoppingAt:           when(t.StoppingAt),
		ExecutionStoppedAt:   when(t.ExecutionStoppedAt),
		StoppedAt:            when(t.StoppedAt),
		CapacityProviderName: text(t.CapacityProvider),
		StartedBy:            text(t.StartedBy),
		StoppedReason:        text(t.StoppedReason),
	}
	if t.Runtime != "" {
		out.Attributes = append(out.Attributes, types.Attribute{Name: aws.String(runtimeAttribute), Value: &t.Runtime})
	}
	if t.ENI != "" {
		out.Attachments = append(out.Attachments, renderAttachment(t, eni))
	}
	for i := range t.Volumes {
		out.Attachments = append(out.Attachments, renderVolume(t, &t.Volumes[i]))
	}
	if t.ContainerInstance != "" {
		out.ContainerInstanceArn = aws.String(state.InstanceARN(t.Scope, t.Cluster, t.ContainerInstance))
	}
	if t.EphemeralGiB > 0 {
		out.EphemeralStorage = &types.EphemeralStorage{SizeInGiB: t.EphemeralGiB}
		out.FargateEphemeralStorage = &types.TaskEphemeralStorage{SizeInGiB: t.EphemeralGiB}
	}
	if !t.ConnectivityAt.IsZero() {
		out.Connectivity = types.ConnectivityConnected
	}
	if tags {
		out.Tags = tagsOf(t.Tags)
	}
	for i := range t.Containers {
		out.Containers = append(out.Containers, renderContainer(t, &t.Containers[i]))
	}
	return out
}

// timelineAttribute begins the names of the attributes that say how long the
// steps of a task's launch took, which ECS has no field for: berth.step.NN.STEP
// or berth.step.NN.STEP.CONTAINER is "AFTER+TOOK", in microseconds after the
// task was created.
const timelineAttribute = "berth.step."

func timeline(t *state.Task) []types.Attribute {
	var out []types.Attribute
	for i, s := range t.Steps {
		name := fmt.Sprintf("%s%02d.%s", timelineAttribute, i, s.Name)
		if s.Container != "" {
			name += "." + s.Container
		}
		value := fmt.Sprintf("%d+%d", max(s.Began.Sub(t.CreatedAt), 0).Microseconds(), s.Took.Microseconds())
		out = append(out, types.Attribute{Name: &name, Value: &value})
	}
	return out
}

// restartsAttribute begins the names of the attributes that say how often the
// restart policy of a container has started it again, which DescribeTasks has no
// field for either: berth.restarts.CONTAINER.
const restartsAttribute = "berth.restarts."

func restarts(t *state.Task) []types.Attribute {
	var out []types.Attribute
	for _, c := range t.Containers {
		if c.Restarts > 0 {
			out = append(out, types.Attribute{Name: aws.String(restartsAttribute + c.Name), Value: aws.String(strconv.Itoa(int(c.Restarts)))})
		}
	}
	return out
}

func renderContainer(t *state.Task, c *state.Container) types.Container {
	out := types.Container{
		ManagedAgents:     managedAgents(c),
		ContainerArn:      aws.String(t.ContainerARN(c)),
		TaskArn:           aws.String(t.ARN()),
		Name:              &c.Name,
		Image:             &c.Image,
		ImageDigest:       text(c.ImageDigest),
		RuntimeId:         text(c.RuntimeID),
		LastStatus:        aws.String(c.Last.String()),
		ExitCode:          c.ExitCode,
		Reason:            text(c.Reason),
		HealthStatus:      c.Health,
		NetworkBindings:   []types.NetworkBinding{},
		NetworkInterfaces: []types.NetworkInterface{},
		Cpu:               text(c.CPU),
		Memory:            text(c.Memory),
		MemoryReservation: text(c.MemoryReservation),
		GpuIds:            c.GPUs,
	}
	if t.ENI != "" {
		out.NetworkInterfaces = append(out.NetworkInterfaces, types.NetworkInterface{
			AttachmentId: &t.AttachmentID, PrivateIpv4Address: aws.String(t.Interface.Address.String()),
		})
	}
	// A container has its ports from its start on.
	for _, p := range c.Ports {
		if c.Last < state.Running {
			break
		}
		b := types.NetworkBinding{BindIP: &p.BindIP, Protocol: p.Protocol, ContainerPort: &p.ContainerPort, HostPort: &p.HostPort}
		if p.Count > 1 {
			b.ContainerPort, b.HostPort = nil, nil
			b.ContainerPortRange = aws.String(fmt.Sprintf("%d-%d", p.ContainerPort, p.ContainerPort+p.Count-1))
			b.HostPortRange = aws.String(fmt.Sprintf("%d-%d", p.HostPort, p.HostPort+p.Count-1))
		}
		out.NetworkBindings = append(out.NetworkBindings, b)
	}
	return out
}

// managedAgents are a container's: ECS Exec's, where the task enables it.
func managedAgents(c *state.Container) []types.ManagedAgent {
	if c.ExecAgent == "" {
		return nil
	}
	return []types.ManagedAgent{{
		Name: types.ManagedAgentNameExecuteCommandAgent, LastStatus: &c.ExecAgent, LastStartedAt: when(c.ExecAgentAt),
	}}
}

// renderAttachment shows the ENI as the attachment it is to ECS (Amazon ECS
// Developer Guide, "Task networking": PRECREATED, ATTACHING, ATTACHED,
// DETACHING, DELETED).
func renderAttachment(t *state.Task, eni *state.ENI) types.Attachment {
	status := "PRECREATED"
	switch {
	case t.Last == state.Stopped || eni == nil && t.Version > 1:
		status = "DELETED"
	case t.Last >= state.Deprovisioning:
		status = "DETACHING"
	case !t.ConnectivityAt.IsZero():
		status = "ATTACHED"
	case t.Last > state.Provisioning:
		status = "ATTACHING"
	}
	detail := func(name, value string) types.KeyValuePair {
		return types.KeyValuePair{Name: aws.String(name), Value: aws.String(value)}
	}
	return types.Attachment{
		Id: &t.AttachmentID, Type: aws.String("ElasticNetworkInterface"), Status: &status,
		Details: []types.KeyValuePair{
			detail("subnetId", t.Interface.Subnet),
			detail("networkInterfaceId", t.Interface.ENI),
			detail("macAddress", t.Interface.MAC),
			detail("privateDnsName", t.Interface.PrivateDNS),
			detail("privateIPv4Address", t.Interface.Address.String()),
		},
	}
}

// renderVolume shows an EBS volume as the attachment that it is to ECS (SDK,
// types.Attachment.Details).
func renderVolume(t *state.Task, v *state.Volume) types.Attachment {
	detail := func(name, value string) types.KeyValuePair {
		return types.KeyValuePair{Name: aws.String(name), Value: aws.String(value)}
	}
	return types.Attachment{
		Id: &v.AttachmentID, Type: aws.String("AmazonElasticBlockStorage"), Status: aws.String(t.VolumeStatus(v)),
		Details: []types.KeyValuePair{
			detail("roleArn", v.RoleARN), detail("volumeName", v.Name), detail("deleteOnTermination", strconv.FormatBool(v.DeleteOnTermination)), detail("volumeId", v.ID),
		},
	}
}

// renderOverrides shows the overrides with a row for each container, as ECS
// does whether it was overridden or not.
func renderOverrides(t *state.Task) *types.TaskOverride {
	o := t.Overrides.V
	rows := slices.Clone(o.ContainerOverrides)
	for i := range t.Containers {
		name := t.Containers[i].Name
		if !slices.ContainsFunc(rows, func(c types.ContainerOverride) bool { return aws.ToString(c.Name) == name }) {
			rows = append(rows, types.ContainerOverride{Name: &name})
		}
	}
	o.ContainerOverrides = rows
	o.InferenceAcceleratorOverrides = []types.InferenceAcceleratorOverride{}
	return &o
}

func taskArch(t *state.Task) string {
	if t.Arch == string(types.CPUArchitectureArm64) {
		return "arm64"
	}
	return "x86_64"
}

// when is nil for a time that has not come.
func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// text is nil for an empty string.
func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
