package ec2

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"pgregory.net/rapid"
)

func TestLike(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true}, {"", "a", false}, {"a", "a", true}, {"a", "A", false}, {"*", "", true}, {"*", "abc", true},
		{"?", "", false}, {"?", "é", true}, {"a*c", "abbc", true}, {"a*c", "abb", false}, {"*b*", "abc", true},
		{`\*`, "*", true}, {`\*`, "a", false}, {`\\*`, `\x`, true}, {`a\`, `a\`, true}, {"a?c*", "abcd", true}, {"a**b", "ab", true},
		{"*aab", "aaab", true}, {"a*a*a*b", strings.Repeat("a", 100), false}, {"default", "default-2", false},
	} {
		if got := like(c.pattern, c.s); got != c.want {
			t.Errorf("like(%q, %q) is %v", c.pattern, c.s, got)
		}
	}
}

// TestLikeIsTheExpression compares with the same pattern as a regular expression.
func TestLikeIsTheExpression(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringMatching(`[ab*?]{0,8}`).Draw(t, "pattern")
		s := rapid.StringMatching(`[ab]{0,8}`).Draw(t, "s")
		expr := regexp.MustCompile("^" + strings.NewReplacer("*", ".*", "?", ".").Replace(pattern) + "$")
		if like(pattern, s) != expr.MatchString(s) {
			t.Fatalf("like(%q, %q) is %v", pattern, s, like(pattern, s))
		}
	})
}

// found calls each Describe operation with filters and returns the IDs it gives.
func (f *fixture) found(operation string, filters []types.Filter) ([]string, error) {
	var ids []string
	add := func(id *string) { ids = append(ids, *id) }
	var err error
	switch operation {
	case "vpcs":
		out, e := f.DescribeVpcs(f.ctx, &DescribeVpcsInput{Filters: filters})
		err = e
		for _, r := range out.Vpcs {
			add(r.VpcId)
		}
	case "subnets":
		out, e := f.DescribeSubnets(f.ctx, &DescribeSubnetsInput{Filters: filters})
		err = e
		for _, r := range out.Subnets {
			add(r.SubnetId)
		}
	case "gateways":
		out, e := f.DescribeInternetGateways(f.ctx, &DescribeInternetGatewaysInput{Filters: filters})
		err = e
		for _, r := range out.InternetGateways {
			add(r.InternetGatewayId)
		}
	case "routes":
		out, e := f.DescribeRouteTables(f.ctx, &DescribeRouteTablesInput{Filters: filters})
		err = e
		for _, r := range out.RouteTables {
			add(r.RouteTableId)
		}
	case "acls":
		out, e := f.DescribeNetworkAcls(f.ctx, &DescribeNetworkAclsInput{Filters: filters})
		err = e
		for _, r := range out.NetworkAcls {
			add(r.NetworkAclId)
		}
	case "dhcp":
		out, e := f.DescribeDhcpOptions(f.ctx, &DescribeDhcpOptionsInput{Filters: filters})
		err = e
		for _, r := range out.DhcpOptions {
			add(r.DhcpOptionsId)
		}
	case "enis":
		out, e := f.DescribeNetworkInterfaces(f.ctx, &DescribeNetworkInterfacesInput{Filters: filters})
		err = e
		for _, r := range out.NetworkInterfaces {
			add(r.NetworkInterfaceId)
		}
	case "groups":
		out, e := f.DescribeSecurityGroups(f.ctx, &DescribeSecurityGroupsInput{Filters: filters})
		err = e
		for _, r := range out.SecurityGroups {
			add(r.GroupId)
		}
	case "rules":
		out, e := f.DescribeSecurityGroupRules(f.ctx, &DescribeSecurityGroupRulesInput{Filters: filters})
		err = e
		for _, r := range out.SecurityGroupRules {
			add(r.SecurityGroupRuleId)
		}
	case "groups for VPC":
		out, e := f.GetSecurityGroupsForVpc(f.ctx, &GetSecurityGroupsForVpcInput{VpcId: &f.vpc.ID, Filters: filters})
		if err = e; out != nil {
			for _, r := range out.SecurityGroupForVpcs {
				add(r.GroupId)
			}
		}
	case "zones":
		out, e := f.DescribeAvailabilityZones(f.ctx, &DescribeAvailabilityZonesInput{Filters: filters})
		err = e
		for _, r := range out.AvailabilityZones {
			add(r.ZoneName)
		}
	case "regions":
		out, e := f.DescribeRegions(f.ctx, &DescribeRegionsInput{Filters: filters})
		err = e
		for _, r := range out.Regions {
			add(r.RegionName)
		}
	case "tags":
		out, e := f.DescribeTags(f.ctx, &DescribeTagsInput{Filters: filters})
		err = e
		for _, r := range out.Tags {
			add(r.ResourceId)
		}
	default:
		f.t.Fatal("no operation " + operation)
	}
	return ids, err
}

// filterNames are the filters of each operation of found.
func filterNames() map[string][]string {
	out := map[string][]string{}
	add := func(operation string, names ...string) { out[operation] = append(out[operation], names...) }
	keys := func(operation string, each func(func(string))) { each(func(n string) { add(operation, n) }) }
	keys("vpcs", func(y func(string)) { names(vpcs.fields, y) })
	keys("subnets", func(y func(string)) { names(subnets.fields, y) })
	keys("gateways", func(y func(string)) { names(gateways.fields, y) })
	keys("routes", func(y func(string)) { names(routeTables.fields, y) })
	keys("acls", func(y func(string)) { names(acls.fields, y) })
	keys("dhcp", func(y func(string)) { names(dhcpOptions.fields, y) })
	keys("enis", func(y func(string)) { names(interfaces.fields, y) })
	keys("groups", func(y func(string)) { names(groups.fields, y) })
	keys("rules", func(y func(string)) { names(rules.fields, y) })
	keys("groups for VPC", func(y func(string)) { names(groupsForVPC.fields, y) })
	keys("zones", func(y func(string)) { names(zones.fields, y) })
	keys("regions", func(y func(string)) { names(regions.fields, y) })
	keys("tags", func(y func(string)) { names(tagRows.fields, y) })
	return out
}

func names[T any](f fields[T], yield func(string)) {
	for name := range f {
		yield(name)
	}
}

// neverFound are the filters that find nothing, whatever the value.
var neverFound = regexp.MustCompile(`ipv6-cidr|ipv6-addresses|ipv6-pool|customer-owned-ipv4|enable-lni|outpost|allocation-id|association\.association-id$|gateway-id$|instance-id|` +
	`prefix-list|peering|icmp|port-range|operator\.principal|group-long-name|message|parent-zone|subnet-id|description`)

func TestEachFilterRuns(t *testing.T) {
	f := newFixture(t)
	web := f.newGroup("web")
	f.eni("203.0.113.7", web, f.group.ID)
	_, err := f.AuthorizeSecurityGroupIngress(f.ctx, &AuthorizeSecurityGroupIngressInput{GroupId: &web, IpPermissions: []types.IpPermission{
		tcp(80, "0.0.0.0/0"), {IpProtocol: aws.String("-1"), UserIdGroupPairs: []types.UserIdGroupPair{{GroupId: &f.group.ID}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.AuthorizeSecurityGroupEgress(f.ctx, &AuthorizeSecurityGroupEgressInput{GroupId: &web, IpPermissions: []types.IpPermission{
		{IpProtocol: aws.String("udp"), FromPort: aws.Int32(53), ToPort: aws.Int32(53), UserIdGroupPairs: []types.UserIdGroupPair{{GroupId: &web}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for operation, names := range filterNames() {
		slices.Sort(names)
		for _, name := range names {
			none, err := f.found(operation, filter(name, "no such value"))
			if err != nil || len(none) > 0 {
				t.Errorf("%s, %s=no such value: %v %v", operation, name, none, err)
			}
			all, err := f.found(operation, filter(name, "nothing", "*"))
			if err != nil || len(all) == 0 && !neverFound.MatchString(name) {
				t.Errorf("%s, %s=*: found nothing, %v", operation, name, err)
			}
		}
		_, err := f.found(operation, filter("no-such-filter", "x"))
		wantError(t, err, "InvalidParameterValue", "The filter 'no-such-filter' is invalid")
		_, err = f.found(operation, filter(names[0]))
		wantError(t, err, "MissingParameter", "")
		_, err = f.found(operation, []types.Filter{{Values: []string{"x"}}})
		wantError(t, err, "MissingParameter", "The request must contain the parameter Filter.1.Name")
		_, err = f.found(operation, filter(names[0], make([]string, 201)...))
		wantError(t, err, "FilterLimitExceeded", "")
	}
}

func TestFiltersFind(t *testing.T) {
	f := newFixture(t)
	web, db := f.newGroup("web"), f.newGroup("db")
	e := f.eni("203.0.113.7", web)
	other := f.eni("", db)
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(f.CreateTags(f.ctx, &CreateTagsInput{Resources: []string{e.ID, web}, Tags: []types.Tag{{Key: aws.String("Team"), Value: aws.String("red*")}}}))
	must(f.AuthorizeSecurityGroupIngress(f.ctx, &AuthorizeSecurityGroupIngressInput{GroupId: &db, IpPermissions: []types.IpPermission{
		{IpProtocol: aws.String("tcp"), FromPort: aws.Int32(5432), ToPort: aws.Int32(5433), UserIdGroupPairs: []types.UserIdGroupPair{{GroupId: &web}}},
	}}))
	for _, c := range []struct {
		operation string
		filters   []types.Filter
		want      []string
	}{
		{"enis", filter("group-id", web), []string{e.ID}},
		{"enis", filter("group-name", "d?"), []string{other.ID}},
		{"enis", filter("association.public-ip", "203.0.113.7"), []string{e.ID}},
		{"enis", filter("attachment.attachment-id", other.AttachmentID), []string{other.ID}},
		{"enis", filter("tag:Team", `red\*`), []string{e.ID}},
		{"enis", filter("tag:team", "*"), nil},
		{"enis", filter("tag-key", "aws:ecs:*"), []string{e.ID, other.ID}},
		{"enis", append(filter("group-id", web, db), filter("network-interface-id", other.ID)...), []string{other.ID}},
		{"groups", filter("vpc-id", f.vpc.ID), []string{f.group.ID, web, db}},
		{"groups", filter("group-name", "default"), []string{f.group.ID}},
		{"groups", filter("ip-permission.from-port", "5432"), []string{db}},
		{"groups", filter("ip-permission.to-port", "5432"), nil},
		{"groups", filter("ip-permission.group-name", "web"), []string{db}},
		{"groups", filter("ip-permission.group-id", f.group.ID), []string{f.group.ID}},
		{"groups", filter("egress.ip-permission.cidr", "0.0.0.0/0"), []string{f.group.ID, web, db}},
		{"groups", filter("egress.ip-permission.protocol", "tcp"), nil},
		{"groups", filter("egress.ip-permission.group-name", "*"), nil},
		{"subnets", filter("available-ip-address-count", "4089"), []string{e.Subnet}},
		{"subnets", filter("default-for-az", "false"), nil},
		{"vpcs", filter("isDefault", "true"), []string{f.vpc.ID}},
		{"routes", filter("route.state", "blackhole"), nil},
		{"zones", filter("zone-id", "use1-az2"), []string{"us-east-1b"}},
		{"regions", filter("region-name", "eu-central-?"), []string{"eu-central-1"}},
		{"tags", filter("resource-type", "security-group"), []string{web}},
		{"tags", filter("tag:Team", "red*"), []string{e.ID, web}},
	} {
		got, err := f.found(c.operation, c.filters)
		slices.Sort(got)
		slices.Sort(c.want)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s with %s=%v: %v %v, want %v", c.operation, *c.filters[0].Name, c.filters[0].Values, got, err, c.want)
		}
	}
}
