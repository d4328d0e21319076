package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// Tasks read of themselves at the metadata endpoint, of nobody else, and again
// after Berth was killed; their own port 80 is free, and no group has a say.
func TestMetadata(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	group := h.group(t, "--protocol tcp --port 80 --cidr 0.0.0.0/0")
	h.aws(t, "ec2", "revoke-security-group-egress", "--group-id", group, "--protocol", "-1", "--cidr", "0.0.0.0/0")
	definition := h.register(t, []types.ContainerDefinition{container("web", "serve=80"), container("side", "wait")})
	one := h.await(t, *h.run(t, definition, withGroups(group)).TaskArn, "RUNNING")
	two := h.await(t, *h.run(t, definition, withGroups(group)).TaskArn, "RUNNING")
	get := func(task types.Task, rest string) (string, error) {
		var text string
		var err error
		eventually(t, 10*time.Second, func() error {
			text, err = fetch(t.Context(), "http://"+detail(t, task, "privateIPv4Address")+":80"+rest)
			if err != nil && !strings.Contains(err.Error(), "40") { // the program may not listen yet
				return err
			}
			return nil
		})
		return text, err
	}
	endpoint := func(task types.Task) string {
		env, err := get(task, "/env")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(env) {
			if v, ok := strings.CutPrefix(strings.TrimSpace(line), "ECS_CONTAINER_METADATA_URI_V4="); ok {
				return v
			}
		}
		t.Fatalf("no metadata URI among\n%s", env)
		return ""
	}
	check := func() {
		t.Helper()
		for _, task := range []types.Task{one, two} {
			var doc struct {
				TaskARN, KnownStatus, LaunchType, AvailabilityZone string
				Containers                                         []struct {
					DockerId, Name, KnownStatus, ContainerARN string
					Networks                                  []struct {
						IPv4Addresses []string
						MACAddress    string
					}
				}
			}
			text, err := get(task, "/metadata?path=/task")
			if err == nil {
				err = json.Unmarshal([]byte(text), &doc)
			}
			if err != nil {
				t.Fatal(err)
			}
			if doc.TaskARN != *task.TaskArn || doc.LaunchType != "FARGATE" || doc.AvailabilityZone != *task.AvailabilityZone || len(doc.Containers) != 2 {
				t.Errorf("the task reads of itself %s", text)
			}
			for _, c := range doc.Containers {
				named := named(t, task, c.Name)
				if c.DockerId != *named.RuntimeId || c.ContainerARN != *named.ContainerArn || c.KnownStatus != "RUNNING" ||
					c.Networks[0].MACAddress != detail(t, task, "macAddress") || c.Networks[0].IPv4Addresses[0] != detail(t, task, "privateIPv4Address") {
					t.Errorf("of container %s it reads %+v, ECS says %+v", c.Name, c, named)
				}
			}
			for _, rest := range []string{"", "/stats", "/task/stats", "/taskWithTags"} {
				if text, err := get(task, "/metadata?path="+rest); err != nil || !strings.HasPrefix(text, "{") {
					t.Errorf("%q: %s %v", rest, text, err)
				}
			}
		}
	}
	check()
	foreign := endpoint(two)
	if text, err := get(one, "/metadata?url="+url.QueryEscape(foreign+"/task")); err == nil || !strings.Contains(fmt.Sprint(err), "404") {
		t.Errorf("one task reads of another: %s %v", text, err)
	}
	h.kill()
	if err := h.start(); err != nil {
		t.Fatal(err)
	}
	check()
	if got := endpoint(two); got != foreign {
		t.Errorf("the endpoint was %s and is %s", foreign, got)
	}
}

// Two installations run tasks of every network mode side by side: by mapped
// ports, in the host's network, and with nothing.
func TestNetworkModes(t *testing.T) {
	t.Parallel()
	for _, h := range []*host{newHost(t), newHost(t)} {
		if out, err := exec.Command(built.berth, "node", "--data-dir", h.dir).CombinedOutput(); err != nil {
			t.Fatalf("berth node: %v: %s", err, out)
		}
		small := func(name string, command ...string) types.ContainerDefinition {
			c := container(name, command...)
			c.Memory = aws.Int32(32)
			return c
		}
		onEC2 := func(in *ecs.RunTaskInput) { in.LaunchType, in.NetworkConfiguration = types.LaunchTypeEc2, nil }
		static := freePort(t)

		web, db := small("web", "serve=80"), small("db", "serve=5432")
		web.Links = []string{"db:database"}
		web.PortMappings = []types.PortMapping{
			{ContainerPort: aws.Int32(80), HostPort: aws.Int32(static)}, {ContainerPort: aws.Int32(80)},
		}
		bridged := h.await(t, *h.run(t, h.register(t, []types.ContainerDefinition{web, db}, onInstances(types.NetworkModeBridge)), onEC2).TaskArn, "RUNNING")
		bound := named(t, bridged, "web").NetworkBindings
		if len(bound) != 2 || *bound[0].HostPort != static || *bound[1].HostPort < 32768 {
			t.Fatalf("the task's ports are %+v", bound)
		}
		at := func(port int32) string { return fmt.Sprintf("http://127.0.0.1:%d", port) }
		for _, b := range bound {
			h.answers(t, at(*b.HostPort)+"/")
		}
		eventually(t, 20*time.Second, func() error {
			_, err := fetch(t.Context(), at(static)+"/dial?to=database:5432")
			return err
		})

		port := freePort(t)
		hosted := h.await(t, *h.run(t, h.register(t, []types.ContainerDefinition{small("web", fmt.Sprint("serve=", port))}, onInstances(types.NetworkModeHost)), onEC2).TaskArn, "RUNNING")
		h.answers(t, at(port)+"/")
		alone := h.await(t, *h.run(t, h.register(t, []types.ContainerDefinition{small("web", "wait")}, onInstances(types.NetworkModeNone)), onEC2).TaskArn, "RUNNING")

		describe := func() {
			t.Helper()
			for port, task := range map[int32]types.Task{static: bridged, port: hosted} {
				text, err := fetch(t.Context(), at(port)+"/metadata?path=/task")
				if err != nil || !strings.Contains(text, `"TaskARN":"`+*task.TaskArn+`"`) || !strings.Contains(text, `"LaunchType":"EC2"`) {
					t.Errorf("a task reads of itself %s, %v; it is %s", text, err, *task.TaskArn)
				}
			}
		}
		describe()
		h.kill()
		h.answers(t, at(static)+"/")
		if err := h.start(); err != nil {
			t.Fatal(err)
		}
		describe()
		h.stop(t, *bridged.TaskArn)
		if text, err := fetch(t.Context(), at(static)+"/"); err == nil {
			t.Errorf("the port of a stopped task answers %s", text)
		}
		for _, task := range []types.Task{hosted, alone} {
			h.stop(t, *task.TaskArn)
		}
		// The second installation begins beside the first, with the same ports free.
		h.await(t, *h.run(t, h.register(t, []types.ContainerDefinition{web, db}, onInstances(types.NetworkModeBridge)), onEC2).TaskArn, "RUNNING")
		h.answers(t, at(static)+"/")
	}
}

// freePort is a port of the host that nobody listens on.
func freePort(t *testing.T) int32 {
	t.Helper()
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return int32(l.Addr().(*net.TCPAddr).Port)
}
