package ecs

import (
	"context"
	"reflect"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
	"github.com/berth/berth/wire"
)

// UpdateService changes what the request names of an ACTIVE service. There is a
// new deployment when the definition, the network, the platform or the capacity of
// its tasks change, or one is forced; anything else holds for tasks that are
// started from now on (SDK, UpdateServiceInput).
func (s *Service) UpdateService(ctx context.Context, in *ecs.UpdateServiceInput) (*ecs.UpdateServiceOutput, error) {
	caller := wire.CallerFrom(ctx)
	var out types.Service
	err := s.store.Update(ctx, func(tx *store.Tx) error {
		cluster, old, err := s.activeService(tx, caller, in.Cluster, in.Service)
		if err != nil {
			return err
		}
		if err := updatable(old, in); err != nil {
			return err
		}
		svc := *old
		if err := merge(&svc, in); err != nil {
			return err
		}
		if err := checkService(&svc, in.DesiredCount); err != nil {
			return err
		}
		var p *plan
		if in.ForceNewDeployment || !sameStart(old, &svc) || placementNamed(in) {
			if p, err = s.planService(tx, caller, cluster, &svc, in.TaskDefinition == nil); err != nil {
				return err
			}
		}
		if p != nil && (in.ForceNewDeployment || !sameStart(old, &svc)) {
			s.deploy(tx, &svc, s.revise(tx, &svc, p))
		}
		store.Services.Put(tx, &svc)
		out = s.renderService(tx, &svc, true)
		return nil
	})
	return &ecs.UpdateServiceOutput{Service: &out}, err
}

// updatable refuses what can't be changed of a service of task sets: that is
// theirs.
func updatable(svc *state.Service, in *ecs.UpdateServiceInput) error {
	if c := in.DeploymentController; c != nil && c.Type != "" && c.Type != svc.Spec.V.DeploymentController.Type {
		return invalid("Changing the deployment controller from %s to %s is not supported.", svc.Spec.V.DeploymentController.Type, c.Type)
	}
	if !external(svc) {
		return nil
	}
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"task definition", in.TaskDefinition != nil},
		{"network parameters", in.NetworkConfiguration != nil},
		{"platform version", in.PlatformVersion != nil},
		{"capacity provider strategy", in.CapacityProviderStrategy != nil},
	} {
		if f.set {
			return invalid("Unable to update %s on services with a EXTERNAL deployment controller. Create a new task set instead.", f.name)
		}
	}
	if in.ForceNewDeployment {
		return invalid("Cannot force a new deployment on services with a EXTERNAL deployment controller. Create a new task set instead.")
	}
	return nil
}

// merge writes what a request names into a copy of a service.
func merge(svc *state.Service, in *ecs.UpdateServiceInput) error {
	spec := &svc.Spec.V
	if in.DesiredCount != nil {
		svc.Desired = *in.DesiredCount
	}
	if in.TaskDefinition != nil {
		spec.TaskDefinition = in.TaskDefinition
	}
	if in.NetworkConfiguration != nil {
		spec.NetworkConfiguration = in.NetworkConfiguration
	}
	if in.PlatformVersion != nil {
		spec.PlatformVersion = in.PlatformVersion
	}
	if in.PlacementConstraints != nil {
		spec.PlacementConstraints = in.PlacementConstraints
	}
	if in.PlacementStrategy != nil {
		spec.PlacementStrategy = in.PlacementStrategy
	}
	if in.PropagateTags != "" {
		spec.PropagateTags = in.PropagateTags
	}
	if in.EnableECSManagedTags != nil {
		spec.EnableECSManagedTags = *in.EnableECSManagedTags
	}
	if in.EnableExecuteCommand != nil {
		spec.EnableExecuteCommand = *in.EnableExecuteCommand
	}
	if in.HealthCheckGracePeriodSeconds != nil {
		spec.HealthCheckGracePeriodSeconds = in.HealthCheckGracePeriodSeconds
	}
	if in.AvailabilityZoneRebalancing != "" {
		spec.AvailabilityZoneRebalancing = in.AvailabilityZoneRebalancing
	}
	mergeCapacity(svc, in.CapacityProviderStrategy)
	if in.DeploymentConfiguration == nil {
		return nil
	}
	var err error
	spec.DeploymentConfiguration, err = deploymentConfiguration(in.DeploymentConfiguration, spec.DeploymentConfiguration, spec.DeploymentController.Type, spec.SchedulingStrategy)
	return err
}

// mergeCapacity takes a strategy in place of a launch type or of another strategy;
// an empty one gives a launch type in place of the providers of that kind.
func mergeCapacity(svc *state.Service, strategy []types.CapacityProviderStrategyItem) {
	if strategy == nil {
		return
	}
	before := serviceLaunch(svc)
	svc.Spec.V.CapacityProviderStrategy, svc.Spec.V.LaunchType = strategy, ""
	if len(strategy) == 0 {
		svc.Spec.V.LaunchType = before
	}
	if serviceLaunch(svc) != types.LaunchTypeFargate {
		svc.Spec.V.PlatformVersion = nil
	}
}

// placementNamed reports whether a request names constraints or strategies of
// placement, which are then checked.
func placementNamed(in *ecs.UpdateServiceInput) bool {
	return in.PlacementConstraints != nil || in.PlacementStrategy != nil
}

// sameStart reports whether tasks are started from the same as before.
func sameStart(a, b *state.Service) bool {
	x, y := &a.Spec.V, &b.Spec.V
	return aws.ToString(x.TaskDefinition) == aws.ToString(y.TaskDefinition) && x.LaunchType == y.LaunchType &&
		aws.ToString(x.PlatformVersion) == aws.ToString(y.PlatformVersion) &&
		reflect.DeepEqual(shownNetwork(x.NetworkConfiguration), shownNetwork(y.NetworkConfiguration)) &&
		sameStrategy(x.CapacityProviderStrategy, y.CapacityProviderStrategy)
}

func sameStrategy(a, b []types.CapacityProviderStrategyItem) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if aws.ToString(a[i].CapacityProvider) != aws.ToString(b[i].CapacityProvider) || a[i].Base != b[i].Base || a[i].Weight != b[i].Weight {
			return false
		}
	}
	return true
}

// DeleteService makes a service DRAINING: its tasks stop, and then it is INACTIVE.
// One that has tasks to keep is deleted by force only. One that is DRAINING is
// returned as it is.
func (s *Service) DeleteService(ctx context.Context, in *ecs.DeleteServiceInput) (*ecs.DeleteServiceOutput, error) {
	caller := wire.CallerFrom(ctx)
	var out types.Service
	err := s.store.Update(ctx, func(tx *store.Tx) error {
		_, old, err := s.service(tx, caller, in.Cluster, in.Service)
		if err != nil {
			return err
		}
		svc := *old
		switch {
		case old.Status == serviceInactive:
			return serviceNotFound()
		case old.Status == serviceActive:
			if !aws.ToBool(in.Force) && !daemonic(old) {
				if old.Desired > 0 {
					return invalid("The service cannot be stopped while it is scaled above 0.")
				}
				for range store.TaskSets.List(tx, old.Scope, servicePrefix(old)) {
					return invalid("The service cannot be stopped while it has task sets. Delete its task sets, or force the deletion, and try again.")
				}
			}
			svc.Status, svc.Desired = serviceDraining, 0
			store.Services.Put(tx, &svc)
		}
		out = s.renderService(tx, &svc, true)
		return nil
	})
	return &ecs.DeleteServiceOutput{Service: &out}, err
}
