package ec2

import "github.com/aws/aws-sdk-go-v2/service/ec2/types"

// The inputs and outputs of operations on tags, zones, and kinds of which there are none,
// named and typed as in the SDK, see wire's documentation.

type DescribeTagsInput struct {
	DryRun     *bool
	Filters    []types.Filter
	MaxResults *int32
	NextToken  *string
}

type DescribeTagsOutput struct {
	NextToken *string
	Tags      []types.TagDescription
}

type CreateTagsInput struct {
	Resources []string
	Tags      []types.Tag
	DryRun    *bool
}

type CreateTagsOutput struct{}

type DeleteTagsInput struct {
	Resources []string
	DryRun    *bool
	Tags      []types.Tag
}

type DeleteTagsOutput struct{}

type DescribeAvailabilityZonesInput struct {
	AllAvailabilityZones *bool
	DryRun               *bool
	Filters              []types.Filter
	ZoneIds              []string
	ZoneNames            []string
}

type DescribeAvailabilityZonesOutput struct {
	AvailabilityZones []types.AvailabilityZone
}

type DescribeRegionsInput struct {
	AllRegions  *bool
	DryRun      *bool
	Filters     []types.Filter
	RegionNames []string
}

type DescribeRegionsOutput struct {
	Regions []types.Region
}

type DescribeAccountAttributesInput struct {
	AttributeNames []types.AccountAttributeName
	DryRun         *bool
}

type DescribeAccountAttributesOutput struct {
	AccountAttributes []types.AccountAttribute
}

type DescribeAddressesInput struct {
	AllocationIds []string
	DryRun        *bool
	Filters       []types.Filter
	PublicIps     []string
}

type DescribeAddressesOutput struct {
	Addresses []types.Address
}

type DescribeNatGatewaysInput struct {
	DryRun        *bool
	Filter        []types.Filter
	MaxResults    *int32
	NatGatewayIds []string
	NextToken     *string
}

type DescribeNatGatewaysOutput struct {
	NatGateways []types.NatGateway
	NextToken   *string
}

type DescribeVpcEndpointsInput struct {
	DryRun         *bool
	Filters        []types.Filter
	MaxResults     *int32
	NextToken      *string
	VpcEndpointIds []string
}

type DescribeVpcEndpointsOutput struct {
	NextToken    *string
	VpcEndpoints []types.VpcEndpoint
}

type DescribeVpcPeeringConnectionsInput struct {
	DryRun                  *bool
	Filters                 []types.Filter
	MaxResults              *int32
	NextToken               *string
	VpcPeeringConnectionIds []string
}

type DescribeVpcPeeringConnectionsOutput struct {
	NextToken             *string
	VpcPeeringConnections []types.VpcPeeringConnection
}

type DescribeInstancesInput struct {
	DryRun                  *bool
	Filters                 []types.Filter
	IncludeManagedResources *bool
	InstanceIds             []string
	MaxResults              *int32
	NextToken               *string
}

type DescribeInstancesOutput struct {
	NextToken    *string
	Reservations []types.Reservation
}

type DescribePrefixListsInput struct {
	DryRun        *bool
	Filters       []types.Filter
	MaxResults    *int32
	NextToken     *string
	PrefixListIds []string
}

type DescribePrefixListsOutput struct {
	NextToken   *string
	PrefixLists []types.PrefixList
}

type DescribeManagedPrefixListsInput struct {
	DryRun        *bool
	Filters       []types.Filter
	MaxResults    *int32
	NextToken     *string
	PrefixListIds []string
}

type DescribeManagedPrefixListsOutput struct {
	NextToken   *string
	PrefixLists []types.ManagedPrefixList
}
