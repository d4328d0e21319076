package cli

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"

	"github.com/berth/berth/client"
)

// network is where a task of `berth run` goes: the default VPC's subnets and, if
// it has ports, a security group that lets the world in on them.
func (a *api) network(ctx context.Context, ports []types.PortMapping) (*types.NetworkConfiguration, error) {
	var found struct {
		Subnets []string `xml:"subnetSet>item>subnetId"`
		VPCs    []string `xml:"subnetSet>item>vpcId"`
	}
	if err := client.EC2(ctx, a.cfg, "DescribeSubnets", url.Values{"Filter.1.Name": {"default-for-az"}, "Filter.1.Value.1": {"true"}}, &found); err != nil {
		return nil, plain(err)
	}
	if len(found.Subnets) == 0 {
		return nil, fmt.Errorf("there is no default subnet in %s", a.cfg.Region)
	}
	c := &types.AwsVpcConfiguration{Subnets: found.Subnets, AssignPublicIp: types.AssignPublicIpEnabled}
	if len(ports) > 0 {
		group, err := a.group(ctx, found.VPCs[0], ports)
		if err != nil {
			return nil, err
		}
		c.SecurityGroups = []string{group}
	}
	return &types.NetworkConfiguration{AwsvpcConfiguration: c}, nil
}

// group returns the security group for some ports, which it makes when it isn't
// there. Its name says which they are.
func (a *api) group(ctx context.Context, vpc string, ports []types.PortMapping) (string, error) {
	var names []string
	for _, p := range ports {
		names = append(names, fmt.Sprintf("%s-%d", p.Protocol, *p.ContainerPort))
	}
	slices.Sort(names)
	name := "berth-run-" + strings.Join(names, "-")
	id, err := a.groupNamed(ctx, vpc, name)
	if err != nil || id != "" {
		return id, err
	}
	var made struct {
		ID string `xml:"groupId"`
	}
	err = client.EC2(ctx, a.cfg, "CreateSecurityGroup", url.Values{"GroupName": {name}, "GroupDescription": {"ports of tasks of berth run"}, "VpcId": {vpc}}, &made)
	if isCode(err, "InvalidGroup.Duplicate") { // another berth run was faster
		return a.groupNamed(ctx, vpc, name)
	}
	if err != nil {
		return "", plain(err)
	}
	rules := url.Values{"GroupId": {made.ID}}
	for i, p := range ports {
		key := "IpPermissions." + strconv.Itoa(i+1)
		port := strconv.Itoa(int(*p.ContainerPort))
		rules.Set(key+".IpProtocol", string(p.Protocol))
		rules.Set(key+".FromPort", port)
		rules.Set(key+".ToPort", port)
		rules.Set(key+".IpRanges.1.CidrIp", "0.0.0.0/0")
	}
	return made.ID, plain(client.EC2(ctx, a.cfg, "AuthorizeSecurityGroupIngress", rules, &struct{}{}))
}

func (a *api) groupNamed(ctx context.Context, vpc, name string) (id string, err error) {
	var found struct {
		IDs []string `xml:"securityGroupInfo>item>groupId"`
	}
	err = client.EC2(ctx, a.cfg, "DescribeSecurityGroups", url.Values{
		"Filter.1.Name": {"group-name"}, "Filter.1.Value.1": {name}, "Filter.2.Name": {"vpc-id"}, "Filter.2.Value.1": {vpc},
	}, &found)
	if err != nil || len(found.IDs) == 0 {
		return "", plain(err)
	}
	return found.IDs[0], nil
}

// public is the task's public address, or "".
func (a *api) public(ctx context.Context, t types.Task) (string, error) {
	eni := attached(t, "networkInterfaceId")
	if eni == "" {
		return "", nil
	}
	var found struct {
		IP string `xml:"networkInterfaceSet>item>association>publicIp"`
	}
	err := client.EC2(ctx, a.cfg, "DescribeNetworkInterfaces", url.Values{"NetworkInterfaceId.1": {eni}}, &found)
	if isCode(err, "InvalidNetworkInterfaceID.NotFound") {
		return "", nil
	}
	return found.IP, plain(err)
}

func isCode(err error, code string) bool {
	said, ok := err.(*smithy.GenericAPIError)
	return ok && said.Code == code
}

// portMappings reads -p: PORT or PORT/udp. In awsvpc mode a container's port is
// the task's.
func portMappings(ports []string) ([]types.PortMapping, error) {
	var all []types.PortMapping
	for _, p := range ports {
		number, protocol, named := strings.Cut(p, "/")
		if !named {
			protocol = "tcp"
		}
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil || n == 0 || protocol != "tcp" && protocol != "udp" {
			return nil, fmt.Errorf("-p %s: must be PORT or PORT/udp, and the port 1 to 65535; the task has an address of its own, so there is no port of the host to choose", p)
		}
		all = append(all, types.PortMapping{ContainerPort: aws.Int32(int32(n)), Protocol: types.TransportProtocol(protocol)})
	}
	return all, nil
}
