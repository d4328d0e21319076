package place

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// Providers gives each of count more tasks its capacity provider, when there are
// as many of each already as have says: every base first, and then as the
// weights divide what is above the bases (SDK, types.CapacityProviderStrategyItem).
// It returns nil when no item has a weight and the bases are full.
func Providers(strategy []types.CapacityProviderStrategyItem, have map[string]int, count int) []string {
	given := map[string]int{}
	for name, n := range have {
		given[name] = n
	}
	out := make([]string, 0, count)
	for range count {
		best := -1
		for i, item := range strategy {
			if given[nameOf(item)] < int(item.Base) {
				best = i
				break
			}
			if item.Weight > 0 && (best < 0 || beyond(given, item)*int(strategy[best].Weight) < beyond(given, strategy[best])*int(item.Weight)) {
				best = i
			}
		}
		if best < 0 {
			return nil
		}
		given[nameOf(strategy[best])]++
		out = append(out, nameOf(strategy[best]))
	}
	return out
}

// Surplus is the capacity provider that has the most tasks above its part of a
// strategy, of those that have any: the one to stop a task of when there are too
// many. A provider that the strategy doesn't have comes first. It is empty when
// there are no tasks.
func Surplus(strategy []types.CapacityProviderStrategyItem, have map[string]int) string {
	of := map[string]types.CapacityProviderStrategyItem{}
	for _, item := range strategy {
		of[nameOf(item)] = item
	}
	stray := ""
	for name, n := range have {
		if _, ok := of[name]; !ok && n > 0 && (stray == "" || name < stray) {
			stray = name
		}
	}
	if stray != "" {
		return stray
	}
	// A task above the base of an item without weight is one too many; else the
	// one whose last task is furthest above its part. Bases go last.
	best, last := "", ""
	for _, item := range strategy {
		name := nameOf(item)
		switch above := beyond(have, item); {
		case have[name] == 0:
		case above <= 0:
			last = name
		case item.Weight == 0:
			return name
		case best == "" || (above-1)*int(of[best].Weight) >= (beyond(have, of[best])-1)*int(item.Weight):
			best = name
		}
	}
	if best == "" {
		return last
	}
	return best
}

func nameOf(item types.CapacityProviderStrategyItem) string {
	return aws.ToString(item.CapacityProvider)
}

// beyond is how many tasks an item has above its base.
func beyond(have map[string]int, item types.CapacityProviderStrategyItem) int {
	return have[nameOf(item)] - int(item.Base)
}
