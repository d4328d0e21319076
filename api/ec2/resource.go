package ec2

import (
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// kind is a kind of resource: how its IDs look, and the errors about them. The
// codes are in the Amazon EC2 API Reference, "Error codes"; how they are
// capitalized follows no rule there.
type kind struct {
	prefix string // of the ID, without the dash
	typ    types.ResourceType
	// malformed and absent are error codes.
	malformed, absent string
	// message says that an ID is not there; %s is the ID.
	message string
}

var (
	kindVPC      = kind{"vpc", types.ResourceTypeVpc, "InvalidVpcID.Malformed", "InvalidVpcID.NotFound", "The vpc ID '%s' does not exist"}
	kindSubnet   = kind{"subnet", types.ResourceTypeSubnet, "InvalidSubnetID.Malformed", "InvalidSubnetID.NotFound", "The subnet ID '%s' does not exist"}
	kindGroup    = kind{"sg", types.ResourceTypeSecurityGroup, "InvalidGroupId.Malformed", "InvalidGroup.NotFound", "The security group '%s' does not exist"}
	kindRule     = kind{"sgr", types.ResourceTypeSecurityGroupRule, "InvalidSecurityGroupRuleId.Malformed", "InvalidSecurityGroupRuleId.NotFound", "The security group rule ID '%s' does not exist"}
	kindENI      = kind{"eni", types.ResourceTypeNetworkInterface, "InvalidNetworkInterfaceId.Malformed", "InvalidNetworkInterfaceID.NotFound", "The networkInterface ID '%s' does not exist"}
	kindGateway  = kind{"igw", types.ResourceTypeInternetGateway, "InvalidInternetGatewayId.Malformed", "InvalidInternetGatewayID.NotFound", "The internetGateway ID '%s' does not exist"}
	kindRoutes   = kind{"rtb", types.ResourceTypeRouteTable, "InvalidRouteTableId.Malformed", "InvalidRouteTableID.NotFound", "The routeTable ID '%s' does not exist"}
	kindACL      = kind{"acl", types.ResourceTypeNetworkAcl, "InvalidNetworkAclId.Malformed", "InvalidNetworkAclID.NotFound", "The networkAcl ID '%s' does not exist"}
	kindDHCP     = kind{"dopt", types.ResourceTypeDhcpOptions, "InvalidDhcpOptionsId.Malformed", "InvalidDhcpOptionID.NotFound", "The dhcpOption ID '%s' does not exist"}
	kindInstance = kind{"i", types.ResourceTypeInstance, "InvalidInstanceID.Malformed", "InvalidInstanceID.NotFound", "The instance ID '%s' does not exist"}
	kindNAT      = kind{"nat", types.ResourceTypeNatgateway, "NatGatewayMalformed", "NatGatewayNotFound", "NAT gateway %s was not found"}
	kindEIP      = kind{"eipalloc", types.ResourceTypeElasticIp, "InvalidAllocationID.Malformed", "InvalidAllocationID.NotFound", "The allocation ID '%s' does not exist"}
	kindEndpoint = kind{"vpce", types.ResourceTypeVpcEndpoint, "InvalidVpcEndpointId.Malformed", "InvalidVpcEndpointId.NotFound", "The Vpc Endpoint Id '%s' does not exist"}
	kindPeering  = kind{"pcx", types.ResourceTypeVpcPeeringConnection, "InvalidVpcPeeringConnectionId.Malformed", "InvalidVpcPeeringConnectionID.NotFound", "The vpcPeeringConnection ID '%s' does not exist"}
	kindPrefixes = kind{"pl", types.ResourceTypePrefixList, "InvalidPrefixListId.Malformed", "InvalidPrefixListId.NotFound", "The prefix list ID '%s' does not exist"}
)

// suffix is what follows the prefix of an ID: 8 digits long ago, 17 now.
var suffix = regexp.MustCompile(`^([0-9a-f]{8}|[0-9a-f]{17})$`)

// check refuses what is no ID of the kind.
func (k kind) check(id string) error {
	rest, ok := strings.CutPrefix(id, k.prefix+"-")
	switch {
	case !ok:
		return fail(k.malformed, "Invalid id: \"%s\" (expecting \"%s-...\")", id, k.prefix)
	case !suffix.MatchString(rest):
		return fail(k.malformed, "Invalid id: \"%s\"", id)
	}
	return nil
}

func (k kind) notFound(id string) error { return fail(k.absent, k.message, id) }

// derived is the ID of something that comes with a resource and has no record of
// its own, like a VPC's default network ACL: the same digits, another prefix.
func derived(prefix, id string) string {
	return prefix + id[strings.LastIndexByte(id, '-'):]
}
