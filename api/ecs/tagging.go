package ecs

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/internal/arn"
	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
	"github.com/berth/berth/wire"
)

// tagged is a resource that has tags, and how to write it with others.
type tagged struct {
	tags []state.Tag
	put  func(tx *store.Tx, tags []state.Tag)
}

// tagged finds a resource by ARN.
func (s *Service) tagged(v store.View, c wire.Caller, ref *string) (tagged, error) {
	a, err := arn.Parse(aws.ToString(ref))
	if err != nil {
		return tagged{}, invalid("Invalid identifier: resourceArn must be the ARN of an ECS resource.")
	}
	kind, _, _ := strings.Cut(a.Resource, "/")
	name, err := resourceName(c, *ref, kind)
	if err != nil {
		return tagged{}, err
	}
	switch kind {
	case "cluster":
		cluster, err := s.cluster(v, c, ref)
		if err != nil {
			return tagged{}, err
		}
		if cluster.Status != clusterActive {
			return tagged{}, invalid("The specified cluster is inactive. Specify an active cluster and try again.")
		}
		return tagged{cluster.Tags, func(tx *store.Tx, tags []state.Tag) {
			changed := *cluster
			changed.Tags = tags
			store.Clusters.Put(tx, &changed)
		}}, nil
	case "task-definition":
		_, revision, err := parseTaskDefinition(c, *ref)
		if err != nil {
			return tagged{}, err
		}
		d, err := findTaskDefinition(v, c, *ref)
		if err != nil {
			return tagged{}, err
		}
		if d == nil || revision == 0 {
			return tagged{}, invalid("The specified task definition does not exist. Specify a valid account, family, revision and try again.")
		}
		return tagged{d.Tags, func(tx *store.Tx, tags []state.Tag) {
			changed := *d
			changed.Tags = tags
			store.TaskDefinitions.Put(tx, &changed)
		}}, nil
	case "task":
		if !strings.Contains(name, "/") {
			return tagged{}, invalid("Long arn format must be used for tagging operations")
		}
		t, ok := store.Tasks.Get(v, scopeOf(c).Key(name))
		if !ok {
			return tagged{}, invalid("The specified task does not exist. Specify a valid cluster, task ID and try again.")
		}
		return tagged{t.Tags, func(tx *store.Tx, tags []state.Tag) {
			changed := t.Clone()
			changed.Tags = tags
			store.Tasks.Put(tx, changed)
		}}, nil
	case "container-instance":
		i, ok := store.Instances.Get(v, scopeOf(c).Key(name))
		if !ok {
			return tagged{}, invalid("The specified container instance does not exist. Specify a valid cluster, container instance ID and try again.")
		}
		return tagged{i.Tags, func(tx *store.Tx, tags []state.Tag) {
			changed := i.Clone()
			changed.Tags = tags
			store.Instances.Put(tx, changed)
		}}, nil
	case "capacity-provider":
		p, ok := store.CapacityProviders.Get(v, scopeOf(c).Key(name))
		if !ok {
			return tagged{}, invalid("The specified capacity provider does not exist. Specify a valid name or ARN and try again.")
		}
		return tagged{p.Tags, func(tx *store.Tx, tags []state.Tag) {
			changed := *p
			changed.Tags = tags
			store.CapacityProviders.Put(tx, &changed)
		}}, nil
	case "service":
		svc, ok := store.Services.Get(v, scopeOf(c).Key(name))
		switch {
		case !strings.Contains(name, "/"):
			return tagged{}, invalid("Long arn format must be used for tagging operations")
		case !ok:
			return tagged{}, &types.ResourceNotFoundException{Message: aws.String("The specified service does not exist.")}
		case svc.Status != serviceActive:
			return tagged{}, invalid("The specified service is inactive. Specify an active service and try again.")
		}
		return tagged{svc.Tags, func(tx *store.Tx, tags []state.Tag) {
			changed := *svc
			changed.Tags = tags
			store.Services.Put(tx, &changed)
		}}, nil
	case "task-set":
		t, ok := store.TaskSets.Get(v, scopeOf(c).Key(name))
		if !ok {
			return tagged{}, &types.ResourceNotFoundException{Message: aws.String("The specified task set does not exist.")}
		}
		return tagged{t.Tags, func(tx *store.Tx, tags []state.Tag) {
			changed := *t
			changed.Tags = tags
			store.TaskSets.Put(tx, &changed)
		}}, nil
	}
	return tagged{}, invalid("Invalid identifier: %s has no tags.", *ref)
}

// TagResource adds tags to a resource, and replaces the values of those it has.
func (s *Service) TagResource(ctx context.Context, in *ecs.TagResourceInput) (*ecs.TagResourceOutput, error) {
	if len(in.Tags) == 0 {
		return nil, invalid("Tags can not be empty.")
	}
	added, err := tagsFrom(in.Tags)
	if err != nil {
		return nil, err
	}
	return &ecs.TagResourceOutput{}, s.store.Update(ctx, func(tx *store.Tx) error {
		r, err := s.tagged(tx, wire.CallerFrom(ctx), in.ResourceArn)
		if err != nil {
			return err
		}
		tags := slices.Clone(r.tags)
		for _, t := range added {
			if i := slices.IndexFunc(tags, func(old state.Tag) bool { return old.Key == t.Key }); i >= 0 {
				tags[i] = t
			} else {
				tags = append(tags, t)
			}
		}
		if err := checkTagCount(tags); err != nil {
			return err
		}
		r.put(tx, tags)
		return nil
	})
}

// UntagResource removes tags from a resource; those it lacks are passed over.
func (s *Service) UntagResource(ctx context.Context, in *ecs.UntagResourceInput) (*ecs.UntagResourceOutput, error) {
	if len(in.TagKeys) == 0 {
		return nil, invalid("TagKeys can not be empty.")
	}
	for _, key := range in.TagKeys {
		if err := checkTagKey(key); err != nil {
			return nil, err
		}
	}
	return &ecs.UntagResourceOutput{}, s.store.Update(ctx, func(tx *store.Tx) error {
		r, err := s.tagged(tx, wire.CallerFrom(ctx), in.ResourceArn)
		if err != nil {
			return err
		}
		r.put(tx, slices.DeleteFunc(slices.Clone(r.tags), func(t state.Tag) bool { return slices.Contains(in.TagKeys, t.Key) }))
		return nil
	})
}

// ListTagsForResource returns a resource's tags.
func (s *Service) ListTagsForResource(ctx context.Context, in *ecs.ListTagsForResourceInput) (*ecs.ListTagsForResourceOutput, error) {
	r, err := s.tagged(s.store.View(), wire.CallerFrom(ctx), in.ResourceArn)
	if err != nil {
		return nil, err
	}
	return &ecs.ListTagsForResourceOutput{Tags: tagsOf(r.tags)}, nil
}
