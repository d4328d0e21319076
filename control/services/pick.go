package services

import (
	"cmp"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/place"
	"github.com/berth/berth/state"
)

// heap is tasks that are alike for the choice of which to stop, the newest last.
type heap struct {
	tier           int
	provider       string
	zone, instance *int // how many tasks there are in them
	tasks          []*state.Task
}

// pick says which n tasks of some go first: those that don't run, those that aren't
// healthy yet, then those of the capacity provider that has the most above its
// part, of the availability zone that has the most, of the container instance that
// has the most, the newest (Amazon ECS Developer Guide, "Service task placement":
// scaling in keeps zones balanced, then instances). Protected tasks don't go; there
// may so be fewer than n.
func (p *picture) pick(tasks []*state.Task, n int, strategy []types.CapacityProviderStrategyItem) []*state.Task {
	inZone, onInstance := map[string]*int{}, map[string]*int{}
	of := func(m map[string]*int, key string) *int {
		if m[key] == nil {
			m[key] = new(int)
		}
		return m[key]
	}
	type alike struct {
		tier                     int
		provider, zone, instance string
	}
	heaps := map[alike]*heap{}
	for _, t := range tasks {
		zone, instance := of(inZone, t.Zone), of(onInstance, t.ContainerInstance)
		*zone++
		*instance++
		if p.protected(t) {
			continue
		}
		tier := 2
		switch {
		case !up(t):
			tier = 0
		case !p.healthy(t):
			tier = 1
		}
		key := alike{tier, t.CapacityProvider, t.Zone, t.ContainerInstance}
		if heaps[key] == nil {
			heaps[key] = &heap{tier: tier, provider: t.CapacityProvider, zone: zone, instance: instance}
		}
		heaps[key].tasks = append(heaps[key].tasks, t)
	}
	all := make([]*heap, 0, len(heaps))
	for _, h := range heaps {
		slices.SortFunc(h.tasks, func(a, b *state.Task) int { return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID)) })
		all = append(all, h)
	}
	have := providers(tasks)
	var out []*state.Task
	for len(out) < min(n, batch) && len(all) > 0 {
		surplus := ""
		if len(strategy) > 0 {
			surplus = place.Surplus(strategy, have)
		}
		best := slices.MinFunc(all, func(a, b *heap) int {
			return cmp.Or(cmp.Compare(a.tier, b.tier), falseFirst(b.provider == surplus, a.provider == surplus), cmp.Compare(*b.zone, *a.zone), cmp.Compare(*b.instance, *a.instance), newest(a, b))
		})
		last := len(best.tasks) - 1
		t := best.tasks[last]
		out = append(out, t)
		best.tasks = best.tasks[:last]
		*best.zone--
		*best.instance--
		have[t.CapacityProvider]--
		if last == 0 {
			all = slices.DeleteFunc(all, func(h *heap) bool { return h == best })
		}
	}
	return out
}

// falseFirst compares two truths: false comes first.
func falseFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// newest compares heaps by their newest tasks.
func newest(a, b *heap) int {
	s, t := a.tasks[len(a.tasks)-1], b.tasks[len(b.tasks)-1]
	return cmp.Or(t.CreatedAt.Compare(s.CreatedAt), cmp.Compare(t.ID, s.ID))
}

// providers counts tasks by capacity provider.
func providers(tasks []*state.Task) map[string]int {
	have := map[string]int{}
	for _, t := range tasks {
		have[t.CapacityProvider]++
	}
	return have
}

// zones counts tasks by availability zone.
func zones(tasks []*state.Task) map[string]int {
	have := map[string]int{}
	for _, t := range tasks {
		have[t.Zone]++
	}
	return have
}
