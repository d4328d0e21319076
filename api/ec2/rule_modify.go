package ec2

import (
	"context"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
)

// ModifySecurityGroupRules replaces what rules say. They keep their IDs, their
// direction, their tags and the kind of their peer.
func (s *Service) ModifySecurityGroupRules(ctx context.Context, in *ModifySecurityGroupRulesInput) (*ModifySecurityGroupRulesOutput, error) {
	if aws.ToString(in.GroupId) == "" {
		return nil, missing("GroupId")
	}
	if len(in.SecurityGroupRules) == 0 {
		return nil, missing("SecurityGroupRule")
	}
	scope := scopeOf(ctx)
	err := s.store.Update(ctx, func(tx *store.Tx) error {
		old, err := theGroup(tx, scope, in.GroupId, nil)
		if err != nil {
			return err
		}
		g := *old
		g.Rules = slices.Clone(old.Rules)
		for i, update := range in.SecurityGroupRules {
			if err := modify(tx, &g, i, update); err != nil {
				return err
			}
		}
		for i, r := range g.Rules {
			if slices.ContainsFunc(g.Rules[:i], func(other state.SecurityGroupRule) bool { return same(other, r) }) {
				return duplicate(r)
			}
		}
		store.SecurityGroups.Put(tx, &g)
		return dryRun(in.DryRun)
	})
	if err != nil {
		return nil, err
	}
	return &ModifySecurityGroupRulesOutput{Return: aws.Bool(true)}, nil
}

// modify changes the rule that the i-th update of a call is about.
func modify(v store.View, g *state.SecurityGroup, i int, update types.SecurityGroupRuleUpdate) error {
	parameter := "SecurityGroupRule." + strconv.Itoa(i+1)
	id := aws.ToString(update.SecurityGroupRuleId)
	if id == "" {
		return missing(parameter + ".SecurityGroupRuleId")
	}
	if err := kindRule.check(id); err != nil {
		return err
	}
	at := slices.IndexFunc(g.Rules, func(r state.SecurityGroupRule) bool { return r.ID == id })
	if at < 0 {
		return kindRule.notFound(id)
	}
	if update.SecurityGroupRule == nil {
		return missing(parameter + ".SecurityGroupRule")
	}
	old := g.Rules[at]
	r, err := ruleParser{view: v, group: g, egress: old.Egress}.request(*update.SecurityGroupRule)
	if err != nil {
		return err
	}
	// SDK, types.SecurityGroupRuleRequest: the rule type cannot be changed.
	if (r.IPv4 == "") != (old.IPv4 == "") || (r.IPv6 == "") != (old.IPv6 == "") {
		return invalidValue("The type of the security group rule '%s' cannot be changed.", id)
	}
	r.ID, r.Tags = old.ID, old.Tags
	g.Rules[at] = r
	return nil
}

// UpdateSecurityGroupRuleDescriptionsIngress describes ingress rules anew.
func (s *Service) UpdateSecurityGroupRuleDescriptionsIngress(ctx context.Context, in *UpdateSecurityGroupRuleDescriptionsIngressInput) (*UpdateSecurityGroupRuleDescriptionsIngressOutput, error) {
	err := s.describeRules(ctx, ruleCall{in.GroupId, in.GroupName, false, in.DryRun}, in.IpPermissions, in.SecurityGroupRuleDescriptions)
	if err != nil {
		return nil, err
	}
	return &UpdateSecurityGroupRuleDescriptionsIngressOutput{Return: aws.Bool(true)}, nil
}

// UpdateSecurityGroupRuleDescriptionsEgress describes egress rules anew.
func (s *Service) UpdateSecurityGroupRuleDescriptionsEgress(ctx context.Context, in *UpdateSecurityGroupRuleDescriptionsEgressInput) (*UpdateSecurityGroupRuleDescriptionsEgressOutput, error) {
	err := s.describeRules(ctx, ruleCall{in.GroupId, in.GroupName, true, in.DryRun}, in.IpPermissions, in.SecurityGroupRuleDescriptions)
	if err != nil {
		return nil, err
	}
	return &UpdateSecurityGroupRuleDescriptionsEgressOutput{Return: aws.Bool(true)}, nil
}

// describeRules gives rules descriptions. A rule without one in the call loses
// its own.
func (s *Service) describeRules(ctx context.Context, c ruleCall, permissions []types.IpPermission, byID []types.SecurityGroupRuleDescription) error {
	switch {
	case len(permissions) > 0 && len(byID) > 0:
		return invalidCombination("The parameter ipPermissions cannot be used with the parameter securityGroupRuleDescriptions")
	case len(permissions) == 0 && len(byID) == 0:
		return fail("MissingParameter", "Either 'ipPermissions' or 'securityGroupRuleDescriptions' should be provided.")
	}
	return s.change(ctx, c, func(g *state.SecurityGroup, p ruleParser, _ *state.VPC) error {
		for _, d := range byID {
			about := aws.ToString(d.Description)
			if err := checkRuleDescription(about); err != nil {
				return err
			}
			i, err := ruleAt(g, aws.ToString(d.SecurityGroupRuleId), c.egress)
			if err != nil {
				return err
			}
			g.Rules[i].Description = about
		}
		p.lenient = true
		wanted, err := p.permissions(permissions)
		if err != nil {
			return err
		}
		for _, r := range wanted {
			i := slices.IndexFunc(g.Rules, func(old state.SecurityGroupRule) bool { return same(old, r) })
			if i < 0 {
				return noSuchRule()
			}
			g.Rules[i].Description = r.Description
		}
		return nil
	})
}
