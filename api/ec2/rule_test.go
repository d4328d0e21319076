package ec2

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"pgregory.net/rapid"

	"github.com/berth/berth/store"
)

// ports is a permission for a range that all may use.
func ports(protocol string, from, to int32) types.IpPermission {
	return types.IpPermission{IpProtocol: &protocol, FromPort: &from, ToPort: &to, IpRanges: []types.IpRange{{CidrIp: aws.String("10.0.0.0/8")}}}
}

func noPorts(protocol string) types.IpPermission {
	return types.IpPermission{IpProtocol: &protocol, IpRanges: []types.IpRange{{CidrIp: aws.String("10.0.0.0/8")}}}
}

func v6(cidr string) types.IpPermission {
	return types.IpPermission{IpProtocol: aws.String("-1"), Ipv6Ranges: []types.Ipv6Range{{CidrIpv6: &cidr}}}
}

func from(groups ...types.UserIdGroupPair) types.IpPermission {
	return types.IpPermission{IpProtocol: aws.String("-1"), UserIdGroupPairs: groups}
}

func TestRulesAreNormalized(t *testing.T) {
	f := newFixture(t)
	for _, c := range []struct {
		in   types.IpPermission
		want string
	}{
		{ports("tcp", 80, 81), "tcp 80 81 10.0.0.0/8"},
		{ports("6", 80, 81), "tcp 80 81 10.0.0.0/8"},
		{ports("TCP", 80, 81), "tcp 80 81 10.0.0.0/8"},
		{ports("17", 0, 65535), "udp 0 65535 10.0.0.0/8"},
		{ports("1", 8, -1), "icmp 8 -1 10.0.0.0/8"},
		{ports("icmp", 3, 4), "icmp 3 4 10.0.0.0/8"},
		{noPorts("58"), "icmpv6 -1 -1 10.0.0.0/8"},
		{noPorts("-1"), "-1 -1 -1 10.0.0.0/8"},
		{ports("-1", 80, 81), "-1 -1 -1 10.0.0.0/8"},
		{ports("050", 1, 2), "50 -1 -1 10.0.0.0/8"},
		{tcp(1, "100.68.0.18/18"), "tcp 1 1 100.68.0.0/18"},
		{v6("2001:0DB8::1/32"), "-1 -1 -1 2001:db8::/32"},
		{from(types.UserIdGroupPair{GroupName: aws.String("default")}), "-1 -1 -1 " + f.group.ID},
		{from(types.UserIdGroupPair{GroupId: &f.group.ID, UserId: aws.String(testScope.Account)}), "-1 -1 -1 " + f.group.ID},
	} {
		p := ruleParser{view: f.store.View(), group: f.group}
		out, err := p.permissions([]types.IpPermission{c.in})
		if err != nil {
			t.Errorf("%s: %v", c.want, err)
			continue
		}
		r := out[0]
		if got := fmt.Sprintf("%s %d %d %s%s%s", r.Protocol, r.FromPort, r.ToPort, r.IPv4, r.IPv6, r.Group); len(out) != 1 || got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

func TestAuthorizeRefuses(t *testing.T) {
	f := newFixture(t)
	_, foreign := f.secondVPC()
	web := f.newGroup("web")
	_, err := f.AuthorizeSecurityGroupIngress(f.ctx, &AuthorizeSecurityGroupIngressInput{GroupId: &web, IpPermissions: []types.IpPermission{
		tcp(22, "0.0.0.0/0", "10.0.0.0/8"), from(types.UserIdGroupPair{GroupId: &f.group.ID}), ports("icmp", 8, -1), noPorts("50"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	long := tcp(1)
	long.IpRanges = []types.IpRange{{CidrIp: aws.String("10.0.0.0/8"), Description: aws.String("it's")}}
	for _, c := range []struct {
		name          string
		in            AuthorizeSecurityGroupIngressInput
		code, message string
	}{
		{"nothing", AuthorizeSecurityGroupIngressInput{}, "MissingParameter", "The request must contain the parameter ipPermissions"},
		{"no peer", with(types.IpPermission{IpProtocol: aws.String("-1")}), "MissingParameter", ""},
		{"no protocol", with(types.IpPermission{}), "InvalidParameterValue", "Invalid value 'null' for protocol. VPC security group rules must specify protocols explicitly."},
		{"all", with(noPorts("all")), "InvalidParameterValue", "Invalid value 'all' for IP protocol. Unknown protocol."},
		{"256", with(noPorts("256")), "InvalidParameterValue", "Invalid value '256' for IP protocol. Unknown protocol."},
		{"-2", with(noPorts("-2")), "InvalidParameterValue", "Invalid value '-2' for IP protocol. Unknown protocol."},
		{"no ports", with(noPorts("tcp")), "InvalidParameterValue", "Invalid value 'Must specify both from and to ports with TCP/UDP.' for portRange."},
		{"port -1", with(ports("tcp", -1, -1)), "InvalidParameterValue", "TCP/UDP (from) port (-1) out of range"},
		{"port 65536", with(ports("udp", 1, 65536)), "InvalidParameterValue", "TCP/UDP (to) port (65536) out of range"},
		{"ports turned", with(ports("tcp", 90, 80)), "InvalidParameterValue", "Invalid TCP/UDP port range (90:80)"},
		{"ICMP type", with(ports("icmp", 256, -1)), "InvalidParameterValue", "ICMP type (256) out of range"},
		{"ICMP code", with(ports("icmp", 8, 65535)), "InvalidParameterValue", "ICMP code (65535) out of range"},
		{"ICMP code of all", with(ports("icmp", -1, 0)), "InvalidParameterValue", ""},
		{"no range", with(tcp(1, "10.0.0.1")), "InvalidParameterValue", "CIDR block 10.0.0.1 is malformed"},
		{"/33", with(tcp(1, "10.0.0.0/33")), "InvalidParameterValue", "CIDR block 10.0.0.0/33 is malformed"},
		{"IPv6 as IPv4", with(tcp(1, "::/0")), "InvalidParameterValue", "CIDR block ::/0 is malformed"},
		{"IPv4 as IPv6", with(v6("10.0.0.0/8")), "InvalidParameterValue", "CIDR block 10.0.0.0/8 is malformed"},
		{"mapped IPv6", with(v6("::ffff:10.0.0.0/104")), "InvalidParameterValue", ""},
		{"description", with(long), "InvalidParameterValue", "Invalid rule description. Valid descriptions are strings less than 256 characters from the following set:  a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*"},
		{"prefix list", with(types.IpPermission{IpProtocol: aws.String("-1"), PrefixListIds: []types.PrefixListId{{PrefixListId: aws.String("pl-12345678")}}}), "InvalidPrefixListId.NotFound", ""},
		{"no such group", with(from(types.UserIdGroupPair{GroupId: aws.String("sg-00000000")})), "InvalidGroup.NotFound", "The security group 'sg-00000000' does not exist"},
		{"no group ID", with(from(types.UserIdGroupPair{GroupId: aws.String("web")})), "InvalidGroupId.Malformed", ""},
		{"group of another owner", with(from(types.UserIdGroupPair{GroupId: &web, UserId: aws.String("999999999999")})), "InvalidGroup.NotFound", ""},
		{"owner alone", with(from(types.UserIdGroupPair{UserId: aws.String("999999999999")})), "MissingParameter", ""},
		{"group of another VPC", with(from(types.UserIdGroupPair{GroupId: &foreign.ID})), "InvalidGroup.NotFound", "You have specified two resources that belong to different networks."},
		{"peering", with(from(types.UserIdGroupPair{GroupId: &web, VpcPeeringConnectionId: aws.String("pcx-12345678")})), "InvalidVpcPeeringConnectionID.NotFound", ""},
		{"twice", with(tcp(1, "10.0.0.0/8"), tcp(1, "10.1.2.3/8")), "InvalidParameterValue", "The same permission must not appear multiple times"},
		{"there, TCP", with(tcp(22, "10.1.2.3/8")), "InvalidPermission.Duplicate", `the specified rule "peer: 10.0.0.0/8, TCP, from port: 22, to port: 22, ALLOW" already exists`},
		{"there, all", with(from(types.UserIdGroupPair{GroupName: aws.String("default")})), "InvalidPermission.Duplicate", `the specified rule "peer: ` + f.group.ID + `, ALL, ALLOW" already exists`},
		{"there, ICMP", with(ports("icmp", 8, -1)), "InvalidPermission.Duplicate", `the specified rule "peer: 10.0.0.0/8, ICMP, type: 8, code: ALL, ALLOW" already exists`},
		{"there, 50", with(noPorts("50")), "InvalidPermission.Duplicate", ""},
		{"single and permissions", AuthorizeSecurityGroupIngressInput{CidrIp: aws.String("10.0.0.0/8"), IpPermissions: []types.IpPermission{tcp(1, "10.0.0.0/8")}}, "InvalidParameterCombination", ""},
		{"single and group", AuthorizeSecurityGroupIngressInput{CidrIp: aws.String("10.0.0.0/8"), SourceSecurityGroupName: aws.String("default")}, "InvalidParameterCombination", ""},
		{"single without range", AuthorizeSecurityGroupIngressInput{IpProtocol: aws.String("tcp")}, "MissingParameter", "The request must contain the parameter cidrIp"},
		{"owner of no group", AuthorizeSecurityGroupIngressInput{SourceSecurityGroupOwnerId: aws.String("1")}, "MissingParameter", ""},
		{"tags of a group", AuthorizeSecurityGroupIngressInput{IpPermissions: []types.IpPermission{tcp(1, "10.0.0.0/8")}, TagSpecifications: []types.TagSpecification{
			{ResourceType: types.ResourceTypeSecurityGroup, Tags: []types.Tag{{Key: aws.String("k")}}}}}, "InvalidParameterValue", ""},
		{"dry run", AuthorizeSecurityGroupIngressInput{DryRun: aws.Bool(true), IpPermissions: []types.IpPermission{tcp(1, "10.0.0.0/8")}}, "DryRunOperation", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.in.GroupId = &web
			_, err := f.AuthorizeSecurityGroupIngress(f.ctx, &c.in)
			wantError(t, err, c.code, c.message)
		})
	}
	if g, _ := store.SecurityGroups.Get(f.store.View(), testScope.Key(web)); len(g.Rules) != 6 {
		t.Errorf("refused rules were kept: %+v", g.Rules)
	}
	_, err = f.AuthorizeSecurityGroupEgress(f.ctx, &AuthorizeSecurityGroupEgressInput{})
	wantError(t, err, "MissingParameter", "The request must contain the parameter groupId")
	err = f.Check(f.ctx, "AuthorizeSecurityGroupEgress", &AuthorizeSecurityGroupEgressInput{GroupId: &web, CidrIp: aws.String("10.0.0.0/8")})
	wantError(t, err, "UnsupportedOperation", "The parameter CidrIp is not supported: EC2 does not take it: use IpPermissions.")
}

func with(permissions ...types.IpPermission) AuthorizeSecurityGroupIngressInput {
	return AuthorizeSecurityGroupIngressInput{IpPermissions: permissions}
}

func TestAuthorizeShowsRules(t *testing.T) {
	f := newFixture(t)
	web := f.newGroup("web")
	p := tcp(80, "0.0.0.0/0")
	p.IpRanges[0].Description = aws.String("all")
	p.UserIdGroupPairs = []types.UserIdGroupPair{{GroupId: &web}}
	p.Ipv6Ranges = []types.Ipv6Range{{CidrIpv6: aws.String("::/0")}}
	out, err := f.AuthorizeSecurityGroupIngress(f.ctx, &AuthorizeSecurityGroupIngressInput{GroupName: aws.String("web"), IpPermissions: []types.IpPermission{p},
		TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeSecurityGroupRule, Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}}}})
	if err != nil {
		t.Fatal(err)
	}
	if !*out.Return || len(out.SecurityGroupRules) != 3 {
		t.Fatalf("%+v", out)
	}
	r := out.SecurityGroupRules[0]
	if *r.CidrIpv4 != "0.0.0.0/0" || *r.Description != "all" || *r.FromPort != 80 || *r.IsEgress || *r.Tags[0].Value != "v" ||
		*r.SecurityGroupRuleArn != "arn:aws:ec2:us-east-1:123456789012:security-group-rule/"+*r.SecurityGroupRuleId {
		t.Errorf("%+v", r)
	}
	if g := out.SecurityGroupRules[2].ReferencedGroupInfo; *g.GroupId != web || *g.UserId != testScope.Account {
		t.Errorf("%+v", g)
	}
	// All three are one permission.
	g := f.shown(web)
	if len(g.IpPermissions) != 1 || len(g.IpPermissions[0].IpRanges) != 1 || len(g.IpPermissions[0].Ipv6Ranges) != 1 || *g.IpPermissions[0].UserIdGroupPairs[0].GroupId != web {
		t.Errorf("%+v", g.IpPermissions)
	}
	some, err := f.DescribeSecurityGroupRules(f.ctx, &DescribeSecurityGroupRulesInput{SecurityGroupRuleIds: []string{*r.SecurityGroupRuleId}})
	if err != nil || len(some.SecurityGroupRules) != 1 {
		t.Errorf("%v %v", some, err)
	}
	_, err = f.DescribeSecurityGroupRules(f.ctx, &DescribeSecurityGroupRulesInput{SecurityGroupRuleIds: []string{"sgr-00000000"}})
	wantError(t, err, "InvalidSecurityGroupRuleId.NotFound", "The security group rule ID 'sgr-00000000' does not exist")
	_, err = f.DescribeSecurityGroupRules(f.ctx, &DescribeSecurityGroupRulesInput{SecurityGroupRuleIds: []string{web}})
	wantError(t, err, "InvalidSecurityGroupRuleId.Malformed", "")
}

func TestSingleRules(t *testing.T) {
	f := newFixture(t)
	web := f.newGroup("web")
	single := AuthorizeSecurityGroupIngressInput{GroupId: &web, IpProtocol: aws.String("tcp"), FromPort: aws.Int32(22), ToPort: aws.Int32(22), CidrIp: aws.String("10.0.0.0/8")}
	if _, err := f.AuthorizeSecurityGroupIngress(f.ctx, &single); err != nil {
		t.Fatal(err)
	}
	group := AuthorizeSecurityGroupIngressInput{GroupId: &web, SourceSecurityGroupName: aws.String("default"), SourceSecurityGroupOwnerId: aws.String(testScope.Account)}
	if _, err := f.AuthorizeSecurityGroupIngress(f.ctx, &group); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range f.shown(web).IpPermissions {
		got = append(got, fmt.Sprintf("%s %d %d", *p.IpProtocol, *p.FromPort, *p.ToPort))
	}
	if want := []string{"tcp 22 22", "tcp 0 65535", "udp 0 65535", "icmp -1 -1"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if _, err := f.RevokeSecurityGroupIngress(f.ctx, &RevokeSecurityGroupIngressInput{GroupId: &web, SourceSecurityGroupName: aws.String("default")}); err != nil {
		t.Fatal(err)
	}
	if n := len(f.shown(web).IpPermissions); n != 1 {
		t.Errorf("%d permissions are left", n)
	}
}

func TestRuleLimit(t *testing.T) {
	f := newFixture(t)
	web := f.newGroup("web")
	cidrs := func(n int) []string {
		var out []string
		for i := range n {
			out = append(out, fmt.Sprintf("10.0.%d.0/24", i))
		}
		return out
	}
	add := func(p types.IpPermission) error {
		_, err := f.AuthorizeSecurityGroupIngress(f.ctx, &AuthorizeSecurityGroupIngressInput{GroupId: &web, IpPermissions: []types.IpPermission{p}})
		return err
	}
	wantError(t, add(tcp(1, cidrs(61)...)), "RulesPerSecurityGroupLimitExceeded", "The maximum number of rules per security group has been reached.")
	if err := add(tcp(1, cidrs(60)...)); err != nil {
		t.Fatal(err)
	}
	if err := add(v6("::/0")); err != nil {
		t.Errorf("IPv6 rules are counted by themselves: %v", err)
	}
	wantError(t, add(from(types.UserIdGroupPair{GroupId: &web})), "RulesPerSecurityGroupLimitExceeded", "")
}

func TestRevoke(t *testing.T) {
	f := newFixture(t)
	_, foreign := f.secondVPC()
	web := f.newGroup("web")
	// In the default VPC what isn't there is told; elsewhere it is an error.
	out, err := f.RevokeSecurityGroupIngress(f.ctx, &RevokeSecurityGroupIngressInput{GroupId: &web, IpPermissions: []types.IpPermission{tcp(1, "10.0.0.0/8")}})
	if err != nil || len(out.RevokedSecurityGroupRules) != 0 || len(out.UnknownIpPermissions) != 1 || *out.UnknownIpPermissions[0].IpRanges[0].CidrIp != "10.0.0.0/8" {
		t.Errorf("%+v %v", out, err)
	}
	_, err = f.RevokeSecurityGroupIngress(f.ctx, &RevokeSecurityGroupIngressInput{GroupId: &foreign.ID, IpPermissions: []types.IpPermission{tcp(1, "10.0.0.0/8")}})
	wantError(t, err, "InvalidPermission.NotFound", "The specified rule does not exist in this security group.")
	_, err = f.RevokeSecurityGroupIngress(f.ctx, &RevokeSecurityGroupIngressInput{GroupId: &foreign.ID, IpPermissions: []types.IpPermission{from(types.UserIdGroupPair{GroupId: aws.String("sg-00000000")})}})
	wantError(t, err, "InvalidPermission.NotFound", "")
	_, err = f.RevokeSecurityGroupIngress(f.ctx, &RevokeSecurityGroupIngressInput{GroupId: &web})
	wantError(t, err, "MissingParameter", "Either 'ipPermissions' or 'securityGroupRuleIds' should be provided.")
	_, err = f.RevokeSecurityGroupIngress(f.ctx, &RevokeSecurityGroupIngressInput{GroupId: &web, IpPermissions: []types.IpPermission{tcp(1, "10.0.0.0/8")}, SecurityGroupRuleIds: []string{"sgr-00000000"}})
	wantError(t, err, "InvalidParameterCombination", "")

	g, _ := store.SecurityGroups.Get(f.store.View(), testScope.Key(web))
	egress := g.Rules[0].ID
	_, err = f.RevokeSecurityGroupIngress(f.ctx, &RevokeSecurityGroupIngressInput{GroupId: &web, SecurityGroupRuleIds: []string{egress}})
	wantError(t, err, "InvalidSecurityGroupRuleId.NotFound", "")
	_, err = f.RevokeSecurityGroupEgress(f.ctx, &RevokeSecurityGroupEgressInput{SecurityGroupRuleIds: []string{egress}})
	wantError(t, err, "MissingParameter", "The request must contain the parameter groupId")
	revoked, err := f.RevokeSecurityGroupEgress(f.ctx, &RevokeSecurityGroupEgressInput{GroupId: &web, SecurityGroupRuleIds: []string{egress}})
	if err != nil || len(revoked.RevokedSecurityGroupRules) != 1 || *revoked.RevokedSecurityGroupRules[0].SecurityGroupRuleId != egress {
		t.Errorf("%+v %v", revoked, err)
	}
	if n := len(f.shown(web).IpPermissionsEgress); n != 0 {
		t.Errorf("%d egress permissions are left", n)
	}
}

func TestModifyRules(t *testing.T) {
	f := newFixture(t)
	web := f.newGroup("web")
	made, err := f.AuthorizeSecurityGroupIngress(f.ctx, &AuthorizeSecurityGroupIngressInput{GroupId: &web, IpPermissions: []types.IpPermission{tcp(80, "10.0.0.0/8", "11.0.0.0/8")}})
	if err != nil {
		t.Fatal(err)
	}
	first, second := made.SecurityGroupRules[0].SecurityGroupRuleId, made.SecurityGroupRules[1].SecurityGroupRuleId
	modify := func(id *string, r *types.SecurityGroupRuleRequest) error {
		_, err := f.ModifySecurityGroupRules(f.ctx, &ModifySecurityGroupRulesInput{GroupId: &web, SecurityGroupRules: []types.SecurityGroupRuleUpdate{{SecurityGroupRuleId: id, SecurityGroupRule: r}}})
		return err
	}
	to := func(cidr string, port int32) *types.SecurityGroupRuleRequest {
		return &types.SecurityGroupRuleRequest{IpProtocol: aws.String("tcp"), FromPort: &port, ToPort: &port, CidrIpv4: &cidr, Description: aws.String("new")}
	}
	if err := modify(first, to("12.0.0.1/8", 443)); err != nil {
		t.Fatal(err)
	}
	out, _ := f.DescribeSecurityGroupRules(f.ctx, &DescribeSecurityGroupRulesInput{SecurityGroupRuleIds: []string{*first}})
	if r := out.SecurityGroupRules[0]; *r.CidrIpv4 != "12.0.0.0/8" || *r.FromPort != 443 || *r.Description != "new" {
		t.Errorf("%+v", r)
	}
	wantError(t, modify(second, to("12.0.0.0/8", 443)), "InvalidPermission.Duplicate", "")
	wantError(t, modify(second, nil), "MissingParameter", "")
	wantError(t, modify(nil, to("1.0.0.0/8", 1)), "MissingParameter", "")
	wantError(t, modify(aws.String("sgr-00000000"), to("1.0.0.0/8", 1)), "InvalidSecurityGroupRuleId.NotFound", "")
	wantError(t, modify(second, &types.SecurityGroupRuleRequest{IpProtocol: aws.String("-1")}), "InvalidParameterCombination", "")
	wantError(t, modify(second, &types.SecurityGroupRuleRequest{IpProtocol: aws.String("-1"), CidrIpv6: aws.String("::/0")}), "InvalidParameterValue", "")
	wantError(t, modify(second, &types.SecurityGroupRuleRequest{IpProtocol: aws.String("-1"), PrefixListId: aws.String("pl-12345678")}), "InvalidPrefixListId.NotFound", "")
	// Two rules may change places in one call.
	_, err = f.ModifySecurityGroupRules(f.ctx, &ModifySecurityGroupRulesInput{GroupId: &web, SecurityGroupRules: []types.SecurityGroupRuleUpdate{
		{SecurityGroupRuleId: first, SecurityGroupRule: to("11.0.0.0/8", 80)}, {SecurityGroupRuleId: second, SecurityGroupRule: to("12.0.0.0/8", 443)}}})
	if err != nil {
		t.Error(err)
	}
	_, err = f.ModifySecurityGroupRules(f.ctx, &ModifySecurityGroupRulesInput{GroupId: &web})
	wantError(t, err, "MissingParameter", "")
}

func TestUpdateDescriptions(t *testing.T) {
	f := newFixture(t)
	web := f.newGroup("web")
	about := func() string {
		p := f.shown(web).IpPermissionsEgress[0].IpRanges[0]
		return aws.ToString(p.Description)
	}
	all := noPorts("-1")
	all.IpRanges = []types.IpRange{{CidrIp: aws.String("0.0.0.0/0"), Description: aws.String("out")}}
	set := func(in UpdateSecurityGroupRuleDescriptionsEgressInput) error {
		in.GroupName = aws.String("web")
		_, err := f.UpdateSecurityGroupRuleDescriptionsEgress(f.ctx, &in)
		return err
	}
	if err := set(UpdateSecurityGroupRuleDescriptionsEgressInput{IpPermissions: []types.IpPermission{all}}); err != nil || about() != "out" {
		t.Errorf("%q, %v", about(), err)
	}
	g, _ := store.SecurityGroups.Get(f.store.View(), testScope.Key(web))
	byID := []types.SecurityGroupRuleDescription{{SecurityGroupRuleId: &g.Rules[0].ID}}
	if err := set(UpdateSecurityGroupRuleDescriptionsEgressInput{SecurityGroupRuleDescriptions: byID}); err != nil || about() != "" {
		t.Errorf("%q, %v", about(), err)
	}
	wantError(t, set(UpdateSecurityGroupRuleDescriptionsEgressInput{}), "MissingParameter", "")
	wantError(t, set(UpdateSecurityGroupRuleDescriptionsEgressInput{IpPermissions: []types.IpPermission{all}, SecurityGroupRuleDescriptions: byID}), "InvalidParameterCombination", "")
	wantError(t, set(UpdateSecurityGroupRuleDescriptionsEgressInput{IpPermissions: []types.IpPermission{tcp(1, "10.0.0.0/8")}}), "InvalidPermission.NotFound", "")
	byID[0].Description = aws.String(strings.Repeat("x", 256))
	wantError(t, set(UpdateSecurityGroupRuleDescriptionsEgressInput{SecurityGroupRuleDescriptions: byID}), "InvalidParameterValue", "")
	_, err := f.UpdateSecurityGroupRuleDescriptionsIngress(f.ctx, &UpdateSecurityGroupRuleDescriptionsIngressInput{GroupId: &web, SecurityGroupRuleDescriptions: byID[:1:1]})
	wantError(t, err, "InvalidParameterValue", "")
	byID[0].Description = nil
	_, err = f.UpdateSecurityGroupRuleDescriptionsIngress(f.ctx, &UpdateSecurityGroupRuleDescriptionsIngressInput{GroupId: &web, SecurityGroupRuleDescriptions: byID})
	wantError(t, err, "InvalidSecurityGroupRuleId.NotFound", "")
}

// TestRulesAreASet authorizes and revokes at random, in many spellings, and keeps
// a set beside it.
func TestRulesAreASet(t *testing.T) {
	f := newFixture(t)
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		web := f.newGroup(fmt.Sprintf("web%d", n))
		want := map[string]string{} // what a rule says → its ID
		spell := map[string][]string{"tcp": {"tcp", "6", "TCP"}, "udp": {"udp", "17"}, "icmp": {"icmp", "1"}, "-1": {"-1"}, "47": {"47", "047"}}
		cidrs := map[string][]string{"10.0.0.0/8": {"10.0.0.0/8", "10.9.9.9/8"}, "0.0.0.0/0": {"0.0.0.0/0"}, "192.168.1.1/32": {"192.168.1.1/32"}}
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			protocol := rapid.SampledFrom(slices.Sorted(maps.Keys(spell))).Draw(t, "protocol")
			cidr := rapid.SampledFrom(slices.Sorted(maps.Keys(cidrs))).Draw(t, "range")
			port := rapid.Int32Range(1, 3).Draw(t, "port")
			p := ports(rapid.SampledFrom(spell[protocol]).Draw(t, "spelling"), port, port)
			p.IpRanges[0].CidrIp = aws.String(rapid.SampledFrom(cidrs[cidr]).Draw(t, "host bits"))
			key := fmt.Sprintf("%s %d %s", protocol, port, cidr)
			if protocol == "-1" || protocol == "47" {
				key = protocol + " " + cidr
			}
			id, there := want[key]
			switch rapid.IntRange(0, 2).Draw(t, "step") {
			case 0:
				out, err := f.AuthorizeSecurityGroupIngress(f.ctx, &AuthorizeSecurityGroupIngressInput{GroupId: &web, IpPermissions: []types.IpPermission{p}})
				if there {
					wantError(t, err, "InvalidPermission.Duplicate", "")
				} else if err != nil {
					t.Fatal(err)
				} else {
					want[key] = *out.SecurityGroupRules[0].SecurityGroupRuleId
				}
			case 1:
				out, err := f.RevokeSecurityGroupIngress(f.ctx, &RevokeSecurityGroupIngressInput{GroupId: &web, IpPermissions: []types.IpPermission{p}})
				if err != nil || len(out.RevokedSecurityGroupRules) == 1 != there || len(out.UnknownIpPermissions) == 1 == there {
					t.Fatalf("revoke %s, there: %v: %+v %v", key, there, out, err)
				}
				delete(want, key)
			case 2:
				if !there {
					continue
				}
				if _, err := f.RevokeSecurityGroupIngress(f.ctx, &RevokeSecurityGroupIngressInput{GroupId: &web, SecurityGroupRuleIds: []string{id}}); err != nil {
					t.Fatal(err)
				}
				delete(want, key)
			}
			g, _ := store.SecurityGroups.Get(f.store.View(), testScope.Key(web))
			got := map[string]string{}
			for _, r := range g.Rules {
				if r.Egress {
					continue
				}
				key := fmt.Sprintf("%s %d %s", r.Protocol, r.FromPort, r.IPv4)
				if r.FromPort == -1 {
					key = r.Protocol + " " + r.IPv4
				}
				got[key] = r.ID
			}
			if !maps.Equal(got, want) {
				t.Fatalf("the rules are %v, want %v", got, want)
			}
			if rows := f.shown(web).IpPermissions; countPeers(rows) != len(want) {
				t.Fatalf("%d rules are shown, want %d: %+v", countPeers(rows), len(want), rows)
			}
		}
	})
}

func countPeers(rows []types.IpPermission) int {
	n := 0
	for _, p := range rows {
		n += len(p.IpRanges) + len(p.Ipv6Ranges) + len(p.UserIdGroupPairs)
	}
	return n
}
