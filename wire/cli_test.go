package wire_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/berth/berth/wire"
	"github.com/berth/berth/wire/wiretest"
)

// TestCLI has AWS's CLI, which reads responses with botocore and its own models of
// the XML, call services that answer with every member filled. What the CLI prints
// must be what the Go value holds.
func TestCLI(t *testing.T) {
	cli, err := exec.LookPath("aws")
	if err != nil {
		t.Fatal("the AWS CLI (aws) is not on PATH: install the package awscli, this test speaks to it: ", err)
	}
	url, _ := wiretest.Serve(t, newService(t, wire.ECS, ecsService{}), newService(t, wire.STS, stsService{}), newService(t, wire.EC2, ec2Service{}))
	tests := []struct {
		args string
		want any
		must string // members that every version of the CLI knows
	}{
		{"ec2 describe-vpcs --vpc-ids vpc-1 vpc-2 --filters Name=is-default,Values=true,false", filled[DescribeVpcsOutput](),
			"Vpcs.VpcId Vpcs.CidrBlock Vpcs.Tags.Key Vpcs.IsDefault Vpcs.State Vpcs.DhcpOptionsId Vpcs.CidrBlockAssociationSet.CidrBlockState.State"},
		{"ec2 describe-subnets", filled[DescribeSubnetsOutput](),
			"Subnets.SubnetId Subnets.AvailabilityZone Subnets.MapPublicIpOnLaunch Subnets.AvailableIpAddressCount Subnets.Tags.Value Subnets.SubnetArn"},
		{"ec2 describe-network-interfaces", filled[DescribeNetworkInterfacesOutput](),
			"NetworkInterfaces.NetworkInterfaceId NetworkInterfaces.Groups.GroupId NetworkInterfaces.PrivateIpAddresses.Association.PublicIp " +
				"NetworkInterfaces.Attachment.AttachTime NetworkInterfaces.TagSet.Key NetworkInterfaces.SourceDestCheck NetworkInterfaces.MacAddress"},
		{"ec2 describe-security-groups", filled[DescribeSecurityGroupsOutput](),
			"SecurityGroups.GroupId SecurityGroups.Description SecurityGroups.IpPermissions.IpRanges.CidrIp SecurityGroups.IpPermissions.UserIdGroupPairs.GroupId " +
				"SecurityGroups.IpPermissionsEgress.PrefixListIds.PrefixListId SecurityGroups.IpPermissions.Ipv6Ranges.CidrIpv6"},
		{"ec2 authorize-security-group-ingress --group-id sg-1 --protocol tcp --port 80 --cidr 10.0.0.0/8", nil, "SecurityGroupRules.SecurityGroupRuleId Return"},
		{"sts get-caller-identity", nil, "Account UserId Arn"},
		{"ecs run-task --task-definition web:1", nil, "tasks.taskArn tasks.createdAt failures"},
	}
	for _, test := range tests {
		t.Run(strings.Join(strings.Fields(test.args)[:2], " "), func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), cli, append([]string{"--endpoint-url", url, "--region", wiretest.Region, "--output", "json"}, strings.Fields(test.args)...)...)
			cmd.Env = []string{"HOME=" + t.TempDir(), "AWS_ACCESS_KEY_ID=" + wiretest.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + wiretest.SecretKey, "AWS_PAGER=", "PATH=" + os.Getenv("PATH")}
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			if err := cmd.Run(); err != nil {
				t.Fatalf("%s: %v: %s", cmd, err, stderr.Bytes())
			}
			var got any
			if err := json.Unmarshal(stdout.Bytes(), &got); err != nil {
				t.Fatalf("%s prints %q: %v", cmd, stdout.Bytes(), err)
			}
			for _, path := range strings.Fields(test.must) {
				if !has(got, strings.Split(path, ".")) {
					t.Errorf("%s lacks %s", stdout.Bytes(), path)
				}
			}
			if test.want != nil {
				same(t, got, reflect.ValueOf(test.want), "")
			}
		})
	}
}

// has reports whether x has the member at path, through lists.
func has(x any, path []string) bool {
	if l, ok := x.([]any); ok && len(l) > 0 {
		x = l[0]
	}
	if len(path) == 0 {
		return x != nil
	}
	m, ok := x.(map[string]any)
	return ok && m[path[0]] != nil && has(m[path[0]], path[1:])
}

// same compares what the CLI printed with a Go value. Members that this version of the
// CLI does not know are logged.
func same(t *testing.T, got any, v reflect.Value, path string) {
	v = reflect.Indirect(v)
	switch v.Kind() {
	case reflect.Struct:
		if want, ok := v.Interface().(time.Time); ok {
			if s, _ := got.(string); !strings.HasPrefix(s, want.Format("2006-01-02T15:04:05")) {
				t.Errorf("%s is %v, want %v", path, got, want)
			}
			return
		}
		m, ok := got.(map[string]any)
		if !ok {
			t.Errorf("%s is %v, want a structure", path, got)
			return
		}
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if !f.IsExported() {
				continue
			}
			if x, ok := m[f.Name]; ok {
				same(t, x, v.Field(i), path+"."+f.Name)
				delete(m, f.Name)
			} else if f.Name != "NextToken" {
				t.Logf("the CLI does not know %s.%s", path, f.Name)
			}
		}
		for name := range m {
			t.Errorf("%s.%s is printed and not in the Go type", path, name)
		}
	case reflect.Slice:
		l, ok := got.([]any)
		if !ok || len(l) != v.Len() {
			t.Errorf("%s is %v, want a list of %d", path, got, v.Len())
			return
		}
		for i := range l {
			same(t, l[i], v.Index(i), path+"[]")
		}
	case reflect.String:
		if got != v.String() {
			t.Errorf("%s is %v, want %s", path, got, v)
		}
	case reflect.Bool:
		if got != v.Bool() {
			t.Errorf("%s is %v, want %v", path, got, v)
		}
	case reflect.Int32, reflect.Int64:
		if got != float64(v.Int()) {
			t.Errorf("%s is %v, want %v", path, got, v)
		}
	}
}
