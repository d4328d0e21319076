package place

import (
	"fmt"
	"math"
	"slices"

	"github.com/cilium/statedb/part"

	"github.com/berth/berth/state"
)

// Request is what a task needs of a node on FARGATE.
type Request struct {
	CPU    int32 // CPU units
	Memory int32 // MiB
	Zone   string
	Arch   string // X86_64, ARM64
	// HostKernel is the field for which it needs the host's kernel: see
	// state.HostKernel.
	HostKernel string
}

// pool is nodes that can't be told apart but by what is free. It never changes.
type pool struct {
	one *state.Node
	// byShare is by the share of them that is left, the largest first.
	byShare *knot[*host]
}

// room is what is free of a node for placement, overcommit counted in.
func (h *host) room() (cpu, memory int64) {
	return int64(float64(h.node.CPU)*h.node.CPUOvercommit) - h.cpu, int64(float64(h.node.Memory)*h.node.MemoryOvercommit) - h.memory
}

// rank is by what is left, the scarcer of CPU and memory, as a part of the node's
// whole.
func (h *host) rank() rank {
	cpu, memory := h.room()
	share := min(float64(cpu)/(float64(h.node.CPU)*h.node.CPUOvercommit), float64(memory)/(float64(h.node.Memory)*h.node.MemoryOvercommit))
	if math.IsNaN(share) || math.IsInf(share, 0) {
		share = 0 // a node without CPU or memory
	}
	return rank{a: -int64(share * 1e12), id: h.id}
}

func poolOf(n *state.Node) string {
	return fmt.Sprintf("%s\x00%s\x00%q\x00%s", n.Status, n.Arch, n.Zones, n.FargateRuntime)
}

// refile puts a host in the place of what it was before; nodes without a record
// are in no pool.
func refile(pools part.Map[string, *pool], before, after *host) part.Map[string, *pool] {
	if before != nil && before.node != nil {
		key := before.pool
		old, _ := pools.Get(key)
		p := &pool{one: old.one, byShare: old.byShare.without(before.rank())}
		if p.byShare == nil {
			pools = pools.Delete(key)
		} else {
			p.one = p.byShare.entry.node
			pools = pools.Set(key, p)
		}
	}
	if after != nil && after.node != nil {
		key := after.pool
		p := &pool{one: after.node}
		if old, ok := pools.Get(key); ok {
			p.byShare = old.byShare
		}
		cpu, memory := after.room()
		p.byShare = p.byShare.with(leaf(after.rank(), after, cpu, memory))
		pools = pools.Set(key, p)
	}
	return pools
}

// PickNode returns the node that a Fargate task goes to: of those that can run
// it, the one with the largest share of CPU and memory left, so that tasks
// spread. Ties go to the lower node ID.
func (x *Index) PickNode(r Request) (*state.Node, *Refusal) {
	var best *host
	for _, p := range x.fargate.All() {
		if code, _ := r.missAlike(p.one); code != "" {
			continue
		}
		p.byShare.each(int64(r.CPU), int64(r.Memory), func(h *host) bool {
			if best == nil || h.rank().compare(best.rank()) < 0 {
				best = h
			}
			return false
		})
	}
	if best != nil {
		return best.node, nil
	}
	no := &Refusal{Fargate: true}
	for _, p := range x.fargate.All() {
		no.Nodes += p.byShare.count()
		if code, detail := r.missAlike(p.one); code != "" {
			no.count(code, detail, p.byShare.count())
			continue
		}
		p.byShare.each(minimum, minimum, func(h *host) bool {
			if cpu, _ := h.room(); int64(r.CPU) > cpu {
				no.count(NoCPU, fmt.Sprintf("with fewer than %d CPU units free", r.CPU), 1)
			} else {
				no.count(NoMemory, fmt.Sprintf("with less than %d MiB of memory free", r.Memory), 1)
			}
			return true
		})
	}
	no.settle()
	return nil, no
}

// missAlike is why no node of a pool can run it, or "".
func (r Request) missAlike(n *state.Node) (code, detail string) {
	switch {
	case n.Status != ready:
		return NoAgent, "not connected"
	case r.Arch != "" && r.Arch != n.Arch:
		return NoAttribute, "of another CPU architecture than " + r.Arch
	case r.HostKernel != "" && state.OwnKernel(n.FargateRuntime):
		return NoAttribute, "with the runtime " + n.FargateRuntime + ", which has no " + r.HostKernel
	case !slices.Contains(n.Zones, r.Zone):
		return NoLocation, "not in availability zone " + r.Zone
	}
	return "", ""
}

// Load is what the tasks of a node hold of it: CPU units, MiB, and how many they
// are.
func (x *Index) Load(node string) (cpu, memory int64, tasks int) {
	h, ok := x.hosts.Get(node)
	if !ok {
		return 0, 0, 0
	}
	return h.cpu, h.memory, h.tasks
}
