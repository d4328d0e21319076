package place

import (
	"fmt"
	"slices"
	"strings"

	"github.com/berth/berth/state"
)

// Request is what a task needs of a node.
type Request struct {
	CPU    int32 // CPU units
	Memory int32 // MiB
	Zone   string
	Arch   string // X86_64, ARM64
}

// Candidate is a node and what its tasks have reserved of it.
type Candidate struct {
	Node   *state.Node
	CPU    int64 // CPU units
	Memory int64 // MiB
	Tasks  int
}

// Load adds up what tasks reserve: all that are not STOPPED, since a stopping
// task still holds its memory.
func Load(n *state.Node, tasks func(func(*state.Task) bool)) Candidate {
	c := Candidate{Node: n}
	for t := range tasks {
		if t.Last != state.Stopped {
			c.Reserve(t.Reserves())
		}
	}
	return c
}

// Reserve counts one more task on the node.
func (c *Candidate) Reserve(cpu, memory int32) {
	c.CPU += int64(cpu)
	c.Memory += int64(memory)
	c.Tasks++
}

// room returns what is free for placement, overcommit counted in.
func (c *Candidate) room() (cpu, memory int64) {
	return int64(float64(c.Node.CPU)*c.Node.CPUOvercommit) - c.CPU,
		int64(float64(c.Node.Memory)*c.Node.MemoryOvercommit) - c.Memory
}

// Refusal says why no node can run a task: each reason with how many nodes
// gave it, in the order they are checked.
type Refusal struct {
	Nodes   int
	Reasons []Reason
}

// Reason is one cause and how many nodes it kept out.
type Reason struct {
	// Code is ECS's failure reason: "RESOURCE:CPU", "RESOURCE:MEMORY", "AGENT",
	// "ATTRIBUTE", "LOCATION" (Amazon ECS Developer Guide, "API failure reasons").
	Code   string
	Detail string
	Nodes  int
}

// Code returns the reason that kept out the most nodes.
func (r *Refusal) Code() string {
	if len(r.Reasons) == 0 {
		return "AGENT"
	}
	return slices.MaxFunc(r.Reasons, func(a, b Reason) int { return a.Nodes - b.Nodes }).Code
}

// String tells it in words.
func (r *Refusal) String() string {
	if r.Nodes == 0 {
		return "there is no node: none has registered"
	}
	var parts []string
	for _, re := range r.Reasons {
		parts = append(parts, fmt.Sprintf("%d of %d %s", re.Nodes, r.Nodes, re.Detail))
	}
	return strings.Join(parts, "; ")
}

func (r *Refusal) add(code, detail string) {
	for i := range r.Reasons {
		if r.Reasons[i].Code == code && r.Reasons[i].Detail == detail {
			r.Reasons[i].Nodes++
			return
		}
	}
	r.Reasons = append(r.Reasons, Reason{Code: code, Detail: detail, Nodes: 1})
}

// Pick returns the index of the candidate that shall run the task: of those
// that can, the one with the largest share of both CPU and memory left, so that
// tasks spread. Ties go to the lower node ID. The Refusal is nil when a node
// was found.
func Pick(r Request, candidates []Candidate) (int, *Refusal) {
	best, bestShare := -1, -1.0
	no := &Refusal{Nodes: len(candidates)}
	for i := range candidates {
		c := &candidates[i]
		if code, detail := why(r, c); code != "" {
			no.add(code, detail)
			continue
		}
		if share := c.share(r); share > bestShare || share == bestShare && c.Node.ID < candidates[best].Node.ID {
			best, bestShare = i, share
		}
	}
	if best < 0 {
		return -1, no
	}
	return best, nil
}

// share is what would be left, the scarcer of CPU and memory, as a part of the
// node's whole.
func (c *Candidate) share(r Request) float64 {
	cpu, memory := c.room()
	return min(
		float64(cpu-int64(r.CPU))/(float64(c.Node.CPU)*c.Node.CPUOvercommit),
		float64(memory-int64(r.Memory))/(float64(c.Node.Memory)*c.Node.MemoryOvercommit),
	)
}

// why returns the first reason against a node, or "".
func why(r Request, c *Candidate) (code, detail string) {
	cpu, memory := c.room()
	switch {
	case c.Node.Status != "READY":
		return "AGENT", "not connected"
	case r.Arch != "" && r.Arch != c.Node.Arch:
		return "ATTRIBUTE", "of another CPU architecture than " + r.Arch
	case !slices.Contains(c.Node.Zones, r.Zone):
		return "LOCATION", "not in availability zone " + r.Zone
	case int64(r.CPU) > cpu:
		return "RESOURCE:CPU", fmt.Sprintf("with fewer than %d CPU units free", r.CPU)
	case int64(r.Memory) > memory:
		return "RESOURCE:MEMORY", fmt.Sprintf("with less than %d MiB of memory free", r.Memory)
	}
	return "", ""
}
