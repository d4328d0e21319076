package ecs

import (
	"net/netip"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/launch"
	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
)

func TestSpotInterruption(t *testing.T) {
	f := newFarm(t, 4096, 16384)
	ctx, now := t.Context(), time.Now()
	run := func(provider string) *ecs.RunTaskOutput {
		in := f.input()
		in.LaunchType, in.CapacityProviderStrategy = "", []types.CapacityProviderStrategyItem{{CapacityProvider: &provider, Weight: 1}}
		return must(f.RunTask(ctx, in))(t)
	}
	first, second, other := run("FARGATE_SPOT").Tasks[0], run("FARGATE_SPOT").Tasks[0], run("FARGATE").Tasks[0]
	l := &launch.Launcher{PublicPool: netip.MustParsePrefix("127.9.0.0/24"), Now: func() time.Time { return now }}

	if _, err := l.Interrupt(ctx, f.st, launch.Interruption{Task: *other.TaskArn}); err == nil {
		t.Error("a task of FARGATE was interrupted")
	}
	if _, err := l.Interrupt(ctx, f.st, launch.Interruption{Task: *other.TaskArn + "0"}); err == nil {
		t.Error("no task was interrupted")
	}
	for _, c := range []struct {
		in   launch.Interruption
		want string
	}{
		{launch.Interruption{Task: *first.TaskArn}, *first.TaskArn},
		{launch.Interruption{Cluster: "default", ClosedFor: time.Minute}, *second.TaskArn}, // the first is being stopped already
	} {
		got, err := l.Interrupt(ctx, f.st, c.in)
		if err != nil || len(got) != 1 || got[0] != c.want {
			t.Errorf("%+v: %v, %v", c.in, got, err)
		}
	}
	for _, task := range must(f.DescribeTasks(ctx, &ecs.DescribeTasksInput{Tasks: []string{*first.TaskArn, *second.TaskArn}}))(t).Tasks {
		if task.StopCode != "SpotInterruption" || *task.StoppedReason != "Your Spot Task was interrupted." || *task.DesiredStatus != "STOPPED" {
			t.Errorf("%+v", task)
		}
	}
	if task := must(f.DescribeTasks(ctx, &ecs.DescribeTasksInput{Tasks: []string{*other.TaskArn}}))(t).Tasks[0]; *task.DesiredStatus != "RUNNING" {
		t.Errorf("%+v", task)
	}

	// Nobody gets Spot capacity now, unless FARGATE's will do.
	out := run("FARGATE_SPOT")
	if len(out.Failures) != 1 || *out.Failures[0].Reason != "Capacity is unavailable at this time. Please try again later or in a different availability zone." {
		t.Errorf("%+v", out)
	}
	order := func() *launch.Order {
		v := f.st.View()
		c, _ := store.Clusters.Get(v, scope.Key("default"))
		d, _ := store.TaskDefinitions.Get(v, scope.Key(state.RevisionID(*fargateInput().Family, 1)))
		n, err := launch.Resolve(v, scope, f.input().NetworkConfiguration)
		if err != nil {
			t.Fatal(err)
		}
		return &launch.Order{Scope: scope, Cluster: c, Definition: d, Launch: types.LaunchTypeFargate, CPU: 256, Memory: 512, Network: n}
	}()
	place := func() (provider string, placed bool) {
		err := f.st.Update(ctx, func(tx *store.Tx) error {
			task, no := l.Place(tx, order, 0, "FARGATE_SPOT")
			if placed = no == nil; placed {
				provider = task.CapacityProvider
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return provider, placed
	}
	if _, placed := place(); placed {
		t.Error("a task was placed on capacity that is closed")
	}
	l.SpotFallback = true
	if provider, placed := place(); !placed || provider != "FARGATE" {
		t.Errorf("with the fallback: %v on %s", placed, provider)
	}
	now = now.Add(2 * time.Minute)
	if provider, placed := place(); !placed || provider != "FARGATE_SPOT" {
		t.Errorf("when it is open again: %v on %s", placed, provider)
	}
	if aws.ToString(other.CapacityProviderName) != "FARGATE" {
		t.Errorf("%+v", other)
	}
}
