package ec2

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
)

// Tasks' interfaces are made by ECS. On AWS such a row has accounts of the
// service where ours has an alias, as other services have there (amazon-elb).
const (
	requester   = "amazon-ecs"
	publicOwner = "amazon" // of public addresses that are not elastic ones
)

var interfaces = listing[types.NetworkInterface]{
	operation: "DescribeNetworkInterfaces",
	id:        func(e types.NetworkInterface) *string { return e.NetworkInterfaceId },
	tags:      func(e types.NetworkInterface) []types.Tag { return e.TagSet },
	fields: fields[types.NetworkInterface]{
		"association.allocation-id":        never[types.NetworkInterface],
		"association.association-id":       never[types.NetworkInterface],
		"addresses.association.owner-id":   public(func(a *types.NetworkInterfaceAssociation) *string { return a.IpOwnerId }),
		"addresses.association.public-ip":  public(func(a *types.NetworkInterfaceAssociation) *string { return a.PublicIp }),
		"addresses.primary":                private(func(a types.NetworkInterfacePrivateIpAddress) []string { return truth(a.Primary) }),
		"addresses.private-ip-address":     privateAddresses,
		"association.ip-owner-id":          public(func(a *types.NetworkInterfaceAssociation) *string { return a.IpOwnerId }),
		"association.public-ip":            public(func(a *types.NetworkInterfaceAssociation) *string { return a.PublicIp }),
		"association.public-dns-name":      public(func(a *types.NetworkInterfaceAssociation) *string { return a.PublicDnsName }),
		"attachment.attach-time":           func(e types.NetworkInterface) []string { return moment(e.Attachment.AttachTime) },
		"attachment.attachment-id":         func(e types.NetworkInterface) []string { return text(e.Attachment.AttachmentId) },
		"attachment.delete-on-termination": func(e types.NetworkInterface) []string { return truth(e.Attachment.DeleteOnTermination) },
		"attachment.device-index":          func(e types.NetworkInterface) []string { return number(e.Attachment.DeviceIndex) },
		"attachment.instance-id":           never[types.NetworkInterface],
		"attachment.instance-owner-id":     func(e types.NetworkInterface) []string { return text(e.Attachment.InstanceOwnerId) },
		"attachment.status":                func(e types.NetworkInterface) []string { return word(e.Attachment.Status) },
		"availability-zone":                func(e types.NetworkInterface) []string { return text(e.AvailabilityZone) },
		"availability-zone-id":             func(e types.NetworkInterface) []string { return text(e.AvailabilityZoneId) },
		"description":                      func(e types.NetworkInterface) []string { return text(e.Description) },
		"group-id":                         group(func(g types.GroupIdentifier) *string { return g.GroupId }),
		"group-name":                       group(func(g types.GroupIdentifier) *string { return g.GroupName }),
		"ipv6-addresses.ipv6-address":      never[types.NetworkInterface],
		"interface-type":                   func(e types.NetworkInterface) []string { return word(e.InterfaceType) },
		"mac-address":                      func(e types.NetworkInterface) []string { return text(e.MacAddress) },
		"network-interface-id":             func(e types.NetworkInterface) []string { return text(e.NetworkInterfaceId) },
		"operator.managed":                 func(e types.NetworkInterface) []string { return truth(e.Operator.Managed) },
		"operator.principal":               never[types.NetworkInterface],
		"owner-id":                         func(e types.NetworkInterface) []string { return text(e.OwnerId) },
		"private-dns-name":                 func(e types.NetworkInterface) []string { return text(e.PrivateDnsName) },
		"private-ip-address":               privateAddresses,
		"requester-id":                     func(e types.NetworkInterface) []string { return text(e.RequesterId) },
		"requester-managed":                func(e types.NetworkInterface) []string { return truth(e.RequesterManaged) },
		"source-dest-check":                func(e types.NetworkInterface) []string { return truth(e.SourceDestCheck) },
		"status":                           func(e types.NetworkInterface) []string { return word(e.Status) },
		"subnet-id":                        func(e types.NetworkInterface) []string { return text(e.SubnetId) },
		"vpc-id":                           func(e types.NetworkInterface) []string { return text(e.VpcId) },
	},
}

func public(f func(*types.NetworkInterfaceAssociation) *string) func(types.NetworkInterface) []string {
	return func(e types.NetworkInterface) []string {
		if e.Association == nil {
			return nil
		}
		return text(f(e.Association))
	}
}

func private(f func(types.NetworkInterfacePrivateIpAddress) []string) func(types.NetworkInterface) []string {
	return func(e types.NetworkInterface) []string { return each(e.PrivateIpAddresses, f) }
}

func privateAddresses(e types.NetworkInterface) []string { return text(e.PrivateIpAddress) }

func group(f func(types.GroupIdentifier) *string) func(types.NetworkInterface) []string {
	return func(e types.NetworkInterface) []string {
		return each(e.Groups, func(g types.GroupIdentifier) []string { return text(f(g)) })
	}
}

// DescribeNetworkInterfaces returns the interfaces of tasks.
func (s *Service) DescribeNetworkInterfaces(ctx context.Context, in *DescribeNetworkInterfacesInput) (*DescribeNetworkInterfacesOutput, error) {
	if len(in.NetworkInterfaceIds) > 0 && in.MaxResults != nil {
		return nil, invalidCombination("The parameter NetworkInterfaceIds cannot be used with the parameter MaxResults")
	}
	rows, next, err := interfaces.run(ctx, query{in.DryRun, in.Filters, in.MaxResults, in.NextToken, 5, 1000}, func() ([]types.NetworkInterface, error) {
		v := s.store.View()
		rs, err := records(v, store.ENIs, scopeOf(ctx), kindENI, in.NetworkInterfaceIds)
		return show(rs, func(e *state.ENI) types.NetworkInterface { return showInterface(v, e) }), err
	})
	return &DescribeNetworkInterfacesOutput{NetworkInterfaces: rows, NextToken: next}, err
}

// showInterface shows a row as AWS's are for a Fargate task.
func showInterface(v store.View, e *state.ENI) types.NetworkInterface {
	address, name := aws.String(e.Address.String()), aws.String(state.PrivateDNS(e.Region, e.Address))
	out := types.NetworkInterface{
		NetworkInterfaceId: &e.ID, VpcId: &e.VPC, SubnetId: &e.Subnet, AvailabilityZone: &e.Zone, OwnerId: &e.Account,
		Description: &e.Description, MacAddress: &e.MAC, InterfaceType: types.NetworkInterfaceTypeInterface,
		PrivateIpAddress: address, PrivateDnsName: name,
		PrivateIpAddresses: []types.NetworkInterfacePrivateIpAddress{{Primary: aws.Bool(true), PrivateIpAddress: address, PrivateDnsName: name}},
		Ipv6Addresses:      []types.NetworkInterfaceIpv6Address{},
		RequesterId:        aws.String(requester), RequesterManaged: aws.Bool(true), SourceDestCheck: aws.Bool(true),
		Status: types.NetworkInterfaceStatusInUse, Groups: showGroupNames(v, e), Attachment: showAttachment(e),
		Operator: &types.OperatorResponse{Managed: aws.Bool(false)}, TagSet: showTagSet(e.Tags),
	}
	if n, ok := store.Subnets.Get(v, e.Scope.Key(e.Subnet)); ok {
		out.AvailabilityZoneId = &n.ZoneID
	}
	if e.Public.IsValid() {
		out.Association = &types.NetworkInterfaceAssociation{
			PublicIp: aws.String(e.Public.String()), PublicDnsName: aws.String(state.PublicDNS(e.Region, e.Public)), IpOwnerId: aws.String(publicOwner),
		}
		out.PrivateIpAddresses[0].Association = out.Association
	}
	return out
}

func showGroupNames(v store.View, e *state.ENI) []types.GroupIdentifier {
	out := make([]types.GroupIdentifier, len(e.Groups))
	for i, id := range e.Groups {
		out[i].GroupId = &id
		if g, ok := store.SecurityGroups.Get(v, e.Scope.Key(id)); ok {
			out[i].GroupName = &g.Name
		}
	}
	return out
}

func showAttachment(e *state.ENI) *types.NetworkInterfaceAttachment {
	out := &types.NetworkInterfaceAttachment{
		AttachmentId: &e.AttachmentID, DeviceIndex: aws.Int32(1), NetworkCardIndex: aws.Int32(0), DeleteOnTermination: aws.Bool(false),
		InstanceOwnerId: aws.String(requester), Status: types.AttachmentStatusAttaching, AttachTime: &e.CreatedAt,
	}
	if !e.AttachedAt.IsZero() {
		out.Status, out.AttachTime = types.AttachmentStatusAttached, &e.AttachedAt
	}
	return out
}

// DescribeNetworkInterfaceAttribute returns one attribute of an interface.
func (s *Service) DescribeNetworkInterfaceAttribute(ctx context.Context, in *DescribeNetworkInterfaceAttributeInput) (*DescribeNetworkInterfaceAttributeOutput, error) {
	if aws.ToString(in.NetworkInterfaceId) == "" {
		return nil, missing("NetworkInterfaceId")
	}
	v := s.store.View()
	e, err := record(v, store.ENIs, scopeOf(ctx), kindENI, *in.NetworkInterfaceId)
	if err != nil {
		return nil, err
	}
	out := &DescribeNetworkInterfaceAttributeOutput{NetworkInterfaceId: &e.ID}
	switch in.Attribute {
	case "":
		return nil, missing("attribute")
	case types.NetworkInterfaceAttributeDescription:
		out.Description = &types.AttributeValue{Value: &e.Description}
	case types.NetworkInterfaceAttributeGroupSet:
		out.Groups = showGroupNames(v, e)
	case types.NetworkInterfaceAttributeSourceDestCheck:
		out.SourceDestCheck = &types.AttributeBooleanValue{Value: aws.Bool(true)}
	case types.NetworkInterfaceAttributeAttachment:
		out.Attachment = showAttachment(e)
	case types.NetworkInterfaceAttributeAssociatePublicIpAddress:
		out.AssociatePublicIpAddress = aws.Bool(e.Public.IsValid())
	default:
		return nil, invalidValue("Value (%s) for parameter attribute is invalid. Unknown attribute.", in.Attribute)
	}
	return out, dryRun(in.DryRun)
}
