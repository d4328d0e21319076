package place

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/cilium/statedb/part"

	"github.com/berth/berth/state"
)

// class is instances of one cluster that can't be told apart but by what tasks
// hold of them, by their size, ID and time of registration. It never changes.
type class struct {
	one *Offer // any of them
	// Its instances in three orders: by tasks; by memory free, then CPU, then
	// tasks; and by CPU free, then memory, then tasks.
	byTasks, byMemory, byCPU *knot[*Offer]
	// groups are the groups that its instances have tasks of.
	groups part.Map[string, tally]
}

// tally is how the tasks of a group lie on a class's instances.
type tally struct {
	tasks     int
	instances int // that have any
	// at are how many instances have how many tasks of it, by tasks, sorted.
	at []spread
}

type spread struct{ tasks, instances int }

// move is the tally after an instance that had a number of tasks has another.
func (t tally) move(from, to int) tally {
	t.tasks += to - from
	t.at = slices.Clone(t.at)
	for _, step := range [2]struct{ tasks, by int }{{from, -1}, {to, 1}} {
		if step.tasks == 0 {
			continue
		}
		t.instances += step.by
		i, ok := slices.BinarySearchFunc(t.at, step.tasks, func(s spread, n int) int { return s.tasks - n })
		if !ok {
			t.at = slices.Insert(t.at, i, spread{tasks: step.tasks})
		}
		if t.at[i].instances += step.by; t.at[i].instances == 0 {
			t.at = slices.Delete(t.at, i, i+1)
		}
	}
	return t
}

// least is the fewest tasks of a group that an instance of the class has.
func (c *class) least(group string) int {
	t, _ := c.groups.Get(group)
	if t.instances < c.byTasks.count() {
		return 0
	}
	return t.at[0].tasks
}

// tasks is how many tasks of a group the class has.
func (c *class) tasks(group string) int {
	t, _ := c.groups.Get(group)
	return t.tasks
}

// ranks are an instance's places in the three orders.
func (o *Offer) ranks() (byTasks, byMemory, byCPU rank) {
	cpu, memory := o.Free()
	return rank{a: int64(o.Tasks), id: o.Instance.ID},
		rank{memory, cpu, int64(o.Tasks), o.Instance.ID},
		rank{cpu, memory, int64(o.Tasks), o.Instance.ID}
}

// with is the class with an instance more.
func (c *class) with(o *Offer) *class {
	d := *c
	d.one = o
	cpu, memory := o.Free()
	t, m, p := o.ranks()
	d.byTasks = c.byTasks.with(leaf(t, o, cpu, memory))
	d.byMemory = c.byMemory.with(leaf(m, o, cpu, memory))
	d.byCPU = c.byCPU.with(leaf(p, o, cpu, memory))
	return &d
}

// without is the class with an instance less.
func (c *class) without(o *Offer) *class {
	d := *c
	t, m, p := o.ranks()
	d.byTasks, d.byMemory, d.byCPU = c.byTasks.without(t), c.byMemory.without(m), c.byCPU.without(p)
	if d.byTasks != nil {
		d.one = d.byTasks.entry
	}
	return &d
}

// regroup is the class after an instance's groups have changed.
func (c *class) regroup(before, after []groupCount) *class {
	d := *c
	for len(before) > 0 || len(after) > 0 {
		var name string
		var from, to int
		if len(after) == 0 || len(before) > 0 && before[0].group <= after[0].group {
			name = before[0].group
		} else {
			name = after[0].group
		}
		if len(before) > 0 && before[0].group == name {
			from, before = before[0].tasks, before[1:]
		}
		if len(after) > 0 && after[0].group == name {
			to, after = after[0].tasks, after[1:]
		}
		if from == to {
			continue
		}
		t, _ := d.groups.Get(name)
		if t = t.move(from, to); t.instances == 0 {
			d.groups = d.groups.Delete(name)
		} else {
			d.groups = d.groups.Set(name, t)
		}
	}
	return &d
}

// classOf is the key of an instance's class: a hash of all by which a demand may
// tell instances apart at once.
func classOf(i *state.ContainerInstance, n *state.Node) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\x00%t\x00%s\x00%s", i.Status, i.Connected, aws.ToString(i.Agent.AgentVersion), i.CapacityProvider)
	if n != nil {
		fmt.Fprintf(&b, "\x00%s\x00%s\x00%q\x00%s", n.Status, n.Arch, n.Zones, n.Runtime)
	}
	var all []string
	for _, a := range i.Attributes {
		one := "\x00" + aws.ToString(a.Name)
		if a.Value != nil {
			one += "\x01" + *a.Value
		}
		all = append(all, one)
	}
	slices.Sort(all)
	for _, a := range all {
		b.WriteString(a)
	}
	sum := sha256.Sum256([]byte(b.String()))
	return string(sum[:16])
}
