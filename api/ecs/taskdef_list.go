package ecs

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
	"github.com/berth/berth/wire"
)

// ListTaskDefinitions returns the ARNs of the revisions of one status, ACTIVE
// unless said, of all families or of the one whose name is familyPrefix, which
// is a full name in spite of its name (SDK, ListTaskDefinitionsInput). They are
// sorted by family and revision, or by both backwards.
func (s *Service) ListTaskDefinitions(ctx context.Context, in *ecs.ListTaskDefinitionsInput) (*ecs.ListTaskDefinitionsOutput, error) {
	limit, err := pageSize(in.MaxResults, 100)
	if err != nil {
		return nil, err
	}
	status := in.Status
	if status == "" {
		status = types.TaskDefinitionStatusActive
	}
	if !slices.Contains(status.Values(), status) {
		return nil, invalid("Invalid status: %s. Accepted values: [ACTIVE, INACTIVE, DELETE_IN_PROGRESS]", status)
	}
	key := revisionOrder
	switch in.Sort {
	case "", types.SortOrderAsc:
	case types.SortOrderDesc:
		key = func(d *state.TaskDefinition) string { return backwards(revisionOrder(d)) }
	default:
		return nil, invalid("Invalid sort: %s. Accepted values: [ASC, DESC]", in.Sort)
	}
	prefix := aws.ToString(in.FamilyPrefix)
	if prefix != "" {
		prefix += "/"
	}
	var found []*state.TaskDefinition
	for d := range store.TaskDefinitions.List(s.store.View(), scopeOf(wire.CallerFrom(ctx)), prefix) {
		if d.Spec.V.Status == status {
			found = append(found, d)
		}
	}
	slices.SortFunc(found, func(a, b *state.TaskDefinition) int { return strings.Compare(key(a), key(b)) })
	list := fmt.Sprintf("ecs/ListTaskDefinitions/%s/%s/%s", status, in.Sort, prefix)
	found, next, err := cutBy(found, key, list, in.NextToken, limit)
	if err != nil {
		return nil, err
	}
	out := &ecs.ListTaskDefinitionsOutput{TaskDefinitionArns: []string{}, NextToken: next}
	for _, d := range found {
		out.TaskDefinitionArns = append(out.TaskDefinitionArns, d.ARN())
	}
	return out, nil
}

// revisionOrder is a text that sorts as (family, revision) does.
func revisionOrder(d *state.TaskDefinition) string {
	return fmt.Sprintf("%s\x00%010d", d.Family, d.Revision)
}

// backwards is a text that sorts the other way round than s.
func backwards(s string) string {
	b := []byte(s)
	for i := range b {
		b[i] = ^b[i]
	}
	return string(append(b, 0xff))
}

// ListTaskDefinitionFamilies returns the names of families that have revisions
// and begin with familyPrefix: ACTIVE ones have an ACTIVE revision, INACTIVE
// ones have none. Without a status, both.
func (s *Service) ListTaskDefinitionFamilies(ctx context.Context, in *ecs.ListTaskDefinitionFamiliesInput) (*ecs.ListTaskDefinitionFamiliesOutput, error) {
	limit, err := pageSize(in.MaxResults, 100)
	if err != nil {
		return nil, err
	}
	if in.Status != "" && !slices.Contains(in.Status.Values(), in.Status) {
		return nil, invalid("Invalid status: %s. Accepted values: [ACTIVE, INACTIVE, ALL]", in.Status)
	}
	prefix := aws.ToString(in.FamilyPrefix)
	active := map[string]bool{}
	for d := range store.TaskDefinitions.List(s.store.View(), scopeOf(wire.CallerFrom(ctx)), prefix) {
		// A family's key ends where its name does, the prefix may go on.
		if strings.HasPrefix(d.Family, prefix) {
			active[d.Family] = active[d.Family] || d.Spec.V.Status == types.TaskDefinitionStatusActive
		}
	}
	families := []string{}
	for name, is := range active {
		switch in.Status {
		case types.TaskDefinitionFamilyStatusActive:
			if !is {
				continue
			}
		case types.TaskDefinitionFamilyStatusInactive:
			if is {
				continue
			}
		}
		families = append(families, name)
	}
	slices.Sort(families)
	out := &ecs.ListTaskDefinitionFamiliesOutput{}
	out.Families, out.NextToken, err = cut(families, "ecs/ListTaskDefinitionFamilies/"+string(in.Status)+"/"+prefix, in.NextToken, limit)
	return out, err
}
