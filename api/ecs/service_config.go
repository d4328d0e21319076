package ecs

import (
	"cmp"
	"math"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// The limits and defaults of deployments (SDK, types.DeploymentConfiguration,
// LinearConfiguration, CanaryConfiguration, DeploymentLifecycleHook).
const (
	maxBake            = 1440 // minutes
	defaultStepPercent = 10.0
	minStepPercent     = 3.0
	defaultStepBake    = 6 // minutes
	defaultCanary      = 5.0
	minCanary          = 0.1
	defaultCanaryBake  = 10   // minutes
	defaultHookTimeout = 1440 // minutes
	maxHookTimeout     = 20160
)

// deploymentConfiguration checks a service's configuration of deployments and
// fills in the defaults; what in doesn't name is as it was in old, which is nil for
// a new service.
func deploymentConfiguration(in, old *types.DeploymentConfiguration, controller types.DeploymentControllerType, scheduling types.SchedulingStrategy) (*types.DeploymentConfiguration, error) {
	out := types.DeploymentConfiguration{}
	if old != nil {
		out = *old
	}
	if in == nil {
		in = &types.DeploymentConfiguration{}
	}
	for _, f := range []struct{ to, from **int32 }{
		{&out.MaximumPercent, &in.MaximumPercent}, {&out.MinimumHealthyPercent, &in.MinimumHealthyPercent}, {&out.BakeTimeInMinutes, &in.BakeTimeInMinutes},
	} {
		if *f.from != nil {
			*f.to = *f.from
		}
	}
	if err := percents(&out, scheduling); err != nil {
		return nil, err
	}
	if controller != types.DeploymentControllerTypeEcs {
		if in.DeploymentCircuitBreaker != nil && in.DeploymentCircuitBreaker.Enable {
			return nil, invalid("Deployment circuit breaker feature can only be configured when using ECS deployment controller.")
		}
		if in.Strategy != "" || in.BakeTimeInMinutes != nil || in.LinearConfiguration != nil || in.CanaryConfiguration != nil || len(in.LifecycleHooks) > 0 {
			return nil, invalid("The deployment strategy, bake time and lifecycle hooks can only be configured when using ECS deployment controller.")
		}
		return &out, nil
	}
	if in.DeploymentCircuitBreaker != nil {
		out.DeploymentCircuitBreaker = in.DeploymentCircuitBreaker
	}
	if out.DeploymentCircuitBreaker == nil {
		out.DeploymentCircuitBreaker = &types.DeploymentCircuitBreaker{}
	}
	if err := checkBreaker(out.DeploymentCircuitBreaker); err != nil {
		return nil, err
	}
	out.Strategy = cmp.Or(in.Strategy, out.Strategy, types.DeploymentStrategyRolling)
	if !slices.Contains(out.Strategy.Values(), out.Strategy) {
		return nil, invalid("Invalid deployment strategy: %s", out.Strategy)
	}
	if scheduling == types.SchedulingStrategyDaemon && out.Strategy != types.DeploymentStrategyRolling {
		return nil, invalid("The daemon scheduling strategy does not support the deployment strategy %s.", out.Strategy)
	}
	if in.LifecycleHooks != nil {
		out.LifecycleHooks = in.LifecycleHooks
	}
	return &out, checkStages(&out, in)
}

// percents fills in and checks the two percentages.
func percents(c *types.DeploymentConfiguration, scheduling types.SchedulingStrategy) error {
	least, most := int32(100), int32(200)
	if scheduling == types.SchedulingStrategyDaemon {
		least, most = 0, 100
	}
	if c.MinimumHealthyPercent == nil {
		c.MinimumHealthyPercent = &least
	}
	if c.MaximumPercent == nil {
		c.MaximumPercent = &most
	}
	least, most = *c.MinimumHealthyPercent, *c.MaximumPercent
	switch {
	case least < 0 || least > 100:
		return invalid("The minimumHealthyPercent must be between 0 and 100, not %d.", least)
	case scheduling == types.SchedulingStrategyDaemon && most > 100:
		return invalid("The daemon scheduling strategy does not support values above 100 for maximumPercent on a deployment configuration. Change the maximumPercent value to 100, and try again")
	case most < 100:
		return invalid("The maximumPercent must be at least 100, not %d.", most)
	case least == 100 && most == 100:
		return invalid("Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments.")
	}
	return nil
}

// checkBreaker keeps the rules of the circuit breaker's threshold.
func checkBreaker(b *types.DeploymentCircuitBreaker) error {
	t := b.ThresholdConfiguration
	switch {
	case t == nil:
		return nil
	case !slices.Contains(t.Type.Values(), t.Type):
		return invalid("Invalid deploymentCircuitBreaker.thresholdConfiguration.type: %s", t.Type)
	case t.Value < 1:
		return invalid("The deploymentCircuitBreaker.thresholdConfiguration.value must be at least 1, not %d.", t.Value)
	case t.Type != types.ThresholdTypeCount && t.Value > 100:
		return invalid("The deploymentCircuitBreaker.thresholdConfiguration.value must be at most 100 percent, not %d.", t.Value)
	}
	return nil
}

// checkStages checks what belongs to strategies that go by stages, and fills in
// their defaults.
func checkStages(c, in *types.DeploymentConfiguration) error {
	if c.BakeTimeInMinutes == nil {
		if c.Strategy == types.DeploymentStrategyBlueGreen {
			return invalid("bakeTimeInMinutes must be specified for the deployment strategy BLUE_GREEN.")
		}
		c.BakeTimeInMinutes = aws.Int32(0)
	}
	if err := minutes("bakeTimeInMinutes", *c.BakeTimeInMinutes, 0, maxBake); err != nil {
		return err
	}
	switch {
	case in.LinearConfiguration != nil && c.Strategy != types.DeploymentStrategyLinear:
		return invalid("linearConfiguration is only valid with the deployment strategy LINEAR.")
	case in.CanaryConfiguration != nil && c.Strategy != types.DeploymentStrategyCanary:
		return invalid("canaryConfiguration is only valid with the deployment strategy CANARY.")
	case len(in.LifecycleHooks) > 0 && c.Strategy == types.DeploymentStrategyRolling:
		return invalid("lifecycleHooks are not supported with the deployment strategy ROLLING.")
	}
	switch c.Strategy {
	case types.DeploymentStrategyRolling:
		c.LinearConfiguration, c.CanaryConfiguration, c.LifecycleHooks = nil, nil, nil
	case types.DeploymentStrategyBlueGreen:
		c.LinearConfiguration, c.CanaryConfiguration = nil, nil
	case types.DeploymentStrategyLinear:
		if c.CanaryConfiguration = nil; in.LinearConfiguration != nil {
			c.LinearConfiguration = in.LinearConfiguration
		}
		l := types.LinearConfiguration{}
		if c.LinearConfiguration != nil {
			l = *c.LinearConfiguration
		}
		var err error
		if l.StepPercent, err = share("linearConfiguration.stepPercent", l.StepPercent, defaultStepPercent, minStepPercent); err != nil {
			return err
		}
		if l.StepBakeTimeInMinutes == nil {
			l.StepBakeTimeInMinutes = aws.Int32(defaultStepBake)
		}
		if err := minutes("linearConfiguration.stepBakeTimeInMinutes", *l.StepBakeTimeInMinutes, 0, maxBake); err != nil {
			return err
		}
		c.LinearConfiguration = &l
	case types.DeploymentStrategyCanary:
		if c.LinearConfiguration = nil; in.CanaryConfiguration != nil {
			c.CanaryConfiguration = in.CanaryConfiguration
		}
		k := types.CanaryConfiguration{}
		if c.CanaryConfiguration != nil {
			k = *c.CanaryConfiguration
		}
		var err error
		if k.CanaryPercent, err = share("canaryConfiguration.canaryPercent", k.CanaryPercent, defaultCanary, minCanary); err != nil {
			return err
		}
		if k.CanaryBakeTimeInMinutes == nil {
			k.CanaryBakeTimeInMinutes = aws.Int32(defaultCanaryBake)
		}
		if err := minutes("canaryConfiguration.canaryBakeTimeInMinutes", *k.CanaryBakeTimeInMinutes, 0, maxBake); err != nil {
			return err
		}
		c.CanaryConfiguration = &k
	}
	var err error
	c.LifecycleHooks, err = lifecycleHooks(c.LifecycleHooks)
	return err
}

// lifecycleHooks checks hooks and fills in their defaults. Only those that pause
// there are.
func lifecycleHooks(in []types.DeploymentLifecycleHook) ([]types.DeploymentLifecycleHook, error) {
	var out []types.DeploymentLifecycleHook
	for i, h := range in {
		if h.TargetType != types.DeploymentLifecycleHookTargetTypePause {
			return nil, invalid("lifecycleHooks[%d].targetType must be PAUSE: there are no Lambda functions to call.", i)
		}
		if len(h.LifecycleStages) == 0 {
			return nil, invalid("lifecycleHooks[%d].lifecycleStages can not be empty.", i)
		}
		for _, stage := range h.LifecycleStages {
			switch {
			case !slices.Contains(stage.Values(), stage):
				return nil, invalid("Invalid lifecycle stage: %s", stage)
			case stage == types.DeploymentLifecycleHookStageTestTrafficShift || stage == types.DeploymentLifecycleHookStageProductionTrafficShift:
				return nil, invalid("lifecycleHooks[%d]: a PAUSE hook cannot be configured at the stage %s.", i, stage)
			}
		}
		timeout := types.DeploymentLifecycleHookTimeoutConfiguration{}
		if h.TimeoutConfiguration != nil {
			timeout = *h.TimeoutConfiguration
		}
		if timeout.TimeoutInMinutes == nil {
			timeout.TimeoutInMinutes = aws.Int32(defaultHookTimeout)
		}
		if err := minutes("lifecycleHooks[].timeoutConfiguration.timeoutInMinutes", *timeout.TimeoutInMinutes, 1, maxHookTimeout); err != nil {
			return nil, err
		}
		timeout.Action = cmp.Or(timeout.Action, types.DeploymentLifecycleHookActionRollback)
		if !slices.Contains(timeout.Action.Values(), timeout.Action) {
			return nil, invalid("Invalid lifecycleHooks[%d].timeoutConfiguration.action: %s", i, timeout.Action)
		}
		h.TimeoutConfiguration = &timeout
		out = append(out, h)
	}
	return out, nil
}

func minutes(field string, value, least, most int32) error {
	if value < least || value > most {
		return invalid("The %s must be between %d and %d, not %d.", field, least, most, value)
	}
	return nil
}

// share is a percentage of traffic: a multiple of 0.1, of least to 100.
func share(field string, value *float64, otherwise, least float64) (*float64, error) {
	if value == nil {
		return &otherwise, nil
	}
	if tenths := *value * 10; *value < least || *value > 100 || math.Abs(tenths-math.Round(tenths)) > 1e-6 {
		return nil, invalid("The %s must be a multiple of 0.1 between %.1f and 100.0, not %v.", field, least, *value)
	}
	return value, nil
}
