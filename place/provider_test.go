package place

import (
	"math"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"pgregory.net/rapid"
)

func item(name string, base, weight int32) types.CapacityProviderStrategyItem {
	return types.CapacityProviderStrategyItem{CapacityProvider: &name, Base: base, Weight: weight}
}

func TestProviders(t *testing.T) {
	for _, c := range []struct {
		strategy []types.CapacityProviderStrategyItem
		have     map[string]int
		count    int
		a        int // of the new ones
	}{
		{[]types.CapacityProviderStrategyItem{item("a", 0, 1)}, nil, 10, 10},
		{[]types.CapacityProviderStrategyItem{item("a", 0, 1), item("b", 0, 4)}, nil, 10, 2},
		{[]types.CapacityProviderStrategyItem{item("a", 2, 0), item("b", 0, 1)}, nil, 10, 2},
		{[]types.CapacityProviderStrategyItem{item("a", 4, 1), item("b", 0, 1)}, nil, 10, 7},
		{[]types.CapacityProviderStrategyItem{item("b", 3, 1), item("a", 0, 0)}, nil, 10, 0},
		{[]types.CapacityProviderStrategyItem{item("b", 0, 1), item("a", 2, 1)}, nil, 2, 2},                            // the base first, wherever it is
		{[]types.CapacityProviderStrategyItem{item("a", 1, 1), item("b", 0, 3)}, map[string]int{"a": 2, "b": 3}, 4, 1}, // one more base and 8 as 1 to 3
		{[]types.CapacityProviderStrategyItem{item("a", 0, 1), item("b", 0, 1)}, map[string]int{"b": 5}, 5, 5},
		{[]types.CapacityProviderStrategyItem{item("a", 3, 0)}, map[string]int{"a": 3}, 1, 0},
	} {
		n := 0
		for _, name := range Providers(c.strategy, c.have, c.count) {
			if name == "a" {
				n++
			}
		}
		if n != c.a {
			t.Errorf("%+v after %v: %d of %d, want %d", c.strategy, c.have, n, c.count, c.a)
		}
	}
}

// Whatever the strategy, bases are full before anything else is given, and what
// is above them differs from the weights' part by less than one task for each
// item; and what Surplus takes is what Providers would give last.
func TestProvidersAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var strategy []types.CapacityProviderStrategyItem
		names := []string{"a", "b", "c", "d"}
		weights, base := 0, 0
		based := rapid.IntRange(-1, 3).Draw(t, "which has a base")
		for i, name := range names[:rapid.IntRange(1, 4).Draw(t, "items")] {
			it := item(name, 0, rapid.Int32Range(0, 5).Draw(t, "weight"))
			if i == based {
				it.Base = rapid.Int32Range(0, 5).Draw(t, "base")
				base = int(it.Base)
			}
			weights += int(it.Weight)
			strategy = append(strategy, it)
		}
		if weights == 0 {
			strategy[0].Weight, weights = 1, 1
		}
		count := rapid.IntRange(0, 40).Draw(t, "count")
		got := Providers(strategy, nil, count)
		have := map[string]int{}
		for _, name := range got {
			have[name]++
		}
		if len(got) != count {
			t.Fatalf("%d of %d", len(got), count)
		}
		for _, it := range strategy {
			n := have[nameOf(it)]
			if n < min(int(it.Base), count) {
				t.Fatalf("%+v: %v: the base is not full", strategy, have)
			}
			part := float64(max(count-base, 0)) * float64(it.Weight) / float64(weights)
			if above := float64(n - min(int(it.Base), count)); math.Abs(above-part) >= float64(len(strategy)) {
				t.Fatalf("%+v: %v: %s has %v above its base, its part is %v", strategy, have, nameOf(it), above, part)
			}
		}
		for left := count; left > 0; left-- {
			name := Surplus(strategy, have)
			if have[name] == 0 {
				t.Fatalf("%+v: %v: nothing of %q to take", strategy, have, name)
			}
			have[name]--
			want := map[string]int{}
			for _, name := range Providers(strategy, nil, left-1) {
				want[name]++
			}
			for name := range want {
				if have[name] != want[name] {
					t.Fatalf("%+v: with %d left %v, want %v", strategy, left-1, have, want)
				}
			}
		}
		if Surplus(strategy, map[string]int{"stray": 1, "a": 9}) != "stray" || Surplus(strategy, nil) != "" {
			t.Fatal("a stray goes first, and nothing from nothing")
		}
	})
}

func TestServiceStrategyIsOfZones(t *testing.T) {
	s := ServiceStrategy()
	if len(s) != 2 || *s[0].Field != "attribute:ecs.availability-zone" || !slices.ContainsFunc(s, func(s types.PlacementStrategy) bool { return *s.Field == "instanceId" }) {
		t.Errorf("%+v", s)
	}
}
