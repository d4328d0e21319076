package place

import (
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/state"
)

// Each operation is a decision and its place in the index; when the instances
// are half full, all tasks are taken away again.
func BenchmarkPickInstance(b *testing.B) {
	for name, strategy := range map[string][]types.PlacementStrategy{
		"none": nil, "binpack": {binpack("memory")}, "spread": {spreadOver("instanceId")}, "random": {random},
		"zones+binpack": {spreadOver("attribute:ecs.availability-zone"), binpack("cpu")}, "zones+instances": ServiceStrategy(),
	} {
		for _, n := range []int{100, 1000, 10000} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				var instances []*state.ContainerInstance
				for i := range n {
					instances = append(instances, instance(fmt.Sprintf("%032x", i), 4096, 8192, zone(fmt.Sprint("z", i%3))))
				}
				empty := index(instances)
				x, placed := empty, 0
				for k := 0; b.Loop(); k++ {
					d := &Demand{CPU: 32, Memory: 64, Arch: "X86_64", Group: fmt.Sprint("service:", k%50), Strategy: strategy, Seed: uint64(k)}
					o, no := x.PickInstance(cluster, d)
					if no != nil {
						b.Fatal(no)
					}
					t := task(fmt.Sprint(k), o.Instance.ID, d.CPU, d.Memory)
					t.Group, t.Last = d.Group, state.Pending
					x = x.Change(nil, t)
					if placed++; placed == 64*n {
						x, placed = empty, 0
					}
				}
			})
		}
	}
}

func BenchmarkPickNode(b *testing.B) {
	for _, n := range []int{100, 1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var nodes []loaded
			for i := range n {
				nodes = append(nodes, loaded{node: node(fmt.Sprintf("%032x", i), 4096, 8192)})
			}
			empty := nodesIndex(nodes)
			x, placed := empty, 0
			for k := 0; b.Loop(); k++ {
				found, no := x.PickNode(Request{CPU: 32, Memory: 64, Zone: "us-east-1a", Arch: "X86_64"})
				if no != nil {
					b.Fatal(no)
				}
				x = x.Change(nil, &state.Task{Cluster: "c", ID: fmt.Sprint(k), Node: found.ID, Last: state.Pending, CPU: 32, Memory: 64})
				if placed++; placed == 64*n {
					x, placed = empty, 0
				}
			}
		})
	}
}
