package ecs

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/store"
	"github.com/berth/berth/wire"
)

// StartTask starts one task on each of up to ten container instances that the
// caller chose.
func (s *Service) StartTask(ctx context.Context, in *ecs.StartTaskInput) (*ecs.StartTaskOutput, error) {
	caller := wire.CallerFrom(ctx)
	var out *ecs.StartTaskOutput
	err := s.store.Update(ctx, func(tx *store.Tx) error {
		out = &ecs.StartTaskOutput{Tasks: []types.Task{}, Failures: []types.Failure{}}
		switch n := len(in.ContainerInstances); {
		case n == 0:
			return invalid("Container instances can not be empty.")
		case n > 10:
			return invalid("A maximum of 10 container instances is allowed.")
		}
		run, err := s.planRun(tx, caller, &ecs.RunTaskInput{
			TaskDefinition: in.TaskDefinition, Cluster: in.Cluster, EnableECSManagedTags: in.EnableECSManagedTags, EnableExecuteCommand: in.EnableExecuteCommand,
			Group: in.Group, NetworkConfiguration: in.NetworkConfiguration, Overrides: in.Overrides, PropagateTags: in.PropagateTags, StartedBy: in.StartedBy,
			Tags: in.Tags, VolumeConfigurations: in.VolumeConfigurations, LaunchType: types.LaunchTypeEc2,
		})
		if err != nil {
			return err
		}
		for _, ref := range in.ContainerInstances {
			instance, err := s.instance(tx, caller, run.Cluster, ref)
			if err != nil {
				return err
			}
			if instance == nil {
				out.Failures = append(out.Failures, missing(caller, run.Cluster, ref))
				continue
			}
			task, refusal := s.launcher.PlaceOn(tx, &run.Order, instance)
			if task == nil {
				out.Failures = append(out.Failures, refusal.Failures()...)
				continue
			}
			out.Tasks = append(out.Tasks, renderTask(task, s.eni(tx, task), true))
		}
		return nil
	})
	return out, err
}
