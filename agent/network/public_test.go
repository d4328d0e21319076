package network

import (
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/berth/berth/state"
)

func TestPublicAddresses(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	n := l.open()
	loop, real := netip.MustParseAddr("127.100.0.5"), netip.MustParseAddr("203.0.113.7")
	// The world routes the pool to the host.
	eth0, err := l.world.link.LinkByName("eth0")
	must(t, err)
	pool := netip.MustParsePrefix("203.0.113.0/24")
	must(t, l.world.link.RouteAdd(&netlink.Route{Dst: ipNet(pool), LinkIndex: eth0.Attrs().Index, Gw: labHost.AsSlice()}))

	open := []state.RulePlan{all(anywhere)}
	groups := []state.GroupPlan{{ID: "sg-web", Ingress: []state.RulePlan{tcp(80, anywhere)}, Egress: open}, {ID: "sg-closed", Egress: open}}
	local, web, closed := newENI(vpcA, "10.0.1.10", "sg-web"), newENI(vpcA, "10.0.1.11", "sg-web"), newENI(vpcA, "10.0.1.12", "sg-closed")
	local.plan.Public, web.plan.Public, closed.plan.Public = loop, real, real.Next()
	far := newENI(vpcB, "10.0.1.11", "sg-web") // the same address as web's
	l.attach(n, local, web, closed, far)
	for _, e := range []*eni{local, web, closed, far} {
		serve(t, e.ns, 80)
		serve(t, e.ns, 81)
	}
	plans := []state.VPCPlan{plan(vpcA, groups, local, web, closed), plan(vpcB, groups, far)}
	must(t, n.Configure(bg, plans))

	t.Run("from the host", func(t *testing.T) {
		link := n.vpc(vpcA).slot.host()
		if seen := reaches(t, l.host, loop, 80); seen != link {
			t.Errorf("the task saw %s, want the host's link address %s", seen, link)
		}
		reaches(t, l.host, real, 80)
		doesNotReach(t, l.host, loop, 81)
		doesNotReach(t, l.host, closed.plan.Public, 80)
	})
	t.Run("from the world", func(t *testing.T) {
		if seen := reaches(t, l.world, real, 80); seen != labWorld {
			t.Errorf("the task saw %s, want %s", seen, labWorld)
		}
		doesNotReach(t, l.world, real, 81)
		doesNotReach(t, l.world, closed.plan.Public, 80)
	})
	t.Run("to the world", func(t *testing.T) {
		serve(t, l.world, 443)
		if seen := reaches(t, web.ns, labWorld, 443); seen != real {
			t.Errorf("the world saw %s, want the public address %s", seen, real)
		}
		if seen := reaches(t, local.ns, labWorld, 443); seen != labHost {
			t.Errorf("the world saw %s, want %s: a loopback address can't leave the host", seen, labHost)
		}
	})
	t.Run("between tasks", func(t *testing.T) {
		reaches(t, local.ns, real, 80) // of its own VPC
		reaches(t, far.ns, real, 80)   // of another
		doesNotReach(t, far.ns, real, 81)
	})
	t.Run("private addresses aren't reached from outside", func(t *testing.T) {
		private := netip.MustParsePrefix("10.0.0.0/8")
		must(t, l.world.link.RouteAdd(&netlink.Route{Dst: ipNet(private), LinkIndex: eth0.Attrs().Index, Gw: labHost.AsSlice()}))
		doesNotReach(t, l.world, web.Address, 80)
	})
	t.Run("moves and goes", func(t *testing.T) {
		web.plan.Public, far.plan.Public = netip.Addr{}, real
		moved := []state.VPCPlan{plan(vpcB, groups, far), plan(vpcA, groups, local, web, closed)}
		must(t, n.Configure(bg, moved))
		reaches(t, l.world, real, 80)
		if n.host.public[real] != n.vpc(vpcB).link {
			t.Errorf("%s isn't routed to %s", real, vpcB)
		}
		far.plan.Public = netip.Addr{}
		must(t, n.Configure(bg, []state.VPCPlan{plan(vpcA, groups, local, web, closed), plan(vpcB, groups, far)}))
		if _, _, err := dial(l.world, real, 80, denied); err == nil {
			t.Error("a public address that was taken away still answers")
		}
		reaches(t, l.host, loop, 80)
	})
}
