package ec2

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/berth/berth/internal/id"
	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
)

// maxRules is the quota of rules of a group in each direction, counted for IPv4
// and IPv6 by themselves; rules that name a group count for both (Amazon VPC
// User Guide, "Amazon VPC quotas").
const maxRules = 60

// ruleCall is a call that adds, removes or describes rules of one group.
type ruleCall struct {
	groupID, groupName *string
	egress             bool
	dryRun             *bool
}

// change runs f on a copy of the group, with what it needs to parse rules, and
// writes the copy.
func (s *Service) change(ctx context.Context, c ruleCall, f func(g *state.SecurityGroup, p ruleParser, vpc *state.VPC) error) error {
	scope := scopeOf(ctx)
	return s.store.Update(ctx, func(tx *store.Tx) error {
		old, err := theGroup(tx, scope, c.groupID, c.groupName)
		if err != nil {
			return err
		}
		vpc, err := record(tx, store.VPCs, scope, kindVPC, old.VPC)
		if err != nil {
			return err
		}
		g := *old
		g.Rules = slices.Clone(old.Rules)
		if err := f(&g, ruleParser{view: tx, group: old, egress: c.egress}, vpc); err != nil {
			return err
		}
		store.SecurityGroups.Put(tx, &g)
		return dryRun(c.dryRun)
	})
}

// AuthorizeSecurityGroupIngress adds rules for what the group's members may be
// sent.
func (s *Service) AuthorizeSecurityGroupIngress(ctx context.Context, in *AuthorizeSecurityGroupIngressInput) (*AuthorizeSecurityGroupIngressOutput, error) {
	single := singleRule{in.IpProtocol, in.FromPort, in.ToPort, in.CidrIp, in.SourceSecurityGroupName, in.SourceSecurityGroupOwnerId}
	permissions, err := single.with(in.IpPermissions)
	if err != nil {
		return nil, err
	}
	rows, err := s.authorize(ctx, ruleCall{in.GroupId, in.GroupName, false, in.DryRun}, permissions, in.TagSpecifications)
	if err != nil {
		return nil, err
	}
	return &AuthorizeSecurityGroupIngressOutput{Return: aws.Bool(true), SecurityGroupRules: rows}, nil
}

// AuthorizeSecurityGroupEgress adds rules for what the group's members may send.
func (s *Service) AuthorizeSecurityGroupEgress(ctx context.Context, in *AuthorizeSecurityGroupEgressInput) (*AuthorizeSecurityGroupEgressOutput, error) {
	if aws.ToString(in.GroupId) == "" {
		return nil, missing("groupId")
	}
	rows, err := s.authorize(ctx, ruleCall{in.GroupId, nil, true, in.DryRun}, in.IpPermissions, in.TagSpecifications)
	if err != nil {
		return nil, err
	}
	return &AuthorizeSecurityGroupEgressOutput{Return: aws.Bool(true), SecurityGroupRules: rows}, nil
}

func (s *Service) authorize(ctx context.Context, c ruleCall, permissions []types.IpPermission, specs []types.TagSpecification) ([]types.SecurityGroupRule, error) {
	if len(permissions) == 0 {
		return nil, missing("ipPermissions")
	}
	tags, err := specified(specs, types.ResourceTypeSecurityGroupRule)
	if err != nil {
		return nil, err
	}
	var out []types.SecurityGroupRule
	err = s.change(ctx, c, func(g *state.SecurityGroup, p ruleParser, _ *state.VPC) error {
		out = nil
		added, err := p.permissions(permissions)
		if err != nil {
			return err
		}
		for _, r := range added {
			if slices.ContainsFunc(g.Rules, func(old state.SecurityGroupRule) bool { return same(old, r) }) {
				return duplicate(r)
			}
			r.ID, r.Tags = id.Resource("sgr"), tags
			g.Rules = append(g.Rules, r)
			out = append(out, showRule(g, r))
		}
		return tooManyRules(g.Rules, c.egress)
	})
	return out, err
}

func tooManyRules(rules []state.SecurityGroupRule, egress bool) error {
	v4, v6 := 0, 0
	for _, r := range rules {
		if r.Egress != egress {
			continue
		}
		if r.IPv6 == "" {
			v4++
		}
		if r.IPv4 == "" {
			v6++
		}
	}
	if max(v4, v6) > maxRules {
		return fail("RulesPerSecurityGroupLimitExceeded", "The maximum number of rules per security group has been reached.")
	}
	return nil
}

// RevokeSecurityGroupIngress removes ingress rules, by what they say or by ID.
func (s *Service) RevokeSecurityGroupIngress(ctx context.Context, in *RevokeSecurityGroupIngressInput) (*RevokeSecurityGroupIngressOutput, error) {
	single := singleRule{in.IpProtocol, in.FromPort, in.ToPort, in.CidrIp, in.SourceSecurityGroupName, in.SourceSecurityGroupOwnerId}
	permissions, err := single.with(in.IpPermissions)
	if err != nil {
		return nil, err
	}
	gone, unknown, err := s.revoke(ctx, ruleCall{in.GroupId, in.GroupName, false, in.DryRun}, permissions, in.SecurityGroupRuleIds)
	if err != nil {
		return nil, err
	}
	return &RevokeSecurityGroupIngressOutput{Return: aws.Bool(true), RevokedSecurityGroupRules: gone, UnknownIpPermissions: unknown}, nil
}

// RevokeSecurityGroupEgress removes egress rules, by what they say or by ID.
func (s *Service) RevokeSecurityGroupEgress(ctx context.Context, in *RevokeSecurityGroupEgressInput) (*RevokeSecurityGroupEgressOutput, error) {
	if aws.ToString(in.GroupId) == "" {
		return nil, missing("groupId")
	}
	gone, unknown, err := s.revoke(ctx, ruleCall{in.GroupId, nil, true, in.DryRun}, in.IpPermissions, in.SecurityGroupRuleIds)
	if err != nil {
		return nil, err
	}
	return &RevokeSecurityGroupEgressOutput{Return: aws.Bool(true), RevokedSecurityGroupRules: gone, UnknownIpPermissions: unknown}, nil
}

// revoke removes rules. What matches no rule is an error and nothing is removed;
// but in a default VPC it is returned as unknown and the rest is removed
// (Amazon EC2 API Reference, RevokeSecurityGroupIngress).
func (s *Service) revoke(ctx context.Context, c ruleCall, permissions []types.IpPermission, ids []string) ([]types.RevokedSecurityGroupRule, []types.IpPermission, error) {
	switch {
	case len(permissions) > 0 && len(ids) > 0:
		return nil, nil, invalidCombination("The parameter ipPermissions cannot be used with the parameter securityGroupRuleIds")
	case len(permissions) == 0 && len(ids) == 0:
		return nil, nil, fail("MissingParameter", "Either 'ipPermissions' or 'securityGroupRuleIds' should be provided.")
	}
	var gone []types.RevokedSecurityGroupRule
	var unknown []types.IpPermission
	err := s.change(ctx, c, func(g *state.SecurityGroup, p ruleParser, vpc *state.VPC) error {
		gone, unknown = nil, nil
		remove := func(i int) {
			gone = append(gone, showRevoked(g, g.Rules[i]))
			g.Rules = slices.Delete(g.Rules, i, i+1)
		}
		for _, id := range ids {
			i, err := ruleAt(g, id, c.egress)
			if err != nil {
				return err
			}
			remove(i)
		}
		p.lenient = true
		wanted, err := p.permissions(permissions)
		if err != nil {
			return err
		}
		for _, r := range wanted {
			i := slices.IndexFunc(g.Rules, func(old state.SecurityGroupRule) bool { return same(old, r) })
			switch {
			case i >= 0:
				remove(i)
			case vpc.Default:
				row := permission(r)
				addPeer(&row, g.Account, r)
				unknown = append(unknown, row)
			default:
				return noSuchRule()
			}
		}
		return nil
	})
	return gone, unknown, err
}

func noSuchRule() error {
	return fail("InvalidPermission.NotFound", "The specified rule does not exist in this security group.")
}

// ruleAt is the index of a group's rule of a direction by its ID.
func ruleAt(g *state.SecurityGroup, id string, egress bool) (int, error) {
	if err := kindRule.check(id); err != nil {
		return 0, err
	}
	i := slices.IndexFunc(g.Rules, func(r state.SecurityGroupRule) bool { return r.ID == id && r.Egress == egress })
	if i < 0 {
		return 0, kindRule.notFound(id)
	}
	return i, nil
}

// singleRule is the older form of one ingress rule, in parameters of the call.
type singleRule struct {
	protocol          *string
	from, to          *int32
	cidr              *string
	group, groupOwner *string
}

// with returns the permissions of a call: those it has, or those that the single
// rule stands for. A source group alone stands for all of TCP, UDP and ICMP
// (SDK, AuthorizeSecurityGroupIngressInput.SourceSecurityGroupName).
func (r singleRule) with(permissions []types.IpPermission) ([]types.IpPermission, error) {
	name := ""
	switch {
	case r.protocol != nil:
		name = "ipProtocol"
	case r.from != nil:
		name = "fromPort"
	case r.to != nil:
		name = "toPort"
	case r.cidr != nil:
		name = "cidrIp"
	}
	switch {
	case name == "" && r.group == nil && r.groupOwner == nil:
		return permissions, nil
	case len(permissions) > 0:
		if name == "" {
			name = "sourceSecurityGroupName"
		}
		return nil, invalidCombination("The parameter %s cannot be used with the parameter ipPermissions", name)
	case r.group == nil && r.groupOwner != nil:
		return nil, missing("sourceSecurityGroupName")
	case r.group != nil && name != "":
		return nil, invalidCombination("The parameter %s cannot be used with the parameter sourceSecurityGroupName", name)
	case r.group != nil:
		source := []types.UserIdGroupPair{{GroupName: r.group, UserId: r.groupOwner}}
		full := func(protocol string, from, to int32) types.IpPermission {
			return types.IpPermission{IpProtocol: &protocol, FromPort: &from, ToPort: &to, UserIdGroupPairs: source}
		}
		return []types.IpPermission{full("tcp", 0, 65535), full("udp", 0, 65535), full("icmp", -1, -1)}, nil
	case r.cidr == nil:
		return nil, missing("cidrIp")
	}
	return []types.IpPermission{{IpProtocol: r.protocol, FromPort: r.from, ToPort: r.to, IpRanges: []types.IpRange{{CidrIp: r.cidr}}}}, nil
}
