package ecs

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/internal/arn"
	"github.com/berth/berth/internal/page"
	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
	"github.com/berth/berth/wire"
)

// task finds a task of a cluster by ID or ARN (long, or short without the
// cluster). It returns nil without error when there is none.
func (s *Service) task(v store.View, cluster *state.Cluster, ref string) (*state.Task, error) {
	if ref == "" {
		return nil, invalid("Task can not be blank.")
	}
	taskID := ref
	if arn.Is(ref) {
		a, err := arn.Parse(ref)
		kind, rest, ok := strings.Cut(a.Resource, "/")
		if err != nil || a.Service != "ecs" || !ok || kind != "task" {
			return nil, invalid("Invalid identifier: Identifier is for %s. Accepted type: task", ref)
		}
		if a.Region != cluster.Region || a.Account != cluster.Account {
			return nil, nil
		}
		if name, long, ok := strings.Cut(rest, "/"); ok {
			if name != cluster.Name {
				return nil, invalid("Invalid identifier: Identifier is for cluster %s. Your cluster is %s", name, cluster.Name)
			}
			rest = long
		}
		taskID = rest
	}
	// IDs of old accounts are UUIDs with hyphens.
	if len(taskID) != 32 && len(taskID) != 36 {
		return nil, invalid("taskId length should be one of [32,36]")
	}
	t, ok := store.Tasks.Get(v, cluster.Scope.Key(cluster.Name+"/"+taskID))
	if !ok {
		return nil, nil
	}
	return t, nil
}

// eni is the task's network interface, nil once it is gone.
func (s *Service) eni(v store.View, t *state.Task) *state.ENI {
	e, ok := store.ENIs.Get(v, t.Scope.Key(t.ENI))
	if !ok {
		return nil
	}
	return e
}

// DescribeTasks returns up to 100 tasks; those that are not there are failures
// with reason MISSING.
func (s *Service) DescribeTasks(ctx context.Context, in *ecs.DescribeTasksInput) (*ecs.DescribeTasksOutput, error) {
	caller := wire.CallerFrom(ctx)
	if len(in.Tasks) == 0 {
		return nil, invalid("Tasks cannot be empty.")
	}
	if len(in.Tasks) > 100 {
		return nil, invalid("taskIds can have at most 100 items.")
	}
	for _, field := range in.Include {
		if field != types.TaskFieldTags {
			return nil, invalid("Invalid include value: %s. Accepted values: [TAGS]", field)
		}
	}
	view := s.store.View()
	cluster, err := s.cluster(view, caller, in.Cluster)
	if err != nil {
		return nil, err
	}
	out := &ecs.DescribeTasksOutput{Tasks: []types.Task{}, Failures: []types.Failure{}}
	tags := slices.Contains(in.Include, types.TaskFieldTags)
	for _, ref := range in.Tasks {
		t, err := s.task(view, cluster, ref)
		if err != nil {
			return nil, err
		}
		if t == nil {
			full := ref
			if !arn.Is(ref) {
				full = (&state.Task{Scope: cluster.Scope, Cluster: cluster.Name, ID: ref}).ARN()
			}
			out.Failures = append(out.Failures, types.Failure{Arn: aws.String(full), Reason: aws.String("MISSING")})
			continue
		}
		out.Tasks = append(out.Tasks, renderTask(t, s.eni(view, t), tags))
	}
	return out, nil
}

// ListTasks returns the ARNs of a cluster's tasks that pass all filters.
// Without desiredStatus it lists those that shall run. No task is ever desired
// PENDING, so that filter finds none (SDK, ListTasksInput).
func (s *Service) ListTasks(ctx context.Context, in *ecs.ListTasksInput) (*ecs.ListTasksOutput, error) {
	caller := wire.CallerFrom(ctx)
	limit := 100
	if in.MaxResults != nil {
		limit = int(*in.MaxResults)
	}
	if limit < 1 || limit > 100 {
		return nil, invalid("maxResults must be between 1 and 100.")
	}
	desired := state.Running
	switch in.DesiredStatus {
	case "", types.DesiredStatusRunning:
	case types.DesiredStatusStopped:
		desired = state.Stopped
	case types.DesiredStatusPending:
		desired = state.Pending
	default:
		return nil, invalid("Invalid desired status: %s. Accepted values: [RUNNING, PENDING, STOPPED]", in.DesiredStatus)
	}
	if in.LaunchType != "" && !slices.Contains(in.LaunchType.Values(), in.LaunchType) {
		return nil, invalid("Invalid launch type: %s", in.LaunchType)
	}
	if in.StartedBy != nil && (in.Family != nil || in.ServiceName != nil || in.ContainerInstance != nil) {
		return nil, invalid("startedBy must be the only filter when it is used.")
	}
	if in.ServiceName != nil && in.Family != nil {
		return nil, invalid("Cannot specify both serviceName and family.")
	}
	view := s.store.View()
	cluster, err := s.cluster(view, caller, in.Cluster)
	if err != nil {
		return nil, err
	}
	service := ""
	if in.ServiceName != nil {
		svc, err := findService(view, caller, cluster, *in.ServiceName)
		if err != nil {
			return nil, err
		}
		if svc == nil {
			return nil, serviceNotFound()
		}
		service = svc.Name
	}
	instance := ""
	if in.ContainerInstance != nil {
		i, err := s.instance(view, caller, cluster, *in.ContainerInstance)
		if err != nil {
			return nil, err
		}
		if i == nil {
			return nil, invalid("The referenced container instance was not found.")
		}
		instance = i.ID
	}
	var arns []string
	for t := range store.Tasks.List(view, cluster.Scope, cluster.Name+"/") {
		if t.Desired == desired &&
			(in.Family == nil || t.Family == *in.Family) &&
			(in.StartedBy == nil || t.StartedBy == *in.StartedBy) &&
			(in.LaunchType == "" || t.LaunchType == in.LaunchType) &&
			(service == "" || t.Service == service) &&
			(instance == "" || t.ContainerInstance == instance) {
			arns = append(arns, t.ARN())
		}
	}
	arns, next, err := page.Cut(arns, func(a string) string { return a }, "ecs/ListTasks/"+cluster.Name, aws.ToString(in.NextToken), limit)
	if err != nil {
		return nil, invalid("Invalid token: the nextToken is not one that ListTasks returned for this cluster.")
	}
	out := &ecs.ListTasksOutput{TaskArns: append([]string{}, arns...)}
	if next != "" {
		out.NextToken = &next
	}
	return out, nil
}
