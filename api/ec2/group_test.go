package ec2

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
)

func TestCreateSecurityGroup(t *testing.T) {
	f := newFixture(t)
	out, err := f.CreateSecurityGroup(f.ctx, &CreateSecurityGroupInput{
		GroupName: aws.String("web"), Description: aws.String("a-z [A] {0} $*"), VpcId: &f.vpc.ID,
		TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeSecurityGroup, Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := "arn:aws:ec2:us-east-1:123456789012:security-group/" + *out.GroupId; *out.SecurityGroupArn != want || *out.Tags[0].Value != "v" {
		t.Errorf("%s, tags %v", *out.SecurityGroupArn, out.Tags)
	}
	g := f.shown(*out.GroupId)
	if len(g.IpPermissions) != 0 || len(g.IpPermissionsEgress) != 1 || *g.IpPermissionsEgress[0].IpProtocol != "-1" ||
		g.IpPermissionsEgress[0].FromPort != nil || *g.IpPermissionsEgress[0].IpRanges[0].CidrIp != "0.0.0.0/0" {
		t.Errorf("a new group shows %+v", g)
	}
}

func TestCreateSecurityGroupRefuses(t *testing.T) {
	f := newFixture(t)
	f.newGroup("web")
	about := aws.String("x")
	for _, c := range []struct {
		name          string
		in            CreateSecurityGroupInput
		code, message string
	}{
		{"no name", CreateSecurityGroupInput{Description: about}, "MissingParameter", "The request must contain the parameter GroupName"},
		{"no description", CreateSecurityGroupInput{GroupName: aws.String("a")}, "MissingParameter", "The request must contain the parameter GroupDescription"},
		{"duplicate", CreateSecurityGroupInput{GroupName: aws.String("WEB"), Description: about}, "InvalidGroup.Duplicate",
			"The security group 'WEB' already exists for VPC '" + f.vpc.ID + "'"},
		{"default", CreateSecurityGroupInput{GroupName: aws.String("default"), Description: about}, "InvalidParameterValue", "Cannot use reserved security group name: default"},
		{"looks like an ID", CreateSecurityGroupInput{GroupName: aws.String("sg-web"), Description: about}, "InvalidParameterValue",
			"Value (sg-web) for parameter GroupName is invalid. Group names may not be in the format sg-*."},
		{"name's characters", CreateSecurityGroupInput{GroupName: aws.String("it's"), Description: about}, "InvalidParameterValue", ""},
		{"name's length", CreateSecurityGroupInput{GroupName: aws.String(strings.Repeat("a", 256)), Description: about}, "InvalidParameterValue", ""},
		{"beyond ASCII", CreateSecurityGroupInput{GroupName: aws.String("é"), Description: about}, "InvalidParameterValue",
			"Value (é) for parameter GroupName is invalid. Character sets beyond ASCII are not supported."},
		{"description's characters", CreateSecurityGroupInput{GroupName: aws.String("a"), Description: aws.String("it's")}, "InvalidParameterValue",
			"Invalid security group description. Valid descriptions are strings less than 256 characters from the following set:  a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*"},
		{"description's length", CreateSecurityGroupInput{GroupName: aws.String("a"), Description: aws.String(strings.Repeat("a", 256))}, "InvalidParameterValue", ""},
		{"no such VPC", CreateSecurityGroupInput{GroupName: aws.String("a"), Description: about, VpcId: aws.String("vpc-00000000")}, "InvalidVpcID.NotFound", "The vpc ID 'vpc-00000000' does not exist"},
		{"no VPC ID", CreateSecurityGroupInput{GroupName: aws.String("a"), Description: about, VpcId: aws.String("sg-00000000")}, "InvalidVpcID.Malformed", `Invalid id: "sg-00000000" (expecting "vpc-...")`},
		{"tags of another kind", CreateSecurityGroupInput{GroupName: aws.String("a"), Description: about, TagSpecifications: []types.TagSpecification{
			{ResourceType: types.ResourceTypeVpc, Tags: []types.Tag{{Key: aws.String("k")}}}}}, "InvalidParameterValue", "'vpc' is not a valid taggable resource type for this operation."},
		{"dry run", CreateSecurityGroupInput{GroupName: aws.String("a"), Description: about, DryRun: aws.Bool(true)}, "DryRunOperation", "Request would have succeeded, but DryRun flag is set."},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := f.CreateSecurityGroup(f.ctx, &c.in)
			wantError(t, err, c.code, c.message)
		})
	}
	if all, _ := f.found("groups", nil); len(all) != 2 {
		t.Errorf("there are %d groups, want default and web", len(all))
	}
}

func TestCreateSecurityGroupNeedsAVPC(t *testing.T) {
	f := newFixture(t)
	if err := f.store.Update(f.ctx, func(tx *store.Tx) error {
		v := *f.vpc
		v.Default = false
		store.VPCs.Put(tx, &v)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	_, err := f.CreateSecurityGroup(f.ctx, &CreateSecurityGroupInput{GroupName: aws.String("a"), Description: aws.String("x")})
	wantError(t, err, "VPCIdNotSpecified", "No default VPC for this user")
	_, err = f.DescribeSecurityGroups(f.ctx, &DescribeSecurityGroupsInput{GroupNames: []string{"default"}})
	wantError(t, err, "InvalidGroup.NotFound", "The security group 'default' does not exist")
}

func TestDeleteSecurityGroup(t *testing.T) {
	f := newFixture(t)
	web, db := f.newGroup("web"), f.newGroup("db")
	del := func(id string) error {
		_, err := f.DeleteSecurityGroup(f.ctx, &DeleteSecurityGroupInput{GroupId: &id})
		return err
	}
	wantError(t, del(f.group.ID), "CannotDelete", fmt.Sprintf(`the specified group: "%s" name: "default" cannot be deleted by a user`, f.group.ID))
	wantError(t, del("sg-00000000"), "InvalidGroup.NotFound", "The security group 'sg-00000000' does not exist")
	wantError(t, del("web"), "InvalidGroupId.Malformed", `Invalid id: "web" (expecting "sg-...")`)
	wantError(t, del("sg-xyz"), "InvalidGroupId.Malformed", `Invalid id: "sg-xyz"`)
	wantError(t, del(""), "MissingParameter", "The request must contain the parameter groupName or groupId")
	_, err := f.DeleteSecurityGroup(f.ctx, &DeleteSecurityGroupInput{GroupId: &web, GroupName: aws.String("web")})
	wantError(t, err, "InvalidParameterCombination", "")
	_, err = f.DeleteSecurityGroup(f.ctx, &DeleteSecurityGroupInput{GroupName: aws.String("no")})
	wantError(t, err, "InvalidGroup.NotFound", "The security group 'no' does not exist in default VPC '"+f.vpc.ID+"'")

	// A rule of its own that names it is no dependency; one of another group is,
	// and so is an interface.
	for _, g := range []string{web, db} {
		if _, err := f.AuthorizeSecurityGroupIngress(f.ctx, &AuthorizeSecurityGroupIngressInput{GroupId: &g, IpPermissions: []types.IpPermission{
			{IpProtocol: aws.String("-1"), UserIdGroupPairs: []types.UserIdGroupPair{{GroupId: &web}}}}}); err != nil {
			t.Fatal(err)
		}
	}
	wantError(t, del(web), "DependencyViolation", "resource "+web+" has a dependent object")
	e := f.eni("", db)
	wantError(t, del(db), "DependencyViolation", "resource "+db+" has a dependent object")
	if err := f.store.Update(f.ctx, func(tx *store.Tx) error { store.ENIs.Delete(tx, e.Key()); return nil }); err != nil {
		t.Fatal(err)
	}
	for _, g := range []string{db, web} {
		_, err := f.DeleteSecurityGroup(f.ctx, &DeleteSecurityGroupInput{GroupId: &g, DryRun: aws.Bool(true)})
		wantError(t, err, "DryRunOperation", "")
		if err := del(g); err != nil {
			t.Error(err)
		}
		wantError(t, del(g), "InvalidGroup.NotFound", "")
	}
}

func TestPages(t *testing.T) {
	f := newFixture(t)
	want := []string{f.group.ID}
	for i := range 11 {
		want = append(want, f.newGroup(fmt.Sprintf("g%d", i)))
	}
	slices.Sort(want)
	var got []string
	var token *string
	for range 3 {
		out, err := f.DescribeSecurityGroups(f.ctx, &DescribeSecurityGroupsInput{MaxResults: aws.Int32(5), NextToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range out.SecurityGroups {
			got = append(got, *g.GroupId)
		}
		token = out.NextToken
	}
	if token != nil || !slices.Equal(got, want) {
		t.Errorf("pages gave %v, then token %v; want %v", got, token, want)
	}
	for _, c := range []struct {
		in   DescribeSecurityGroupsInput
		code string
	}{
		{DescribeSecurityGroupsInput{MaxResults: aws.Int32(4)}, "InvalidParameterValue"},
		{DescribeSecurityGroupsInput{MaxResults: aws.Int32(1001)}, "InvalidParameterValue"},
		{DescribeSecurityGroupsInput{NextToken: aws.String("?")}, "InvalidNextToken"},
		{DescribeSecurityGroupsInput{DryRun: aws.Bool(true)}, "DryRunOperation"},
	} {
		_, err := f.DescribeSecurityGroups(f.ctx, &c.in)
		wantError(t, err, c.code, "")
	}
	_, err := f.DescribeNetworkInterfaces(f.ctx, &DescribeNetworkInterfacesInput{MaxResults: aws.Int32(5), NetworkInterfaceIds: []string{"eni-00000000"}})
	wantError(t, err, "InvalidParameterCombination", "")
}

func TestScopesAreApart(t *testing.T) {
	f := newFixture(t)
	other := state.Scope{Account: testScope.Account, Region: "eu-west-1"}
	if err := f.EnsureDefaultVPC(f.ctx, other); err != nil {
		t.Fatal(err)
	}
	if err := f.EnsureDefaultVPC(f.ctx, other); err != nil {
		t.Fatal(err)
	}
	if ids, err := f.found("vpcs", nil); err != nil || len(ids) != 1 || ids[0] != f.vpc.ID {
		t.Errorf("us-east-1 has VPCs %v, %v", ids, err)
	}
	_, err := f.DescribeVpcs(f.ctx, &DescribeVpcsInput{VpcIds: []string{defaultVPC(f.store.View(), other).ID}})
	wantError(t, err, "InvalidVpcID.NotFound", "")
	_, err = f.CreateDefaultVpc(f.ctx, &CreateDefaultVpcInput{})
	wantError(t, err, "DefaultVpcAlreadyExists", "")
}

func TestGroupReferencesAndVPCGroups(t *testing.T) {
	f := newFixture(t)
	_, other := f.secondVPC()
	ids, err := f.found("groups for VPC", nil)
	if err != nil || !slices.Equal(ids, []string{f.group.ID}) {
		t.Errorf("groups for the VPC: %v, %v", ids, err)
	}
	out, err := f.DescribeSecurityGroupReferences(f.ctx, &DescribeSecurityGroupReferencesInput{GroupId: []string{other.ID}})
	if err != nil || len(out.SecurityGroupReferenceSet) != 0 {
		t.Errorf("references %v, %v", out, err)
	}
	_, err = f.DescribeSecurityGroupReferences(f.ctx, &DescribeSecurityGroupReferencesInput{})
	wantError(t, err, "MissingParameter", "")
	_, err = f.GetSecurityGroupsForVpc(f.ctx, &GetSecurityGroupsForVpcInput{VpcId: aws.String("vpc-00000000")})
	wantError(t, err, "InvalidVpcID.NotFound", "")
}
