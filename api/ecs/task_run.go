package ecs

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/place"
	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
	"github.com/berth/berth/wire"
)

// RunTask places count tasks and writes them in one transaction: when it
// answers, each task has its node, its network interface and its address, and
// all of that is on disk. Tasks that cannot be placed are in failures.
func (s *Service) RunTask(ctx context.Context, in *ecs.RunTaskInput) (*ecs.RunTaskOutput, error) {
	caller := wire.CallerFrom(ctx)
	scope := scopeOf(caller)
	token := aws.ToString(in.ClientToken)
	plain := *in
	plain.ClientToken = nil
	sum, err := fingerprint(&plain)
	if err != nil {
		return nil, err
	}
	var out *ecs.RunTaskOutput
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		out = &ecs.RunTaskOutput{Tasks: []types.Task{}, Failures: []types.Failure{}}
		if g := s.granted(tx, scope, "ecs/RunTask", token); g != nil {
			return repeatRun(tx, g, sum, out)
		}
		run, err := s.planRun(tx, caller, in)
		if err != nil {
			return err
		}
		var ids []string
		for i := range run.count {
			task, refusal := s.launcher.Place(tx, &run.Order, i, run.provider(i))
			if task == nil {
				out.Failures = append(out.Failures, refusal.Failures()...)
				continue
			}
			ids = append(ids, task.Cluster+"/"+task.ID)
			out.Tasks = append(out.Tasks, renderTask(task, nil, true))
		}
		s.grant(tx, scope, "ecs/RunTask", token, sum, ids...)
		return nil
	})
	return out, err
}

// repeatRun answers a call whose client token was used before.
func repeatRun(tx *store.Tx, g *state.Grant, sum string, out *ecs.RunTaskOutput) error {
	if g.Fingerprint != sum {
		return &types.ConflictException{
			Message:     aws.String("The clientToken was used before with other request parameters."),
			ResourceIds: g.Results,
		}
	}
	for _, id := range g.Results {
		if t, ok := store.Tasks.Get(tx, g.Scope.Key(id)); ok {
			out.Tasks = append(out.Tasks, renderTask(t, nil, true))
		}
	}
	return nil
}

// run is a RunTask call, checked and resolved.
type run struct {
	*plan
	count     int
	providers []string // by task index, empty with a launch type
}

// planRun checks a call in full before anything is made.
func (s *Service) planRun(tx *store.Tx, caller wire.Caller, in *ecs.RunTaskInput) (*run, error) {
	r := &run{count: 1}
	if in.Count != nil {
		r.count = int(*in.Count)
	}
	if r.count < 1 || r.count > 10 {
		return nil, invalid("count must be between 1 and 10.")
	}
	if len(aws.ToString(in.ClientToken)) > 64 {
		return nil, invalid("clientToken must be at most 64 characters long.")
	}
	if len(aws.ToString(in.StartedBy)) > 128 {
		return nil, invalid("startedBy longer than 128.")
	}
	if aws.ToString(in.TaskDefinition) == "" {
		return nil, invalid("TaskDefinition can not be blank.")
	}
	cluster, err := s.activeCluster(tx, caller, in.Cluster)
	if err != nil {
		return nil, err
	}
	if r.plan, err = s.plan(tx, caller, cluster, wanted{
		definition: *in.TaskDefinition, launchType: in.LaunchType, strategy: in.CapacityProviderStrategy, platform: in.PlatformVersion,
		overrides: in.Overrides, constraints: in.PlacementConstraints, placement: in.PlacementStrategy, network: in.NetworkConfiguration,
		volumes: in.VolumeConfigurations,
	}); err != nil {
		return nil, err
	}
	r.StartedBy, r.Exec = aws.ToString(in.StartedBy), in.EnableExecuteCommand
	if len(r.strategy) > 0 {
		r.providers = place.Providers(r.strategy, nil, r.count)
	} else if r.OnInstances() && !hasInstances(tx, cluster) {
		return nil, invalid("No Container Instances were found in your cluster.")
	}
	r.Group = aws.ToString(in.Group)
	switch {
	case r.Group == "":
		r.Group = "family:" + r.Definition.Family
	case strings.HasPrefix(r.Group, "service:"):
		return nil, invalid("Invalid namespace for group.")
	case len(r.Group) > 255:
		return nil, invalid("group must be at most 255 characters long.")
	}
	r.Tags, err = r.allTags(in)
	return r, err
}

// provider is the capacity provider of the i-th task; empty with a launch type.
func (r *run) provider(i int) string {
	if r.providers == nil {
		return ""
	}
	return r.providers[i]
}

func hasInstances(v store.View, cluster *state.Cluster) bool {
	for range store.Instances.List(v, cluster.Scope, cluster.Name+"/") {
		return true
	}
	return false
}

// allTags gathers the call's tags, the definition's when they are propagated,
// and ECS's own. The call's win.
func (r *run) allTags(in *ecs.RunTaskInput) ([]state.Tag, error) {
	tags, err := tagsFrom(in.Tags)
	if err != nil {
		return nil, err
	}
	has := func(key string) bool {
		return slices.ContainsFunc(tags, func(t state.Tag) bool { return t.Key == key })
	}
	switch in.PropagateTags {
	case "", types.PropagateTagsNone:
	case types.PropagateTagsTaskDefinition:
		for _, t := range r.Definition.Tags {
			if !has(t.Key) {
				tags = append(tags, t)
			}
		}
	default:
		return nil, invalid("PropagateTags can only be TASK_DEFINITION or NONE for RunTask.")
	}
	if in.EnableECSManagedTags {
		tags = append(tags, state.Tag{Key: "aws:ecs:clusterName", Value: r.Cluster.Name})
	}
	if len(tags) > 50 {
		return nil, invalid("The number of tags, propagated ones included, must be at most 50.")
	}
	return tags, nil
}

// invalid is ECS's InvalidParameterException.
func invalid(format string, args ...any) error {
	return &types.InvalidParameterException{Message: aws.String(fmt.Sprintf(format, args...))}
}
