package ecs

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
	"github.com/berth/berth/wire"
)

// StopTask sets a task's desired status to STOPPED. Its node does the rest. A
// task that is stopping or stopped already is returned as it is.
func (s *Service) StopTask(ctx context.Context, in *ecs.StopTaskInput) (*ecs.StopTaskOutput, error) {
	caller := wire.CallerFrom(ctx)
	reason := aws.ToString(in.Reason)
	switch {
	case len(reason) > 1024:
		return nil, invalid("reason must be at most 1024 characters long.")
	case reason == "":
		reason = "Task stopped by user"
	}
	var out *ecs.StopTaskOutput
	err := s.store.Update(ctx, func(tx *store.Tx) error {
		cluster, err := s.cluster(tx, caller, in.Cluster)
		if err != nil {
			return err
		}
		t, err := s.task(tx, cluster, aws.ToString(in.Task))
		if err != nil {
			return err
		}
		if t == nil {
			return invalid("The referenced task was not found.")
		}
		if t.Desired != state.Stopped {
			t = t.Clone()
			t.Stop(types.TaskStopCodeUserInitiated, reason, s.now())
			store.Tasks.Put(tx, t)
		}
		task := renderTask(t, s.eni(tx, t), true)
		out = &ecs.StopTaskOutput{Task: &task}
		return nil
	})
	return out, err
}
