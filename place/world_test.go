package place

import (
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/state"
)

var cluster = state.Key{ID: "c"}

func node(id string, cpu, memory int32) *state.Node {
	return &state.Node{ID: id, Zones: []string{"us-east-1a"}, Arch: "X86_64", CPU: cpu, Memory: memory, CPUOvercommit: 1, MemoryOvercommit: 1, Status: ready}
}

func instance(id string, cpu, memory int32, attributes ...types.Attribute) *state.ContainerInstance {
	return &state.ContainerInstance{
		Cluster: "c", ID: id, Node: id, CPU: cpu, Memory: memory, Status: types.ContainerInstanceStatusActive, Connected: true, Attributes: attributes,
	}
}

func attribute(name, value string) types.Attribute {
	return types.Attribute{Name: &name, Value: &value}
}

// task is one that runs on an instance, or with none on its node.
func task(id, node string, cpu, memory int32, ports ...state.PortBinding) *state.Task {
	return &state.Task{
		Cluster: "c", ID: id, Node: node, ContainerInstance: node, Group: "family:f", Last: state.Running, CPU: cpu, Memory: memory,
		Containers: []state.Container{{Ports: ports}},
	}
}

func tcp(host int32) state.PortBinding {
	return state.PortBinding{Protocol: types.TransportProtocolTcp, ContainerPort: 80, HostPort: host, Count: 1}
}

func binpack(field string) types.PlacementStrategy {
	return types.PlacementStrategy{Type: types.PlacementStrategyTypeBinpack, Field: &field}
}

func spreadOver(field string) types.PlacementStrategy {
	return types.PlacementStrategy{Type: types.PlacementStrategyTypeSpread, Field: &field}
}

var random = types.PlacementStrategy{Type: types.PlacementStrategyTypeRandom}

// index is that of instances, each on a node of its own, and tasks.
func index(instances []*state.ContainerInstance, tasks ...*state.Task) *Index {
	var nodes []*state.Node
	for _, i := range instances {
		nodes = append(nodes, node(i.ID, i.CPU, i.Memory))
	}
	return NewIndex(slices.Values(nodes), slices.Values(instances), slices.Values(tasks))
}

func zone(name string) types.Attribute {
	return types.Attribute{Name: aws.String(ZoneAttribute), Value: &name}
}
