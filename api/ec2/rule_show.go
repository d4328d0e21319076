package ec2

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/berth/berth/internal/arn"
	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
)

func showGroup(g *state.SecurityGroup) types.SecurityGroup {
	return types.SecurityGroup{
		GroupId: &g.ID, GroupName: &g.Name, Description: &g.Description, OwnerId: &g.Account, VpcId: &g.VPC,
		SecurityGroupArn: aws.String(g.ARN()), Tags: showTags(g.Tags),
		IpPermissions: showPermissions(g, false), IpPermissionsEgress: showPermissions(g, true),
	}
}

// showPermissions shows the rules of one direction: those of the same protocol
// and ports together.
func showPermissions(g *state.SecurityGroup, egress bool) []types.IpPermission {
	type ports struct {
		protocol string
		from, to int32
	}
	out := []types.IpPermission{}
	at := map[ports]int{}
	for _, r := range g.Rules {
		if r.Egress != egress {
			continue
		}
		k := ports{r.Protocol, r.FromPort, r.ToPort}
		i, ok := at[k]
		if !ok {
			i = len(out)
			at[k] = i
			out = append(out, permission(r))
		}
		addPeer(&out[i], g.Account, r)
	}
	return out
}

// permission is a rule's protocol and ports. Protocols without ports show none.
func permission(r state.SecurityGroupRule) types.IpPermission {
	p := types.IpPermission{
		IpProtocol: aws.String(r.Protocol), IpRanges: []types.IpRange{}, Ipv6Ranges: []types.Ipv6Range{},
		PrefixListIds: []types.PrefixListId{}, UserIdGroupPairs: []types.UserIdGroupPair{},
	}
	if hasPorts(r.Protocol) || isICMP(r.Protocol) {
		p.FromPort, p.ToPort = aws.Int32(r.FromPort), aws.Int32(r.ToPort)
	}
	return p
}

func addPeer(p *types.IpPermission, account string, r state.SecurityGroupRule) {
	switch about := optional(r.Description); {
	case r.IPv4 != "":
		p.IpRanges = append(p.IpRanges, types.IpRange{CidrIp: &r.IPv4, Description: about})
	case r.IPv6 != "":
		p.Ipv6Ranges = append(p.Ipv6Ranges, types.Ipv6Range{CidrIpv6: &r.IPv6, Description: about})
	default:
		p.UserIdGroupPairs = append(p.UserIdGroupPairs, types.UserIdGroupPair{GroupId: &r.Group, UserId: &account, Description: about})
	}
}

// optional is nil for an empty string.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// showRule shows one rule of a group.
func showRule(g *state.SecurityGroup, r state.SecurityGroupRule) types.SecurityGroupRule {
	out := types.SecurityGroupRule{
		SecurityGroupRuleId: &r.ID, GroupId: &g.ID, GroupOwnerId: &g.Account, IsEgress: &r.Egress, IpProtocol: &r.Protocol,
		FromPort: &r.FromPort, ToPort: &r.ToPort, CidrIpv4: optional(r.IPv4), CidrIpv6: optional(r.IPv6),
		Description: optional(r.Description), Tags: showTagSet(r.Tags),
		SecurityGroupRuleArn: aws.String(arn.ARN{
			Partition: arn.Partition(g.Region), Service: "ec2", Region: g.Region, Account: g.Account, Resource: "security-group-rule/" + r.ID,
		}.String()),
	}
	if r.Group != "" {
		out.ReferencedGroupInfo = &types.ReferencedSecurityGroup{GroupId: &r.Group, UserId: &g.Account}
	}
	return out
}

func showRevoked(g *state.SecurityGroup, r state.SecurityGroupRule) types.RevokedSecurityGroupRule {
	return types.RevokedSecurityGroupRule{
		SecurityGroupRuleId: &r.ID, GroupId: &g.ID, IsEgress: &r.Egress, IpProtocol: &r.Protocol, FromPort: &r.FromPort, ToPort: &r.ToPort,
		CidrIpv4: optional(r.IPv4), CidrIpv6: optional(r.IPv6), ReferencedGroupId: optional(r.Group), Description: optional(r.Description),
	}
}

var rules = listing[types.SecurityGroupRule]{
	operation: "DescribeSecurityGroupRules",
	id:        func(r types.SecurityGroupRule) *string { return r.SecurityGroupRuleId },
	tags:      func(r types.SecurityGroupRule) []types.Tag { return r.Tags },
	fields: fields[types.SecurityGroupRule]{
		"group-id":               func(r types.SecurityGroupRule) []string { return text(r.GroupId) },
		"security-group-rule-id": func(r types.SecurityGroupRule) []string { return text(r.SecurityGroupRuleId) },
	},
}

// DescribeSecurityGroupRules returns rules, of all groups.
func (s *Service) DescribeSecurityGroupRules(ctx context.Context, in *DescribeSecurityGroupRulesInput) (*DescribeSecurityGroupRulesOutput, error) {
	rows, next, err := rules.run(ctx, query{in.DryRun, in.Filters, in.MaxResults, in.NextToken, 5, 1000}, func() ([]types.SecurityGroupRule, error) {
		var out []types.SecurityGroupRule
		for g := range store.SecurityGroups.List(s.store.View(), scopeOf(ctx), "") {
			for _, r := range g.Rules {
				if len(in.SecurityGroupRuleIds) == 0 || slices.Contains(in.SecurityGroupRuleIds, r.ID) {
					out = append(out, showRule(g, r))
				}
			}
		}
		for _, id := range in.SecurityGroupRuleIds {
			if err := kindRule.check(id); err != nil {
				return nil, err
			}
			if !slices.ContainsFunc(out, func(r types.SecurityGroupRule) bool { return *r.SecurityGroupRuleId == id }) {
				return nil, kindRule.notFound(id)
			}
		}
		return out, nil
	})
	return &DescribeSecurityGroupRulesOutput{SecurityGroupRules: rows, NextToken: next}, err
}
