package wire_test

import (
	"context"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/berth/berth/wire"
	"github.com/berth/berth/wire/wiretest"
	"github.com/berth/berth/wire/wiretest/corpus"
)

// The shapes of a few EC2 operations, as package api/ec2 declares them.
type (
	DescribeVpcsInput struct {
		DryRun     *bool
		Filters    []types.Filter
		MaxResults *int32
		NextToken  *string
		VpcIds     []string
	}
	DescribeVpcsOutput struct {
		NextToken *string
		Vpcs      []types.Vpc
	}
	AuthorizeSecurityGroupIngressInput struct {
		CidrIp                     *string
		DryRun                     *bool
		FromPort                   *int32
		GroupId                    *string
		GroupName                  *string
		IpPermissions              []types.IpPermission
		IpProtocol                 *string
		SourceSecurityGroupName    *string
		SourceSecurityGroupOwnerId *string
		TagSpecifications          []types.TagSpecification
		ToPort                     *int32
	}
	AuthorizeSecurityGroupIngressOutput struct {
		Return             *bool
		SecurityGroupRules []types.SecurityGroupRule
	}
	DeleteTagsInput struct {
		DryRun    *bool
		Resources []string
		Tags      []types.Tag
	}
	DeleteTagsOutput               struct{}
	DescribeNetworkInterfacesInput struct {
		DryRun                  *bool
		Filters                 []types.Filter
		IncludeManagedResources *bool
		MaxResults              *int32
		NetworkInterfaceIds     []string
		NextToken               *string
	}
	DescribeNetworkInterfacesOutput struct {
		NetworkInterfaces []types.NetworkInterface
		NextToken         *string
	}
	DescribeSecurityGroupsInput struct {
		DryRun     *bool
		Filters    []types.Filter
		GroupIds   []string
		GroupNames []string
		MaxResults *int32
		NextToken  *string
	}
	DescribeSecurityGroupsOutput struct {
		NextToken      *string
		SecurityGroups []types.SecurityGroup
	}
	DescribeSubnetsInput struct {
		DryRun     *bool
		Filters    []types.Filter
		MaxResults *int32
		NextToken  *string
		SubnetIds  []string
	}
	DescribeSubnetsOutput struct {
		NextToken *string
		Subnets   []types.Subnet
	}
	ModifySecurityGroupRulesInput struct {
		DryRun             *bool
		GroupId            *string
		SecurityGroupRules []types.SecurityGroupRuleUpdate
	}
	ModifySecurityGroupRulesOutput struct{ Return *bool }
)

// ec2Service answers the describes with one of each, all members filled.
type ec2Service struct{}

func (ec2Service) DescribeVpcs(_ context.Context, in *DescribeVpcsInput) (*DescribeVpcsOutput, error) {
	return filled[DescribeVpcsOutput](), nil
}

func (ec2Service) DescribeSubnets(context.Context, *DescribeSubnetsInput) (*DescribeSubnetsOutput, error) {
	return filled[DescribeSubnetsOutput](), nil
}

func (ec2Service) DescribeNetworkInterfaces(context.Context, *DescribeNetworkInterfacesInput) (*DescribeNetworkInterfacesOutput, error) {
	return filled[DescribeNetworkInterfacesOutput](), nil
}

func (ec2Service) DescribeSecurityGroups(context.Context, *DescribeSecurityGroupsInput) (*DescribeSecurityGroupsOutput, error) {
	return filled[DescribeSecurityGroupsOutput](), nil
}

func (ec2Service) AuthorizeSecurityGroupIngress(_ context.Context, in *AuthorizeSecurityGroupIngressInput) (*AuthorizeSecurityGroupIngressOutput, error) {
	out := filled[AuthorizeSecurityGroupIngressOutput]()
	out.SecurityGroupRules[0].Description = aws.String("all read")
	if missing := unsetIn(in); missing != "" {
		out.SecurityGroupRules[0].Description = aws.String("not read: " + missing)
	}
	return out, nil
}

func (ec2Service) DeleteTags(context.Context, *DeleteTagsInput) (*DeleteTagsOutput, error) {
	return nil, nil
}

func (ec2Service) ModifySecurityGroupRules(_ context.Context, in *ModifySecurityGroupRulesInput) (*ModifySecurityGroupRulesOutput, error) {
	return &ModifySecurityGroupRulesOutput{Return: aws.Bool(unsetIn(in) == "")}, nil
}

func TestEC2Corpus(t *testing.T) {
	wiretest.Corpus(t, newService(t, wire.EC2, ec2Service{}), "ec2")
}

// TestEC2RequestsAreReadWhole: the corpus has every member filled, so every field
// must be set.
func TestEC2RequestsAreReadWhole(t *testing.T) {
	srv := anyServer(newService(t, wire.EC2, ec2Service{}))
	for _, snap := range corpus.Requests(t, "ec2") {
		want := map[string]string{"AuthorizeSecurityGroupIngress": "<description>all read</description>", "ModifySecurityGroupRules": "<return>true</return>"}[snap.Name]
		if want == "" {
			continue
		}
		w := serve(srv, "POST", "/", map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, string(snap.Body))
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %s", snap.Name, w.Body)
		}
	}
}

func TestEC2(t *testing.T) {
	srv := anyServer(newService(t, wire.EC2, ec2Service{}))
	send := func(body string) string {
		w := serve(srv, "POST", "/", map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, body+"&Version=2016-11-15")
		if w.Code != 200 {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
		return w.Body.String()
	}
	if got := send("Action=DeleteTags&ResourceId.1=vpc-1&Tag.1.Key=a"); !strings.Contains(got, "<return>true</return></DeleteTagsResponse>") {
		t.Errorf("an empty output is %s", got)
	}
	got := send("Action=DescribeVpcs")
	for _, want := range []string{`<DescribeVpcsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>`, "<vpcSet><item>", "<tagSet><item><key>", "<isDefault>true</isDefault>"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s lacks %s", got, want)
		}
	}
}
