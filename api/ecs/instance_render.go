package ecs

import (
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
)

// renderInstance shows a container instance as ECS does.
func renderInstance(v store.View, i *state.ContainerInstance, tags bool) types.ContainerInstance {
	n, _ := store.Nodes.Get(v, state.Key{ID: i.Node})
	offer, ok := store.Places(v).Offer(i.Scope.Key(i.Cluster), i.ID)
	if !ok {
		panic("a container instance that is shown has no record: " + i.ID)
	}
	out := types.ContainerInstance{
		AgentConnected:       i.Connected && n != nil && n.Status == "READY",
		Attachments:          []types.Attachment{},
		Attributes:           i.Attributes,
		ContainerInstanceArn: aws.String(i.ARN()),
		Ec2InstanceId:        &i.EC2InstanceID,
		RegisteredAt:         &i.RegisteredAt,
		RegisteredResources:  resources(i.CPU, i.Memory, i.TCPPorts, i.UDPPorts, i.GPUs),
		Status:               aws.String(string(i.Status)),
		Tags:                 []types.Tag{},
		CapacityProviderName: text(i.CapacityProvider),
		Version:              i.Version,
		VersionInfo:          &i.Agent,
	}
	cpu, memory := offer.Free()
	tcp, udp := slices.Clone(i.TCPPorts), slices.Clone(i.UDPPorts)
	for _, p := range offer.Ports() {
		if p.Protocol == types.TransportProtocolUdp {
			udp = append(udp, p.Number)
		} else {
			tcp = append(tcp, p.Number)
		}
	}
	out.RemainingResources = resources(int32(cpu), int32(memory), tcp, udp, offer.FreeGPUs())
	out.RunningTasksCount, out.PendingTasksCount = int32(offer.Tasks-offer.Pending), int32(offer.Pending)
	if tags {
		out.Tags = tagsOf(i.Tags)
	}
	return out
}

// resources shows what an instance has: ports are those that are taken.
func resources(cpu, memory int32, tcp, udp []int32, gpus []string) []types.Resource {
	out := []types.Resource{
		{Name: aws.String("CPU"), Type: aws.String("INTEGER"), IntegerValue: cpu},
		{Name: aws.String("MEMORY"), Type: aws.String("INTEGER"), IntegerValue: memory},
		{Name: aws.String("PORTS"), Type: aws.String("STRINGSET"), StringSetValue: portTexts(tcp)},
		{Name: aws.String("PORTS_UDP"), Type: aws.String("STRINGSET"), StringSetValue: portTexts(udp)},
	}
	if len(gpus) > 0 {
		out = append(out, types.Resource{Name: aws.String("GPU"), Type: aws.String("STRINGSET"), StringSetValue: gpus})
	}
	return out
}

func portTexts(ports []int32) []string {
	out := make([]string, 0, len(ports))
	for _, p := range slices.Sorted(slices.Values(ports)) {
		out = append(out, strconv.Itoa(int(p)))
	}
	return out
}

// instanceHealth is that of the container runtime, which is in Berth's process.
func instanceHealth(i *state.ContainerInstance) *types.ContainerInstanceHealthStatus {
	status := types.InstanceHealthCheckStateOk
	if !i.Connected {
		status = types.InstanceHealthCheckStateImpaired
	}
	return &types.ContainerInstanceHealthStatus{OverallStatus: status, Details: []types.InstanceHealthCheckResult{
		{Type: types.InstanceHealthCheckTypeContainerRuntime, Status: status},
	}}
}
