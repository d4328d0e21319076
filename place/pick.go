package place

import (
	"cmp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/state"
)

// PickInstance returns the container instance of a cluster that a task goes to,
// by the strategies in their order, or why none will do. Spread counts the tasks
// of the demand's group (Amazon ECS Developer Guide, "Use strategies to define
// Amazon ECS task placement").
func (x *Index) PickInstance(cluster state.Key, d *Demand) (*Offer, *Refusal) {
	classes, _ := x.classes.Get(cluster.String())
	p := &picker{demand: d}
	for _, c := range classes.All() {
		p.classes = append(p.classes, c)
	}
	p.order()
	if best := p.pick(); best != nil {
		return best, nil
	}
	return nil, p.refuse()
}

// picker is one decision.
type picker struct {
	demand  *Demand
	classes []*class
	// chain is the strategies, without those that come again; own is those of them
	// by which instances of one class differ: all but spread over an attribute.
	chain, own []criterion
	// shared is how many tasks of the group the instances have together that share
	// a value, by the criterion's name and the value.
	shared map[[2]string]int
}

// criterion is one element of a chain of strategies.
type criterion struct {
	kind kind
	name string // the attribute's
}

type kind int

const (
	byAttribute kind = iota // spread over an attribute
	byInstance              // spread over instances
	byCPU                   // binpack
	byMemory
	byChance
)

// order reads the strategies into criteria.
func (p *picker) order() {
	for _, s := range p.demand.Strategy {
		field := aws.ToString(s.Field)
		c := criterion{kind: byChance}
		switch {
		case s.Type == types.PlacementStrategyTypeBinpack && strings.EqualFold(field, "cpu"):
			c.kind = byCPU
		case s.Type == types.PlacementStrategyTypeBinpack:
			c.kind = byMemory
		case s.Type == types.PlacementStrategyTypeSpread && (field == "instanceId" || field == "host"):
			c.kind = byInstance
		case s.Type == types.PlacementStrategyTypeSpread:
			c = criterion{byAttribute, strings.TrimPrefix(field, "attribute:")}
		}
		if slices.Contains(p.chain, c) {
			continue
		}
		p.chain = append(p.chain, c)
		if c.kind != byAttribute {
			p.own = append(p.own, c)
		}
		if c.kind == byChance {
			break // nothing after it is ever asked
		}
	}
	p.shared = map[[2]string]int{}
	for _, c := range p.chain {
		if c.kind == byAttribute {
			for _, k := range p.classes {
				p.shared[[2]string{c.name, Attribute(k.one.Instance, c.name)}] += k.tasks(p.demand.Group)
			}
		}
	}
}

// pick is the best instance of the best class, nil if none will do. Within a
// class what it shares is the same for all; so the best of each class are enough
// to compare.
func (p *picker) pick() *Offer {
	var best *Offer
	var bestRank []int64
	for _, c := range p.from() {
		if p.demand.Provider != "" && c.one.Instance.CapacityProvider != p.demand.Provider {
			continue
		}
		if code, _ := c.one.missAlike(p.demand); code != "" {
			continue
		}
		if best != nil && p.sharedRank(c.one, bestRank) > 0 {
			continue
		}
		if o := p.within(c); o != nil {
			r := p.rank(o)
			order := slices.Compare(r, bestRank)
			if order == 0 && !p.lots() {
				order = strings.Compare(o.Instance.ID, best.Instance.ID)
			}
			if best == nil || order < 0 {
				best, bestRank = o, r
			}
		}
	}
	return best
}

// from are the classes, with the strategy random in an order that the seed
// decides: each comes first as often as it has instances.
func (p *picker) from() []*class {
	if !p.lots() {
		return p.classes
	}
	all := 0
	for _, c := range p.classes {
		all += c.byTasks.count()
	}
	if all == 0 {
		return nil
	}
	at := int(mix(p.demand.Seed) % uint64(all))
	for i, c := range p.classes {
		if at -= c.byTasks.count(); at < 0 {
			return append(slices.Clone(p.classes[i:]), p.classes[:i]...)
		}
	}
	return p.classes
}

// sharedRank compares what leads the chain and a class has in common with the
// best rank so far: above 0 it can't win.
func (p *picker) sharedRank(o *Offer, best []int64) int {
	for i, c := range p.chain {
		if c.kind != byAttribute {
			break
		}
		if order := cmp.Compare(int64(p.shared[[2]string{c.name, Attribute(o.Instance, c.name)}]), best[i]); order != 0 {
			return order
		}
	}
	return 0
}

// rank is an instance's place in the whole order, but for its ID: the less the
// better.
func (p *picker) rank(o *Offer) []int64 {
	cpu, memory := o.Free()
	ranks := make([]int64, 0, len(p.chain)+2)
	packed := false
	for _, c := range p.chain {
		switch c.kind {
		case byAttribute:
			ranks = append(ranks, int64(p.shared[[2]string{c.name, Attribute(o.Instance, c.name)}]))
		case byInstance:
			ranks = append(ranks, int64(o.Of(p.demand.Group)))
		case byCPU:
			ranks, packed = append(ranks, cpu), true
		case byMemory:
			ranks, packed = append(ranks, memory), true
		case byChance:
			return append(ranks, p.chance(o))
		}
	}
	if packed { // the other resource, or what is equal anyway
		ranks = append(ranks, memory, cpu)
	}
	return append(ranks, int64(o.Tasks))
}

// lots reports whether chance decides within a class.
func (p *picker) lots() bool { return len(p.own) > 0 && p.own[0].kind == byChance }

// chance is an instance's lot: with nothing of its own before it in the chain,
// the first that was found has the best.
func (p *picker) chance(o *Offer) int64 {
	if p.lots() {
		return 0
	}
	h := p.demand.Seed
	for _, b := range []byte(o.Instance.ID) {
		h = mix(h ^ uint64(b))
	}
	return int64(h >> 1)
}

// mix is the finalizer of SplitMix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// within is the best instance of a class.
func (p *picker) within(c *class) *Offer {
	cpu, memory := int64(p.demand.CPU), int64(p.demand.Memory)
	fits := func(o *Offer) bool {
		code, _ := o.missOwn(p.demand)
		return code == ""
	}
	if p.lots() {
		var found *Offer
		first := func(o *Offer) bool {
			if fits(o) {
				found = o
			}
			return found == nil
		}
		at := int(mix(p.demand.Seed^1) % uint64(c.byTasks.count()))
		if c.byTasks.from(at, cpu, memory, first) {
			c.byTasks.each(cpu, memory, first)
		}
		return found
	}
	tree, before, loose := p.plan(c)
	least := int64(-1) // what no instance can be better than in the loose criterion
	if loose >= 0 && p.own[loose].kind == byInstance && p.own[len(p.own)-1].kind != byChance {
		least = int64(c.least(p.demand.Group))
	}
	var best *Offer
	var bestRank []int64
	tree.each(cpu, memory, func(o *Offer) bool {
		if !fits(o) {
			return true
		}
		r := p.ownRank(o)
		if best != nil && slices.Compare(r[:before], bestRank[:before]) > 0 {
			return false
		}
		if best == nil || slices.Compare(r, bestRank) < 0 {
			best, bestRank = o, r
		}
		return loose >= 0 && bestRank[loose] != least
	})
	return best
}

// plan chooses the order in which to go through a class's instances: that of the
// first resource among the criteria. loose is the criterion that the order
// doesn't know, -1 if there is none; the order is by those before it, of which
// there are before, and then by those after it.
func (p *picker) plan(c *class) (tree *knot[*Offer], before, loose int) {
	tree, loose = c.byTasks, -1
	for i, k := range p.own {
		switch {
		case k.kind == byInstance || k.kind == byChance:
			if loose < 0 {
				loose, before = i, i
			}
		case k.kind == byCPU && tree == c.byTasks:
			tree = c.byCPU
		case k.kind == byMemory && tree == c.byTasks:
			tree = c.byMemory
		}
	}
	return tree, before, loose
}

// ownRank is rank without what a class has in common.
func (p *picker) ownRank(o *Offer) []int64 {
	cpu, memory := o.Free()
	var ranks []int64
	first := kind(-1)
	for _, c := range p.own {
		switch c.kind {
		case byInstance:
			ranks = append(ranks, int64(o.Of(p.demand.Group)))
		case byCPU:
			ranks = append(ranks, cpu)
		case byMemory:
			ranks = append(ranks, memory)
		case byChance:
			return append(ranks, p.chance(o))
		}
		if first < 0 && (c.kind == byCPU || c.kind == byMemory) {
			first = c.kind
		}
	}
	if first >= 0 {
		ranks = append(ranks, memory, cpu)
	}
	return append(ranks, int64(o.Tasks))
}

// refuse asks each instance for its reason.
func (p *picker) refuse() *Refusal {
	no := &Refusal{Provider: p.demand.Provider}
	for _, c := range p.classes {
		if p.demand.Provider != "" && c.one.Instance.CapacityProvider != p.demand.Provider {
			continue
		}
		c.byTasks.each(minimum, minimum, func(o *Offer) bool {
			code, detail := o.Miss(p.demand)
			no.Nodes++
			no.count(code, detail, 1)
			cpu, memory := o.Free()
			m := Missed{Instance: o.Instance, Code: code, Detail: "the instance is one of those " + detail, near: int64(slices.Index(asked, code))}
			if m.free = cpu; code == NoMemory {
				m.free = memory
			}
			no.Missed = append(no.Missed, m)
			return true
		})
	}
	slices.SortFunc(no.Missed, func(a, b Missed) int {
		return cmp.Or(cmp.Compare(b.near, a.near), cmp.Compare(b.free, a.free), cmp.Compare(a.Instance.ID, b.Instance.ID))
	})
	no.settle()
	return no
}

// minimum is less than anything that may be free: what is oversold has less than
// none.
const minimum = -1 << 62
