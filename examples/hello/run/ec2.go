package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// network finds a subnet of the default VPC and a security group that lets the
// world in on port 80; it makes the group when it isn't there.
func network(ctx context.Context, cfg aws.Config) (subnet, group string, err error) {
	var subnets struct {
		IDs []string `xml:"subnetSet>item>subnetId"`
		VPC []string `xml:"subnetSet>item>vpcId"`
	}
	if err := ec2(ctx, cfg, "DescribeSubnets", url.Values{"Filter.1.Name": {"default-for-az"}, "Filter.1.Value.1": {"true"}}, &subnets); err != nil {
		return "", "", err
	}
	if len(subnets.IDs) == 0 {
		return "", "", fmt.Errorf("there is no default subnet in %s", cfg.Region)
	}
	var groups struct {
		IDs []string `xml:"securityGroupInfo>item>groupId"`
	}
	named := url.Values{"Filter.1.Name": {"group-name"}, "Filter.1.Value.1": {"hello"}, "Filter.2.Name": {"vpc-id"}, "Filter.2.Value.1": {subnets.VPC[0]}}
	if err := ec2(ctx, cfg, "DescribeSecurityGroups", named, &groups); err != nil {
		return "", "", err
	}
	if len(groups.IDs) > 0 {
		return subnets.IDs[0], groups.IDs[0], nil
	}
	var made struct {
		ID string `xml:"groupId"`
	}
	if err := ec2(ctx, cfg, "CreateSecurityGroup", url.Values{"GroupName": {"hello"}, "GroupDescription": {"HTTP for the hello example"}, "VpcId": {subnets.VPC[0]}}, &made); err != nil {
		return "", "", err
	}
	rule := url.Values{"GroupId": {made.ID}, "IpPermissions.1.IpProtocol": {"tcp"}, "IpPermissions.1.FromPort": {"80"}, "IpPermissions.1.ToPort": {"80"}, "IpPermissions.1.IpRanges.1.CidrIp": {"0.0.0.0/0"}}
	return subnets.IDs[0], made.ID, ec2(ctx, cfg, "AuthorizeSecurityGroupIngress", rule, &struct{}{})
}

// ec2 makes one signed call. The SDK's EC2 client would do the same, but takes
// minutes to compile.
func ec2(ctx context.Context, cfg aws.Config, action string, values url.Values, out any) error {
	values.Set("Action", action)
	values.Set("Version", "2016-11-15")
	body := values.Encode()
	req, err := http.NewRequestWithContext(ctx, "POST", os.Getenv("AWS_ENDPOINT_URL")+"/", strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	credentials, err := cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(body))
	if err := v4.NewSigner().SignHTTP(ctx, credentials, req, hex.EncodeToString(sum[:]), "ec2", cfg.Region, time.Now()); err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", action, resp.Status, answer)
	}
	return xml.Unmarshal(answer, out)
}
