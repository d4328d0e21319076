package ecs

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/internal/awsjson"
	"github.com/berth/berth/launch"
	"github.com/berth/berth/place"
	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
	"github.com/berth/berth/wire"
)

// grantLife is how long a client token stands for what it once did (SDK,
// RunTaskInput.ClientToken: up to 24 hours).
const grantLife = 24 * time.Hour

// RunTask places count tasks and writes them in one transaction: when it
// answers, each task has its node, its network interface and its address, and
// all of that is on disk. Tasks that cannot be placed are in failures.
func (s *Service) RunTask(ctx context.Context, in *ecs.RunTaskInput) (*ecs.RunTaskOutput, error) {
	caller := wire.CallerFrom(ctx)
	scope := scopeOf(caller)
	token := aws.ToString(in.ClientToken)
	fingerprint, err := fingerprintRun(in)
	if err != nil {
		return nil, err
	}
	var out *ecs.RunTaskOutput
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		out = &ecs.RunTaskOutput{Tasks: []types.Task{}, Failures: []types.Failure{}}
		if token != "" {
			if g, ok := store.Grants.Get(tx, (&state.Grant{Scope: scope, Call: "ecs/RunTask", Token: token}).Key()); ok && g.Expires.After(s.now()) {
				return repeatRun(tx, g, fingerprint, out)
			}
		}
		run, err := s.planRun(tx, caller, in)
		if err != nil {
			return err
		}
		var ids []string
		for i := range run.count {
			task, refusal := s.launcher.Place(tx, &run.Order, i, run.provider(i))
			if task == nil {
				out.Failures = append(out.Failures, refusal.Failures()...)
				continue
			}
			ids = append(ids, task.Cluster+"/"+task.ID)
			out.Tasks = append(out.Tasks, renderTask(task, nil, true))
		}
		if token != "" {
			store.Grants.Put(tx, &state.Grant{Scope: scope, Call: "ecs/RunTask", Token: token, Fingerprint: fingerprint, Results: ids, Expires: s.now().Add(grantLife)})
		}
		return nil
	})
	return out, err
}

// repeatRun answers a call whose client token was used before.
func repeatRun(tx *store.Tx, g *state.Grant, fingerprint string, out *ecs.RunTaskOutput) error {
	if g.Fingerprint != fingerprint {
		return &types.ConflictException{
			Message:     aws.String("The clientToken was used before with other request parameters."),
			ResourceIds: g.Results,
		}
	}
	for _, id := range g.Results {
		if t, ok := store.Tasks.Get(tx, g.Scope.Key(id)); ok {
			out.Tasks = append(out.Tasks, renderTask(t, nil, true))
		}
	}
	return nil
}

// fingerprintRun hashes the request without its token.
func fingerprintRun(in *ecs.RunTaskInput) (string, error) {
	plain := *in
	plain.ClientToken = nil
	b, err := awsjson.Marshal(&plain)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

// run is a RunTask call, checked and resolved.
type run struct {
	launch.Order
	count     int
	providers []string // by task index, empty with a launch type
}

// planRun checks a call in full before anything is made.
func (s *Service) planRun(tx *store.Tx, caller wire.Caller, in *ecs.RunTaskInput) (*run, error) {
	r := &run{count: 1, Order: launch.Order{Scope: scopeOf(caller), StartedBy: aws.ToString(in.StartedBy), Exec: in.EnableExecuteCommand}}
	if in.Count != nil {
		r.count = int(*in.Count)
	}
	if r.count < 1 || r.count > 10 {
		return nil, invalid("count must be between 1 and 10.")
	}
	if len(aws.ToString(in.ClientToken)) > 64 {
		return nil, invalid("clientToken must be at most 64 characters long.")
	}
	if len(r.StartedBy) > 128 {
		return nil, invalid("startedBy longer than 128.")
	}
	if aws.ToString(in.TaskDefinition) == "" {
		return nil, invalid("TaskDefinition can not be blank.")
	}
	var err error
	if r.Cluster, err = s.activeCluster(tx, caller, in.Cluster); err != nil {
		return nil, err
	}
	if r.Definition, err = s.taskDefinition(tx, caller, *in.TaskDefinition); err != nil {
		return nil, err
	}
	if r.Definition.Spec.V.Status != types.TaskDefinitionStatusActive {
		return nil, &types.ClientException{Message: aws.String("TaskDefinition is inactive")}
	}
	if err := r.capacity(tx, in); err != nil {
		return nil, err
	}
	switch {
	case !r.OnInstances():
		if r.Platform, err = platformVersion(in.PlatformVersion); err != nil {
			return nil, err
		}
	case aws.ToString(in.PlatformVersion) != "":
		return nil, invalid("The platform version must be null when specifying an %s launch type.", r.Launch)
	}
	if err := r.override(in.Overrides); err != nil {
		return nil, err
	}
	r.Group = aws.ToString(in.Group)
	switch {
	case r.Group == "":
		r.Group = "family:" + r.Definition.Family
	case strings.HasPrefix(r.Group, "service:"):
		return nil, invalid("Invalid namespace for group.")
	case len(r.Group) > 255:
		return nil, invalid("group must be at most 255 characters long.")
	}
	if r.OnInstances() {
		if err := r.Placement(in.PlacementConstraints, in.PlacementStrategy); err != nil {
			return nil, err
		}
	} else if len(in.PlacementConstraints) > 0 || len(in.PlacementStrategy) > 0 {
		return nil, invalid("Placement constraints and placement strategies are not supported with FARGATE launch type.")
	}
	if r.Tags, err = r.allTags(in); err != nil {
		return nil, err
	}
	if r.Mode() != types.NetworkModeAwsvpc {
		if in.NetworkConfiguration != nil {
			return nil, invalid("Network Configuration is not valid for the given networkMode of this task definition.")
		}
		return r, nil
	}
	if r.Network, err = launch.Resolve(tx, r.Scope, in.NetworkConfiguration); err != nil {
		return nil, err
	}
	if r.OnInstances() && r.Network.Public {
		return nil, invalid("Assign public IP is not supported for this launch type.")
	}
	return r, nil
}

// provider is the capacity provider of the i-th task; empty with a launch type.
func (r *run) provider(i int) string {
	if r.providers == nil {
		return ""
	}
	return r.providers[i]
}

// capacity decides between launch type, the call's strategy and the cluster's.
func (r *run) capacity(v store.View, in *ecs.RunTaskInput) error {
	r.Launch = types.LaunchTypeFargate
	strategy := in.CapacityProviderStrategy
	switch {
	case in.LaunchType != "" && len(strategy) > 0:
		return invalid("Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again.")
	case in.LaunchType == "" && len(strategy) == 0:
		strategy = r.Cluster.Spec.V.DefaultCapacityProviderStrategy
	}
	if len(strategy) == 0 {
		switch in.LaunchType {
		case types.LaunchTypeFargate:
		case "", types.LaunchTypeEc2, types.LaunchTypeExternal:
			r.Launch = cmp.Or(in.LaunchType, types.LaunchTypeEc2)
			if !slices.Contains(r.Definition.Spec.V.Compatibilities, types.Compatibility(r.Launch)) {
				return invalid("Task definition does not support launch_type %s.", r.Launch)
			}
			for range store.Instances.List(v, r.Cluster.Scope, r.Cluster.Name+"/") {
				return nil
			}
			return invalid("No Container Instances were found in your cluster.")
		default:
			return invalid("Invalid launch type: %s", in.LaunchType)
		}
	} else {
		providers, err := spread(strategy, r.Cluster.Spec.V.CapacityProviders, r.count)
		if err != nil {
			return err
		}
		r.providers = providers
		if !onFargate(providers[0]) {
			r.Launch = types.LaunchTypeEc2
			if !slices.Contains(r.Definition.Spec.V.Compatibilities, types.CompatibilityEc2) {
				return invalid("Task definition does not support launch_type EC2.")
			}
			return nil
		}
	}
	if !slices.Contains(r.Definition.Spec.V.Compatibilities, types.CompatibilityFargate) {
		return invalid("Task definition does not support launch_type FARGATE.")
	}
	return nil
}

// spread gives each of count tasks its capacity provider.
func spread(strategy []types.CapacityProviderStrategyItem, associated []string, count int) ([]string, error) {
	if err := checkStrategy(strategy, associated); err != nil {
		return nil, err
	}
	return place.Providers(strategy, nil, count), nil
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
func (r *run) override(o *types.TaskOverride) error {
	def := &r.Definition.Spec.V
	if o != nil {
		r.Overrides = *o
	}
	names := map[string]bool{}
	for i, c := range r.Overrides.ContainerOverrides {
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
		if len(c.ResourceRequirements) > 0 && !r.OnInstances() {
			return clientError(noFargateGPU)
		}
	}
	if b, err := awsjson.Marshal(&r.Overrides); err != nil {
		return err
	} else if len(b) > 8192 {
		return invalid("Overrides are longer than the limit of 8192 characters.")
	}
	cpu, memory := aws.ToString(def.Cpu), aws.ToString(def.Memory)
	if r.Overrides.Cpu != nil {
		cpu = *r.Overrides.Cpu
	}
	if r.Overrides.Memory != nil {
		memory = *r.Overrides.Memory
	}
	if r.OnInstances() {
		if err := r.instanceSize(cpu, memory); err != nil {
			return err
		}
		return r.fits()
	}
	size, err := fargateSize(cpu, memory)
	if err != nil {
		return err
	}
	r.CPU, r.Memory = size.CPU, size.Memory
	return r.fits()
}

// fits refuses container overrides that ask for more than the task has.
func (r *run) fits() error {
	var cpu, memory int64
	for _, d := range r.Definition.Spec.V.ContainerDefinitions {
		c := launch.ContainerSize(d, r.Overrides)
		cpu += int64(c.CPU)
		memory += int64(max(c.Memory, c.Reservation))
		if r.Memory != 0 && c.Memory > r.Memory {
			return invalid("Invalid setting for container '%s'. The memory of a container must not be more than the task's %d MiB.", aws.ToString(d.Name), r.Memory)
		}
	}
	if r.CPU != 0 && cpu > int64(r.CPU) {
		return invalid("The sum of the container cpu values (%d) is more than the task's cpu (%d).", cpu, r.CPU)
	}
	return nil
}

// allTags gathers the call's tags, the definition's when they are propagated,
// and ECS's own. The call's win.
func (r *run) allTags(in *ecs.RunTaskInput) ([]state.Tag, error) {
	tags, err := tagsFrom(in.Tags)
	if err != nil {
		return nil, err
	}
	has := func(key string) bool {
		return slices.ContainsFunc(tags, func(t state.Tag) bool { return t.Key == key })
	}
	switch in.PropagateTags {
	case "", types.PropagateTagsNone:
	case types.PropagateTagsTaskDefinition:
		for _, t := range r.Definition.Tags {
			if !has(t.Key) {
				tags = append(tags, t)
			}
		}
	default:
		return nil, invalid("PropagateTags can only be TASK_DEFINITION or NONE for RunTask.")
	}
	if in.EnableECSManagedTags {
		tags = append(tags, state.Tag{Key: "aws:ecs:clusterName", Value: r.Cluster.Name})
	}
	if len(tags) > 50 {
		return nil, invalid("The number of tags, propagated ones included, must be at most 50.")
	}
	return tags, nil
}

// invalid is ECS's InvalidParameterException.
func invalid(format string, args ...any) error {
	return &types.InvalidParameterException{Message: aws.String(fmt.Sprintf(format, args...))}
}
