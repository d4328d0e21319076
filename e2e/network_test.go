package e2e

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// What EC2 says of a task's interface is what the task has.
func TestNetworkInterface(t *testing.T) {
	t.Parallel()
	h := sharedHost(t)
	group := h.group(t, "--protocol tcp --port 8080 --cidr 0.0.0.0/0")
	task := h.run(t, h.register(t, []types.ContainerDefinition{container("web", "serve=8080")}), withGroups(group), withPublicIP)
	task = h.await(t, *task.TaskArn, "RUNNING")
	var out struct {
		NetworkInterfaces []struct {
			NetworkInterfaceId, PrivateIpAddress, MacAddress, SubnetId, VpcId, Status, AvailabilityZone string
			Groups                                                                                      []struct{ GroupId string }
			Association                                                                                 struct{ PublicIp string }
			Attachment                                                                                  struct{ Status string }
		}
	}
	eni := detail(t, task, "networkInterfaceId")
	if err := json.Unmarshal([]byte(h.aws(t, "ec2", "describe-network-interfaces", "--network-interface-ids", eni)), &out); err != nil {
		t.Fatal(err)
	}
	n := out.NetworkInterfaces[0]
	address := detail(t, task, "privateIPv4Address")
	if n.PrivateIpAddress != address || n.MacAddress != detail(t, task, "macAddress") || n.SubnetId != detail(t, task, "subnetId") || n.Status != "in-use" || n.Attachment.Status != "attached" || n.AvailabilityZone != *task.AvailabilityZone || len(n.Groups) != 1 || n.Groups[0].GroupId != group {
		t.Errorf("the interface shows %+v, the task %+v", n, task.Attachments[0])
	}
	if a := netip.MustParseAddr(address); !netip.MustParsePrefix("172.31.0.0/16").Contains(a) {
		t.Errorf("the address %v isn't of the default VPC", a)
	}
	for what, host := range map[string]string{"private": address, "public": n.Association.PublicIp} {
		eventually(t, 10*time.Second, func() error {
			body, err := fetch(t.Context(), "http://"+host+":8080/")
			if err == nil && strings.TrimSpace(body) != "ok" {
				err = fmt.Errorf("answered %q", body)
			}
			if err != nil {
				err = fmt.Errorf("%s address %s: %w", what, host, err)
			}
			return err
		})
	}
	h.stop(t, *task.TaskArn)
	if out, err := h.awsTry("ec2", "describe-network-interfaces", "--network-interface-ids", eni); err == nil || !strings.Contains(err.Error(), "InvalidNetworkInterfaceID.NotFound") {
		t.Errorf("after the task the interface shows %s, %v", out, err)
	}
}

// Security groups on real packets: by reference, by range, closed by default,
// and changed while the tasks run.
func TestSecurityGroups(t *testing.T) {
	t.Parallel()
	h := sharedHost(t)
	host := "--protocol tcp --port 8080 --cidr 0.0.0.0/0"
	clients := h.group(t, host)
	servers := h.group(t, "--protocol tcp --port 9090 --source-group "+clients)
	client := h.await(t, *h.run(t, h.register(t, []types.ContainerDefinition{container("c", "serve=8080")}), withGroups(clients)).TaskArn, "RUNNING")
	server := h.await(t, *h.run(t, h.register(t, []types.ContainerDefinition{container("s", "serve=9090")}), withGroups(servers)).TaskArn, "RUNNING")
	c, s := detail(t, client, "privateIPv4Address"), detail(t, server, "privateIPv4Address")
	dial := func() error {
		_, err := fetch(t.Context(), "http://"+c+":8080/dial?to="+s+":9090")
		return err
	}
	refused := func() error {
		if err := dial(); err == nil {
			return fmt.Errorf("the packets still pass")
		} else if !strings.Contains(err.Error(), "502") {
			return err // the client itself didn't answer
		}
		return nil
	}
	eventually(t, 10*time.Second, dial)
	if _, err := fetch(t.Context(), "http://"+s+":9090/"); err == nil {
		t.Error("the host reaches the server, which lets only the client group in")
	}
	h.aws(t, "ec2", "revoke-security-group-ingress", "--group-id", servers, "--protocol", "tcp", "--port", "9090", "--source-group", clients)
	eventually(t, 10*time.Second, refused)
	h.aws(t, "ec2", "authorize-security-group-ingress", "--group-id", servers, "--protocol", "tcp", "--port", "9090", "--cidr", c+"/32")
	eventually(t, 10*time.Second, dial)
	// The sender's gate counts as much as the receiver's.
	h.aws(t, "ec2", "revoke-security-group-egress", "--group-id", clients, "--protocol", "-1", "--cidr", "0.0.0.0/0")
	eventually(t, 10*time.Second, refused)
	h.stop(t, *client.TaskArn)
	h.stop(t, *server.TaskArn)
}

// Two installations side by side, with tasks in the same VPC range, don't see
// each other.
func TestTwoInstances(t *testing.T) {
	t.Parallel()
	a, b := newHost(t), newHost(t)
	for _, h := range []*host{a, b} {
		group := h.group(t, "--protocol tcp --port 8080 --cidr 0.0.0.0/0")
		task := h.await(t, *h.run(t, h.register(t, []types.ContainerDefinition{container("web", "serve=8080")}), withGroups(group), withPublicIP).TaskArn, "RUNNING")
		var public string
		eventually(t, 10*time.Second, func() (err error) {
			public = strings.TrimSpace(h.aws(t, "ec2", "describe-network-interfaces", "--query", "NetworkInterfaces[0].Association.PublicIp", "--output", "text"))
			_, err = fetch(t.Context(), "http://"+public+":8080/")
			return err
		})
		if got := aws.ToString(task.LastStatus); got != "RUNNING" {
			t.Errorf("the task is %s", got)
		}
	}
	if err := a.down(); err != nil {
		t.Error(err)
	}
	if out := b.aws(t, "ecs", "list-tasks", "--query", "length(taskArns)"); strings.TrimSpace(out) != "1" {
		t.Errorf("the second installation lists %s tasks after the first went down", out)
	}
	if err := a.start(); err != nil {
		t.Fatal(err)
	}
}
