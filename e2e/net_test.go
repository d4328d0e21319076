package e2e

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

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
