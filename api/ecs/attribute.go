package ecs

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/internal/page"
	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
	"github.com/berth/berth/wire"
)

// The forms of an attribute (SDK, types.Attribute).
var (
	attributeName  = regexp.MustCompile(`^[a-zA-Z0-9_./\\-]{1,128}$`)
	attributeValue = regexp.MustCompile(`^[a-zA-Z0-9_./@:\\-]([a-zA-Z0-9_./@:\\ -]{0,126}[a-zA-Z0-9_./@:\\-])?$`)
)

func checkAttribute(a types.Attribute) error {
	switch {
	case !attributeName.MatchString(aws.ToString(a.Name)):
		return invalid("Invalid attribute name: %s", aws.ToString(a.Name))
	case aws.ToString(a.Value) != "" && !attributeValue.MatchString(*a.Value):
		return invalid("Invalid attribute value: %s", *a.Value)
	case a.TargetType != "" && a.TargetType != types.TargetTypeContainerInstance:
		return invalid("targetType must be container-instance.")
	}
	return nil
}

// capabilityAttributes are what the node can do, by the names of the ECS agent's
// capabilities. Those of roles are there because definitions with roles run,
// whatever the ledger says of their effect.
func capabilityAttributes() []types.Attribute {
	var out []types.Attribute
	for _, name := range []string{
		"com.amazonaws.ecs.capability.logging-driver.awsfirelens", "com.amazonaws.ecs.capability.logging-driver.awslogs", "com.amazonaws.ecs.capability.logging-driver.fluentd",
		"com.amazonaws.ecs.capability.logging-driver.gelf", "com.amazonaws.ecs.capability.logging-driver.journald", "com.amazonaws.ecs.capability.logging-driver.json-file",
		"com.amazonaws.ecs.capability.logging-driver.syslog", "com.amazonaws.ecs.capability.privileged-container",
		"com.amazonaws.ecs.capability.ecr-auth", "com.amazonaws.ecs.capability.task-iam-role",
		"com.amazonaws.ecs.capability.docker-remote-api.1.17", "com.amazonaws.ecs.capability.docker-remote-api.1.18", "com.amazonaws.ecs.capability.docker-remote-api.1.19",
		"com.amazonaws.ecs.capability.docker-remote-api.1.24", "com.amazonaws.ecs.capability.docker-remote-api.1.25",
		"ecs.capability.env-files.s3", "ecs.capability.container-health-check", "ecs.capability.container-ordering", "ecs.capability.container-restart-policy", "ecs.capability.pid-ipc-namespace-sharing", "ecs.capability.execution-role-awslogs", "ecs.capability.execution-role-ecr-pull", "ecs.capability.firelens.fluentbit", "ecs.capability.firelens.fluentd",
		"ecs.capability.firelens.options.config.file", "ecs.capability.docker-plugin.local", "ecs.capability.efs", "ecs.capability.storage.ebs-task-volume-attach", "ecs.capability.task-cpu-mem-limit", "ecs.capability.task-eni",
	} {
		out = append(out, types.Attribute{Name: &name})
	}
	return out
}

// PutAttributes sets up to ten attributes of container instances.
func (s *Service) PutAttributes(ctx context.Context, in *ecs.PutAttributesInput) (*ecs.PutAttributesOutput, error) {
	for _, a := range in.Attributes {
		if strings.HasPrefix(aws.ToString(a.Name), "ecs.") || strings.HasPrefix(aws.ToString(a.Name), "com.amazonaws.") {
			return nil, invalid("The attribute name %s is reserved.", *a.Name)
		}
	}
	changed, err := s.changeAttributes(ctx, in.Cluster, in.Attributes, func(i *state.ContainerInstance, a types.Attribute) {
		i.Attributes = mergeAttributes(i.Attributes, []types.Attribute{{Name: a.Name, Value: a.Value}})
	})
	return &ecs.PutAttributesOutput{Attributes: changed}, err
}

// DeleteAttributes removes up to ten attributes of container instances.
func (s *Service) DeleteAttributes(ctx context.Context, in *ecs.DeleteAttributesInput) (*ecs.DeleteAttributesOutput, error) {
	changed, err := s.changeAttributes(ctx, in.Cluster, in.Attributes, func(i *state.ContainerInstance, a types.Attribute) {
		i.Attributes = slices.DeleteFunc(i.Attributes, func(b types.Attribute) bool {
			return aws.ToString(b.Name) == aws.ToString(a.Name) && (a.Value == nil || aws.ToString(a.Value) == aws.ToString(b.Value))
		})
	})
	return &ecs.DeleteAttributesOutput{Attributes: changed}, err
}

func (s *Service) changeAttributes(ctx context.Context, ref *string, attributes []types.Attribute, change func(*state.ContainerInstance, types.Attribute)) ([]types.Attribute, error) {
	caller := wire.CallerFrom(ctx)
	switch {
	case len(attributes) == 0:
		return nil, invalid("attributes can not be empty.")
	case len(attributes) > 10:
		return nil, &types.AttributeLimitExceededException{Message: aws.String("At most 10 attributes can be changed at once.")}
	}
	var out []types.Attribute
	err := s.store.Update(ctx, func(tx *store.Tx) error {
		out = []types.Attribute{}
		cluster, err := s.activeCluster(tx, caller, ref)
		if err != nil {
			return err
		}
		for _, a := range attributes {
			if err := checkAttribute(a); err != nil {
				return err
			}
			if aws.ToString(a.TargetId) == "" {
				return invalid("targetId must be specified.")
			}
			i, err := s.instance(tx, caller, cluster, *a.TargetId)
			if err != nil {
				return err
			}
			if i == nil {
				return &types.TargetNotFoundException{Message: aws.String("Unable to find the target " + *a.TargetId + ".")}
			}
			i = i.Clone()
			change(i, a)
			i.Version++
			store.Instances.Put(tx, i)
			out = append(out, shownAttribute(i, a))
		}
		return nil
	})
	return out, err
}

func shownAttribute(i *state.ContainerInstance, a types.Attribute) types.Attribute {
	return types.Attribute{Name: a.Name, Value: a.Value, TargetType: types.TargetTypeContainerInstance, TargetId: aws.String(i.ARN())}
}

// ListAttributes lists the attributes of a cluster's container instances.
func (s *Service) ListAttributes(ctx context.Context, in *ecs.ListAttributesInput) (*ecs.ListAttributesOutput, error) {
	caller, v := wire.CallerFrom(ctx), s.store.View()
	cluster, err := s.cluster(v, caller, in.Cluster)
	if err != nil {
		return nil, err
	}
	if in.TargetType != types.TargetTypeContainerInstance {
		return nil, invalid("targetType must be container-instance.")
	}
	limit := int(aws.ToInt32(in.MaxResults))
	switch {
	case in.MaxResults != nil && (limit < 1 || limit > 100):
		return nil, invalid("maxResults must be between 1 and 100.")
	case limit == 0:
		limit = 100
	}
	all := []types.Attribute{}
	for i := range store.Instances.List(v, cluster.Scope, cluster.Name+"/") {
		for _, a := range i.Attributes {
			if in.AttributeName != nil && aws.ToString(a.Name) != *in.AttributeName || in.AttributeValue != nil && aws.ToString(a.Value) != *in.AttributeValue {
				continue
			}
			all = append(all, shownAttribute(i, a))
		}
	}
	key := func(a types.Attribute) string { return *a.TargetId + " " + *a.Name }
	slices.SortFunc(all, func(a, b types.Attribute) int { return strings.Compare(key(a), key(b)) })
	all, next, err := page.Cut(all, key, "ecs/ListAttributes/"+cluster.Name, aws.ToString(in.NextToken), limit)
	if err != nil {
		return nil, invalid("Invalid token: the nextToken is not one that ListAttributes returned for this cluster.")
	}
	return &ecs.ListAttributesOutput{Attributes: all, NextToken: text(next)}, nil
}
