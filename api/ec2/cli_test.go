package ec2

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/berth/berth/wire"
	"github.com/berth/berth/wire/wiretest"
)

// onWire is the service as wire serves it.
func onWire(t *testing.T, f *fixture) *wire.Service {
	t.Helper()
	s, err := wire.NewService(wire.EC2, f.Service)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestCorpus has the service read AWS's own requests, every member filled.
func TestCorpus(t *testing.T) {
	wiretest.Corpus(t, onWire(t, newFixture(t)), "ec2")
}

// cli runs AWS's CLI and returns what it prints, in JSON, or its error's text.
type cli struct {
	t   *testing.T
	url string
}

func (c cli) run(args string) (map[string]any, string) {
	c.t.Helper()
	path, err := exec.LookPath("aws")
	if err != nil {
		c.t.Fatal("the AWS CLI (aws) is not on PATH: install the package awscli, this test speaks to it: ", err)
	}
	cmd := exec.CommandContext(c.t.Context(), path, append([]string{"--endpoint-url", c.url, "--region", testScope.Region, "--output", "json", "ec2"}, strings.Fields(args)...)...)
	cmd.Env = []string{"HOME=" + c.t.TempDir(), "AWS_ACCESS_KEY_ID=" + wiretest.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + wiretest.SecretKey, "AWS_PAGER=", "PATH=" + os.Getenv("PATH")}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, strings.TrimSpace(stderr.String())
	}
	var out map[string]any
	if stdout.Len() > 0 {
		if err := json.Unmarshal(stdout.Bytes(), &out); err != nil {
			c.t.Fatalf("aws ec2 %s prints %q: %v", args, stdout.Bytes(), err)
		}
	}
	return out, ""
}

// at is the value at a path through maps and first items.
func at(x any, path string) any {
	for _, name := range strings.Fields(path) {
		if l, ok := x.([]any); ok {
			if len(l) == 0 {
				return nil
			}
			x = l[0]
		}
		m, ok := x.(map[string]any)
		if !ok {
			return nil
		}
		x = m[name]
	}
	return x
}

func TestCLI(t *testing.T) {
	f := newFixture(t)
	url, _ := wiretest.Serve(t, onWire(t, f))
	c := cli{t, url}
	must := func(args string) map[string]any {
		t.Helper()
		out, failure := c.run(args)
		if failure != "" {
			t.Fatalf("aws ec2 %s: %s", args, failure)
		}
		return out
	}
	want := func(args string, x any, path string, value any) {
		t.Helper()
		if got := at(x, path); got != value {
			t.Errorf("aws ec2 %s: %s is %v, want %v", args, path, got, value)
		}
	}
	refused := func(args, message string) {
		t.Helper()
		if _, failure := c.run(args); !strings.Contains(failure, message) {
			t.Errorf("aws ec2 %s says %q, want %q", args, failure, message)
		}
	}

	vpc := f.vpc.ID
	args := "create-security-group --group-name web --description web --tag-specifications ResourceType=security-group,Tags=[{Key=k,Value=v}]"
	web, _ := at(must(args), "GroupId").(string)
	if !strings.HasPrefix(web, "sg-0") {
		t.Fatalf("no group was made: %q", web)
	}
	refused("create-security-group --group-name web --description web",
		"(InvalidGroup.Duplicate) when calling the CreateSecurityGroup operation: The security group 'web' already exists for VPC '"+vpc+"'")

	args = "authorize-security-group-ingress --group-id " + web + " --protocol tcp --port 80-81 --cidr 10.1.2.3/8"
	rule := must(args)
	want(args, rule, "Return", true)
	want(args, rule, "SecurityGroupRules CidrIpv4", "10.0.0.0/8")
	want(args, rule, "SecurityGroupRules ToPort", 81.0)
	refused(args, `the specified rule "peer: 10.0.0.0/8, TCP, from port: 80, to port: 81, ALLOW" already exists`)
	must("authorize-security-group-ingress --group-id " + web + " --source-group " + web + " --protocol all")
	must("authorize-security-group-egress --group-id " + web + ` --ip-permissions IpProtocol=icmp,FromPort=-1,ToPort=-1,IpRanges=[{CidrIp=10.0.0.0/8,Description=ping}]`)

	args = "describe-security-groups --filters Name=group-name,Values=we*"
	shown := must(args)
	want(args, shown, "SecurityGroups GroupId", web)
	want(args, shown, "SecurityGroups Tags Value", "v")
	want(args, shown, "SecurityGroups IpPermissions IpProtocol", "tcp")
	want(args, shown, "SecurityGroups IpPermissions IpRanges CidrIp", "10.0.0.0/8")
	group := at(shown, "SecurityGroups").([]any)[0]
	ingress, egress := at(group, "IpPermissions").([]any), at(group, "IpPermissionsEgress").([]any)
	if len(ingress) != 2 || len(egress) != 2 {
		t.Fatalf("%v", group)
	}
	want(args, ingress[1], "UserIdGroupPairs GroupId", web)
	want(args, ingress[1], "FromPort", nil)
	want(args, egress[1], "IpRanges Description", "ping")
	for _, list := range []string{"Ipv6Ranges", "PrefixListIds", "UserIdGroupPairs"} {
		if l, ok := at(ingress[0], list).([]any); !ok || len(l) != 0 {
			t.Errorf("an empty %s is %v, want []", list, at(ingress[0], list))
		}
	}

	id, _ := at(rule, "SecurityGroupRules SecurityGroupRuleId").(string)
	must("modify-security-group-rules --group-id " + web + " --security-group-rules SecurityGroupRuleId=" + id + ",SecurityGroupRule={IpProtocol=udp,FromPort=53,ToPort=53,CidrIpv4=0.0.0.0/0}")
	args = "describe-security-group-rules --security-group-rule-ids " + id
	want(args, must(args), "SecurityGroupRules IpProtocol", "udp")
	must("update-security-group-rule-descriptions-ingress --group-id " + web + " --security-group-rule-descriptions SecurityGroupRuleId=" + id + ",Description=dns")
	want(args, must(args), "SecurityGroupRules Description", "dns")
	args = "revoke-security-group-ingress --group-id " + web + " --security-group-rule-ids " + id
	want(args, must(args), "RevokedSecurityGroupRules SecurityGroupRuleId", id)
	args = "revoke-security-group-ingress --group-id " + web + " --protocol tcp --port 1 --cidr 0.0.0.0/0"
	want(args, must(args), "UnknownIpPermissions IpRanges CidrIp", "0.0.0.0/0")

	args = "revoke-security-group-egress --group-id " + web + " --protocol -1 --cidr 0.0.0.0/0"
	want(args, must(args), "RevokedSecurityGroupRules IpProtocol", "-1")

	must("create-tags --resources " + web + " " + vpc + " --tags Key=Name,Value=x")
	args = "describe-tags --filters Name=key,Values=Name Name=resource-type,Values=vpc"
	want(args, must(args), "Tags ResourceId", vpc)
	must("delete-tags --resources " + vpc)
	args = "describe-vpcs --filters Name=is-default,Values=true"
	want(args, must(args), "Vpcs VpcId", vpc)
	want(args, must(args), "Vpcs Tags", nil)
	for args, path := range map[string]string{
		"describe-subnets --max-items 1": "Subnets SubnetArn",
		"describe-internet-gateways":     "InternetGateways Attachments VpcId",
		"describe-route-tables":          "RouteTables Routes GatewayId",
		"describe-network-acls":          "NetworkAcls Entries RuleAction",
		"describe-dhcp-options":          "DhcpOptions DhcpConfigurations Values Value",
		"describe-vpc-attribute --attribute enableDnsSupport --vpc-id " + vpc: "EnableDnsSupport Value",
		"describe-availability-zones":                                         "AvailabilityZones ZoneId",
		"describe-regions":                                                    "Regions Endpoint",
		"describe-account-attributes":                                         "AccountAttributes AttributeValues AttributeValue",
		"get-security-groups-for-vpc --vpc-id " + vpc:                         "SecurityGroupForVpcs PrimaryVpcId",
		"delete-security-group --group-name web":                              "GroupId",
	} {
		if out := must(args); at(out, path) == nil {
			t.Errorf("aws ec2 %s lacks %s: %v", args, path, out)
		}
	}
	for _, args := range []string{"describe-network-interfaces", "describe-nat-gateways --filter Name=vpc-id,Values=x", "describe-managed-prefix-lists"} {
		for name, list := range must(args) {
			if l, ok := list.([]any); !ok || len(l) != 0 {
				t.Errorf("aws ec2 %s: %s is %v, want []", args, name, list)
			}
		}
	}
	e := f.eni("203.0.113.7", f.group.ID)
	args = "describe-network-interfaces --network-interface-ids " + e.ID
	row := must(args)
	for path, value := range map[string]any{
		"Association PublicIp": "203.0.113.7", "Attachment AttachmentId": e.AttachmentID,
		"Groups GroupName": "default", "InterfaceType": "interface", "PrivateIpAddress": "172.31.5.6", "PrivateIpAddresses Primary": true,
		"RequesterManaged": true, "Status": "in-use", "TagSet Key": "aws:ecs:clusterName", "SubnetId": e.Subnet, "MacAddress": e.MAC, "Description": e.Description,
	} {
		want(args, row, "NetworkInterfaces "+path, value)
	}
	// Versions of the CLI write the zone in their own ways.
	if when, _ := at(row, "NetworkInterfaces Attachment AttachTime").(string); !strings.HasPrefix(when, "2023-11-14T22:13:20") {
		t.Errorf("aws ec2 %s: the attach time is %s", args, when)
	}
	refused("delete-security-group --group-id "+web, "(InvalidGroup.NotFound) when calling the DeleteSecurityGroup operation: The security group '"+web+"' does not exist")
	refused("describe-vpcs --dry-run", "(DryRunOperation)")
	refused("create-vpc --cidr-block 10.0.0.0/16", "CreateVpc")
}
