package agent

import (
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/state"
)

// routed is a task with a router and two containers that log to it.
func routed(kind types.FirelensConfigurationType, options map[string]string, outputs ...map[string]string) *state.Assignment {
	as := &state.Assignment{Task: state.Task{Scope: state.Scope{Account: "123456789012", Region: "us-east-1"}, Cluster: "c", ID: "0123", Family: "web", Revision: 3}}
	as.Definition.V.ContainerDefinitions = []types.ContainerDefinition{
		{Name: aws.String("router"), Image: aws.String("fluent"), FirelensConfiguration: &types.FirelensConfiguration{Type: kind, Options: options}},
	}
	for i, o := range outputs {
		as.Definition.V.ContainerDefinitions = append(as.Definition.V.ContainerDefinitions, types.ContainerDefinition{
			Name: aws.String(string(rune('a' + i))), Image: aws.String("app"), LogConfiguration: &types.LogConfiguration{LogDriver: types.LogDriverAwsfirelens, Options: o},
		})
	}
	return as
}

func TestFirelens(t *testing.T) {
	as := routed(types.FirelensConfigurationTypeFluentbit, map[string]string{"config-file-type": "file", "config-file-value": "/extra.conf"},
		map[string]string{"Name": "http", "Host": "logs.example\n[OUTPUT]", "Port": "80", "exclude-pattern": "^debug", "log-driver-buffer-limit": "100"}, nil)
	p, err := newPlan(as, "/task")
	if err != nil {
		t.Fatal(err)
	}
	if got := p.router.config(p.task); got != `[INPUT]
    Name forward
    unix_path /var/run/fluent.sock

[INPUT]
    Name forward
    Listen 127.0.0.1
    Port 24224

[FILTER]
    Name record_modifier
    Match *
    Record ecs_cluster c
    Record ecs_task_arn arn:aws:ecs:us-east-1:123456789012:task/c/0123
    Record ecs_task_definition web:3

[FILTER]
    Name grep
    Match a-firelens*
    Exclude log ^debug

@INCLUDE /extra.conf

[OUTPUT]
    Name http
    Match a-firelens*
    Host logs.example [OUTPUT]
    Port 80

` {
		t.Errorf("got:\n%s", got)
	}
	for _, c := range p.containers[1:] {
		if !slices.Equal(c.dependsOn, []dependency{{0, types.ContainerConditionStart}}) {
			t.Errorf("container %s depends on %v", c.name, c.dependsOn)
		}
		if o := c.logs.Other.Options; o["fluentd-address"] != "unix:///task/firelens/sockets/fluent.sock" || o["tag"] != c.name+"-firelens-0123" {
			t.Errorf("container %s logs to %v", c.name, o)
		}
	}
	if m := p.routerMounts("/task"); m[0].Target != "/var/run" || m[1].Source != "/task/firelens/config" || m[1].Target != "/fluent-bit/etc/fluent-bit.conf" || !m[1].ReadOnly {
		t.Errorf("the router's mounts are %+v", m)
	}
	if !p.containers[0].routes || p.containers[1].routes {
		t.Error("the wrong container is the router")
	}
}

func TestFirelensFluentd(t *testing.T) {
	as := routed(types.FirelensConfigurationTypeFluentd, map[string]string{"enable-ecs-log-metadata": "false"},
		map[string]string{"@type": "file", "path": "/out", "include-pattern": "x"})
	p, err := newPlan(as, "/task")
	if err != nil {
		t.Fatal(err)
	}
	if got := p.router.config(p.task); got != `<source>
    @type unix
    path /var/run/fluent.sock
</source>

<source>
    @type forward
    bind 127.0.0.1
    port 24224
</source>

<filter a-firelens**>
    @type grep
    <regexp>
        key log
        pattern x
    </regexp>
</filter>

<match a-firelens**>
    @type file
    path /out
</match>

` {
		t.Errorf("got:\n%s", got)
	}
}

func TestNoRouter(t *testing.T) {
	as := routed(types.FirelensConfigurationTypeFluentbit, nil, map[string]string{"Name": "http"})
	as.Definition.V.ContainerDefinitions = as.Definition.V.ContainerDefinitions[1:]
	if _, err := newPlan(as, "/task"); err == nil {
		t.Error("a task without a router is planned")
	}
}
