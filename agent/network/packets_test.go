package network

import (
	"context"
	"net/netip"
	"testing"

	"github.com/berth/berth/state"
)

const (
	vpcA = "vpc-0000000000000000a"
	vpcB = "vpc-0000000000000000b"
)

func TestTasksReachEachOtherAsGroupsAllow(t *testing.T) {
	l := newLab(t)
	n := l.open()
	ctx := context.Background()
	client := newENI(vpcA, "10.0.1.10", "sg-client")
	server := newENI(vpcA, "10.0.2.10", "sg-server")
	other := newENI(vpcA, "10.0.1.11", "sg-other")
	open := []state.RulePlan{all(anywhere)}
	groups := []state.GroupPlan{
		{ID: "sg-client", Egress: open},
		{ID: "sg-other", Egress: open},
		{ID: "sg-server", Ingress: []state.RulePlan{tcpFrom(80, "sg-client")}, Egress: open},
	}
	must(t, n.Configure(ctx, []state.VPCPlan{plan(vpcA, groups, client, server, other)}))
	l.attach(n, client, server, other)
	serve(t, server.ns, 80)
	serve(t, server.ns, 81)
	if seen := reaches(t, client.ns, server.Address, 80); seen != client.Address {
		t.Errorf("the server saw %s, want %s", seen, client.Address)
	}
	doesNotReach(t, client.ns, server.Address, 81)
	doesNotReach(t, other.ns, server.Address, 80)
	doesNotReach(t, server.ns, client.Address, 80)

	serve(t, l.world, 443)
	if seen := reaches(t, client.ns, labWorld, 443); seen != labHost {
		t.Errorf("the world saw %s, want the host's %s", seen, labHost)
	}
	// The host's own address is only in ranges.
	doesNotReach(t, l.host, server.Address, 80)
	groups[2].Ingress = append(groups[2].Ingress, tcp(80, anywhere))
	server.plan.Public = netip.MustParseAddr("127.100.0.5")
	must(t, n.Configure(ctx, []state.VPCPlan{plan(vpcA, groups, client, server, other)}))
	reaches(t, l.host, server.Address, 80)
	reaches(t, l.host, server.plan.Public, 80)
	must(t, n.Detach(ctx, server.ENI))
	doesNotReach(t, client.ns, server.Address, 80)
}
