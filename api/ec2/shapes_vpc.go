package ec2

import "github.com/aws/aws-sdk-go-v2/service/ec2/types"

// The inputs and outputs of operations on VPCs and what they are made of,
// named and typed as in the SDK, see wire's documentation.

type DescribeVpcsInput struct {
	DryRun     *bool
	Filters    []types.Filter
	MaxResults *int32
	NextToken  *string
	VpcIds     []string
}

type DescribeVpcsOutput struct {
	NextToken *string
	Vpcs      []types.Vpc
}

type DescribeVpcAttributeInput struct {
	Attribute types.VpcAttributeName
	VpcId     *string
	DryRun    *bool
}

type DescribeVpcAttributeOutput struct {
	EnableDnsHostnames               *types.AttributeBooleanValue
	EnableDnsSupport                 *types.AttributeBooleanValue
	EnableNetworkAddressUsageMetrics *types.AttributeBooleanValue
	VpcId                            *string
}

type CreateDefaultVpcInput struct {
	DryRun *bool
}

type CreateDefaultVpcOutput struct {
	Vpc *types.Vpc
}

type DescribeSubnetsInput struct {
	DryRun     *bool
	Filters    []types.Filter
	MaxResults *int32
	NextToken  *string
	SubnetIds  []string
}

type DescribeSubnetsOutput struct {
	NextToken *string
	Subnets   []types.Subnet
}

type DescribeInternetGatewaysInput struct {
	DryRun             *bool
	Filters            []types.Filter
	InternetGatewayIds []string
	MaxResults         *int32
	NextToken          *string
}

type DescribeInternetGatewaysOutput struct {
	InternetGateways []types.InternetGateway
	NextToken        *string
}

type DescribeRouteTablesInput struct {
	DryRun        *bool
	Filters       []types.Filter
	MaxResults    *int32
	NextToken     *string
	RouteTableIds []string
}

type DescribeRouteTablesOutput struct {
	NextToken   *string
	RouteTables []types.RouteTable
}

type DescribeNetworkAclsInput struct {
	DryRun        *bool
	Filters       []types.Filter
	MaxResults    *int32
	NetworkAclIds []string
	NextToken     *string
}

type DescribeNetworkAclsOutput struct {
	NetworkAcls []types.NetworkAcl
	NextToken   *string
}

type DescribeDhcpOptionsInput struct {
	DhcpOptionsIds []string
	DryRun         *bool
	Filters        []types.Filter
	MaxResults     *int32
	NextToken      *string
}

type DescribeDhcpOptionsOutput struct {
	DhcpOptions []types.DhcpOptions
	NextToken   *string
}

type DescribeNetworkInterfacesInput struct {
	DryRun                  *bool
	Filters                 []types.Filter
	IncludeManagedResources *bool
	MaxResults              *int32
	NetworkInterfaceIds     []string
	NextToken               *string
}

type DescribeNetworkInterfacesOutput struct {
	NetworkInterfaces []types.NetworkInterface
	NextToken         *string
}

type DescribeNetworkInterfaceAttributeInput struct {
	NetworkInterfaceId *string
	Attribute          types.NetworkInterfaceAttribute
	DryRun             *bool
}

type DescribeNetworkInterfaceAttributeOutput struct {
	AssociatePublicIpAddress *bool
	Attachment               *types.NetworkInterfaceAttachment
	Description              *types.AttributeValue
	Groups                   []types.GroupIdentifier
	NetworkInterfaceId       *string
	SourceDestCheck          *types.AttributeBooleanValue
}
