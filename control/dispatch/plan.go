package dispatch

import (
	"net/netip"
	"reflect"
	"strconv"

	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
)

// plan is everything a node must know of a VPC: its interfaces on all nodes,
// and all its groups.
func plan(v store.View, vpcID string) state.VPCPlan {
	p := state.VPCPlan{VPC: vpcID}
	for vpc := range store.VPCs.All(v) {
		if vpc.ID == vpcID {
			p.Prefixes = []netip.Prefix{vpc.Prefix}
		}
	}
	subnets := map[string]netip.Prefix{}
	for s := range store.Subnets.All(v) {
		if s.VPC == vpcID {
			subnets[s.ID] = s.Prefix
		}
	}
	for g := range store.SecurityGroups.All(v) {
		if g.VPC == vpcID {
			p.Groups = append(p.Groups, groupPlan(g))
		}
	}
	for e := range store.ENIs.By(v, store.ENIsByVPC, vpcID) {
		i := interfacePlan(e)
		i.Subnet = subnets[e.Subnet]
		p.Interfaces = append(p.Interfaces, i)
	}
	return p
}

// interfacePlan is an ENI's part of the plan, but for its subnet's range.
func interfacePlan(e *state.ENI) state.InterfacePlan {
	return state.InterfacePlan{ENI: e.ID, Node: e.Node, Task: e.TaskID, MAC: e.MAC, Address: e.Address, Public: e.Public, Groups: e.Groups}
}

// replans names the VPCs whose plans an event changes. Most of what changes in a
// record, like tags, is in no plan.
func replans(e store.Event) []string {
	var vpcs []string
	var plans []any
	for _, rec := range []any{e.Old, e.New} {
		switch r := rec.(type) {
		case *state.ENI:
			vpcs, plans = append(vpcs, r.VPC), append(plans, interfacePlan(r))
		case *state.SecurityGroup:
			vpcs, plans = append(vpcs, r.VPC), append(plans, groupPlan(r))
		case *state.VPC:
			vpcs, plans = append(vpcs, r.ID), append(plans, r.Prefix)
		}
	}
	if len(plans) == 2 && reflect.DeepEqual(plans[0], plans[1]) {
		return nil
	}
	return vpcs
}

func groupPlan(g *state.SecurityGroup) state.GroupPlan {
	out := state.GroupPlan{ID: g.ID}
	for _, r := range g.Rules {
		rule, ok := rulePlan(r)
		switch {
		case !ok:
		case r.Egress:
			out.Egress = append(out.Egress, rule)
		default:
			out.Ingress = append(out.Ingress, rule)
		}
	}
	return out
}

// protocols are the names that EC2 takes for protocol numbers (SDK,
// types.IpPermission.IpProtocol).
var protocols = map[string]int{"-1": -1, "tcp": 6, "udp": 17, "icmp": 1, "icmpv6": 58}

// rulePlan turns a rule into what packets are matched with. It says no for one
// that can match none: the API has checked what it wrote.
func rulePlan(r state.SecurityGroupRule) (state.RulePlan, bool) {
	out := state.RulePlan{From: r.FromPort, To: r.ToPort, Group: r.Group}
	number, ok := protocols[r.Protocol]
	if !ok {
		n, err := strconv.Atoi(r.Protocol)
		if err != nil || n < 0 || n > 255 {
			return out, false
		}
		number = n
	}
	out.Protocol = number
	switch number {
	case 6, 17, 1, 58:
	default: // it has no ports
		out.From, out.To = -1, -1
	}
	if r.Group != "" {
		return out, true
	}
	cidr := r.IPv4
	if cidr == "" {
		cidr = r.IPv6
	}
	prefix, err := netip.ParsePrefix(cidr)
	if err != nil {
		return out, false
	}
	out.Prefix = prefix.Masked()
	return out, true
}
