package ecs

import (
	"cmp"
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/place"
	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
	"github.com/berth/berth/wire"
)

// CreateService makes a service, and its first deployment. The name of an ACTIVE
// one gives that back if it is what is asked for; the name of an INACTIVE one
// makes a new service.
func (s *Service) CreateService(ctx context.Context, in *ecs.CreateServiceInput) (*ecs.CreateServiceOutput, error) {
	caller := wire.CallerFrom(ctx)
	asked, err := s.newService(caller, in)
	if err != nil {
		return nil, err
	}
	token := aws.ToString(in.ClientToken)
	if err := checkToken(token); err != nil {
		return nil, err
	}
	plain := *in
	plain.ClientToken = nil
	sum, err := fingerprint(&plain)
	if err != nil {
		return nil, err
	}
	var out types.Service
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		cluster, err := s.activeCluster(tx, caller, in.Cluster)
		if err != nil {
			return err
		}
		svc := *asked
		svc.Cluster = cluster.Name
		if g := s.granted(tx, svc.Scope, "ecs/CreateService", token); g != nil {
			old, ok := store.Services.Get(tx, svc.Scope.Key(g.Results[0]))
			if g.Fingerprint != sum || !ok {
				return notIdempotent()
			}
			out = s.renderService(tx, old, true)
			return nil
		}
		p, err := s.planService(tx, caller, cluster, &svc, false)
		if err != nil {
			return err
		}
		if old, ok := store.Services.Get(tx, svc.Key()); ok {
			switch {
			case old.Status == serviceDraining:
				return invalid("Unable to Start a service that is still Draining.")
			case old.Status == serviceActive && sameService(old, &svc):
				out = s.renderService(tx, old, true)
				return nil
			case old.Status == serviceActive:
				return notIdempotent()
			}
			store.DeleteParts(tx, old)
		}
		if p != nil {
			s.deploy(tx, &svc, s.revise(tx, &svc, p))
		}
		store.Services.Put(tx, &svc)
		s.grant(tx, svc.Scope, "ecs/CreateService", token, sum, svc.Cluster+"/"+svc.Name)
		out = s.renderService(tx, &svc, true)
		return nil
	})
	return &ecs.CreateServiceOutput{Service: &out}, err
}

func notIdempotent() error { return invalid("Creation of service was not idempotent.") }

// checkToken keeps the rule of services' and task sets' client tokens (SDK,
// CreateServiceInput.ClientToken).
func checkToken(token string) error {
	if len(token) > 36 {
		return invalid("clientToken must be at most 36 characters long.")
	}
	for _, c := range []byte(token) {
		if c < 33 || c > 126 {
			return invalid("clientToken must be of the ASCII characters 33 to 126.")
		}
	}
	return nil
}

// sameService says whether a service is still what a request to create it asks for.
func sameService(old, wanted *state.Service) bool {
	a, errA := old.Spec.MarshalJSON()
	b, errB := wanted.Spec.MarshalJSON()
	return errA == nil && errB == nil && string(a) == string(b) && slices.Equal(old.Tags, wanted.Tags) &&
		(old.Desired == wanted.Desired || daemonic(old))
}

// newService checks what of a new service is independent of where its tasks run.
func (s *Service) newService(caller wire.Caller, in *ecs.CreateServiceInput) (*state.Service, error) {
	name := aws.ToString(in.ServiceName)
	if !nameRule.MatchString(name) {
		return nil, invalid("Invalid service name: serviceName must be 1 to 255 letters, numbers, hyphens and underscores.")
	}
	svc := &state.Service{
		Scope: scopeOf(caller), Name: name, Status: serviceActive, Desired: aws.ToInt32(in.DesiredCount), CreatedAt: s.now(), CreatedBy: caller.ARN,
	}
	controller := types.DeploymentControllerTypeEcs
	if in.DeploymentController != nil {
		controller = cmp.Or(in.DeploymentController.Type, controller)
	}
	spec := &svc.Spec.V
	*spec = types.Service{
		ServiceName: &name, SchedulingStrategy: cmp.Or(in.SchedulingStrategy, types.SchedulingStrategyReplica),
		DeploymentController: &types.DeploymentController{Type: controller}, ResourceManagementType: types.ResourceManagementTypeCustomer,
		TaskDefinition: in.TaskDefinition, LaunchType: in.LaunchType, CapacityProviderStrategy: in.CapacityProviderStrategy,
		NetworkConfiguration: in.NetworkConfiguration, PlatformVersion: in.PlatformVersion,
		PlacementConstraints: in.PlacementConstraints, PlacementStrategy: in.PlacementStrategy, PropagateTags: cmp.Or(in.PropagateTags, types.PropagateTagsNone),
		EnableECSManagedTags: in.EnableECSManagedTags, EnableExecuteCommand: in.EnableExecuteCommand, HealthCheckGracePeriodSeconds: in.HealthCheckGracePeriodSeconds,
		AvailabilityZoneRebalancing: in.AvailabilityZoneRebalancing,
	}
	if !slices.Contains(controller.Values(), controller) {
		return nil, invalid("Invalid deployment controller type: %s", controller)
	}
	if !slices.Contains(spec.SchedulingStrategy.Values(), spec.SchedulingStrategy) {
		return nil, invalid("Invalid scheduling strategy: %s", spec.SchedulingStrategy)
	}
	if controller == types.DeploymentControllerTypeCodeDeploy {
		return nil, invalid("The deployment controller CODE_DEPLOY requires a load balancer: loadBalancers can not be empty.")
	}
	if spec.SchedulingStrategy == types.SchedulingStrategyReplica && in.DesiredCount == nil && controller == types.DeploymentControllerTypeEcs {
		return nil, invalid("The desired count must be specified for the REPLICA scheduling strategy.")
	}
	var err error
	if spec.DeploymentConfiguration, err = deploymentConfiguration(in.DeploymentConfiguration, nil, controller, spec.SchedulingStrategy); err != nil {
		return nil, err
	}
	if err := checkService(svc, in.DesiredCount); err != nil {
		return nil, err
	}
	svc.Tags, err = tagsFrom(in.Tags)
	return svc, err
}

// checkService keeps the rules between a service's fields which are not about
// where its tasks run, and decides on the balance of its availability zones where
// that was not asked for. desired is the count that the call asks for, if it does.
func checkService(svc *state.Service, desired *int32) error {
	spec := &svc.Spec.V
	if svc.Desired < 0 {
		return invalid("The desired count must not be negative.")
	}
	if !slices.Contains(spec.PropagateTags.Values(), spec.PropagateTags) {
		return invalid("PropagateTags must be one of TASK_DEFINITION, SERVICE, NONE, not %s.", spec.PropagateTags)
	}
	if aws.ToInt32(spec.HealthCheckGracePeriodSeconds) != 0 {
		return invalid("Health check grace period is only valid for services configured to use load balancers")
	}
	if daemonic(svc) {
		switch {
		case desired != nil:
			return invalid("The daemon scheduling strategy does not support a desired count for services. Remove the desired count value and try again")
		case len(spec.PlacementStrategy) > 0:
			return invalid("The daemon scheduling strategy does not support placement strategies. Remove the placement strategy and try again")
		case len(spec.CapacityProviderStrategy) > 0:
			return daemonStrategy()
		case spec.LaunchType == types.LaunchTypeFargate:
			return invalid("The daemon scheduling strategy does not support the launch type FARGATE. Change the launch type and try again")
		case external(svc):
			return invalid("The daemon scheduling strategy does not support the deployment controller EXTERNAL. Change the deployment controller and try again")
		}
	}
	if external(svc) {
		for _, f := range []struct {
			name string
			set  bool
		}{
			{"taskDefinition", aws.ToString(spec.TaskDefinition) != ""},
			{"launchType", spec.LaunchType != ""},
			{"capacityProviderStrategy", len(spec.CapacityProviderStrategy) > 0},
			{"platformVersion", aws.ToString(spec.PlatformVersion) != ""},
			{"networkConfiguration", spec.NetworkConfiguration != nil},
		} {
			if f.set {
				return invalid("The parameter %s can not be specified for a service with an EXTERNAL deployment controller: it is of its task sets.", f.name)
			}
		}
	} else if aws.ToString(spec.TaskDefinition) == "" {
		return invalid("TaskDefinition can not be blank.")
	}
	return rebalancing(spec)
}

func daemonStrategy() error {
	return invalid("Specifying a capacity provider strategy is not supported when you create a service using the DAEMON scheduling strategy.")
}

// rebalancing checks whether availability zones can be balanced (Amazon ECS
// Developer Guide, "Balancing an Amazon ECS service across Availability Zones"). A
// new service's are, if they can be.
func rebalancing(spec *types.Service) error {
	why := ""
	switch {
	case spec.SchedulingStrategy == types.SchedulingStrategyDaemon:
		why = "the scheduling strategy is DAEMON"
	case spec.LaunchType == types.LaunchTypeExternal:
		why = "the launch type is EXTERNAL"
	case *spec.DeploymentConfiguration.MaximumPercent == 100:
		why = "the maximumPercent is 100"
	case spec.DeploymentController.Type != types.DeploymentControllerTypeEcs:
		why = "the deployment controller is not ECS"
	case len(spec.PlacementStrategy) > 0 && (spec.PlacementStrategy[0].Type != types.PlacementStrategyTypeSpread ||
		aws.ToString(spec.PlacementStrategy[0].Field) != "attribute:"+place.ZoneAttribute):
		why = "the first placement strategy is not to spread over availability zones"
	}
	switch spec.AvailabilityZoneRebalancing {
	case types.AvailabilityZoneRebalancingDisabled:
	case types.AvailabilityZoneRebalancingEnabled:
		if why != "" {
			return invalid("Availability Zone rebalancing is not supported for this service: %s.", why)
		}
	case "":
		spec.AvailabilityZoneRebalancing = types.AvailabilityZoneRebalancingEnabled
		if why != "" {
			spec.AvailabilityZoneRebalancing = types.AvailabilityZoneRebalancingDisabled
		}
	default:
		return invalid("Invalid availabilityZoneRebalancing: %s", spec.AvailabilityZoneRebalancing)
	}
	return nil
}

// planService resolves what a service's tasks are started from, and writes into
// the service what came of it; nil for one that is made of task sets. kept is that
// the definition is the one that the service has: that may be INACTIVE by now.
func (s *Service) planService(v store.View, caller wire.Caller, cluster *state.Cluster, svc *state.Service, kept bool) (*plan, error) {
	spec := &svc.Spec.V
	if external(svc) {
		var o plan
		return nil, o.Placement(spec.PlacementConstraints, spec.PlacementStrategy)
	}
	p, err := s.plan(v, caller, cluster, wanted{
		definition: aws.ToString(spec.TaskDefinition), kept: kept, launchType: spec.LaunchType, strategy: spec.CapacityProviderStrategy, platform: spec.PlatformVersion,
		constraints: spec.PlacementConstraints, placement: spec.PlacementStrategy, network: spec.NetworkConfiguration,
	})
	if err != nil {
		return nil, err
	}
	if daemonic(svc) && len(p.strategy) > 0 {
		return nil, daemonStrategy()
	}
	spec.TaskDefinition, spec.CapacityProviderStrategy = p.Definition.Spec.V.TaskDefinitionArn, p.strategy
	if spec.LaunchType = p.Launch; len(p.strategy) > 0 {
		spec.LaunchType = ""
	}
	if spec.PlatformFamily = nil; !p.OnInstances() {
		spec.PlatformVersion, spec.PlatformFamily = aws.String(cmp.Or(aws.ToString(spec.PlatformVersion), "LATEST")), aws.String("Linux")
	}
	spec.NetworkConfiguration = shownNetwork(spec.NetworkConfiguration)
	return p, nil
}

// shownNetwork is a network configuration as ECS shows it, with the default of what
// it leaves out.
func shownNetwork(in *types.NetworkConfiguration) *types.NetworkConfiguration {
	if in == nil || in.AwsvpcConfiguration == nil {
		return in
	}
	c := *in.AwsvpcConfiguration
	c.AssignPublicIp = cmp.Or(c.AssignPublicIp, types.AssignPublicIpDisabled)
	if c.SecurityGroups == nil {
		c.SecurityGroups = []string{}
	}
	return &types.NetworkConfiguration{AwsvpcConfiguration: &c}
}
