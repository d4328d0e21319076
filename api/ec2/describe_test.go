package ec2

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/berth/berth/internal/id"
	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
)

func TestInterfacesLookLikeFargates(t *testing.T) {
	f := newFixture(t)
	e := f.eni("203.0.113.7", f.group.ID)
	out, err := f.DescribeNetworkInterfaces(f.ctx, &DescribeNetworkInterfacesInput{NetworkInterfaceIds: []string{e.ID, e.ID}})
	if err != nil || len(out.NetworkInterfaces) != 1 {
		t.Fatalf("%+v, %v", out, err)
	}
	row := out.NetworkInterfaces[0]
	for _, c := range [][2]string{
		{string(row.InterfaceType), "interface"}, {string(row.Status), "in-use"}, {*row.PrivateDnsName, "ip-172-31-5-6.ec2.internal"},
		{*row.Association.PublicDnsName, "ec2-203-0-113-7.compute-1.amazonaws.com"}, {*row.Association.IpOwnerId, "amazon"},
		{*row.PrivateIpAddresses[0].Association.PublicIp, "203.0.113.7"}, {*row.Groups[0].GroupName, "default"}, {*row.AvailabilityZoneId, "use1-az1"},
		{*row.Attachment.AttachmentId, e.AttachmentID}, {string(row.Attachment.Status), "attached"}, {*row.TagSet[0].Key, "aws:ecs:clusterName"},
		{*row.Description, e.Description}, {*row.MacAddress, e.MAC}, {fmt.Sprint(*row.RequesterManaged, *row.Attachment.DeviceIndex, *row.Attachment.DeleteOnTermination), "true 1 false"},
	} {
		if c[0] != c[1] {
			t.Errorf("%s, want %s", c[0], c[1])
		}
	}
	building := *e
	building.ID, building.AttachedAt = id.Resource("eni"), building.AttachedAt.Truncate(0)
	building.AttachedAt = state.ENI{}.AttachedAt
	if err := f.store.Update(f.ctx, func(tx *store.Tx) error { store.ENIs.Put(tx, &building); return nil }); err != nil {
		t.Fatal(err)
	}
	ids, err := f.found("enis", filter("attachment.status", "attaching"))
	if err != nil || !slices.Equal(ids, []string{building.ID}) {
		t.Errorf("interfaces being attached: %v, %v", ids, err)
	}
}

func TestInterfaceAttributes(t *testing.T) {
	f := newFixture(t)
	e := f.eni("203.0.113.7", f.group.ID)
	get := func(a types.NetworkInterfaceAttribute) *DescribeNetworkInterfaceAttributeOutput {
		t.Helper()
		out, err := f.DescribeNetworkInterfaceAttribute(f.ctx, &DescribeNetworkInterfaceAttributeInput{NetworkInterfaceId: &e.ID, Attribute: a})
		if err != nil || *out.NetworkInterfaceId != e.ID {
			t.Fatal(out, err)
		}
		return out
	}
	if *get("description").Description.Value != e.Description || *get("groupSet").Groups[0].GroupId != f.group.ID || !*get("sourceDestCheck").SourceDestCheck.Value ||
		*get("attachment").Attachment.AttachmentId != e.AttachmentID || !*get("associatePublicIpAddress").AssociatePublicIpAddress {
		t.Error("an attribute is wrong")
	}
	for _, c := range []struct {
		in   DescribeNetworkInterfaceAttributeInput
		code string
	}{
		{DescribeNetworkInterfaceAttributeInput{}, "MissingParameter"},
		{DescribeNetworkInterfaceAttributeInput{NetworkInterfaceId: &e.ID}, "MissingParameter"},
		{DescribeNetworkInterfaceAttributeInput{NetworkInterfaceId: &e.ID, Attribute: "color"}, "InvalidParameterValue"},
		{DescribeNetworkInterfaceAttributeInput{NetworkInterfaceId: aws.String("eni-00000000"), Attribute: "description"}, "InvalidNetworkInterfaceID.NotFound"},
		{DescribeNetworkInterfaceAttributeInput{NetworkInterfaceId: &e.ID, Attribute: "description", DryRun: aws.Bool(true)}, "DryRunOperation"},
	} {
		_, err := f.DescribeNetworkInterfaceAttribute(f.ctx, &c.in)
		wantError(t, err, c.code, "")
	}
}

func TestDefaultVPCShows(t *testing.T) {
	f := newFixture(t)
	vpcs, err := f.DescribeVpcs(f.ctx, &DescribeVpcsInput{VpcIds: []string{f.vpc.ID}})
	if err != nil || *vpcs.Vpcs[0].CidrBlock != "172.31.0.0/16" || !*vpcs.Vpcs[0].IsDefault || vpcs.Vpcs[0].Tags != nil {
		t.Errorf("%+v %v", vpcs, err)
	}
	subnets, err := f.DescribeSubnets(f.ctx, &DescribeSubnetsInput{Filters: filter("vpc-id", f.vpc.ID)})
	if err != nil || len(subnets.Subnets) != 3 || *subnets.Subnets[0].AvailableIpAddressCount != 4091 || !*subnets.Subnets[1].MapPublicIpOnLaunch {
		t.Errorf("%+v %v", subnets, err)
	}
	routes, err := f.DescribeRouteTables(f.ctx, &DescribeRouteTablesInput{Filters: filter("association.main", "true")})
	if err != nil || len(routes.RouteTables[0].Routes) != 2 || *routes.RouteTables[0].Routes[0].GatewayId != "local" || !strings.HasPrefix(*routes.RouteTables[0].Routes[1].GatewayId, "igw-") {
		t.Errorf("%+v %v", routes, err)
	}
	gateways, err := f.DescribeInternetGateways(f.ctx, &DescribeInternetGatewaysInput{InternetGatewayIds: []string{*routes.RouteTables[0].Routes[1].GatewayId}})
	if err != nil || *gateways.InternetGateways[0].Attachments[0].VpcId != f.vpc.ID {
		t.Errorf("%+v %v", gateways, err)
	}
	acls, err := f.DescribeNetworkAcls(f.ctx, &DescribeNetworkAclsInput{})
	if err != nil || len(acls.NetworkAcls[0].Associations) != 3 || len(acls.NetworkAcls[0].Entries) != 4 {
		t.Errorf("%+v %v", acls, err)
	}
	options, err := f.DescribeDhcpOptions(f.ctx, &DescribeDhcpOptionsInput{DhcpOptionsIds: []string{f.vpc.DHCP}})
	if err != nil || *options.DhcpOptions[0].DhcpConfigurations[0].Values[0].Value != "ec2.internal" {
		t.Errorf("%+v %v", options, err)
	}
	for name, want := range map[types.VpcAttributeName]bool{"enableDnsSupport": true, "enableDnsHostnames": true, "enableNetworkAddressUsageMetrics": false} {
		out, err := f.DescribeVpcAttribute(f.ctx, &DescribeVpcAttributeInput{VpcId: &f.vpc.ID, Attribute: name})
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range []*types.AttributeBooleanValue{out.EnableDnsSupport, out.EnableDnsHostnames, out.EnableNetworkAddressUsageMetrics} {
			if v != nil && *v.Value != want {
				t.Errorf("%s is %v", name, *v.Value)
			}
		}
	}
	attributes, err := f.DescribeAccountAttributes(f.ctx, &DescribeAccountAttributesInput{AttributeNames: []types.AccountAttributeName{"default-vpc"}})
	if err != nil || len(attributes.AccountAttributes) != 1 || *attributes.AccountAttributes[0].AttributeValues[0].AttributeValue != f.vpc.ID {
		t.Errorf("%+v %v", attributes, err)
	}
}

// TestIDs asks each operation for an ID that is none, and one that isn't there.
func TestIDs(t *testing.T) {
	f := newFixture(t)
	for _, c := range []struct {
		k   kind
		get func(ids ...string) error
	}{
		{kindVPC, func(ids ...string) error {
			_, err := f.DescribeVpcs(f.ctx, &DescribeVpcsInput{VpcIds: ids})
			return err
		}},
		{kindSubnet, func(ids ...string) error {
			_, err := f.DescribeSubnets(f.ctx, &DescribeSubnetsInput{SubnetIds: ids})
			return err
		}},
		{kindGroup, func(ids ...string) error {
			_, err := f.DescribeSecurityGroups(f.ctx, &DescribeSecurityGroupsInput{GroupIds: ids})
			return err
		}},
		{kindRule, func(ids ...string) error {
			_, err := f.DescribeSecurityGroupRules(f.ctx, &DescribeSecurityGroupRulesInput{SecurityGroupRuleIds: ids})
			return err
		}},
		{kindENI, func(ids ...string) error {
			_, err := f.DescribeNetworkInterfaces(f.ctx, &DescribeNetworkInterfacesInput{NetworkInterfaceIds: ids})
			return err
		}},
		{kindGateway, func(ids ...string) error {
			_, err := f.DescribeInternetGateways(f.ctx, &DescribeInternetGatewaysInput{InternetGatewayIds: ids})
			return err
		}},
		{kindRoutes, func(ids ...string) error {
			_, err := f.DescribeRouteTables(f.ctx, &DescribeRouteTablesInput{RouteTableIds: ids})
			return err
		}},
		{kindACL, func(ids ...string) error {
			_, err := f.DescribeNetworkAcls(f.ctx, &DescribeNetworkAclsInput{NetworkAclIds: ids})
			return err
		}},
		{kindDHCP, func(ids ...string) error {
			_, err := f.DescribeDhcpOptions(f.ctx, &DescribeDhcpOptionsInput{DhcpOptionsIds: ids})
			return err
		}},
		{kindEIP, func(ids ...string) error {
			_, err := f.DescribeAddresses(f.ctx, &DescribeAddressesInput{AllocationIds: ids})
			return err
		}},
		{kindNAT, func(ids ...string) error {
			_, err := f.DescribeNatGateways(f.ctx, &DescribeNatGatewaysInput{NatGatewayIds: ids})
			return err
		}},
		{kindEndpoint, func(ids ...string) error {
			_, err := f.DescribeVpcEndpoints(f.ctx, &DescribeVpcEndpointsInput{VpcEndpointIds: ids})
			return err
		}},
		{kindPeering, func(ids ...string) error {
			_, err := f.DescribeVpcPeeringConnections(f.ctx, &DescribeVpcPeeringConnectionsInput{VpcPeeringConnectionIds: ids})
			return err
		}},
		{kindInstance, func(ids ...string) error {
			_, err := f.DescribeInstances(f.ctx, &DescribeInstancesInput{InstanceIds: ids})
			return err
		}},
		{kindPrefixes, func(ids ...string) error {
			_, err := f.DescribePrefixLists(f.ctx, &DescribePrefixListsInput{PrefixListIds: ids})
			return err
		}},
		{kindPrefixes, func(ids ...string) error {
			_, err := f.DescribeManagedPrefixLists(f.ctx, &DescribeManagedPrefixListsInput{PrefixListIds: ids})
			return err
		}},
	} {
		absent := c.k.prefix + "-0123456789abcdef0"
		wantError(t, c.get(absent), c.k.absent, fmt.Sprintf(c.k.message, absent))
		wantError(t, c.get(c.k.prefix+"-xyz"), c.k.malformed, `Invalid id: "`+c.k.prefix+`-xyz"`)
		wantError(t, c.get("xyz"), c.k.malformed, `Invalid id: "xyz" (expecting "`+c.k.prefix+`-...")`)
		if err := c.get(); err != nil {
			t.Errorf("%s: %v", c.k.prefix, err)
		}
	}
	_, err := f.DescribeAddresses(f.ctx, &DescribeAddressesInput{PublicIps: []string{"203.0.113.7"}})
	wantError(t, err, "InvalidAddress.NotFound", "")
	_, err = f.DescribeInstances(f.ctx, &DescribeInstancesInput{InstanceIds: []string{"i-00000000"}, MaxResults: aws.Int32(5)})
	wantError(t, err, "InvalidParameterCombination", "")
	_, err = f.DescribeNatGateways(f.ctx, &DescribeNatGatewaysInput{MaxResults: aws.Int32(4)})
	wantError(t, err, "InvalidParameterValue", "")
	_, err = f.DescribeNatGateways(f.ctx, &DescribeNatGatewaysInput{NextToken: aws.String("x")})
	wantError(t, err, "InvalidNextToken", "")
	_, err = f.DescribeAvailabilityZones(f.ctx, &DescribeAvailabilityZonesInput{ZoneNames: []string{"us-east-1z"}})
	wantError(t, err, "InvalidParameterValue", "")
	_, err = f.DescribeAvailabilityZones(f.ctx, &DescribeAvailabilityZonesInput{ZoneIds: []string{"use1-az9"}})
	wantError(t, err, "InvalidParameterValue", "")
	_, err = f.DescribeRegions(f.ctx, &DescribeRegionsInput{RegionNames: []string{"mars-1"}})
	wantError(t, err, "InvalidParameterValue", "")
	_, err = f.DescribeVpcAttribute(f.ctx, &DescribeVpcAttributeInput{VpcId: &f.vpc.ID, Attribute: "color"})
	wantError(t, err, "InvalidParameterValue", "")
	_, err = f.DescribeAccountAttributes(f.ctx, &DescribeAccountAttributesInput{AttributeNames: []types.AccountAttributeName{"color"}})
	wantError(t, err, "InvalidParameterValue", "")
}

func TestTags(t *testing.T) {
	f := newFixture(t)
	e := f.eni("", f.group.ID)
	ids := []string{f.vpc.ID, f.group.ID, f.group.Rules[0].ID, e.ID, e.Subnet, f.vpc.DHCP, aclID(f.vpc)}
	for _, kind := range []string{"gateways", "routes"} {
		found, err := f.found(kind, nil)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, found...)
	}
	tag := func(k string, v *string) []types.Tag { return []types.Tag{{Key: &k, Value: v}} }
	create := func(tags []types.Tag, ids ...string) error {
		_, err := f.CreateTags(f.ctx, &CreateTagsInput{Resources: ids, Tags: tags})
		return err
	}
	del := func(tags []types.Tag, ids ...string) error {
		_, err := f.DeleteTags(f.ctx, &DeleteTagsInput{Resources: ids, Tags: tags})
		return err
	}
	count := func(filters ...types.Filter) int {
		t.Helper()
		found, err := f.found("tags", filters)
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	if err := create(append(tag("a", aws.String("1")), tag("b", nil)...), ids...); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != 2*len(ids)+1 {
		t.Errorf("%d tags, want %d", n, 2*len(ids)+1)
	}
	for kind, id := range map[string]string{"vpcs": f.vpc.ID, "groups": f.group.ID, "rules": f.group.Rules[0].ID, "subnets": e.Subnet, "dhcp": f.vpc.DHCP, "acls": aclID(f.vpc)} {
		if got, err := f.found(kind, filter("tag:a", "1")); err != nil || !slices.Equal(got, []string{id}) {
			t.Errorf("%s with the tag: %v, %v", kind, got, err)
		}
	}
	if err := create(tag("a", aws.String("2")), f.vpc.ID); err != nil || count(filter("value", "2")...) != 1 || count(filter("key", "a")...) != len(ids) {
		t.Errorf("overwriting: %v", err)
	}
	// A value must match; none matches any; an empty one only itself.
	if err := del(append(tag("a", aws.String("1")), tag("b", aws.String(""))...), f.vpc.ID); err != nil || count(filter("resource-id", f.vpc.ID)...) != 1 {
		t.Errorf("by value: %v", err)
	}
	if err := del(tag("a", nil), ids...); err != nil || count(filter("key", "a")...) != 0 {
		t.Errorf("by key: %v", err)
	}
	if err := del(nil, ids...); err != nil || count() != 1 {
		t.Errorf("all: %v, %d left, want that of AWS", err, count())
	}
	var many []types.Tag
	for i := range 51 {
		many = append(many, tag(fmt.Sprintf("k%d", i), nil)...)
	}
	v := aws.String("x")
	for _, c := range []struct {
		name          string
		err           error
		code, message string
	}{
		{"no resource", create(tag("a", v)), "MissingParameter", ""},
		{"no tag", create(nil, f.vpc.ID), "MissingParameter", ""},
		{"empty key", create(tag("", v), f.vpc.ID), "InvalidParameterValue", ""},
		{"reserved", create(tag("AWS:x", v), f.vpc.ID), "InvalidParameterValue", "Tag keys starting with 'aws:' are reserved for internal use"},
		{"long key", create(tag(strings.Repeat("é", 128), v), f.vpc.ID), "InvalidParameterValue", ""},
		{"long value", create(tag("a", aws.String(strings.Repeat("é", 257))), f.vpc.ID), "InvalidParameterValue", ""},
		{"twice", create(append(tag("a", v), tag("a", v)...), f.vpc.ID), "InvalidParameterValue", "Duplicate tag key 'a' specified."},
		{"too many", create(many, f.vpc.ID), "TagLimitExceeded", ""},
		{"no ID", create(tag("a", v), "x"), "InvalidID", "The ID 'x' is not valid"},
		{"not there", create(tag("a", v), f.vpc.ID, "vpc-00000000"), "InvalidVpcID.NotFound", ""},
		{"rule not there", create(tag("a", v), "sgr-00000000"), "InvalidSecurityGroupRuleId.NotFound", ""},
		{"ACL not there", create(tag("a", v), "acl-00000000"), "InvalidNetworkAclID.NotFound", ""},
		{"instance", create(tag("a", v), "i-00000000"), "InvalidInstanceID.NotFound", ""},
		{"reserved, deleted", del(tag("aws:ecs:clusterName", nil), e.ID), "InvalidParameterValue", ""},
		{"no key, deleted", del(tag("", nil), e.ID), "MissingParameter", ""},
		{"too many resources", create(tag("a", v), slices.Repeat([]string{f.vpc.ID}, 1001)...), "InvalidParameterValue", ""},
	} {
		t.Run(c.name, func(t *testing.T) { wantError(t, c.err, c.code, c.message) })
	}
	if n := count(); n != 1 {
		t.Errorf("refused calls left %d tags", n-1)
	}
	_, err := f.CreateTags(f.ctx, &CreateTagsInput{Resources: ids, Tags: tag("a", v), DryRun: aws.Bool(true)})
	wantError(t, err, "DryRunOperation", "")
}
