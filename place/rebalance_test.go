package place

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/berth/berth/place/query"
	"github.com/berth/berth/state"
)

func zoned(id, zone string, age int) *state.Task {
	return &state.Task{ID: id, Zone: zone, Last: state.Running, Desired: state.Running, CreatedAt: time.Unix(int64(1000-age), 0)}
}

func none(*state.Task) bool { return false }

func TestRebalance(t *testing.T) {
	pending, stopping := zoned("p", "a", 0), zoned("s", "b", 0)
	pending.Last, stopping.Desired = state.Pending, state.Stopped
	three := []*state.Task{zoned("1", "a", 3), zoned("2", "a", 1), zoned("3", "a", 2)}
	for _, c := range []struct {
		name      string
		zones     []string
		tasks     []*state.Task
		protected func(*state.Task) bool
		want      string
	}{
		{"even", []string{"a", "b"}, []*state.Task{zoned("1", "a", 0), zoned("2", "b", 0)}, none, ""},
		{"off by one", []string{"a", "b"}, []*state.Task{zoned("1", "a", 0), zoned("2", "a", 0), zoned("3", "b", 0)}, none, ""},
		{"the youngest moves", []string{"a", "b"}, three, none, "2 a b"},
		{"to the emptiest zone", []string{"a", "b", "c"}, append(three[:3:3], zoned("4", "b", 0)), none, "2 a c"},
		{"a protected one stays", []string{"a", "b"}, three, func(t *state.Task) bool { return t.ID == "2" }, "3 a b"},
		{"all protected", []string{"a", "b"}, three, func(*state.Task) bool { return true }, ""},
		{"one zone", []string{"a"}, three, none, ""},
		{"one is on its way", []string{"a", "b"}, append(three[:3:3], pending), none, ""},
		{"one in a zone that is gone", []string{"b", "c"}, three, none, ""},
		{"one that ends doesn't count", []string{"a", "b"}, append(three[:3:3], stopping), none, "2 a b"},
	} {
		got := ""
		if r, ok := Rebalance(c.zones, c.tasks, c.protected); ok {
			got = fmt.Sprint(r.Task.ID, " ", r.From, " ", r.To)
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// Move after move the zones become even, and then nothing moves any more.
func TestRebalanceEnds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zones := []string{"a", "b", "c", "d"}[:rapid.IntRange(2, 4).Draw(t, "zones")]
		var tasks []*state.Task
		for i := range rapid.IntRange(0, 20).Draw(t, "tasks") {
			tasks = append(tasks, zoned(fmt.Sprint(i), rapid.SampledFrom(zones).Draw(t, "zone"), i))
		}
		for moves := 0; ; moves++ {
			r, ok := Rebalance(zones, tasks, none)
			if !ok {
				break
			}
			if moves > len(tasks) {
				t.Fatal("tasks move round and round")
			}
			r.Task.Zone = r.To
		}
		count := map[string]int{}
		for _, z := range zones {
			count[z] = 0
		}
		for _, task := range tasks {
			count[task.Zone]++
		}
		for _, a := range count {
			for _, b := range count {
				if a-b > 1 {
					t.Fatalf("it ends with %v", count)
				}
			}
		}
	})
}

func TestZones(t *testing.T) {
	drained := instance("c", 100, 100, zone("zc"))
	drained.Status = "DRAINING"
	x := index([]*state.ContainerInstance{instance("a", 100, 100, zone("za"), attribute("rack", "1")), instance("b", 100, 100, zone("zb")), drained})
	// A zone counts though it has no room now.
	if got := fmt.Sprint(x.Zones(cluster, &Demand{CPU: 1000})); got != "[za zb]" {
		t.Errorf("%s", got)
	}
	if got := fmt.Sprint(x.Zones(cluster, &Demand{Members: []*query.Expr{parsed(t, "attribute:rack exists")}})); got != "[za]" {
		t.Errorf("%s", got)
	}
	if got := fmt.Sprint(x.Zones(cluster, &Demand{Provider: "p"})); got != "[]" {
		t.Errorf("%s", got)
	}
}
