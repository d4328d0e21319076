package network

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"

	"github.com/berth/berth/state"
)

// IP protocol numbers that have ports, or types and codes.
const (
	protoAll  = -1
	protoICMP = 1
	protoTCP  = 6
	protoUDP  = 17
)

// ruleset is what a VPC's table holds beyond its fixed chains: a plan as this
// node needs it. Chains and sets are named by their groups.
type ruleset struct {
	// members of each group, on this node and elsewhere: what a rule that names
	// a group matches.
	members map[string]map[netip.Addr]bool
	// chains hold the rules of a group in one direction, or jumps to several
	// such chains for interfaces with several groups.
	chains map[string][]rule
	// egress and ingress say which chain judges a local interface's packets.
	// What is not here is denied.
	egress, ingress map[netip.Addr]string
	// inbound maps public addresses to the private ones of local interfaces,
	// outbound back.
	inbound, outbound map[netip.Addr]netip.Addr
}

// rule accepts the packets it matches, or jumps.
type rule struct {
	jump  string       // a chain; then there is nothing else
	peer  netip.Prefix // valid: the other side's address is in it
	group string       // not empty: the other side is a member of it
	proto int
	// Ports from–to; ICMP type and code; -1 is any.
	from, to int32
}

// compile makes the rule set of a plan for one node.
func compile(p state.VPCPlan, node string) *ruleset {
	r := &ruleset{
		members: map[string]map[netip.Addr]bool{},
		chains:  map[string][]rule{},
		egress:  map[netip.Addr]string{}, ingress: map[netip.Addr]string{},
		inbound: map[netip.Addr]netip.Addr{}, outbound: map[netip.Addr]netip.Addr{},
	}
	for _, g := range p.Groups {
		r.members[g.ID] = map[netip.Addr]bool{}
	}
	for _, g := range p.Groups {
		r.chains[egressChain(g.ID)] = r.rules(g.Egress)
		r.chains[ingressChain(g.ID)] = r.rules(g.Ingress)
	}
	for _, i := range p.Interfaces {
		addr := i.Address.Unmap()
		if !addr.Is4() {
			continue
		}
		groups := slices.DeleteFunc(slices.Clone(i.Groups), func(g string) bool { return r.members[g] == nil })
		slices.Sort(groups)
		groups = slices.Compact(groups)
		for _, g := range groups {
			r.members[g][addr] = true
		}
		if i.Node != node {
			continue
		}
		if len(groups) > 0 {
			r.egress[addr] = r.role(groups, egressChain)
			r.ingress[addr] = r.role(groups, ingressChain)
		}
		if public := i.Public.Unmap(); public.Is4() {
			r.inbound[public] = addr
			// A loopback address means nothing beyond the host.
			if !public.IsLoopback() {
				r.outbound[addr] = public
			}
		}
	}
	return r
}

func egressChain(group string) string  { return "out-" + group }
func ingressChain(group string) string { return "in-" + group }

// role is the chain for an interface with these groups, which are sorted: the
// group's own, or one that tries each.
func (r *ruleset) role(groups []string, chain func(string) string) string {
	if len(groups) == 1 {
		return chain(groups[0])
	}
	sum := sha256.Sum256([]byte(strings.Join(groups, " ")))
	name := chain("role-" + hex.EncodeToString(sum[:8]))
	if r.chains[name] == nil {
		for _, g := range groups {
			r.chains[name] = append(r.chains[name], rule{jump: chain(g)})
		}
	}
	return name
}

// rules translates, leaving out what can't match: IPv6, which no interface has,
// and groups that the VPC doesn't have.
func (r *ruleset) rules(plans []state.RulePlan) []rule {
	var out []rule
	for _, p := range plans {
		n := rule{proto: p.Protocol, from: -1, to: -1}
		switch {
		case p.Group != "":
			if r.members[p.Group] == nil {
				continue
			}
			n.group = p.Group
		case p.Prefix.IsValid() && p.Prefix.Addr().Is4():
			if p.Prefix.Bits() > 0 {
				n.peer = p.Prefix.Masked()
			}
		default:
			continue
		}
		switch p.Protocol {
		case protoTCP, protoUDP:
			if p.From >= 0 && p.To >= 0 && (p.From > 0 || p.To < 65535) {
				n.from, n.to = p.From, p.To
			}
		case protoICMP:
			if n.from = max(p.From, -1); n.from >= 0 {
				n.to = max(p.To, -1)
			}
		}
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}
