package ecs

import (
	"context"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/internal/arn"
	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
	"github.com/berth/berth/wire"
)

// providers are the capacity providers that every account has.
var providers = []string{"FARGATE", "FARGATE_SPOT"}

// The limits of a cluster's providers and their strategy (SDK,
// types.CapacityProviderStrategyItem; service quotas for the counts).
const (
	maxClusterProviders = 20
	maxBase             = 100_000
	maxWeight           = 1000
)

// checkProviders keeps the rules of a cluster's providers and its default strategy.
func checkProviders(names []string, strategy []types.CapacityProviderStrategyItem) error {
	if len(names) > maxClusterProviders {
		return invalid("The maximum number of capacity providers per cluster has been exceeded.")
	}
	for i, name := range names {
		if !slices.Contains(providers, name) {
			return invalid("The specified capacity provider '%s' was not found. Specify a valid name or ARN and try again.", name)
		}
		if slices.Contains(names[:i], name) {
			return invalid("The specified capacity provider '%s' is there more than once.", name)
		}
	}
	bases, weights := 0, int32(0)
	used := map[string]bool{}
	for _, item := range strategy {
		name := aws.ToString(item.CapacityProvider)
		switch {
		case !slices.Contains(names, name):
			return invalid("The specified capacity provider strategy cannot contain a capacity provider that is not associated with the cluster. Associate the capacity provider '%s' with the cluster and try again.", name)
		case used[name]:
			return invalid("The specified capacity provider strategy contains the capacity provider '%s' more than once.", name)
		case item.Base < 0 || item.Base > maxBase:
			return invalid("Invalid base %d of capacity provider '%s': it must be between 0 and %d.", item.Base, name, maxBase)
		case item.Weight < 0 || item.Weight > maxWeight:
			return invalid("Invalid weight %d of capacity provider '%s': it must be between 0 and %d.", item.Weight, name, maxWeight)
		}
		used[name] = true
		weights += item.Weight
		if item.Base > 0 {
			bases++
		}
	}
	switch {
	case bases > 1:
		return invalid("The specified capacity provider strategy contains multiple capacity providers with a base value defined.")
	case len(strategy) > 0 && weights == 0:
		return invalid("The specified capacity provider strategy must contain at least one capacity provider with a weight greater than 0.")
	}
	return nil
}

// PutClusterCapacityProviders replaces a cluster's providers and default
// strategy. A provider that tasks use can't be left out.
func (s *Service) PutClusterCapacityProviders(ctx context.Context, in *ecs.PutClusterCapacityProvidersInput) (*ecs.PutClusterCapacityProvidersOutput, error) {
	if aws.ToString(in.Cluster) == "" {
		return nil, invalid("Cluster can not be blank.")
	}
	if in.CapacityProviders == nil || in.DefaultCapacityProviderStrategy == nil {
		return nil, invalid("capacityProviders and defaultCapacityProviderStrategy must both be specified; they may be empty.")
	}
	if err := checkProviders(in.CapacityProviders, in.DefaultCapacityProviderStrategy); err != nil {
		return nil, err
	}
	out, err := s.changeCluster(ctx, in.Cluster, func(tx *store.Tx, c *state.Cluster) error {
		for t := range store.Tasks.List(tx, c.Scope, c.Name+"/") {
			if t.CapacityProvider != "" && t.Last != state.Stopped && !slices.Contains(in.CapacityProviders, t.CapacityProvider) {
				return &types.ResourceInUseException{Message: aws.String("The specified capacity provider is in use and cannot be removed.")}
			}
		}
		c.Spec.V.CapacityProviders = in.CapacityProviders
		c.Spec.V.DefaultCapacityProviderStrategy = in.DefaultCapacityProviderStrategy
		return nil
	})
	return &ecs.PutClusterCapacityProvidersOutput{Cluster: out}, err
}

// DescribeCapacityProviders returns FARGATE and FARGATE_SPOT, or those of them
// that are named, or that the cluster has.
func (s *Service) DescribeCapacityProviders(ctx context.Context, in *ecs.DescribeCapacityProvidersInput) (*ecs.DescribeCapacityProvidersOutput, error) {
	caller := wire.CallerFrom(ctx)
	limit, err := pageSize(in.MaxResults, 10)
	if err != nil {
		return nil, err
	}
	if len(in.CapacityProviders) > 100 {
		return nil, invalid("capacityProviders cannot have more than 100 elements.")
	}
	for _, f := range in.Include {
		if f != types.CapacityProviderFieldTags {
			return nil, invalid("Invalid include value: %s. Accepted values: [TAGS]", f)
		}
	}
	known := providers
	if in.Cluster != nil {
		c, err := s.activeCluster(s.store.View(), caller, in.Cluster)
		if err != nil {
			return nil, err
		}
		known = c.Spec.V.CapacityProviders
	}
	out := &ecs.DescribeCapacityProvidersOutput{CapacityProviders: []types.CapacityProvider{}, Failures: []types.Failure{}}
	found := map[string]bool{}
	for _, ref := range in.CapacityProviders {
		name, err := resourceName(caller, ref, "capacity-provider")
		if err != nil {
			return nil, err
		}
		if !slices.Contains(known, name) {
			out.Failures = append(out.Failures, types.Failure{Arn: aws.String(providerARN(caller, name)), Reason: aws.String("MISSING")})
			continue
		}
		found[name] = true
	}
	var names []string
	for _, name := range providers {
		if found[name] || len(in.CapacityProviders) == 0 && slices.Contains(known, name) {
			names = append(names, name)
		}
	}
	names, out.NextToken, err = cut(names, "ecs/DescribeCapacityProviders", in.NextToken, limit)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		out.CapacityProviders = append(out.CapacityProviders, types.CapacityProvider{
			CapacityProviderArn: aws.String(providerARN(caller, name)),
			Name:                aws.String(name),
			Status:              types.CapacityProviderStatusActive,
			Type:                types.CapacityProviderType(name),
			Tags:                []types.Tag{},
		})
	}
	return out, nil
}

func providerARN(c wire.Caller, name string) string {
	return arn.ECS(c.Region, c.Account, "capacity-provider/"+name)
}

func statistic(name string, n int32) types.KeyValuePair {
	return types.KeyValuePair{Name: &name, Value: aws.String(strconv.Itoa(int(n)))}
}
