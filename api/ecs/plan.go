package ecs

import (
	"cmp"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/internal/awsjson"
	"github.com/berth/berth/launch"
	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
	"github.com/berth/berth/wire"
)

// wanted is what tasks are to be started from, as RunTask, StartTask,
// CreateService, UpdateService and CreateTaskSet say it.
type wanted struct {
	definition  string // family, family:revision or ARN
	kept        bool   // the definition is in use already, so it may be INACTIVE
	launchType  types.LaunchType
	strategy    []types.CapacityProviderStrategyItem
	platform    *string
	overrides   *types.TaskOverride
	constraints []types.PlacementConstraint
	placement   []types.PlacementStrategy
	network     *types.NetworkConfiguration
	volumes     []types.TaskVolumeConfiguration
}

// plan is what is wanted, checked and resolved. Who starts tasks of it adds their
// group, tags and what else is not about where and from what.
type plan struct {
	launch.Order
	// strategy is the one that holds: what was asked for, or the cluster's; empty
	// with a launch type.
	strategy []types.CapacityProviderStrategyItem
	network  *types.NetworkConfiguration // as asked for
}

// plan checks what is wanted in a cluster. Its errors are AWS's.
func (s *Service) plan(v store.View, caller wire.Caller, cluster *state.Cluster, w wanted) (*plan, error) {
	p := &plan{Order: launch.Order{Scope: scopeOf(caller), Cluster: cluster}, network: w.network}
	var err error
	if p.Definition, err = s.taskDefinition(v, caller, w.definition); err != nil {
		return nil, err
	}
	if p.Definition.Spec.V.Status != types.TaskDefinitionStatusActive && !w.kept {
		return nil, &types.ClientException{Message: aws.String("TaskDefinition is inactive")}
	}
	if err := p.capacity(w.launchType, w.strategy); err != nil {
		return nil, err
	}
	switch {
	case !p.OnInstances():
		if p.Platform, err = platformVersion(w.platform); err != nil {
			return nil, err
		}
	case aws.ToString(w.platform) != "":
		return nil, invalid("The platform version must be null when specifying an %s launch type.", p.Launch)
	}
	if err := p.override(w.overrides); err != nil {
		return nil, err
	}
	if err := p.overrideStorage(); err != nil {
		return nil, err
	}
	if err := p.volumeConfigurations(w.volumes); err != nil {
		return nil, err
	}
	if p.OnInstances() {
		if err := p.Placement(w.constraints, w.placement); err != nil {
			return nil, err
		}
	} else if len(w.constraints) > 0 || len(w.placement) > 0 {
		return nil, invalid("Placement constraints and placement strategies are not supported with FARGATE launch type.")
	}
	if p.Mode() != types.NetworkModeAwsvpc {
		if w.network != nil {
			return nil, invalid("Network Configuration is not valid for the given networkMode of this task definition.")
		}
		return p, nil
	}
	if p.Network, err = launch.Resolve(v, p.Scope, w.network); err != nil {
		return nil, err
	}
	if p.OnInstances() && p.Network.Public {
		return nil, invalid("Assign public IP is not supported for this launch type.")
	}
	return p, nil
}

// capacity decides between launch type, the strategy asked for and the cluster's.
func (p *plan) capacity(launchType types.LaunchType, strategy []types.CapacityProviderStrategyItem) error {
	switch {
	case launchType != "" && !slices.Contains([]types.LaunchType{types.LaunchTypeFargate, types.LaunchTypeEc2, types.LaunchTypeExternal}, launchType):
		return invalid("Invalid launch type: %s", launchType)
	case launchType != "" && len(strategy) > 0:
		return invalid("Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again.")
	case launchType == "" && len(strategy) == 0:
		strategy = p.Cluster.Spec.V.DefaultCapacityProviderStrategy
	}
	p.Launch = cmp.Or(launchType, types.LaunchTypeEc2)
	if len(strategy) > 0 {
		if err := checkStrategy(strategy, p.Cluster.Spec.V.CapacityProviders); err != nil {
			return err
		}
		p.strategy = strategy
		if onFargate(aws.ToString(strategy[0].CapacityProvider)) {
			p.Launch = types.LaunchTypeFargate
		}
	}
	if !slices.Contains(p.Definition.Spec.V.Compatibilities, types.Compatibility(p.Launch)) {
		return invalid("Task definition does not support launch_type %s.", p.Launch)
	}
	return nil
}

// platformVersion resolves LATEST. Fargate's Linux platform is 1.4.0 (AWS
// Fargate Developer Guide, "Fargate Linux platform versions").
func platformVersion(asked *string) (string, error) {
	switch v := aws.ToString(asked); v {
	case "", "LATEST", "1.4.0":
		return "1.4.0", nil
	case "1.0.0", "1.1.0", "1.2.0", "1.3.0":
		return "", &types.PlatformTaskDefinitionIncompatibilityException{Message: aws.String("The platform version " + v + " is not available here: use 1.4.0 or LATEST.")}
	default:
		return "", &types.PlatformUnknownException{Message: aws.String("The specified platform does not exist.")}
	}
}

// override checks the overrides against the definition and works out the
// task's size.
func (p *plan) override(o *types.TaskOverride) error {
	def := &p.Definition.Spec.V
	if o != nil {
		p.Overrides = *o
	}
	names := map[string]bool{}
	for i, c := range p.Overrides.ContainerOverrides {
		name := aws.ToString(c.Name)
		switch {
		case name == "":
			return invalid("overrides.containerOverrides[%d].name must be specified.", i)
		case !slices.ContainsFunc(def.ContainerDefinitions, func(d types.ContainerDefinition) bool { return aws.ToString(d.Name) == name }):
			return invalid("Override for container named %s is not a container in the TaskDefinition.", name)
		case names[name]:
			return invalid("There is more than one override for container named %s.", name)
		}
		names[name] = true
		if why := wrongEnvironmentFile(c.EnvironmentFiles); why != "" {
			return invalid("overrides.containerOverrides[%d].%s", i, why)
		}
		if err := checkResources(def, &types.ContainerDefinition{Name: &name, ResourceRequirements: c.ResourceRequirements}); err != nil {
			return err
		}
		if len(c.ResourceRequirements) > 0 && !p.OnInstances() {
			return clientError(noFargateGPU)
		}
	}
	if b, err := awsjson.Marshal(&p.Overrides); err != nil {
		return err
	} else if len(b) > 8192 {
		return invalid("Overrides are longer than the limit of 8192 characters.")
	}
	cpu, memory := aws.ToString(def.Cpu), aws.ToString(def.Memory)
	if p.Overrides.Cpu != nil {
		cpu = *p.Overrides.Cpu
	}
	if p.Overrides.Memory != nil {
		memory = *p.Overrides.Memory
	}
	if p.OnInstances() {
		if err := p.instanceSize(cpu, memory); err != nil {
			return err
		}
		return p.fits()
	}
	size, err := fargateSize(cpu, memory)
	if err != nil {
		return err
	}
	p.CPU, p.Memory = size.CPU, size.Memory
	return p.fits()
}

// fits refuses container overrides that ask for more than the task has.
func (p *plan) fits() error {
	var cpu, memory int64
	for _, d := range p.Definition.Spec.V.ContainerDefinitions {
		c := launch.ContainerSize(d, p.Overrides)
		cpu += int64(c.CPU)
		memory += int64(max(c.Memory, c.Reservation))
		if p.Memory != 0 && c.Memory > p.Memory {
			return invalid("Invalid setting for container '%s'. The memory of a container must not be more than the task's %d MiB.", aws.ToString(d.Name), p.Memory)
		}
	}
	if p.CPU != 0 && cpu > int64(p.CPU) {
		return invalid("The sum of the container cpu values (%d) is more than the task's cpu (%d).", cpu, p.CPU)
	}
	return nil
}

// instanceSize works out the size of a task on a container instance, which need
// have none of its own.
func (p *plan) instanceSize(cpu, memory string) error {
	var err error
	if p.CPU, err = cpuUnits(cpu); err != nil {
		return err
	}
	if p.Memory, err = mebibytes(memory); err != nil {
		return err
	}
	if p.CPU != 0 && (p.CPU < minTaskCPU || p.CPU > maxTaskCPU) {
		return invalid("Invalid 'cpu' setting for task.")
	}
	for _, d := range p.Definition.Spec.V.ContainerDefinitions {
		c := launch.ContainerSize(d, p.Overrides)
		if p.Memory == 0 && cmp.Or(c.Memory, c.Reservation) == 0 {
			return invalid("Invalid setting for container '%s'. At least one of 'memory' or 'memoryReservation' must be specified.", aws.ToString(d.Name))
		}
	}
	return nil
}
