package ec2

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
)

// A VPC's default network ACL and its DHCP options cannot be changed here, so
// they have no records: their IDs, content and tags are of the VPC.

var acls = listing[types.NetworkAcl]{
	operation: "DescribeNetworkAcls",
	id:        func(a types.NetworkAcl) *string { return a.NetworkAclId },
	tags:      func(a types.NetworkAcl) []types.Tag { return a.Tags },
	fields: fields[types.NetworkAcl]{
		"association.association-id": aclAssociation(func(a types.NetworkAclAssociation) []string { return text(a.NetworkAclAssociationId) }),
		"association.network-acl-id": aclAssociation(func(a types.NetworkAclAssociation) []string { return text(a.NetworkAclId) }),
		"association.subnet-id":      aclAssociation(func(a types.NetworkAclAssociation) []string { return text(a.SubnetId) }),
		"default":                    func(a types.NetworkAcl) []string { return truth(a.IsDefault) },
		"entry.cidr":                 aclEntry(func(e types.NetworkAclEntry) []string { return text(e.CidrBlock) }),
		"entry.icmp.code":            never[types.NetworkAcl],
		"entry.icmp.type":            never[types.NetworkAcl],
		"entry.ipv6-cidr":            never[types.NetworkAcl],
		"entry.port-range.from":      never[types.NetworkAcl],
		"entry.port-range.to":        never[types.NetworkAcl],
		"entry.protocol":             aclEntry(func(e types.NetworkAclEntry) []string { return text(e.Protocol) }),
		"entry.rule-action":          aclEntry(func(e types.NetworkAclEntry) []string { return word(e.RuleAction) }),
		"entry.egress":               aclEntry(func(e types.NetworkAclEntry) []string { return truth(e.Egress) }),
		"entry.rule-number":          aclEntry(func(e types.NetworkAclEntry) []string { return number(e.RuleNumber) }),
		"network-acl-id":             func(a types.NetworkAcl) []string { return text(a.NetworkAclId) },
		"owner-id":                   func(a types.NetworkAcl) []string { return text(a.OwnerId) },
		"vpc-id":                     func(a types.NetworkAcl) []string { return text(a.VpcId) },
	},
}

func aclAssociation(f func(types.NetworkAclAssociation) []string) func(types.NetworkAcl) []string {
	return func(a types.NetworkAcl) []string { return each(a.Associations, f) }
}

func aclEntry(f func(types.NetworkAclEntry) []string) func(types.NetworkAcl) []string {
	return func(a types.NetworkAcl) []string { return each(a.Entries, f) }
}

// DescribeNetworkAcls returns the default network ACL of each VPC, which allows
// all.
func (s *Service) DescribeNetworkAcls(ctx context.Context, in *DescribeNetworkAclsInput) (*DescribeNetworkAclsOutput, error) {
	rows, next, err := acls.run(ctx, query{in.DryRun, in.Filters, in.MaxResults, in.NextToken, 5, 1000}, func() ([]types.NetworkAcl, error) {
		v := s.store.View()
		rs, err := ofVPCs(v, scopeOf(ctx), kindACL, in.NetworkAclIds, aclID)
		return show(rs, func(vpc *state.VPC) types.NetworkAcl { return showACL(v, vpc) }), err
	})
	return &DescribeNetworkAclsOutput{NetworkAcls: rows, NextToken: next}, err
}

func aclID(v *state.VPC) string  { return derived("acl", v.ID) }
func dhcpID(v *state.VPC) string { return v.DHCP }

// ofVPCs returns the VPCs whose thing, by its ID, was asked for: all where none
// was.
func ofVPCs(v store.View, scope state.Scope, k kind, ids []string, id func(*state.VPC) string) ([]*state.VPC, error) {
	all := collect(store.VPCs.List(v, scope, ""))
	if len(ids) == 0 {
		return all, nil
	}
	var out []*state.VPC
	for _, asked := range ids {
		if err := k.check(asked); err != nil {
			return nil, err
		}
		i := slices.IndexFunc(all, func(vpc *state.VPC) bool { return id(vpc) == asked })
		if i < 0 {
			return nil, k.notFound(asked)
		}
		if !slices.Contains(out, all[i]) {
			out = append(out, all[i])
		}
	}
	return out, nil
}

func showACL(v store.View, vpc *state.VPC) types.NetworkAcl {
	id := aws.String(aclID(vpc))
	out := types.NetworkAcl{
		NetworkAclId: id, VpcId: &vpc.ID, OwnerId: &vpc.Account, IsDefault: aws.Bool(true), Tags: showTagSet(vpc.ACLTags),
		Associations: []types.NetworkAclAssociation{},
	}
	for n := range store.Subnets.List(v, vpc.Scope, "") {
		if n.VPC == vpc.ID {
			out.Associations = append(out.Associations, types.NetworkAclAssociation{
				NetworkAclAssociationId: aws.String(derived("aclassoc", n.ID)), NetworkAclId: id, SubnetId: &n.ID,
			})
		}
	}
	for _, egress := range []bool{true, false} {
		for _, e := range []struct {
			number int32
			action types.RuleAction
		}{{100, types.RuleActionAllow}, {32767, types.RuleActionDeny}} {
			out.Entries = append(out.Entries, types.NetworkAclEntry{
				CidrBlock: aws.String("0.0.0.0/0"), Egress: aws.Bool(egress), Protocol: aws.String("-1"), RuleAction: e.action, RuleNumber: aws.Int32(e.number),
			})
		}
	}
	return out
}

var dhcpOptions = listing[types.DhcpOptions]{
	operation: "DescribeDhcpOptions",
	id:        func(d types.DhcpOptions) *string { return d.DhcpOptionsId },
	tags:      func(d types.DhcpOptions) []types.Tag { return d.Tags },
	fields: fields[types.DhcpOptions]{
		"dhcp-options-id": func(d types.DhcpOptions) []string { return text(d.DhcpOptionsId) },
		"key": func(d types.DhcpOptions) []string {
			return each(d.DhcpConfigurations, func(c types.DhcpConfiguration) []string { return text(c.Key) })
		},
		"value": func(d types.DhcpOptions) []string {
			return each(d.DhcpConfigurations, func(c types.DhcpConfiguration) []string {
				return each(c.Values, func(v types.AttributeValue) []string { return text(v.Value) })
			})
		},
		"owner-id": func(d types.DhcpOptions) []string { return text(d.OwnerId) },
	},
}

// DescribeDhcpOptions returns the DHCP options of each VPC.
func (s *Service) DescribeDhcpOptions(ctx context.Context, in *DescribeDhcpOptionsInput) (*DescribeDhcpOptionsOutput, error) {
	rows, next, err := dhcpOptions.run(ctx, query{in.DryRun, in.Filters, in.MaxResults, in.NextToken, 5, 1000}, func() ([]types.DhcpOptions, error) {
		rs, err := ofVPCs(s.store.View(), scopeOf(ctx), kindDHCP, in.DhcpOptionsIds, dhcpID)
		return show(rs, showDHCP), err
	})
	return &DescribeDhcpOptionsOutput{DhcpOptions: rows, NextToken: next}, err
}

func showDHCP(v *state.VPC) types.DhcpOptions {
	option := func(key, value string) types.DhcpConfiguration {
		return types.DhcpConfiguration{Key: &key, Values: []types.AttributeValue{{Value: &value}}}
	}
	return types.DhcpOptions{
		DhcpOptionsId: &v.DHCP, OwnerId: &v.Account, Tags: showTagSet(v.DHCPTags),
		DhcpConfigurations: []types.DhcpConfiguration{
			option("domain-name", state.PrivateDomain(v.Region)), option("domain-name-servers", "AmazonProvidedDNS"),
		},
	}
}
