package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// container is a container of the probe image that logs to the test's group.
func container(name string, command ...string) types.ContainerDefinition {
	return types.ContainerDefinition{
		Name: aws.String(name), Image: aws.String("probe"), Command: command, Essential: aws.Bool(true),
		LogConfiguration: &types.LogConfiguration{LogDriver: types.LogDriverAwslogs, Options: map[string]string{
			"awslogs-group": "e2e", "awslogs-create-group": "true", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "t",
		}},
	}
}

// family makes a definition's family of the test's name.
func family(t *testing.T) string {
	return strings.Map(func(r rune) rune {
		if r == '/' || r == '#' || r == ' ' || r == ',' || r == '.' || r == ':' || r == '=' {
			return '-'
		}
		return r
	}, t.Name())
}

// register registers a Fargate definition of 256 CPU units and 512 MiB.
func (h *host) register(t *testing.T, containers []types.ContainerDefinition, edit ...func(*ecs.RegisterTaskDefinitionInput)) string {
	t.Helper()
	in := &ecs.RegisterTaskDefinitionInput{
		Family: aws.String(family(t)), NetworkMode: types.NetworkModeAwsvpc, RequiresCompatibilities: []types.Compatibility{types.CompatibilityFargate},
		Cpu: aws.String("256"), Memory: aws.String("512"), ContainerDefinitions: containers,
	}
	for _, e := range edit {
		e(in)
	}
	out, err := h.ecs.RegisterTaskDefinition(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return *out.TaskDefinition.TaskDefinitionArn
}

// run runs one task in the default VPC.
func (h *host) run(t *testing.T, definition string, edit ...func(*ecs.RunTaskInput)) types.Task {
	t.Helper()
	out, err := h.tryRun(t.Context(), definition, append([]func(*ecs.RunTaskInput){func(in *ecs.RunTaskInput) {
		in.NetworkConfiguration.AwsvpcConfiguration.Subnets = []string{h.subnets(t)[0]}
	}}, edit...)...)
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Failures) > 0 {
		t.Fatalf("not placed: %s: %s", *out.Failures[0].Reason, *out.Failures[0].Detail)
	}
	return out.Tasks[0]
}

func (h *host) tryRun(ctx context.Context, definition string, edit ...func(*ecs.RunTaskInput)) (*ecs.RunTaskOutput, error) {
	in := &ecs.RunTaskInput{
		TaskDefinition: &definition, LaunchType: types.LaunchTypeFargate,
		NetworkConfiguration: &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{}},
	}
	for _, e := range edit {
		e(in)
	}
	return h.ecs.RunTask(ctx, in)
}

// described returns the task as it is now.
func (h *host) described(ctx context.Context, arn string) (types.Task, error) {
	out, err := h.ecs.DescribeTasks(ctx, &ecs.DescribeTasksInput{Tasks: []string{arn}})
	if err != nil {
		return types.Task{}, err
	}
	if len(out.Tasks) != 1 {
		return types.Task{}, fmt.Errorf("describe %s: %v", arn, out.Failures)
	}
	return out.Tasks[0], nil
}

// await waits until the task is in the state, or fails the test.
func (h *host) await(t *testing.T, arn, state string) types.Task {
	t.Helper()
	var task types.Task
	eventually(t, time.Minute, func() error {
		var err error
		if task, err = h.described(t.Context(), arn); err != nil {
			return err
		}
		if s := *task.LastStatus; s == state {
			return nil
		} else if s == "STOPPED" {
			t.Fatalf("the task is STOPPED, not %s: %s: %s\n%s", state, task.StopCode, aws.ToString(task.StoppedReason), reasons(task))
		}
		return fmt.Errorf("the task is %s, not %s", *task.LastStatus, state)
	})
	return task
}

func reasons(task types.Task) string {
	var b strings.Builder
	for _, c := range task.Containers {
		fmt.Fprintf(&b, "%s: %s, exit code %v, %s\n", *c.Name, *c.LastStatus, aws.ToInt32(c.ExitCode), aws.ToString(c.Reason))
	}
	return b.String()
}

// stop stops the task and waits for its end.
func (h *host) stop(t *testing.T, arn string) types.Task {
	t.Helper()
	if _, err := h.ecs.StopTask(t.Context(), &ecs.StopTaskInput{Task: &arn}); err != nil {
		t.Fatal(err)
	}
	return h.await(t, arn, "STOPPED")
}

func named(t *testing.T, task types.Task, name string) types.Container {
	t.Helper()
	for _, c := range task.Containers {
		if *c.Name == name {
			return c
		}
	}
	t.Fatalf("the task has no container %s", name)
	return types.Container{}
}

// lines returns what a container has logged so far.
func (h *host) lines(ctx context.Context, taskARN, container string) ([]string, error) {
	stream := "t/" + container + "/" + taskARN[strings.LastIndex(taskARN, "/")+1:]
	var lines []string
	var token *string
	for {
		out, err := h.logs.GetLogEvents(ctx, &cloudwatchlogs.GetLogEventsInput{LogGroupName: aws.String("e2e"), LogStreamName: &stream, StartFromHead: aws.Bool(true), NextToken: token})
		if err != nil {
			return nil, err
		}
		for _, e := range out.Events {
			lines = append(lines, *e.Message)
		}
		if token != nil && *out.NextForwardToken == *token {
			return lines, nil
		}
		token = out.NextForwardToken
	}
}

// awaitLine waits until a container has logged the line.
func (h *host) awaitLine(t *testing.T, taskARN, container, want string) []string {
	t.Helper()
	var lines []string
	eventually(t, 20*time.Second, func() error {
		var err error
		if lines, err = h.lines(t.Context(), taskARN, container); err != nil {
			return err
		}
		for _, l := range lines {
			if strings.Contains(l, want) {
				return nil
			}
		}
		return fmt.Errorf("%s has logged %q, not %q", container, lines, want)
	})
	return lines
}

// detail is a value of the task's network attachment.
func detail(t *testing.T, task types.Task, name string) string {
	t.Helper()
	for _, d := range task.Attachments[0].Details {
		if *d.Name == name {
			return *d.Value
		}
	}
	t.Fatalf("the attachment has no %s", name)
	return ""
}

var subnetsOnce sync.Map // by host

// subnets returns the default subnets' IDs, in order of their zones.
func (h *host) subnets(t *testing.T) []string {
	t.Helper()
	if s, ok := subnetsOnce.Load(h); ok {
		return s.([]string)
	}
	var out struct {
		Subnets []struct{ SubnetId, AvailabilityZone string }
	}
	if err := json.Unmarshal([]byte(h.aws(t, "ec2", "describe-subnets", "--query", "{Subnets: sort_by(Subnets, &AvailabilityZone)}")), &out); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, s := range out.Subnets {
		ids = append(ids, s.SubnetId)
	}
	if len(ids) != 3 {
		t.Fatalf("the default VPC has the subnets %v, want three", ids)
	}
	subnetsOnce.Store(h, ids)
	return ids
}

// group makes a security group, deleted with the test, and returns its ID.
func (h *host) group(t *testing.T, rules ...string) string {
	t.Helper()
	var out struct{ GroupId string }
	if err := json.Unmarshal([]byte(h.aws(t, "ec2", "create-security-group", "--group-name", fmt.Sprintf("%s-%d", family(t), time.Now().UnixNano()), "--description", "test")), &out); err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		h.aws(t, append([]string{"ec2", "authorize-security-group-ingress", "--group-id", out.GroupId}, strings.Fields(r)...)...)
	}
	return out.GroupId
}

func withGroups(groups ...string) func(*ecs.RunTaskInput) {
	return func(in *ecs.RunTaskInput) { in.NetworkConfiguration.AwsvpcConfiguration.SecurityGroups = groups }
}

func withPublicIP(in *ecs.RunTaskInput) {
	in.NetworkConfiguration.AwsvpcConfiguration.AssignPublicIp = types.AssignPublicIpEnabled
}
