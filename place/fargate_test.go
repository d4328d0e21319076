package place

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/berth/berth/state"
)

// loaded is a node with a Fargate task that holds some of it.
type loaded struct {
	node        *state.Node
	cpu, memory int32
}

func nodesIndex(all []loaded) *Index {
	var nodes []*state.Node
	var tasks []*state.Task
	for _, l := range all {
		nodes = append(nodes, l.node)
		if l.cpu+l.memory > 0 {
			tasks = append(tasks, &state.Task{ID: l.node.ID, Node: l.node.ID, Last: state.Running, CPU: l.cpu, Memory: l.memory})
		}
	}
	return NewIndex(slices.Values(nodes), slices.Values[[]*state.ContainerInstance](nil), slices.Values(tasks))
}

func TestPickNode(t *testing.T) {
	down, arm := node("down", 4096, 8192), node("arm", 4096, 8192)
	down.Status, arm.Arch = "DOWN", "ARM64"
	over := node("over", 1024, 1024)
	over.CPUOvercommit, over.MemoryOvercommit = 4, 2
	gvisor := node("gvisor", 4096, 8192)
	gvisor.FargateRuntime = "runsc"
	req := Request{CPU: 256, Memory: 512, Zone: "us-east-1a", Arch: "X86_64"}
	tests := []struct {
		name  string
		req   Request
		nodes []loaded
		want  string // node ID
		why   string
	}{
		{"no nodes", req, nil, "", "there is no node: none has registered"},
		{"one that fits", req, []loaded{{node: node("a", 1024, 1024)}}, "a", ""},
		{"emptier one", req, []loaded{{node("a", 1024, 1024), 256, 256}, {node: node("b", 1024, 1024)}}, "b", ""},
		{"tie goes to the lower ID", req, []loaded{{node: node("b", 1024, 1024)}, {node: node("a", 1024, 1024)}}, "a", ""},
		{"exact fit", req, []loaded{{node: node("a", 256, 512)}}, "a", ""},
		{"the emptiest is too small", req, []loaded{{node: node("a", 128, 1024)}, {node("b", 1024, 1024), 512, 512}}, "b", ""},
		{"no CPU", req, []loaded{{node: node("a", 255, 512)}}, "", "1 of 1 with fewer than 256 CPU units free"},
		{"no memory", req, []loaded{{node: node("a", 256, 511)}}, "", "1 of 1 with less than 512 MiB of memory free"},
		{"overcommit", req, []loaded{{over, 3840, 1536}}, "over", ""},
		{"overcommit ends", req, []loaded{{over, 3841, 1}}, "", "1 of 1 with fewer than 256 CPU units free"},
		{"each reason counted", req, []loaded{{node: down}, {node: arm}, {node: node("a", 1, 1)}, {node: node("b", 1, 1)}}, "",
			"1 of 4 not connected; 1 of 4 of another CPU architecture than X86_64; 2 of 4 with fewer than 256 CPU units free"},
		{"the host's kernel", Request{CPU: 1, Memory: 1, Zone: "us-east-1a", HostKernel: "pidMode"}, []loaded{{node: gvisor}, {node: node("z", 9, 9)}}, "z", ""},
		{"no host's kernel", Request{CPU: 1, Memory: 1, Zone: "us-east-1a", HostKernel: "pidMode"}, []loaded{{node: gvisor}}, "", "1 of 1 with the runtime runsc, which has no pidMode"},
		{"a kernel of its own", req, []loaded{{node: gvisor}}, "gvisor", ""},
		{"other zone", Request{CPU: 1, Memory: 1, Zone: "us-east-1b"}, []loaded{{node: node("a", 9, 9)}}, "", "1 of 1 not in availability zone us-east-1b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, no := nodesIndex(tt.nodes).PickNode(tt.req)
			if tt.want == "" {
				if no == nil || no.String() != tt.why {
					t.Fatalf("refused with %v, want %q", no, tt.why)
				}
				return
			}
			if no != nil || got.ID != tt.want {
				t.Fatalf("picked %v (%v), want %s", got, no, tt.want)
			}
		})
	}
}

// Whatever is placed, no node holds more than its capacity, and a task is
// refused only when no node has room for it.
func TestNeverOverfull(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var nodes []*state.Node
		x := nodesIndex(nil)
		for i := range rapid.IntRange(1, 5).Draw(t, "nodes") {
			n := node(fmt.Sprint(i), int32(rapid.IntRange(256, 4096).Draw(t, "cpu")), int32(rapid.IntRange(512, 8192).Draw(t, "memory")))
			n.CPUOvercommit = float64(rapid.IntRange(1, 3).Draw(t, "overcommit"))
			nodes = append(nodes, n)
			x = x.Change(nil, n)
		}
		for k := range rapid.IntRange(1, 60).Draw(t, "tasks") {
			r := Request{CPU: int32(rapid.SampledFrom([]int{256, 512, 1024}).Draw(t, "c")), Memory: int32(rapid.SampledFrom([]int{512, 1024, 2048}).Draw(t, "m")), Zone: "us-east-1a", Arch: "X86_64"}
			fits := func(n *state.Node) bool {
				cpu, memory, _ := x.Load(n.ID)
				return cpu+int64(r.CPU) <= int64(float64(n.CPU)*n.CPUOvercommit) && memory+int64(r.Memory) <= int64(n.Memory)
			}
			n, no := x.PickNode(r)
			if (no != nil) == slices.ContainsFunc(nodes, fits) {
				t.Fatalf("refusal %v, though a node fits: %v", no, slices.ContainsFunc(nodes, fits))
			}
			if no == nil {
				if !fits(n) {
					t.Fatalf("placed on a full node %+v", n)
				}
				x = x.Change(nil, &state.Task{ID: fmt.Sprint(k), Node: n.ID, Last: state.Pending, CPU: r.CPU, Memory: r.Memory})
			}
		}
	})
}
