package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// An interruption that is asked for ends a Spot task as AWS does: by SIGTERM at
// once, and by SIGKILL when its stop timeout is over. Others run on.
func TestSpotInterruption(t *testing.T) {
	h := sharedHost(t)
	ctx := t.Context()
	cluster := "spot"
	if _, err := h.ecs.CreateCluster(ctx, &ecs.CreateClusterInput{ClusterName: &cluster, CapacityProviders: []string{"FARGATE", "FARGATE_SPOT"}}); err != nil {
		t.Fatal(err)
	}
	stubborn := container("main", "ignore")
	stubborn.StopTimeout = aws.Int32(3)
	definition := h.register(t, []types.ContainerDefinition{stubborn})
	start := func(provider string) string {
		task := h.run(t, definition, func(in *ecs.RunTaskInput) {
			in.Cluster, in.LaunchType = &cluster, ""
			in.CapacityProviderStrategy = []types.CapacityProviderStrategyItem{{CapacityProvider: &provider, Weight: 1}}
		})
		return *task.TaskArn
	}
	spot, other := start("FARGATE_SPOT"), start("FARGATE")
	describe := func(arn string) (types.Task, error) {
		out, err := h.ecs.DescribeTasks(ctx, &ecs.DescribeTasksInput{Cluster: &cluster, Tasks: []string{arn}})
		if err != nil {
			return types.Task{}, err
		}
		return out.Tasks[0], nil
	}
	status := func(arn, want string) func() error {
		return func() error {
			task, err := describe(arn)
			if err == nil && *task.LastStatus != want {
				err = fmt.Errorf("task %s is %s, want %s", arn, *task.LastStatus, want)
			}
			return err
		}
	}
	eventually(t, 60*time.Second, status(spot, "RUNNING"))
	eventually(t, 60*time.Second, status(other, "RUNNING"))
	out, err := h.command("spot", "interrupt", "--cluster", cluster).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != spot {
		t.Fatalf("%s: %v", out, err)
	}
	warned := time.Now()
	task, err := describe(spot)
	if err != nil || *task.DesiredStatus != "STOPPED" || task.StopCode != types.TaskStopCodeSpotInterruption {
		t.Fatalf("%+v, %v", task, err)
	}
	eventually(t, 60*time.Second, status(spot, "STOPPED"))
	if task, err = describe(spot); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(warned); took < 2*time.Second || aws.ToInt32(task.Containers[0].ExitCode) != 137 || *task.StoppedReason != "Your Spot Task was interrupted." {
		t.Errorf("after %v: %+v", took, task)
	}
	if err := status(other, "RUNNING")(); err != nil {
		t.Error(err)
	}
	if _, err := h.ecs.StopTask(ctx, &ecs.StopTaskInput{Cluster: &cluster, Task: &other}); err != nil {
		t.Fatal(err)
	}
}
