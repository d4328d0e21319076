package place

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/berth/berth/state"
)

func node(id string, cpu, memory int32) *state.Node {
	return &state.Node{ID: id, Zones: []string{"us-east-1a"}, Arch: "X86_64", CPU: cpu, Memory: memory,
		CPUOvercommit: 1, MemoryOvercommit: 1, Status: "READY"}
}

func TestPick(t *testing.T) {
	down, arm := node("down", 4096, 8192), node("arm", 4096, 8192)
	down.Status, arm.Arch = "DOWN", "ARM64"
	over := node("over", 1024, 1024)
	over.CPUOvercommit, over.MemoryOvercommit = 4, 2
	req := Request{CPU: 256, Memory: 512, Zone: "us-east-1a", Arch: "X86_64"}
	tests := []struct {
		name  string
		req   Request
		nodes []Candidate
		want  string // node ID
		why   string
	}{
		{"no nodes", req, nil, "", "there is no node: none has registered"},
		{"one that fits", req, []Candidate{{Node: node("a", 1024, 1024)}}, "a", ""},
		{"emptier one", req, []Candidate{{Node: node("a", 1024, 1024), CPU: 256, Memory: 256}, {Node: node("b", 1024, 1024)}}, "b", ""},
		{"tie goes to the lower ID", req, []Candidate{{Node: node("b", 1024, 1024)}, {Node: node("a", 1024, 1024)}}, "a", ""},
		{"exact fit", req, []Candidate{{Node: node("a", 256, 512)}}, "a", ""},
		{"no CPU", req, []Candidate{{Node: node("a", 255, 512)}}, "", "1 of 1 with fewer than 256 CPU units free"},
		{"no memory", req, []Candidate{{Node: node("a", 256, 511)}}, "", "1 of 1 with less than 512 MiB of memory free"},
		{"overcommit", req, []Candidate{{Node: over, CPU: 3840, Memory: 1536}}, "over", ""},
		{"overcommit ends", req, []Candidate{{Node: over, CPU: 3841, Memory: 0}}, "", "1 of 1 with fewer than 256 CPU units free"},
		{"each reason counted", req, []Candidate{{Node: down}, {Node: arm}, {Node: node("a", 1, 1)}, {Node: node("b", 1, 1)}}, "",
			"1 of 4 not connected; 1 of 4 of another CPU architecture than X86_64; 2 of 4 with fewer than 256 CPU units free"},
		{"other zone", Request{CPU: 1, Memory: 1, Zone: "us-east-1b"}, []Candidate{{Node: node("a", 9, 9)}}, "", "1 of 1 not in availability zone us-east-1b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			i, no := Pick(tt.req, tt.nodes)
			if tt.want == "" {
				if no == nil || no.String() != tt.why {
					t.Fatalf("refused with %v, want %q", no, tt.why)
				}
				return
			}
			if no != nil || tt.nodes[i].Node.ID != tt.want {
				t.Fatalf("picked %d (%v), want %s", i, no, tt.want)
			}
		})
	}
}

// Whatever is placed, no node holds more than its capacity, and a task is
// refused only when no node has room for it.
func TestNeverOverfull(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var nodes []Candidate
		for i := range rapid.IntRange(1, 5).Draw(t, "nodes") {
			n := node(fmt.Sprint(i), int32(rapid.IntRange(256, 4096).Draw(t, "cpu")), int32(rapid.IntRange(512, 8192).Draw(t, "memory")))
			n.CPUOvercommit = float64(rapid.IntRange(1, 3).Draw(t, "overcommit"))
			nodes = append(nodes, Candidate{Node: n})
		}
		for range rapid.IntRange(1, 60).Draw(t, "tasks") {
			r := Request{CPU: int32(rapid.SampledFrom([]int{256, 512, 1024}).Draw(t, "c")), Memory: int32(rapid.SampledFrom([]int{512, 1024, 2048}).Draw(t, "m")), Zone: "us-east-1a", Arch: "X86_64"}
			fits := func(c Candidate) bool {
				return c.CPU+int64(r.CPU) <= int64(float64(c.Node.CPU)*c.Node.CPUOvercommit) && c.Memory+int64(r.Memory) <= int64(c.Node.Memory)
			}
			i, no := Pick(r, nodes)
			if (no != nil) == slices.ContainsFunc(nodes, fits) {
				t.Fatalf("refusal %v, though a node fits: %v", no, slices.ContainsFunc(nodes, fits))
			}
			if no == nil {
				if !fits(nodes[i]) {
					t.Fatalf("placed on a full node %+v", nodes[i])
				}
				nodes[i].Reserve(r.CPU, r.Memory)
			}
		}
	})
}
