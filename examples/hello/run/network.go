package main

import (
	"context"
	"fmt"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/berth/berth/client"
)

// network finds a subnet of the default VPC and a security group that lets the
// world in on port 80; it makes the group when it isn't there.
func network(ctx context.Context, cfg aws.Config) (subnet, group string, err error) {
	var subnets struct {
		IDs []string `xml:"subnetSet>item>subnetId"`
		VPC []string `xml:"subnetSet>item>vpcId"`
	}
	if err := client.EC2(ctx, cfg, "DescribeSubnets", url.Values{"Filter.1.Name": {"default-for-az"}, "Filter.1.Value.1": {"true"}}, &subnets); err != nil {
		return "", "", err
	}
	if len(subnets.IDs) == 0 {
		return "", "", fmt.Errorf("there is no default subnet in %s", cfg.Region)
	}
	var groups struct {
		IDs []string `xml:"securityGroupInfo>item>groupId"`
	}
	named := url.Values{"Filter.1.Name": {"group-name"}, "Filter.1.Value.1": {"hello"}, "Filter.2.Name": {"vpc-id"}, "Filter.2.Value.1": {subnets.VPC[0]}}
	if err := client.EC2(ctx, cfg, "DescribeSecurityGroups", named, &groups); err != nil {
		return "", "", err
	}
	if len(groups.IDs) > 0 {
		return subnets.IDs[0], groups.IDs[0], nil
	}
	var made struct {
		ID string `xml:"groupId"`
	}
	if err := client.EC2(ctx, cfg, "CreateSecurityGroup", url.Values{"GroupName": {"hello"}, "GroupDescription": {"HTTP for the hello example"}, "VpcId": {subnets.VPC[0]}}, &made); err != nil {
		return "", "", err
	}
	rule := url.Values{"GroupId": {made.ID}, "IpPermissions.1.IpProtocol": {"tcp"}, "IpPermissions.1.FromPort": {"80"}, "IpPermissions.1.ToPort": {"80"}, "IpPermissions.1.IpRanges.1.CidrIp": {"0.0.0.0/0"}}
	return subnets.IDs[0], made.ID, client.EC2(ctx, cfg, "AuthorizeSecurityGroupIngress", rule, &struct{}{})
}
