package ecs

import (
	"context"
	"maps"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
	"github.com/berth/berth/wire"
)

// fargateProviders are the capacity providers that every account has.
var fargateProviders = []string{"FARGATE", "FARGATE_SPOT"}

// The limits of a cluster's providers and their strategy (SDK,
// types.CapacityProviderStrategyItem; service quotas for the counts).
const (
	maxClusterProviders = 20
	maxBase             = 100_000
	maxWeight           = 1000
)

// checkProviders keeps the rules of a cluster's providers and its default strategy.
func checkProviders(v store.View, scope state.Scope, names []string, strategy []types.CapacityProviderStrategyItem) error {
	if len(names) > maxClusterProviders {
		return invalid("The maximum number of capacity providers per cluster has been exceeded.")
	}
	for i, name := range names {
		if _, ok := store.CapacityProviders.Get(v, scope.Key(name)); !ok && !slices.Contains(fargateProviders, name) {
			return invalid("The specified capacity provider '%s' was not found. Specify a valid name or ARN and try again.", name)
		}
		if slices.Contains(names[:i], name) {
			return invalid("The specified capacity provider '%s' is there more than once.", name)
		}
	}
	return checkStrategy(strategy, names)
}

// checkStrategy keeps the rules of a capacity provider strategy in a cluster that
// has the associated providers. An empty one is right.
func checkStrategy(strategy []types.CapacityProviderStrategyItem, associated []string) error {
	if len(strategy) > maxClusterProviders {
		return invalid("The capacity provider strategy can have at most %d capacity providers.", maxClusterProviders)
	}
	bases, weights := 0, int32(0)
	used := map[string]bool{}
	for _, item := range strategy {
		name := aws.ToString(item.CapacityProvider)
		switch {
		case !slices.Contains(associated, name):
			return invalid("The specified capacity provider strategy cannot contain a capacity provider that is not associated with the cluster. Associate the capacity provider with the cluster or specify a valid capacity provider and try again.")
		case used[name]:
			return invalid("The specified capacity provider strategy contains the capacity provider '%s' more than once.", name)
		case item.Base < 0 || item.Base > maxBase:
			return invalid("Invalid base %d of capacity provider '%s': it must be between 0 and %d.", item.Base, name, maxBase)
		case item.Weight < 0 || item.Weight > maxWeight:
			return invalid("Invalid weight %d of capacity provider '%s': it must be between 0 and %d.", item.Weight, name, maxWeight)
		case onFargate(name) != onFargate(aws.ToString(strategy[0].CapacityProvider)):
			return invalid("The specified capacity provider strategy cannot contain a mix of capacity providers using Auto Scaling groups and Fargate providers. Specify one or the other and try again.")
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

// onFargate reports whether a capacity provider's tasks are of launch type FARGATE.
func onFargate(provider string) bool { return slices.Contains(fargateProviders, provider) }

// PutClusterCapacityProviders replaces a cluster's providers and default
// strategy. A provider that tasks use can't be left out.
func (s *Service) PutClusterCapacityProviders(ctx context.Context, in *ecs.PutClusterCapacityProvidersInput) (*ecs.PutClusterCapacityProvidersOutput, error) {
	if aws.ToString(in.Cluster) == "" {
		return nil, invalid("Cluster can not be blank.")
	}
	if in.CapacityProviders == nil || in.DefaultCapacityProviderStrategy == nil {
		return nil, invalid("capacityProviders and defaultCapacityProviderStrategy must both be specified; they may be empty.")
	}
	out, err := s.changeCluster(ctx, in.Cluster, func(tx *store.Tx, c *state.Cluster) error {
		if err := checkProviders(tx, c.Scope, in.CapacityProviders, in.DefaultCapacityProviderStrategy); err != nil {
			return err
		}
		for t := range store.Tasks.List(tx, c.Scope, c.Name+"/") {
			if t.CapacityProvider != "" && t.Last != state.Stopped && !slices.Contains(in.CapacityProviders, t.CapacityProvider) {
				return &types.ResourceInUseException{Message: aws.String("The specified capacity provider is in use and cannot be removed.")}
			}
		}
		for svc := range store.Services.List(tx, c.Scope, c.Name+"/") {
			for _, item := range svc.Spec.V.CapacityProviderStrategy {
				if svc.Status != serviceInactive && !slices.Contains(in.CapacityProviders, aws.ToString(item.CapacityProvider)) {
					return &types.ResourceInUseException{Message: aws.String("The specified capacity provider is in use and cannot be removed.")}
				}
			}
		}
		c.Spec.V.CapacityProviders = in.CapacityProviders
		c.Spec.V.DefaultCapacityProviderStrategy = in.DefaultCapacityProviderStrategy
		return nil
	})
	return &ecs.PutClusterCapacityProvidersOutput{Cluster: out}, err
}

// DescribeCapacityProviders returns the capacity providers of the account, or
// those of them that are named, or that the cluster has.
func (s *Service) DescribeCapacityProviders(ctx context.Context, in *ecs.DescribeCapacityProvidersInput) (*ecs.DescribeCapacityProvidersOutput, error) {
	caller, v := wire.CallerFrom(ctx), s.store.View()
	scope := scopeOf(caller)
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
	known := map[string]types.CapacityProvider{}
	for _, name := range fargateProviders {
		known[name] = types.CapacityProvider{
			CapacityProviderArn: aws.String(state.ProviderARN(scope, name)), Name: &name, Status: types.CapacityProviderStatusActive,
			Type: types.CapacityProviderType(name), Tags: []types.Tag{},
		}
	}
	for p := range store.CapacityProviders.List(v, scope, "") {
		known[p.Name] = renderProvider(p, slices.Contains(in.Include, types.CapacityProviderFieldTags))
	}
	if in.Cluster != nil {
		c, err := s.activeCluster(v, caller, in.Cluster)
		if err != nil {
			return nil, err
		}
		maps.DeleteFunc(known, func(name string, _ types.CapacityProvider) bool {
			return !slices.Contains(c.Spec.V.CapacityProviders, name)
		})
	}
	out := &ecs.DescribeCapacityProvidersOutput{CapacityProviders: []types.CapacityProvider{}, Failures: []types.Failure{}}
	names := slices.Sorted(maps.Keys(known))
	if len(in.CapacityProviders) > 0 {
		named := map[string]bool{}
		for _, ref := range in.CapacityProviders {
			name, err := resourceName(caller, ref, "capacity-provider")
			if err != nil {
				return nil, err
			}
			if named[name] = true; known[name].Name == nil {
				out.Failures = append(out.Failures, types.Failure{Arn: aws.String(state.ProviderARN(scope, name)), Reason: aws.String("MISSING")})
			}
		}
		names = slices.DeleteFunc(names, func(name string) bool { return !named[name] })
	}
	names, out.NextToken, err = cut(names, "ecs/DescribeCapacityProviders", in.NextToken, limit)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		out.CapacityProviders = append(out.CapacityProviders, known[name])
	}
	return out, nil
}

func statistic(name string, n int32) types.KeyValuePair {
	return types.KeyValuePair{Name: &name, Value: aws.String(strconv.Itoa(int(n)))}
}
