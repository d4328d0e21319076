package place

import (
	"iter"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/cilium/statedb/part"

	"github.com/berth/berth/state"
)

// Index is all capacity: nodes, container instances, and what tasks hold of them.
// It never changes, see the package comment. The nil Index takes no notice of
// anything.
type Index struct {
	hosts part.Map[string, *host] // by node's ID; also of nodes that have no record yet
	// instances and classes are by cluster: the first its instances by ID, the
	// second the classes that they are in.
	instances part.Map[string, part.Map[string, *Offer]]
	classes   part.Map[string, part.Map[string, *class]]
	fargate   part.Map[string, *pool] // by class of nodes
	clusters  part.Map[string, Counts]
}

// host is a node and what tasks hold of it.
type host struct {
	id   string
	node *state.Node
	pool string // its pool's key
	// What all its tasks hold, and those on container instances.
	cpu, memory int64
	tasks       int
	held        *holding
	offers      []*Offer // its container instances
}

// Counts are how many tasks of each launch type a cluster has.
type Counts struct{ Running, Pending map[types.LaunchType]int }

// NewIndex is the index of some records. It takes less time than a Change for
// each.
func NewIndex(nodes iter.Seq[*state.Node], instances iter.Seq[*state.ContainerInstance], tasks iter.Seq[*state.Task]) *Index {
	hosts := map[string]*host{}
	of := func(id string) *host {
		if hosts[id] == nil {
			hosts[id] = &host{id: id, held: &holding{}}
		}
		return hosts[id]
	}
	counts := map[string]Counts{}
	for n := range nodes {
		of(n.ID).node = n
	}
	for i := range instances {
		h := of(i.Node)
		h.offers = append(h.offers, &Offer{Instance: i})
	}
	for t := range tasks {
		if key := clusterOf(t); t.Last != state.Stopped {
			counts[key] = counts[key].count(t, 1)
			of(t.Node).count(t, 1)
		}
	}
	x := &Index{}
	for key, c := range counts {
		if len(c.Running)+len(c.Pending) > 0 {
			x.clusters = x.clusters.Set(key, c)
		}
	}
	for id, h := range hosts {
		h.dress(nil)
		x.hosts = x.hosts.Set(id, h)
		x.enter(nil, h)
	}
	return x
}

// Change is the index after a record became another; nil before it was made and
// after it was deleted. Records of kinds that are no capacity change nothing.
func (x *Index) Change(before, after any) *Index {
	if x == nil {
		return nil
	}
	rec := before
	if rec == nil {
		rec = after
	}
	switch rec := rec.(type) {
	case *state.Node:
		return x.revise(rec.ID, func(h *host) { h.node, _ = after.(*state.Node) })
	case *state.ContainerInstance:
		old, _ := before.(*state.ContainerInstance)
		now, _ := after.(*state.ContainerInstance)
		if old != nil && (now == nil || now.Node != old.Node) {
			x = x.revise(old.Node, func(h *host) { h.drop(old) })
		}
		if now != nil {
			x = x.revise(now.Node, func(h *host) { h.take(now) })
		}
	case *state.Task:
		old, _ := before.(*state.Task)
		now, _ := after.(*state.Task)
		return x.changeTask(old, now)
	}
	return x
}

func (x *Index) changeTask(old, now *state.Task) *Index {
	if old != nil && old.Last == state.Stopped {
		old = nil
	}
	if now != nil && now.Last == state.Stopped {
		now = nil
	}
	if old == nil && now == nil || old != nil && now != nil && phase(old) == phase(now) && old.Node == now.Node && old.ContainerInstance == now.ContainerInstance {
		return x // what else changes in a task's life is no capacity
	}
	c := *x
	for _, step := range [2]struct {
		t  *state.Task
		by int
	}{{old, -1}, {now, 1}} {
		if step.t == nil {
			continue
		}
		key := clusterOf(step.t)
		counts, _ := c.clusters.Get(key)
		if counts = counts.count(step.t, step.by); len(counts.Running)+len(counts.Pending) > 0 {
			c.clusters = c.clusters.Set(key, counts)
		} else {
			c.clusters = c.clusters.Delete(key)
		}
	}
	if old != nil && now != nil && old.Node == now.Node {
		return c.revise(old.Node, func(h *host) { h.count(old, -1); h.count(now, 1) })
	}
	x = &c
	if old != nil {
		x = x.revise(old.Node, func(h *host) { h.count(old, -1) })
	}
	if now != nil {
		x = x.revise(now.Node, func(h *host) { h.count(now, 1) })
	}
	return x
}

// The phases: as much of a task's state as capacity is concerned with.
const (
	pending = iota
	running
	ending
)

func phase(t *state.Task) int {
	switch {
	case t.Last < state.Running:
		return pending
	case t.Last == state.Running:
		return running
	}
	return ending
}

func clusterOf(t *state.Task) string { return t.Scope.Key(t.Cluster).String() }

// count is the counts with a task more or less.
func (c Counts) count(t *state.Task, by int) Counts {
	add := func(m map[types.LaunchType]int) map[types.LaunchType]int {
		n := make(map[types.LaunchType]int, len(m)+1)
		for k, v := range m {
			n[k] = v
		}
		if n[t.LaunchType] += by; n[t.LaunchType] == 0 {
			delete(n, t.LaunchType)
		}
		return n
	}
	switch phase(t) {
	case pending:
		c.Pending = add(c.Pending)
	case running:
		c.Running = add(c.Running)
	}
	return c
}

// revise is the index after a host has changed.
func (x *Index) revise(id string, change func(*host)) *Index {
	c := *x
	old, ok := c.hosts.Get(id)
	h := &host{id: id, held: &holding{}}
	if ok {
		*h = *old
		h.offers = slices.Clone(old.offers)
		for k, o := range old.offers {
			copied := *o
			h.offers[k] = &copied
		}
	}
	change(h)
	h.dress(old)
	if h.node == nil && h.tasks == 0 && len(h.offers) == 0 {
		c.hosts = c.hosts.Delete(id)
	} else {
		c.hosts = c.hosts.Set(id, h)
	}
	c.enter(old, h)
	return &c
}

// dress tells a host and its offers what is common to them.
func (h *host) dress(old *host) {
	if h.node != nil && (old == nil || old.node != h.node) {
		h.pool = poolOf(h.node)
	}
	for _, o := range h.offers {
		if o.class == "" || o.Node != h.node {
			o.class = classOf(o.Instance, h.node)
		}
		o.Node, o.held = h.node, h.held
	}
}

// count adds a task to what is held of the host, or takes it away.
func (h *host) count(t *state.Task, by int) {
	cpu, memory := t.Reserves()
	h.cpu += int64(by) * int64(cpu)
	h.memory += int64(by) * int64(memory)
	h.tasks += by
	if t.ContainerInstance == "" {
		return
	}
	h.held = h.held.hold(t, int64(by))
	o := h.offer(t.ContainerInstance)
	if o.count(t, by); o.stray && o.Tasks == 0 {
		h.offers = slices.DeleteFunc(h.offers, func(p *Offer) bool { return p == o })
	}
}

// offer is the host's offer of an instance, which is a stray if it wasn't there.
func (h *host) offer(id string) *Offer {
	for _, o := range h.offers {
		if o.Instance.ID == id {
			return o
		}
	}
	o := &Offer{Instance: &state.ContainerInstance{ID: id}, stray: true}
	h.offers = append(h.offers, o)
	return o
}

// drop makes an instance without a record of one that had it.
func (h *host) drop(i *state.ContainerInstance) {
	o := h.offer(i.ID)
	if o.stray = true; o.Tasks == 0 {
		h.offers = slices.DeleteFunc(h.offers, func(p *Offer) bool { return p == o })
	}
}

// take takes in an instance as it is now. The tasks that it has stay its own.
func (h *host) take(i *state.ContainerInstance) {
	o := h.offer(i.ID)
	o.Instance, o.class, o.stray = i, "", false
}

// enter brings a host's new state to where it is filed.
func (x *Index) enter(old, h *host) {
	x.fargate = refile(x.fargate, old, h)
	filed := map[string][2]*Offer{} // by instance, before and after
	if old != nil {
		for _, o := range old.offers {
			if !o.stray {
				filed[o.Instance.ID] = [2]*Offer{o, nil}
			}
		}
	}
	for _, o := range h.offers {
		if !o.stray {
			filed[o.Instance.ID] = [2]*Offer{filed[o.Instance.ID][0], o}
		}
	}
	for _, f := range filed {
		x.file(f[0], f[1])
	}
}

// file puts an offer in the place of what it was before; either may be nil.
func (x *Index) file(before, after *Offer) {
	one := after
	if one == nil {
		one = before
	}
	cluster := one.Instance.Scope.Key(one.Instance.Cluster).String()
	instances, _ := x.instances.Get(cluster)
	classes, _ := x.classes.Get(cluster)
	if after != nil {
		instances = instances.Set(after.Instance.ID, after)
	} else {
		instances = instances.Delete(before.Instance.ID)
	}
	put := func(key string, c *class) {
		if c.byTasks == nil {
			classes = classes.Delete(key)
		} else {
			classes = classes.Set(key, c)
		}
	}
	get := func(key string) *class {
		if c, ok := classes.Get(key); ok {
			return c
		}
		return &class{}
	}
	if before != nil && after != nil && before.class == after.class {
		put(after.class, get(after.class).without(before).with(after).regroup(before.groups, after.groups))
	} else {
		if before != nil {
			put(before.class, get(before.class).without(before).regroup(before.groups, nil))
		}
		if after != nil {
			put(after.class, get(after.class).with(after).regroup(nil, after.groups))
		}
	}
	x.instances, x.classes = x.instances.Set(cluster, instances), x.classes.Set(cluster, classes)
}

// Offers are the container instances of a cluster, by ID.
func (x *Index) Offers(cluster state.Key) iter.Seq[*Offer] {
	all, _ := x.instances.Get(cluster.String())
	return func(yield func(*Offer) bool) {
		for _, o := range all.All() {
			if !yield(o) {
				return
			}
		}
	}
}

// Offer is one container instance of a cluster.
func (x *Index) Offer(cluster state.Key, id string) (*Offer, bool) {
	all, _ := x.instances.Get(cluster.String())
	return all.Get(id)
}

// Instances is how many container instances a cluster has.
func (x *Index) Instances(cluster state.Key) int {
	all, _ := x.instances.Get(cluster.String())
	return all.Len()
}

// Counts are a cluster's tasks.
func (x *Index) Counts(cluster state.Key) Counts {
	c, _ := x.clusters.Get(cluster.String())
	return c
}
