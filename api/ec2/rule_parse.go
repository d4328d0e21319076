package ec2

import (
	"cmp"
	"net/netip"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
)

// ruleParser turns what users write about rules of one group and direction into
// state's rules, without IDs.
type ruleParser struct {
	view   store.View
	group  *state.SecurityGroup
	egress bool
	// lenient accepts groups that aren't there, for rules that shall go.
	lenient bool
}

// permissions parses IpPermissions: each peer of each is a rule.
func (p ruleParser) permissions(in []types.IpPermission) ([]state.SecurityGroupRule, error) {
	var out []state.SecurityGroupRule
	for _, perm := range in {
		base, err := p.base(perm.IpProtocol, perm.FromPort, perm.ToPort)
		if err != nil {
			return nil, err
		}
		peers, err := p.peers(perm)
		if err != nil {
			return nil, err
		}
		if len(peers) == 0 {
			return nil, missing("ipRanges, ipv6Ranges, prefixListIds or groups")
		}
		for _, peer := range peers {
			peer.ID, peer.Egress, peer.Protocol, peer.FromPort, peer.ToPort = "", p.egress, base.Protocol, base.FromPort, base.ToPort
			for _, other := range out {
				if same(other, peer) {
					return nil, invalidValue("The same permission must not appear multiple times")
				}
			}
			out = append(out, peer)
		}
	}
	return out, nil
}

func (p ruleParser) peers(perm types.IpPermission) ([]state.SecurityGroupRule, error) {
	var out []state.SecurityGroupRule
	for _, r := range perm.IpRanges {
		cidr, err := ipv4Range(aws.ToString(r.CidrIp))
		if err != nil {
			return nil, err
		}
		out = append(out, state.SecurityGroupRule{IPv4: cidr, Description: aws.ToString(r.Description)})
	}
	for _, r := range perm.Ipv6Ranges {
		cidr, err := ipv6Range(aws.ToString(r.CidrIpv6))
		if err != nil {
			return nil, err
		}
		out = append(out, state.SecurityGroupRule{IPv6: cidr, Description: aws.ToString(r.Description)})
	}
	for _, r := range perm.UserIdGroupPairs {
		id, err := p.peerGroup(r)
		if err != nil {
			return nil, err
		}
		out = append(out, state.SecurityGroupRule{Group: id, Description: aws.ToString(r.Description)})
	}
	for _, r := range perm.PrefixListIds {
		return nil, noPrefixList(aws.ToString(r.PrefixListId))
	}
	for _, r := range out {
		if err := checkRuleDescription(r.Description); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// request parses the form that ModifySecurityGroupRules takes.
func (p ruleParser) request(in types.SecurityGroupRuleRequest) (state.SecurityGroupRule, error) {
	perm := types.IpPermission{IpProtocol: in.IpProtocol, FromPort: in.FromPort, ToPort: in.ToPort}
	peers := 0
	if in.CidrIpv4 != nil {
		peers++
		perm.IpRanges = []types.IpRange{{CidrIp: in.CidrIpv4, Description: in.Description}}
	}
	if in.CidrIpv6 != nil {
		peers++
		perm.Ipv6Ranges = []types.Ipv6Range{{CidrIpv6: in.CidrIpv6, Description: in.Description}}
	}
	if in.ReferencedGroupId != nil {
		peers++
		perm.UserIdGroupPairs = []types.UserIdGroupPair{{GroupId: in.ReferencedGroupId, Description: in.Description}}
	}
	if in.PrefixListId != nil {
		peers++
		perm.PrefixListIds = []types.PrefixListId{{PrefixListId: in.PrefixListId}}
	}
	if peers != 1 {
		return state.SecurityGroupRule{}, invalidCombination("Exactly one of CidrIpv4, CidrIpv6, PrefixListId and ReferencedGroupId must be specified for each rule, not %d.", peers)
	}
	out, err := p.permissions([]types.IpPermission{perm})
	if err != nil {
		return state.SecurityGroupRule{}, err
	}
	return out[0], nil
}

// base parses protocol and ports. They come out in one form whatever the user
// wrote: names for the protocols that have them, -1 for all ports.
func (p ruleParser) base(protocol *string, from, to *int32) (state.SecurityGroupRule, error) {
	var out state.SecurityGroupRule
	if aws.ToString(protocol) == "" {
		return out, invalidValue("Invalid value 'null' for protocol. VPC security group rules must specify protocols explicitly.")
	}
	out.Protocol, out.FromPort, out.ToPort = strings.ToLower(*protocol), -1, -1
	switch out.Protocol {
	case "tcp", "udp", "icmp", "icmpv6", "-1":
	case "6":
		out.Protocol = "tcp"
	case "17":
		out.Protocol = "udp"
	case "1":
		out.Protocol = "icmp"
	case "58":
		out.Protocol = "icmpv6"
	default:
		n, err := strconv.ParseUint(out.Protocol, 10, 8)
		if err != nil {
			return out, invalidValue("Invalid value '%s' for IP protocol. Unknown protocol.", *protocol)
		}
		out.Protocol = strconv.FormatUint(n, 10)
	}
	switch {
	case hasPorts(out.Protocol):
		if from == nil || to == nil {
			return out, invalidValue("Invalid value 'Must specify both from and to ports with TCP/UDP.' for portRange.")
		}
		if *from < 0 || *from > 65535 {
			return out, invalidValue("TCP/UDP (from) port (%d) out of range", *from)
		}
		if *to < 0 || *to > 65535 {
			return out, invalidValue("TCP/UDP (to) port (%d) out of range", *to)
		}
		if *from > *to {
			return out, invalidValue("Invalid TCP/UDP port range (%d:%d)", *from, *to)
		}
		out.FromPort, out.ToPort = *from, *to
	case isICMP(out.Protocol):
		if from != nil {
			out.FromPort = *from
		}
		if to != nil {
			out.ToPort = *to
		}
		if out.FromPort < -1 || out.FromPort > 255 {
			return out, invalidValue("ICMP type (%d) out of range", out.FromPort)
		}
		if out.ToPort < -1 || out.ToPort > 255 {
			return out, invalidValue("ICMP code (%d) out of range", out.ToPort)
		}
		if out.FromPort == -1 && out.ToPort != -1 {
			return out, invalidValue("ICMP code (%d) must be -1 when the ICMP type is -1", out.ToPort)
		}
	}
	// For all other protocols ports say nothing (SDK, IpPermission.IpProtocol).
	return out, nil
}

func hasPorts(protocol string) bool { return protocol == "tcp" || protocol == "udp" }
func isICMP(protocol string) bool   { return protocol == "icmp" || protocol == "icmpv6" }

// ipv4Range parses a range and clears its host bits, as EC2 does.
func ipv4Range(cidr string) (string, error) {
	p, err := netip.ParsePrefix(cidr)
	if err != nil || !p.Addr().Is4() {
		return "", invalidValue("CIDR block %s is malformed", cidr)
	}
	return p.Masked().String(), nil
}

func ipv6Range(cidr string) (string, error) {
	p, err := netip.ParsePrefix(cidr)
	if err != nil || !p.Addr().Is6() || p.Addr().Is4In6() {
		return "", invalidValue("CIDR block %s is malformed", cidr)
	}
	return p.Masked().String(), nil
}

// peerGroup finds the group that a rule names: by ID, or by name in the default
// VPC. It must be of the same VPC.
func (p ruleParser) peerGroup(r types.UserIdGroupPair) (string, error) {
	if id := aws.ToString(r.VpcPeeringConnectionId); id != "" {
		if err := kindPeering.check(id); err != nil {
			return "", err
		}
		return "", kindPeering.notFound(id)
	}
	id, name := aws.ToString(r.GroupId), aws.ToString(r.GroupName)
	if id == "" && name == "" {
		return "", missing("groupName or groupId")
	}
	if id != "" {
		if err := kindGroup.check(id); err != nil {
			return "", err
		}
	}
	// A group of another owner is not to be seen from here.
	if owner := aws.ToString(r.UserId); owner != "" && owner != p.group.Account {
		return "", kindGroup.notFound(cmp.Or(id, name))
	}
	g, err := theGroup(p.view, p.group.Scope, r.GroupId, r.GroupName)
	switch {
	case err != nil && p.lenient && id != "" && name == "":
		return id, nil
	case err != nil:
		return "", err
	case g.VPC != p.group.VPC:
		return "", fail("InvalidGroup.NotFound", "You have specified two resources that belong to different networks.")
	}
	return g.ID, nil
}

// noPrefixList is the error for a prefix list: there are none here.
func noPrefixList(id string) error {
	if err := kindPrefixes.check(id); err != nil {
		return err
	}
	return kindPrefixes.notFound(id)
}

func checkRuleDescription(about string) error {
	if len(about) > 255 || !description.MatchString(about) {
		return invalidValue("Invalid rule description. Valid descriptions are strings less than 256 characters " + descriptionSet)
	}
	return nil
}

// same reports whether two rules allow the same: then there can be only one.
func same(a, b state.SecurityGroupRule) bool {
	return a.Egress == b.Egress && a.Protocol == b.Protocol && a.FromPort == b.FromPort && a.ToPort == b.ToPort &&
		a.IPv4 == b.IPv4 && a.IPv6 == b.IPv6 && a.Group == b.Group
}

// duplicate is the error for a rule that is there already, in EC2's words.
func duplicate(r state.SecurityGroupRule) error {
	what := strings.ToUpper(r.Protocol)
	all := func(n int32) string {
		if n == -1 {
			return "ALL"
		}
		return strconv.Itoa(int(n))
	}
	switch {
	case r.Protocol == "-1":
		what = "ALL"
	case hasPorts(r.Protocol):
		what += ", from port: " + strconv.Itoa(int(r.FromPort)) + ", to port: " + strconv.Itoa(int(r.ToPort))
	case isICMP(r.Protocol):
		what += ", type: " + all(r.FromPort) + ", code: " + all(r.ToPort)
	}
	peer := cmp.Or(r.IPv4, r.IPv6, r.Group)
	return fail("InvalidPermission.Duplicate", "the specified rule \"peer: %s, %s, ALLOW\" already exists", peer, what)
}
