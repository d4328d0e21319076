package ecs

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
	"github.com/berth/berth/store/memory"
	"github.com/berth/berth/wire"
	"github.com/berth/berth/wire/wiretest"
)

// door is where sessions are opened.
type door struct {
	away   bool // the node can't be reached
	broken error
	opened state.ExecSession
}

func (d *door) Reachable(string) bool { return !d.away }

func (d *door) Open(_ context.Context, s state.ExecSession) (string, error) {
	d.opened = s
	return "token", d.broken
}

func (d *door) URL(endpoint, session string) string { return endpoint + "/" + session }

func TestExecuteCommand(t *testing.T) {
	ctx := t.Context()
	st, err := store.Open(ctx, memory.New())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	door := &door{}
	svc, err := wire.NewService(wire.ECS, New(Config{Store: st, Now: time.Now, Log: slog.New(slog.DiscardHandler), Sessions: door}))
	if err != nil {
		t.Fatal(err)
	}
	server, cfg := wiretest.Serve(t, svc)
	client := ecs.NewFromConfig(cfg)

	awslogs := &types.LogConfiguration{LogDriver: types.LogDriverAwslogs, Options: map[string]string{"awslogs-group": "app", "awslogs-region": "eu-west-1"}}
	task := &state.Task{
		Scope: scope, Cluster: "default", ID: strings.Repeat("1", 32), Family: "web", Revision: 1, Node: "n", ExecuteCommand: true,
		Desired: state.Running, Last: state.Running,
		Containers: []state.Container{
			{Name: "app", ID: "u1", RuntimeID: "r1", Last: state.Running, ExecAgent: state.ExecAgentRunning},
			{Name: "side", ID: "u2", RuntimeID: "r2", Last: state.Running, ExecAgent: state.ExecAgentPending},
		},
	}
	def := &state.TaskDefinition{Scope: scope, Family: "web", Revision: 1}
	def.Spec.V.ContainerDefinitions = []types.ContainerDefinition{{Name: aws.String("app"), LogConfiguration: awslogs}, {Name: aws.String("side")}}
	single := task.Clone()
	single.ID, single.Containers = strings.Repeat("2", 32), single.Containers[:1]
	stopping := single.Clone()
	stopping.ID, stopping.Desired = strings.Repeat("3", 32), state.Stopped
	err = st.Update(ctx, func(tx *store.Tx) error {
		store.TaskDefinitions.Put(tx, def)
		for _, t := range []*state.Task{task, single, stopping} {
			store.Tasks.Put(tx, t)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	must(client.CreateCluster(ctx, &ecs.CreateClusterInput{}))(t)

	ask := func(change func(*ecs.ExecuteCommandInput)) (*ecs.ExecuteCommandOutput, error) {
		in := &ecs.ExecuteCommandInput{Task: &task.ID, Container: aws.String("app"), Command: aws.String("/bin/sh -i"), Interactive: true}
		change(in)
		return client.ExecuteCommand(ctx, in)
	}
	const bad = "InvalidParameterException"
	notEnabled := "was not enabled when the task was run or the execute command agent isn’t running"
	for name, test := range map[string]struct {
		change     func(*ecs.ExecuteCommandInput)
		code, text string
	}{
		"not interactive":   {func(in *ecs.ExecuteCommandInput) { in.Interactive = false }, bad, "Interactive is the only mode"},
		"no command":        {func(in *ecs.ExecuteCommandInput) { in.Command = aws.String(" ") }, bad, "Command can not be blank"},
		"no cluster":        {func(in *ecs.ExecuteCommandInput) { in.Cluster = aws.String("other") }, "ClusterNotFoundException", ""},
		"no task":           {func(in *ecs.ExecuteCommandInput) { in.Task = aws.String(strings.Repeat("4", 32)) }, bad, "task provided in the request was not found"},
		"which container":   {func(in *ecs.ExecuteCommandInput) { in.Container = nil }, bad, "container must be specified"},
		"no container":      {func(in *ecs.ExecuteCommandInput) { in.Container = aws.String("x") }, bad, "The container x was not found"},
		"agent not running": {func(in *ecs.ExecuteCommandInput) { in.Container = aws.String("side") }, bad, notEnabled},
		"task is stopping":  {func(in *ecs.ExecuteCommandInput) { in.Task = &stopping.ID }, bad, notEnabled},
	} {
		_, err := ask(test.change)
		var e interface{ ErrorCode() string }
		if !errors.As(err, &e) || e.ErrorCode() != test.code || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: %v", name, err)
		}
	}
	same := func(*ecs.ExecuteCommandInput) {}
	for _, d := range []struct {
		away   bool
		broken error
	}{{true, nil}, {false, errors.New("no log group")}} {
		door.away, door.broken = d.away, d.broken
		_, err := ask(same)
		refused(t, err, "TargetNotConnectedException", "The execute command failed due to an internal error. Try again later.")
	}
	door.away, door.broken = false, nil

	out := must(ask(same))(t)
	if *out.TaskArn != task.ARN() || *out.ContainerName != "app" || *out.ContainerArn != task.ContainerARN(&task.Containers[0]) || !out.Interactive ||
		*out.Session.TokenValue != "token" || *out.Session.StreamUrl != server+"/"+*out.Session.SessionId {
		t.Errorf("%+v %+v", out, out.Session)
	}
	got := door.opened
	if got.RuntimeID != "r1" || got.Node != "n" || got.Command != "/bin/sh -i" || got.By == "" || got.From != "127.0.0.1" ||
		got.Log == nil || got.Log.Group != "app" || got.Log.Region != "eu-west-1" || got.Log.Stream != got.ID {
		t.Errorf("%+v %+v", got, got.Log)
	}
	must(ask(func(in *ecs.ExecuteCommandInput) { in.Task, in.Container = aws.String(single.ARN()), nil }))(t)
	if door.opened.Container != "app" || door.opened.TaskID != single.ID {
		t.Errorf("%+v", door.opened)
	}

	log := func(e types.ExecuteCommandConfiguration) *state.LogTarget {
		must(client.UpdateCluster(ctx, &ecs.UpdateClusterInput{Cluster: aws.String("default"), Configuration: &types.ClusterConfiguration{ExecuteCommandConfiguration: &e}}))(t)
		must(ask(same))(t)
		return door.opened.Log
	}
	if l := log(types.ExecuteCommandConfiguration{Logging: types.ExecuteCommandLoggingNone}); l != nil {
		t.Errorf("NONE: %+v", l)
	}
	if l := log(types.ExecuteCommandConfiguration{Logging: types.ExecuteCommandLoggingDefault}); l == nil || l.Group != "app" {
		t.Errorf("DEFAULT: %+v", l)
	}
	l := log(types.ExecuteCommandConfiguration{Logging: types.ExecuteCommandLoggingOverride, LogConfiguration: &types.ExecuteCommandLogConfiguration{CloudWatchLogGroupName: aws.String("audit")}})
	if l == nil || l.Group != "audit" || l.Scope != scope || l.Stream != door.opened.ID {
		t.Errorf("OVERRIDE: %+v", l)
	}
}
