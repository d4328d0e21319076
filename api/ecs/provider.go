package ecs

import (
	"cmp"
	"context"
	"regexp"
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

// The defaults and limits of managed scaling (SDK, types.ManagedScaling).
const (
	defaultTarget, maxTarget = 100, 100 // percent
	defaultMinStep, maxStep  = 1, 10_000
	defaultWarmup, maxWarmup = 300, 10_000 // seconds
	maxCapacityProviders     = 100         // in an account and region (Amazon ECS service quotas)
)

var reservedProviderName = regexp.MustCompile(`^(?i:aws|ecs|fargate)`)

// CreateCapacityProvider makes a capacity provider of an Auto Scaling group.
// Instances become its own when they register with its name.
func (s *Service) CreateCapacityProvider(ctx context.Context, in *ecs.CreateCapacityProviderInput) (*ecs.CreateCapacityProviderOutput, error) {
	caller := wire.CallerFrom(ctx)
	name := aws.ToString(in.Name)
	if !nameRule.MatchString(name) || reservedProviderName.MatchString(name) {
		return nil, clientError(`The specified capacity provider name is invalid. Up to 255 characters are allowed, including letters (upper and lowercase), numbers, underscores, and hyphens. The name cannot be prefixed with "aws", "ecs", or "fargate".`)
	}
	if in.AutoScalingGroupProvider == nil {
		return nil, invalid("autoScalingGroupProvider must be specified.")
	}
	group, err := groupProvider(in.AutoScalingGroupProvider)
	if err != nil {
		return nil, err
	}
	made := &state.CapacityProvider{Scope: scopeOf(caller), Name: name, CreatedAt: s.now()}
	made.Spec.V = types.CapacityProvider{Name: &name, AutoScalingGroupProvider: group}
	if made.Tags, err = tagsFrom(in.Tags); err != nil {
		return nil, err
	}
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		count := 0
		for p := range store.CapacityProviders.List(tx, made.Scope, "") {
			count++
			switch {
			case p.Name == name:
				return clientError("The specified capacity provider already exists. To change the configuration of an existing capacity provider, update the capacity provider.")
			case *p.Spec.V.AutoScalingGroupProvider.AutoScalingGroupArn == *group.AutoScalingGroupArn:
				return clientError("The specified Auto Scaling group ARN is already being used by another capacity provider. Specify a unique Auto Scaling group ARN and try again.")
			}
		}
		if count >= maxCapacityProviders {
			return &types.LimitExceededException{Message: aws.String("The maximum number of capacity providers has been exceeded.")}
		}
		store.CapacityProviders.Put(tx, made)
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := renderProvider(made, true)
	return &ecs.CreateCapacityProviderOutput{CapacityProvider: &out}, nil
}

// groupProvider checks what is said of an Auto Scaling group and fills in the
// defaults.
func groupProvider(in *types.AutoScalingGroupProvider) (*types.AutoScalingGroupProvider, error) {
	group := aws.ToString(in.AutoScalingGroupArn)
	a, err := arn.Parse(group)
	if err != nil || a.Service != "autoscaling" || !strings.HasPrefix(a.Resource, "autoScalingGroup:") {
		return nil, clientError("The specified Auto Scaling group ARN is invalid: %s", group)
	}
	out := &types.AutoScalingGroupProvider{
		AutoScalingGroupArn:          &group,
		ManagedDraining:              cmp.Or(in.ManagedDraining, types.ManagedDrainingEnabled),
		ManagedTerminationProtection: cmp.Or(in.ManagedTerminationProtection, types.ManagedTerminationProtectionDisabled),
	}
	if !slices.Contains(out.ManagedDraining.Values(), out.ManagedDraining) {
		return nil, invalid("Invalid managedDraining: %s", out.ManagedDraining)
	}
	if !slices.Contains(out.ManagedTerminationProtection.Values(), out.ManagedTerminationProtection) {
		return nil, invalid("Invalid managedTerminationProtection: %s", out.ManagedTerminationProtection)
	}
	if out.ManagedScaling, err = managedScaling(in.ManagedScaling); err != nil {
		return nil, err
	}
	if out.ManagedTerminationProtection == types.ManagedTerminationProtectionEnabled && out.ManagedScaling.Status != types.ManagedScalingStatusEnabled {
		return nil, clientError("The managed termination protection setting for the capacity provider is invalid. To enable managed termination protection for a capacity provider, managed scaling must be enabled.")
	}
	return out, nil
}

func managedScaling(in *types.ManagedScaling) (*types.ManagedScaling, error) {
	if in == nil {
		return &types.ManagedScaling{Status: types.ManagedScalingStatusDisabled}, nil
	}
	out := *in
	out.Status = cmp.Or(in.Status, types.ManagedScalingStatusDisabled)
	if !slices.Contains(out.Status.Values(), out.Status) {
		return nil, invalid("Invalid managedScaling.status: %s", out.Status)
	}
	for _, f := range []struct {
		name                string
		value               **int32
		def, smallest, most int32
	}{
		{"targetCapacity", &out.TargetCapacity, defaultTarget, 1, maxTarget},
		{"minimumScalingStepSize", &out.MinimumScalingStepSize, defaultMinStep, 1, maxStep},
		{"maximumScalingStepSize", &out.MaximumScalingStepSize, maxStep, 1, maxStep},
		{"instanceWarmupPeriod", &out.InstanceWarmupPeriod, defaultWarmup, 0, maxWarmup},
	} {
		switch {
		case *f.value == nil:
			if out.Status == types.ManagedScalingStatusEnabled {
				*f.value = aws.Int32(f.def)
			}
		case **f.value < f.smallest || **f.value > f.most:
			return nil, invalid("Invalid managedScaling.%s: it must be between %d and %d, not %d.", f.name, f.smallest, f.most, **f.value)
		}
	}
	if out.MinimumScalingStepSize != nil && out.MaximumScalingStepSize != nil && *out.MinimumScalingStepSize > *out.MaximumScalingStepSize {
		return nil, invalid("Invalid managedScaling: minimumScalingStepSize must not be more than maximumScalingStepSize.")
	}
	return &out, nil
}

// changeProvider writes what change makes of a copy of a capacity provider that
// a user has made, and returns it.
func (s *Service) changeProvider(ctx context.Context, ref *string, change func(tx *store.Tx, p *state.CapacityProvider) error) (*types.CapacityProvider, error) {
	caller := wire.CallerFrom(ctx)
	name, err := resourceName(caller, aws.ToString(ref), "capacity-provider")
	switch {
	case err != nil:
		return nil, err
	case name == "":
		return nil, invalid("Capacity provider can not be blank.")
	case slices.Contains(fargateProviders, name):
		return nil, clientError("The specified capacity provider is reserved and cannot be changed or deleted: %s", name)
	}
	var out types.CapacityProvider
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		old, ok := store.CapacityProviders.Get(tx, scopeOf(caller).Key(name))
		if !ok {
			return clientError("The specified capacity provider does not exist. Specify a valid name or ARN and try again.")
		}
		p := *old
		if err := change(tx, &p); err != nil {
			return err
		}
		out = renderProvider(&p, true)
		return nil
	})
	return &out, err
}

// UpdateCapacityProvider changes what the request names of a capacity provider.
func (s *Service) UpdateCapacityProvider(ctx context.Context, in *ecs.UpdateCapacityProviderInput) (*ecs.UpdateCapacityProviderOutput, error) {
	if in.AutoScalingGroupProvider == nil {
		return nil, invalid("autoScalingGroupProvider must be specified.")
	}
	out, err := s.changeProvider(ctx, in.Name, func(tx *store.Tx, p *state.CapacityProvider) error {
		was := p.Spec.V.AutoScalingGroupProvider
		is := &types.AutoScalingGroupProvider{
			AutoScalingGroupArn: was.AutoScalingGroupArn, ManagedScaling: was.ManagedScaling,
			ManagedDraining:              cmp.Or(in.AutoScalingGroupProvider.ManagedDraining, was.ManagedDraining),
			ManagedTerminationProtection: cmp.Or(in.AutoScalingGroupProvider.ManagedTerminationProtection, was.ManagedTerminationProtection),
		}
		if m := in.AutoScalingGroupProvider.ManagedScaling; m != nil {
			is.ManagedScaling = &types.ManagedScaling{
				Status: cmp.Or(m.Status, was.ManagedScaling.Status), TargetCapacity: cmp.Or(m.TargetCapacity, was.ManagedScaling.TargetCapacity),
				MinimumScalingStepSize: cmp.Or(m.MinimumScalingStepSize, was.ManagedScaling.MinimumScalingStepSize),
				MaximumScalingStepSize: cmp.Or(m.MaximumScalingStepSize, was.ManagedScaling.MaximumScalingStepSize),
				InstanceWarmupPeriod:   cmp.Or(m.InstanceWarmupPeriod, was.ManagedScaling.InstanceWarmupPeriod),
			}
		}
		group, err := groupProvider(is)
		if err != nil {
			return err
		}
		p.Spec.V.AutoScalingGroupProvider = group
		p.Update, p.Reason = types.CapacityProviderUpdateStatusUpdateComplete, ""
		store.CapacityProviders.Put(tx, p)
		return nil
	})
	return &ecs.UpdateCapacityProviderOutput{CapacityProvider: out}, err
}

// DeleteCapacityProvider deletes a capacity provider, unless a cluster has it:
// then it stays, and its updateStatus says so.
func (s *Service) DeleteCapacityProvider(ctx context.Context, in *ecs.DeleteCapacityProviderInput) (*ecs.DeleteCapacityProviderOutput, error) {
	gone := false
	out, err := s.changeProvider(ctx, in.CapacityProvider, func(tx *store.Tx, p *state.CapacityProvider) error {
		gone = false
		for c := range store.Clusters.List(tx, p.Scope, "") {
			if c.Status == clusterActive && slices.Contains(c.Spec.V.CapacityProviders, p.Name) {
				p.Update = types.CapacityProviderUpdateStatusDeleteFailed
				p.Reason = "The capacity provider cannot be deleted because it is associated with cluster: " + c.Name + ". Remove the capacity provider from the cluster and try again."
				store.CapacityProviders.Put(tx, p)
				return nil
			}
		}
		gone = true
		p.Update, p.Reason = types.CapacityProviderUpdateStatusDeleteComplete, ""
		store.CapacityProviders.Delete(tx, p.Key())
		return nil
	})
	if gone && err == nil {
		out.Status = types.CapacityProviderStatusInactive
	}
	return &ecs.DeleteCapacityProviderOutput{CapacityProvider: out}, err
}

// renderProvider shows a capacity provider that a user has made.
func renderProvider(p *state.CapacityProvider, tags bool) types.CapacityProvider {
	out := types.CapacityProvider{
		CapacityProviderArn: aws.String(p.ARN()), Name: &p.Name, Status: types.CapacityProviderStatusActive, Type: types.CapacityProviderTypeEc2Autoscaling,
		AutoScalingGroupProvider: p.Spec.V.AutoScalingGroupProvider, UpdateStatus: p.Update, UpdateStatusReason: text(p.Reason), Tags: []types.Tag{},
	}
	if tags {
		out.Tags = tagsOf(p.Tags)
	}
	return out
}
