package place

import (
	"cmp"
	"maps"
	"slices"

	"github.com/berth/berth/state"
)

// Rebalancing says which task of a service to start anew in another zone.
type Rebalancing struct {
	Task     *state.Task // to be stopped, once one in the zone To is healthy
	From, To string
}

// Rebalance decides how to make a service's tasks more even over availability
// zones: one task at a time, from a zone that has the most to one that has the
// fewest, and none when they differ by one at most (Amazon ECS Developer Guide,
// "Balancing an Amazon ECS service across Availability Zones"). zones are those
// in which the service's tasks can be placed now; tasks those of the service that
// are to run.
//
// While a task is not RUNNING, or is in a zone where none can be placed, nothing
// is moved: things are on their way already, or it isn't zones that are uneven.
// Nor are tasks that are protected at the time until which protected says so; of
// those that may be moved the youngest is, as it has the least to lose.
func Rebalance(zones []string, tasks []*state.Task, protected func(*state.Task) bool) (Rebalancing, bool) {
	if len(zones) < 2 {
		return Rebalancing{}, false
	}
	in := map[string][]*state.Task{}
	for _, z := range zones {
		in[z] = nil
	}
	for _, t := range tasks {
		switch _, ok := in[t.Zone]; {
		case t.Desired == state.Stopped:
		case t.Last != state.Running || !ok:
			return Rebalancing{}, false
		default:
			in[t.Zone] = append(in[t.Zone], t)
		}
	}
	order := slices.SortedFunc(maps.Keys(in), func(a, b string) int { return cmp.Or(len(in[a])-len(in[b]), cmp.Compare(a, b)) })
	to := order[0]
	// Where all tasks of the fullest zone are protected the next one may do.
	for _, from := range slices.Backward(order) {
		if len(in[from])-len(in[to]) < 2 {
			break
		}
		movable := slices.DeleteFunc(slices.Clone(in[from]), protected)
		if len(movable) > 0 {
			youngest := slices.MaxFunc(movable, func(a, b *state.Task) int { return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID)) })
			return Rebalancing{Task: youngest, From: from, To: to}, true
		}
	}
	return Rebalancing{}, false
}

// Zones are the availability zones in which one of a cluster's container
// instances could ever run the demand: those whose instances are ACTIVE, answer
// and have what doesn't depend on other tasks.
func (x *Index) Zones(cluster state.Key, d *Demand) []string {
	found := map[string]bool{}
	classes, _ := x.classes.Get(cluster.String())
	for _, c := range classes.All() {
		if d.Provider != "" && c.one.Instance.CapacityProvider != d.Provider {
			continue
		}
		if code, _ := c.one.missAlike(d); code == "" {
			found[Attribute(c.one.Instance, ZoneAttribute)] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}
