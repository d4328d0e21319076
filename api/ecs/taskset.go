package ecs

import (
	"context"
	"math"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/internal/arn"
	"github.com/berth/berth/internal/id"
	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
	"github.com/berth/berth/wire"
)

// maxTaskSets is how many task sets a service can have (Amazon ECS service quotas,
// "Task sets per service").
const maxTaskSets = 5

// CreateTaskSet makes a task set of a service whose deployment controller is
// EXTERNAL.
func (s *Service) CreateTaskSet(ctx context.Context, in *ecs.CreateTaskSetInput) (*ecs.CreateTaskSetOutput, error) {
	caller := wire.CallerFrom(ctx)
	percent, err := scaleOf(in.Scale, 0)
	if err != nil {
		return nil, err
	}
	token := aws.ToString(in.ClientToken)
	if err := checkToken(token); err != nil {
		return nil, err
	}
	tags, err := tagsFrom(in.Tags)
	if err != nil {
		return nil, err
	}
	plain := *in
	plain.ClientToken = nil
	sum, err := fingerprint(&plain)
	if err != nil {
		return nil, err
	}
	var out types.TaskSet
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		cluster, svc, err := s.setService(tx, caller, in.Cluster, in.Service)
		if err != nil {
			return err
		}
		if g := s.granted(tx, svc.Scope, "ecs/CreateTaskSet", token); g != nil {
			old, ok := store.TaskSets.Get(tx, svc.Scope.Key(g.Results[0]))
			if g.Fingerprint != sum || !ok {
				return invalid("Creation of task set was not idempotent.")
			}
			out = renderTaskSet(tx, svc, old, true)
			return nil
		}
		if len(taskSetsOf(tx, svc)) >= maxTaskSets {
			return invalid("The service has the maximum of %d task sets. Delete one and try again.", maxTaskSets)
		}
		if aws.ToString(in.TaskDefinition) == "" {
			return invalid("TaskDefinition can not be blank.")
		}
		p, err := s.plan(tx, caller, cluster, wanted{
			definition: *in.TaskDefinition, launchType: in.LaunchType, strategy: in.CapacityProviderStrategy, platform: in.PlatformVersion, network: in.NetworkConfiguration,
		})
		if err != nil {
			return err
		}
		spec := &svc.Spec.V
		if !p.OnInstances() && len(spec.PlacementConstraints)+len(spec.PlacementStrategy) > 0 {
			return invalid("Placement constraints and placement strategies are not supported with FARGATE launch type.")
		}
		now := s.now()
		t := &state.TaskSet{
			Scope: svc.Scope, Cluster: svc.Cluster, Service: svc.Name, ID: "ecs-svc/" + id.Digits(19), Revision: s.revise(tx, svc, p).ID,
			ExternalID: aws.ToString(in.ExternalId), Percent: percent, Status: state.RoleActive, Tags: tags,
			Stability: types.StabilityStatusStabilizing, StabilityAt: now, CreatedAt: now, UpdatedAt: now,
		}
		store.TaskSets.Put(tx, t)
		s.grant(tx, svc.Scope, "ecs/CreateTaskSet", token, sum, t.Key().ID)
		out = renderTaskSet(tx, svc, t, true)
		return nil
	})
	return &ecs.CreateTaskSetOutput{TaskSet: &out}, err
}

// setService finds an ACTIVE service that is made of task sets.
func (s *Service) setService(v store.View, c wire.Caller, clusterRef, ref *string) (*state.Cluster, *state.Service, error) {
	cluster, svc, err := s.activeService(v, c, clusterRef, ref)
	if err == nil && !external(svc) {
		err = invalid("The deployment controller of the service is %s: task sets are of services with an EXTERNAL deployment controller.", svc.Spec.V.DeploymentController.Type)
	}
	return cluster, svc, err
}

// scaleOf is a scale's percentage of the desired count.
func scaleOf(in *types.Scale, otherwise float64) (float64, error) {
	switch {
	case in == nil:
		return otherwise, nil
	case in.Unit != "" && in.Unit != types.ScaleUnitPercent:
		return 0, invalid("Invalid scale unit: %s. Accepted values: [PERCENT]", in.Unit)
	case !(in.Value >= 0 && in.Value <= 100):
		return 0, invalid("The scale value must be between 0 and 100, not %v.", in.Value)
	}
	return in.Value, nil
}

// taskSet finds a task set of a service by ID or ARN; nil where there is none.
func taskSet(v store.View, c wire.Caller, svc *state.Service, ref string) (*state.TaskSet, error) {
	name, err := resourceName(c, ref, "task-set")
	if err != nil {
		return nil, err
	}
	if arn.Is(ref) {
		rest, ok := strings.CutPrefix(name, servicePrefix(svc))
		if !ok {
			return nil, invalid("Invalid identifier: %s is not of the service %s.", ref, svc.Name)
		}
		name = rest
	}
	t, ok := store.TaskSets.Get(v, svc.Scope.Key(servicePrefix(svc)+name))
	if !ok {
		return nil, nil
	}
	return t, nil
}

// changeTaskSet writes what change makes of a copy of a task set, and of its
// service.
func (s *Service) changeTaskSet(ctx context.Context, clusterRef, serviceRef, ref *string, change func(tx *store.Tx, svc *state.Service, t *state.TaskSet) error) (*types.TaskSet, error) {
	caller := wire.CallerFrom(ctx)
	var out types.TaskSet
	err := s.store.Update(ctx, func(tx *store.Tx) error {
		_, old, err := s.setService(tx, caller, clusterRef, serviceRef)
		if err != nil {
			return err
		}
		if aws.ToString(ref) == "" {
			return invalid("Task set can not be blank.")
		}
		found, err := taskSet(tx, caller, old, *ref)
		if err != nil {
			return err
		}
		if found == nil {
			return &types.TaskSetNotFoundException{Message: aws.String("The specified task set does not exist.")}
		}
		svc, t := *old, *found
		if err := change(tx, &svc, &t); err != nil {
			return err
		}
		t.UpdatedAt = s.now()
		store.TaskSets.Put(tx, &t)
		store.Services.Put(tx, &svc)
		out = renderTaskSet(tx, &svc, &t, true)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &out, nil
}

// UpdateTaskSet changes the part of the desired count that a task set has.
func (s *Service) UpdateTaskSet(ctx context.Context, in *ecs.UpdateTaskSetInput) (*ecs.UpdateTaskSetOutput, error) {
	if in.Scale == nil {
		return nil, invalid("Scale can not be blank.")
	}
	percent, err := scaleOf(in.Scale, 0)
	if err != nil {
		return nil, err
	}
	out, err := s.changeTaskSet(ctx, in.Cluster, in.Service, in.TaskSet, func(_ *store.Tx, _ *state.Service, t *state.TaskSet) error {
		if t.Status == state.RoleDraining {
			return invalid("The specified task set is draining.")
		}
		t.Percent = percent
		return nil
	})
	return &ecs.UpdateTaskSetOutput{TaskSet: out}, err
}

// UpdateServicePrimaryTaskSet makes a task set the PRIMARY one of its service. The
// one that was becomes ACTIVE.
func (s *Service) UpdateServicePrimaryTaskSet(ctx context.Context, in *ecs.UpdateServicePrimaryTaskSetInput) (*ecs.UpdateServicePrimaryTaskSetOutput, error) {
	out, err := s.changeTaskSet(ctx, in.Cluster, in.Service, in.PrimaryTaskSet, func(tx *store.Tx, svc *state.Service, t *state.TaskSet) error {
		if t.Status == state.RoleDraining {
			return invalid("The specified task set is draining.")
		}
		for _, other := range taskSetsOf(tx, svc) {
			if other.Status == state.RolePrimary && other.ID != t.ID {
				was := *other
				was.Status, was.UpdatedAt = state.RoleActive, s.now()
				store.TaskSets.Put(tx, &was)
			}
		}
		t.Status, svc.PrimaryTaskSet = state.RolePrimary, t.ID
		return nil
	})
	return &ecs.UpdateServicePrimaryTaskSetOutput{TaskSet: out}, err
}

// DeleteTaskSet makes a task set DRAINING: its tasks stop, and then it is gone. One
// that is scaled above 0 is deleted by force only.
func (s *Service) DeleteTaskSet(ctx context.Context, in *ecs.DeleteTaskSetInput) (*ecs.DeleteTaskSetOutput, error) {
	out, err := s.changeTaskSet(ctx, in.Cluster, in.Service, in.TaskSet, func(_ *store.Tx, svc *state.Service, t *state.TaskSet) error {
		if !aws.ToBool(in.Force) && t.Status != state.RoleDraining {
			switch {
			case t.Status == state.RolePrimary:
				return invalid("The task set cannot be deleted while it is the PRIMARY one. Make another task set PRIMARY, or force the deletion, and try again.")
			case t.Percent > 0:
				return invalid("The task set cannot be deleted while it is scaled above 0.")
			}
		}
		if t.Status, t.Percent = state.RoleDraining, 0; svc.PrimaryTaskSet == t.ID {
			svc.PrimaryTaskSet = ""
		}
		return nil
	})
	return &ecs.DeleteTaskSetOutput{TaskSet: out}, err
}

// DescribeTaskSets returns task sets of a service, all where none is named; those
// that are not there are failures with reason MISSING.
func (s *Service) DescribeTaskSets(ctx context.Context, in *ecs.DescribeTaskSetsInput) (*ecs.DescribeTaskSetsOutput, error) {
	caller, v := wire.CallerFrom(ctx), s.store.View()
	for _, f := range in.Include {
		if f != types.TaskSetFieldTags {
			return nil, invalid("Invalid include value: %s. Accepted values: [TAGS]", f)
		}
	}
	_, svc, err := s.setService(v, caller, in.Cluster, in.Service)
	if err != nil {
		return nil, err
	}
	tags := slices.Contains(in.Include, types.TaskSetFieldTags)
	out := &ecs.DescribeTaskSetsOutput{TaskSets: []types.TaskSet{}, Failures: []types.Failure{}}
	if len(in.TaskSets) == 0 {
		for _, t := range taskSetsOf(v, svc) {
			out.TaskSets = append(out.TaskSets, renderTaskSet(v, svc, t, tags))
		}
	}
	for _, ref := range in.TaskSets {
		t, err := taskSet(v, caller, svc, ref)
		if err != nil {
			return nil, err
		}
		if t == nil {
			if !arn.Is(ref) {
				ref = (&state.TaskSet{Scope: svc.Scope, Cluster: svc.Cluster, Service: svc.Name, ID: ref}).ARN()
			}
			out.Failures = append(out.Failures, types.Failure{Arn: &ref, Reason: aws.String("MISSING")})
			continue
		}
		out.TaskSets = append(out.TaskSets, renderTaskSet(v, svc, t, tags))
	}
	return out, nil
}

// taskSetsOf are a service's task sets, the newest first.
func taskSetsOf(v store.View, svc *state.Service) []*state.TaskSet {
	all := slices.Collect(store.TaskSets.List(v, svc.Scope, servicePrefix(svc)))
	slices.SortStableFunc(all, func(a, b *state.TaskSet) int { return b.CreatedAt.Compare(a.CreatedAt) })
	return all
}

// renderTaskSet shows a task set as ECS does.
func renderTaskSet(v store.View, svc *state.Service, t *state.TaskSet, tags bool) types.TaskSet {
	spec, c := revisionOf(v, svc, t.Revision).Spec.V, countTasks(v, t.ID)
	out := types.TaskSet{
		Id: &t.ID, TaskSetArn: aws.String(t.ARN()), ServiceArn: aws.String(svc.ARN()), ClusterArn: spec.ClusterArn, StartedBy: &t.ID, ExternalId: text(t.ExternalID),
		Status: &t.Status, TaskDefinition: spec.TaskDefinition, LaunchType: spec.LaunchType, CapacityProviderStrategy: spec.CapacityProviderStrategy,
		PlatformVersion: spec.PlatformVersion, PlatformFamily: spec.PlatformFamily, NetworkConfiguration: spec.NetworkConfiguration,
		LoadBalancers: []types.LoadBalancer{}, ServiceRegistries: []types.ServiceRegistry{}, Scale: &types.Scale{Unit: types.ScaleUnitPercent, Value: t.Percent},
		ComputedDesiredCount: int32(math.Ceil(float64(svc.Desired) * t.Percent / 100)), RunningCount: c.running, PendingCount: c.pending,
		StabilityStatus: t.Stability, StabilityStatusAt: when(t.StabilityAt), CreatedAt: &t.CreatedAt, UpdatedAt: &t.UpdatedAt,
	}
	if tags {
		out.Tags = tagsOf(t.Tags)
	}
	return out
}
