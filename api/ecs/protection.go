package ecs

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/internal/arn"
	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
	"github.com/berth/berth/wire"
)

// How many tasks a call may name (SDK, UpdateTaskProtectionInput.Tasks and
// GetTaskProtectionInput.Tasks).
const maxProtectedTasks, maxAskedTasks = 10, 100

// UpdateTaskProtection protects tasks of services from scaling in and deployments,
// for a while, or ends that.
func (s *Service) UpdateTaskProtection(ctx context.Context, in *ecs.UpdateTaskProtectionInput) (*ecs.UpdateTaskProtectionOutput, error) {
	change := state.ProtectionChange{Enabled: in.ProtectionEnabled, Minutes: in.ExpiresInMinutes}
	if no := change.Check(); no != "" {
		return nil, invalid("%s", no)
	}
	caller := wire.CallerFrom(ctx)
	var out *ecs.UpdateTaskProtectionOutput
	err := s.store.Update(ctx, func(tx *store.Tx) error {
		out = &ecs.UpdateTaskProtectionOutput{ProtectedTasks: []types.ProtectedTask{}, Failures: []types.Failure{}}
		return s.eachProtected(tx, caller, in.Cluster, in.Tasks, maxProtectedTasks, &out.Failures, func(t *state.Task) *state.ProtectionFailure {
			t = t.Clone()
			if no := t.Protect(change, s.now()); no != nil {
				return no
			}
			store.Tasks.Put(tx, t)
			p, no := t.Protection(s.now())
			out.ProtectedTasks = append(out.ProtectedTasks, renderProtection(t, p))
			return no
		})
	})
	return out, err
}

// GetTaskProtection returns the protection of tasks of services.
func (s *Service) GetTaskProtection(ctx context.Context, in *ecs.GetTaskProtectionInput) (*ecs.GetTaskProtectionOutput, error) {
	out := &ecs.GetTaskProtectionOutput{ProtectedTasks: []types.ProtectedTask{}, Failures: []types.Failure{}}
	err := s.eachProtected(s.store.View(), wire.CallerFrom(ctx), in.Cluster, in.Tasks, maxAskedTasks, &out.Failures, func(t *state.Task) *state.ProtectionFailure {
		p, no := t.Protection(s.now())
		if no == nil {
			out.ProtectedTasks = append(out.ProtectedTasks, renderProtection(t, p))
		}
		return no
	})
	return out, err
}

// eachProtected does something with each task that a call names, and gathers the
// failures.
func (s *Service) eachProtected(v store.View, c wire.Caller, in *string, refs []string, most int, failures *[]types.Failure, do func(*state.Task) *state.ProtectionFailure) error {
	switch {
	case aws.ToString(in) == "":
		return invalid("Cluster can not be blank.")
	case len(refs) == 0:
		return invalid("Tasks can not be empty.")
	case len(refs) > most:
		return invalid("Tasks can have at most %d items.", most)
	}
	cluster, err := s.cluster(v, c, in)
	if err != nil {
		return err
	}
	for _, ref := range refs {
		t, err := s.task(v, cluster, ref)
		if err != nil {
			return err
		}
		if t == nil {
			full := ref
			if !arn.Is(ref) {
				full = (&state.Task{Scope: cluster.Scope, Cluster: cluster.Name, ID: ref}).ARN()
			}
			*failures = append(*failures, types.Failure{Arn: &full, Reason: aws.String("MISSING")})
			continue
		}
		if no := do(t); no != nil {
			*failures = append(*failures, types.Failure{Arn: aws.String(t.ARN()), Reason: &no.Reason, Detail: &no.Detail})
		}
	}
	return nil
}

func renderProtection(t *state.Task, p state.Protection) types.ProtectedTask {
	return types.ProtectedTask{TaskArn: aws.String(t.ARN()), ProtectionEnabled: p.Enabled, ExpirationDate: when(p.Until)}
}
