package ec2

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
)

// defaultVPC is the scope's default VPC, or nil.
func defaultVPC(v store.View, scope state.Scope) *state.VPC {
	for vpc := range store.VPCs.List(v, scope, "") {
		if vpc.Default {
			return vpc
		}
	}
	return nil
}

var vpcs = listing[types.Vpc]{
	operation: "DescribeVpcs",
	id:        func(v types.Vpc) *string { return v.VpcId },
	tags:      func(v types.Vpc) []types.Tag { return v.Tags },
	fields: fields[types.Vpc]{
		"cidr":      func(v types.Vpc) []string { return text(v.CidrBlock) },
		"cidrBlock": func(v types.Vpc) []string { return text(v.CidrBlock) },
		"cidr-block-association.cidr-block": func(v types.Vpc) []string {
			return each(v.CidrBlockAssociationSet, func(a types.VpcCidrBlockAssociation) []string { return text(a.CidrBlock) })
		},
		"cidr-block-association.association-id": func(v types.Vpc) []string {
			return each(v.CidrBlockAssociationSet, func(a types.VpcCidrBlockAssociation) []string { return text(a.AssociationId) })
		},
		"cidr-block-association.state": func(v types.Vpc) []string {
			return each(v.CidrBlockAssociationSet, func(a types.VpcCidrBlockAssociation) []string { return word(a.CidrBlockState.State) })
		},
		"dhcp-options-id": func(v types.Vpc) []string { return text(v.DhcpOptionsId) },
		"ipv6-cidr-block-association.ipv6-cidr-block": never[types.Vpc],
		"ipv6-cidr-block-association.ipv6-pool":       never[types.Vpc],
		"ipv6-cidr-block-association.association-id":  never[types.Vpc],
		"ipv6-cidr-block-association.state":           never[types.Vpc],
		"is-default":                                  func(v types.Vpc) []string { return truth(v.IsDefault) },
		"isDefault":                                   func(v types.Vpc) []string { return truth(v.IsDefault) },
		"owner-id":                                    func(v types.Vpc) []string { return text(v.OwnerId) },
		"state":                                       func(v types.Vpc) []string { return word(v.State) },
		"vpc-id":                                      func(v types.Vpc) []string { return text(v.VpcId) },
	},
}

// DescribeVpcs returns VPCs.
func (s *Service) DescribeVpcs(ctx context.Context, in *DescribeVpcsInput) (*DescribeVpcsOutput, error) {
	rows, next, err := vpcs.run(ctx, query{in.DryRun, in.Filters, in.MaxResults, in.NextToken, 5, 1000}, func() ([]types.Vpc, error) {
		rs, err := records(s.store.View(), store.VPCs, scopeOf(ctx), kindVPC, in.VpcIds)
		return show(rs, showVPC), err
	})
	return &DescribeVpcsOutput{Vpcs: rows, NextToken: next}, err
}

func showVPC(v *state.VPC) types.Vpc {
	cidr := aws.String(v.Prefix.String())
	return types.Vpc{
		VpcId: &v.ID, OwnerId: &v.Account, CidrBlock: cidr, DhcpOptionsId: &v.DHCP, IsDefault: aws.Bool(v.Default),
		InstanceTenancy: types.TenancyDefault, State: types.VpcStateAvailable, Tags: showTags(v.Tags),
		CidrBlockAssociationSet: []types.VpcCidrBlockAssociation{{
			AssociationId: aws.String(derived("vpc-cidr-assoc", v.ID)), CidrBlock: cidr,
			CidrBlockState: &types.VpcCidrBlockState{State: types.VpcCidrBlockStateCodeAssociated},
		}},
		BlockPublicAccessStates: &types.BlockPublicAccessStates{InternetGatewayBlockMode: types.BlockPublicAccessModeOff},
	}
}

// DescribeVpcAttribute returns one attribute: those of a default VPC on AWS,
// which cannot be changed here.
func (s *Service) DescribeVpcAttribute(ctx context.Context, in *DescribeVpcAttributeInput) (*DescribeVpcAttributeOutput, error) {
	if aws.ToString(in.VpcId) == "" {
		return nil, missing("VpcId")
	}
	if in.Attribute == "" {
		return nil, missing("Attribute")
	}
	out := &DescribeVpcAttributeOutput{VpcId: in.VpcId}
	switch in.Attribute {
	case types.VpcAttributeNameEnableDnsSupport:
		out.EnableDnsSupport = &types.AttributeBooleanValue{Value: aws.Bool(true)}
	case types.VpcAttributeNameEnableDnsHostnames:
		out.EnableDnsHostnames = &types.AttributeBooleanValue{Value: aws.Bool(true)}
	case types.VpcAttributeNameEnableNetworkAddressUsageMetrics:
		out.EnableNetworkAddressUsageMetrics = &types.AttributeBooleanValue{Value: aws.Bool(false)}
	default:
		return nil, invalidValue("Value (%s) for parameter attribute is invalid. Unknown attribute.", in.Attribute)
	}
	if _, err := record(s.store.View(), store.VPCs, scopeOf(ctx), kindVPC, *in.VpcId); err != nil {
		return nil, err
	}
	return out, dryRun(in.DryRun)
}

// CreateDefaultVpc makes the region's default VPC with all that belongs to it,
// where there is none.
func (s *Service) CreateDefaultVpc(ctx context.Context, in *CreateDefaultVpcInput) (*CreateDefaultVpcOutput, error) {
	scope := scopeOf(ctx)
	var out *CreateDefaultVpcOutput
	err := s.store.Update(ctx, func(tx *store.Tx) error {
		if vpc := defaultVPC(tx, scope); vpc != nil {
			return fail("DefaultVpcAlreadyExists", "A Default VPC already exists for this account in this region.")
		}
		vpc, err := s.seed(tx, scope)
		if err != nil {
			return err
		}
		row := showVPC(vpc)
		out = &CreateDefaultVpcOutput{Vpc: &row}
		return dryRun(in.DryRun)
	})
	return out, err
}
