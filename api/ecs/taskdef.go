package ecs

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
	"github.com/berth/berth/wire"
)

// RegisterTaskDefinition makes the next revision of a family. A family's
// numbers are never used again, whatever became of the revisions.
func (s *Service) RegisterTaskDefinition(ctx context.Context, in *ecs.RegisterTaskDefinitionInput) (*ecs.RegisterTaskDefinitionOutput, error) {
	caller := wire.CallerFrom(ctx)
	def, err := definition(in)
	if err != nil {
		return nil, err
	}
	tags, err := tagsFrom(in.Tags)
	if err != nil {
		return nil, err
	}
	def.Status = types.TaskDefinitionStatusActive
	def.RegisteredAt = s.stamp()
	def.RegisteredBy = aws.String(caller.ARN)
	var out *types.TaskDefinition
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		family := state.Family{Scope: scopeOf(caller), Name: *in.Family}
		if old, ok := store.Families.Get(tx, family.Key()); ok {
			family = *old
		}
		family.LastRevision++
		record := &state.TaskDefinition{Scope: family.Scope, Family: family.Name, Revision: family.LastRevision, Tags: tags}
		record.Spec.V = *def
		record.Spec.V.Revision = record.Revision
		record.Spec.V.TaskDefinitionArn = aws.String(record.ARN())
		store.Families.Put(tx, &family)
		store.TaskDefinitions.Put(tx, record)
		out = &record.Spec.V
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &ecs.RegisterTaskDefinitionOutput{TaskDefinition: out, Tags: tagsOf(tags)}, nil
}

// stamp is the time, as exact as it is kept and shown.
func (s *Service) stamp() *time.Time {
	t := s.now().UTC().Truncate(time.Millisecond)
	return &t
}

// DescribeTaskDefinition returns a revision in any status, or the latest ACTIVE
// one of a family.
func (s *Service) DescribeTaskDefinition(ctx context.Context, in *ecs.DescribeTaskDefinitionInput) (*ecs.DescribeTaskDefinitionOutput, error) {
	caller := wire.CallerFrom(ctx)
	tags := false
	for _, f := range in.Include {
		if f != types.TaskDefinitionFieldTags {
			return nil, invalid("Invalid include value: %s. Accepted values: [TAGS]", f)
		}
		tags = true
	}
	d, err := findTaskDefinition(s.store.View(), caller, aws.ToString(in.TaskDefinition))
	if err != nil {
		return nil, err
	}
	if d == nil {
		return nil, clientError("Unable to describe task definition.")
	}
	out := &ecs.DescribeTaskDefinitionOutput{TaskDefinition: &d.Spec.V, Tags: []types.Tag{}}
	if tags {
		out.Tags = tagsOf(d.Tags)
	}
	return out, nil
}

// DeregisterTaskDefinition makes a revision INACTIVE: it starts no new tasks.
// One that is not ACTIVE is returned as it is.
func (s *Service) DeregisterTaskDefinition(ctx context.Context, in *ecs.DeregisterTaskDefinitionInput) (*ecs.DeregisterTaskDefinitionOutput, error) {
	caller := wire.CallerFrom(ctx)
	var out *types.TaskDefinition
	err := s.store.Update(ctx, func(tx *store.Tx) error {
		_, revision, err := parseTaskDefinition(caller, aws.ToString(in.TaskDefinition))
		if err != nil {
			return err
		}
		if revision == 0 {
			return clientError("Revision is missing.")
		}
		d, err := findTaskDefinition(tx, caller, *in.TaskDefinition)
		if err != nil {
			return err
		}
		if d == nil {
			return clientError("Unable to describe task definition.")
		}
		if d.Spec.V.Status == types.TaskDefinitionStatusActive {
			changed := *d
			changed.Spec.V.Status = types.TaskDefinitionStatusInactive
			changed.Spec.V.DeregisteredAt = s.stamp()
			store.TaskDefinitions.Put(tx, &changed)
			d = &changed
		}
		out = &d.Spec.V
		return nil
	})
	return &ecs.DeregisterTaskDefinitionOutput{TaskDefinition: out}, err
}

// DeleteTaskDefinitions moves up to ten INACTIVE revisions to
// DELETE_IN_PROGRESS. The reaper removes those that no task uses.
func (s *Service) DeleteTaskDefinitions(ctx context.Context, in *ecs.DeleteTaskDefinitionsInput) (*ecs.DeleteTaskDefinitionsOutput, error) {
	caller := wire.CallerFrom(ctx)
	if n := len(in.TaskDefinitions); n < 1 || n > 10 {
		return nil, invalid("taskDefinitions must have 1 to 10 elements.")
	}
	var out *ecs.DeleteTaskDefinitionsOutput
	err := s.store.Update(ctx, func(tx *store.Tx) error {
		out = &ecs.DeleteTaskDefinitionsOutput{TaskDefinitions: []types.TaskDefinition{}, Failures: []types.Failure{}}
		for _, ref := range in.TaskDefinitions {
			d, reason := s.deletable(tx, caller, ref)
			if reason != "" {
				out.Failures = append(out.Failures, types.Failure{Arn: aws.String(ref), Reason: aws.String(reason)})
				continue
			}
			if d.Spec.V.Status == types.TaskDefinitionStatusInactive {
				changed := *d
				changed.Spec.V.Status = types.TaskDefinitionStatusDeleteInProgress
				changed.Spec.V.DeleteRequestedAt = s.stamp()
				store.TaskDefinitions.Put(tx, &changed)
				d = &changed
			}
			out.TaskDefinitions = append(out.TaskDefinitions, d.Spec.V)
		}
		return nil
	})
	return out, err
}

// deletable finds a revision to delete, or says why it can't be.
func (s *Service) deletable(v store.View, c wire.Caller, ref string) (*state.TaskDefinition, string) {
	_, revision, err := parseTaskDefinition(c, ref)
	if err != nil || revision == 0 {
		return nil, "The specified task definition identifier is invalid. Specify a valid name or ARN and try again."
	}
	d, err := findTaskDefinition(v, c, ref)
	switch {
	case err != nil || d == nil:
		return nil, "The specified task definition does not exist. Specify a valid account, family, revision and try again."
	case d.Spec.V.Status == types.TaskDefinitionStatusActive:
		return nil, "The specified task definition is still in ACTIVE status. Please deregister the target and try again."
	}
	return d, ""
}
