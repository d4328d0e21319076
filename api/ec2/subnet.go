package ec2

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
)

var subnets = listing[types.Subnet]{
	operation: "DescribeSubnets",
	id:        func(n types.Subnet) *string { return n.SubnetId },
	tags:      func(n types.Subnet) []types.Tag { return n.Tags },
	fields: fields[types.Subnet]{
		"availability-zone":          subnetZone,
		"availabilityZone":           subnetZone,
		"availability-zone-id":       subnetZoneID,
		"availabilityZoneId":         subnetZoneID,
		"available-ip-address-count": func(n types.Subnet) []string { return number(n.AvailableIpAddressCount) },
		"cidr-block":                 subnetRange,
		"cidr":                       subnetRange,
		"cidrBlock":                  subnetRange,
		"customer-owned-ipv4-pool":   never[types.Subnet],
		"default-for-az":             subnetDefault,
		"defaultForAz":               subnetDefault,
		"enable-dns64":               func(n types.Subnet) []string { return truth(n.EnableDns64) },
		"enable-lni-at-device-index": never[types.Subnet],
		"ipv6-cidr-block-association.ipv6-cidr-block": never[types.Subnet],
		"ipv6-cidr-block-association.association-id":  never[types.Subnet],
		"ipv6-cidr-block-association.state":           never[types.Subnet],
		"ipv6-native":                                 func(n types.Subnet) []string { return truth(n.Ipv6Native) },
		"map-customer-owned-ip-on-launch":             func(n types.Subnet) []string { return truth(n.MapCustomerOwnedIpOnLaunch) },
		"map-public-ip-on-launch":                     func(n types.Subnet) []string { return truth(n.MapPublicIpOnLaunch) },
		"outpost-arn":                                 never[types.Subnet],
		"owner-id":                                    func(n types.Subnet) []string { return text(n.OwnerId) },
		"private-dns-name-options-on-launch.hostname-type": func(n types.Subnet) []string {
			return word(n.PrivateDnsNameOptionsOnLaunch.HostnameType)
		},
		"private-dns-name-options-on-launch.enable-resource-name-dns-a-record": func(n types.Subnet) []string {
			return truth(n.PrivateDnsNameOptionsOnLaunch.EnableResourceNameDnsARecord)
		},
		"private-dns-name-options-on-launch.enable-resource-name-dns-aaaa-record": func(n types.Subnet) []string {
			return truth(n.PrivateDnsNameOptionsOnLaunch.EnableResourceNameDnsAAAARecord)
		},
		"state":      func(n types.Subnet) []string { return word(n.State) },
		"subnet-arn": func(n types.Subnet) []string { return text(n.SubnetArn) },
		"subnet-id":  func(n types.Subnet) []string { return text(n.SubnetId) },
		"vpc-id":     func(n types.Subnet) []string { return text(n.VpcId) },
	},
}

func subnetZone(n types.Subnet) []string    { return text(n.AvailabilityZone) }
func subnetZoneID(n types.Subnet) []string  { return text(n.AvailabilityZoneId) }
func subnetRange(n types.Subnet) []string   { return text(n.CidrBlock) }
func subnetDefault(n types.Subnet) []string { return truth(n.DefaultForAz) }

// DescribeSubnets returns subnets, with the number of addresses that are free.
func (s *Service) DescribeSubnets(ctx context.Context, in *DescribeSubnetsInput) (*DescribeSubnetsOutput, error) {
	rows, next, err := subnets.run(ctx, query{in.DryRun, in.Filters, in.MaxResults, in.NextToken, 5, 1000}, func() ([]types.Subnet, error) {
		v := s.store.View()
		rs, err := records(v, store.Subnets, scopeOf(ctx), kindSubnet, in.SubnetIds)
		return show(rs, func(n *state.Subnet) types.Subnet { return showSubnet(v, n) }), err
	})
	return &DescribeSubnetsOutput{Subnets: rows, NextToken: next}, err
}

func showSubnet(v store.View, n *state.Subnet) types.Subnet {
	free := int32(1)<<(32-n.Prefix.Bits()) - 5 // AWS reserves five, see state.PickAddress
	for range store.ENIs.By(v, store.ENIsBySubnet, n.ID) {
		free--
	}
	no := aws.Bool(false)
	return types.Subnet{
		SubnetId: &n.ID, SubnetArn: aws.String(n.ARN()), VpcId: &n.VPC, OwnerId: &n.Account, State: types.SubnetStateAvailable,
		AvailabilityZone: &n.Zone, AvailabilityZoneId: &n.ZoneID, CidrBlock: aws.String(n.Prefix.String()),
		AvailableIpAddressCount: aws.Int32(max(0, free)), DefaultForAz: aws.Bool(n.DefaultForAZ), MapPublicIpOnLaunch: aws.Bool(n.MapPublic),
		AssignIpv6AddressOnCreation: no, EnableDns64: no, Ipv6Native: no, MapCustomerOwnedIpOnLaunch: no,
		Ipv6CidrBlockAssociationSet: []types.SubnetIpv6CidrBlockAssociation{},
		PrivateDnsNameOptionsOnLaunch: &types.PrivateDnsNameOptionsOnLaunch{
			HostnameType: types.HostnameTypeIpName, EnableResourceNameDnsARecord: no, EnableResourceNameDnsAAAARecord: no,
		},
		BlockPublicAccessStates: &types.BlockPublicAccessStates{InternetGatewayBlockMode: types.BlockPublicAccessModeOff},
		Tags:                    showTags(n.Tags),
	}
}
