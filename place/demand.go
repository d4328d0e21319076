package place

import (
	"hash/fnv"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/place/query"
	"github.com/berth/berth/state"
)

// The range of dynamic host ports: Linux's default range of ephemeral ports
// (Amazon ECS Developer Guide, PortMapping.hostPort).
const (
	firstDynamic, lastDynamic = 32768, 60999
	dynamicPorts              = lastDynamic - firstDynamic + 1
)

// Port is a port of a host.
type Port struct {
	Protocol types.TransportProtocol
	Number   int32
}

// Demand is what a task needs of a container instance.
type Demand struct {
	CPU    int32 // CPU units
	Memory int32 // MiB
	Arch   string
	GPUs   int
	// Attributes are what the instance must have. One without a value may have any.
	Attributes []types.Attribute
	// Ports are the mappings of all its containers. A host port of 0 is any.
	Ports []state.PortBinding
	// HostKernel is the field for which it needs the host's kernel: see
	// state.HostKernel.
	HostKernel string
	// Group is the task's. With Distinct the instance may have no other task of it.
	Group    string
	Distinct bool
	// Members are the expressions of memberOf: all must hold.
	Members []*query.Expr
	// Provider is the capacity provider whose instance it must be; empty for any.
	Provider string
	// Zones are the availability zones that an instance's node may be in; nil for any.
	Zones []string

	// Strategy is how to choose among those that will do.
	Strategy []types.PlacementStrategy
	// Seed is what the strategy random goes by.
	Seed uint64
}

// ServiceStrategy is that of a service which has none of its own (Amazon ECS
// Developer Guide, "Use strategies to define Amazon ECS task placement": tasks
// are spread over availability zones), and within a zone over its instances.
func ServiceStrategy() []types.PlacementStrategy {
	zone, instance := "attribute:"+ZoneAttribute, "instanceId"
	return []types.PlacementStrategy{{Type: types.PlacementStrategyTypeSpread, Field: &zone}, {Type: types.PlacementStrategyTypeSpread, Field: &instance}}
}

// ZoneAttribute names the attribute with an instance's availability zone.
const ZoneAttribute = "ecs.availability-zone"

// firstDynamic is where in the dynamic range an instance begins: each elsewhere,
// so that installations that share a host, and don't know of each other's ports,
// seldom want the same.
func (o *Offer) firstDynamic() int32 {
	h := fnv.New32a()
	h.Write([]byte(o.Instance.ID))
	return int32(h.Sum32() % uint32(dynamicPorts))
}

// Bind gives each mapping its host ports: those that it asks for, or the next
// free ones of the dynamic range, which for a range of ports are in a row. It
// reports false when there are none. Nothing is held yet.
func (o *Offer) Bind(ports []state.PortBinding) ([]state.PortBinding, bool) {
	if len(ports) == 0 {
		return nil, true
	}
	taken := map[Port]bool{}
	free := func(p types.TransportProtocol, from, count int32) bool {
		for n := from; n < from+count; n++ {
			if port := (Port{p, n}); o.taken(port) || taken[port] {
				return false
			}
		}
		return true
	}
	bound := slices.Clone(ports)
	first := o.firstDynamic()
	// Those that are fixed go first, so that no dynamic one takes their place.
	for _, dynamic := range []bool{false, true} {
		for i := range bound {
			b := &bound[i]
			if (ports[i].HostPort == 0) != dynamic {
				continue
			}
			count := max(b.Count, 1)
			for n := int32(0); dynamic && b.HostPort == 0 && n < dynamicPorts; n++ {
				if from := firstDynamic + (first+n)%dynamicPorts; from+count-1 <= lastDynamic && free(b.Protocol, from, count) {
					b.HostPort = from
				}
			}
			if b.HostPort == 0 || !free(b.Protocol, b.HostPort, count) {
				return nil, false
			}
			for k := range count {
				taken[Port{b.Protocol, b.HostPort + k}] = true
			}
		}
	}
	return bound, true
}
