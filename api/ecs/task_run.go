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
			task, failures := s.placeAny(tx, run, i)
			if task == nil {
				out.Failures = append(out.Failures, failures...)
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
	caller    wire.Caller
	cluster   *state.Cluster
	def       *state.TaskDefinition
	count     int
	providers []string // by task index, empty with a launch type
	platform  string
	overrides types.TaskOverride
	cpu, mem  int32
	group     string
	startedBy string
	exec      bool // enableExecuteCommand
	tags      []state.Tag
	network   runNetwork
	// launch is EC2 or EXTERNAL for container instances, else FARGATE.
	launch   types.LaunchType
	distinct bool
	strategy []types.PlacementStrategy
}

// onInstances reports whether the tasks go to container instances.
func (r *run) onInstances() bool { return r.launch != types.LaunchTypeFargate }

// mode is the network mode of the tasks. Without one it is Docker's default.
func (r *run) mode() types.NetworkMode {
	return cmp.Or(r.def.Spec.V.NetworkMode, types.NetworkModeBridge)
}

// planRun checks a call in full before anything is made.
func (s *Service) planRun(tx *store.Tx, caller wire.Caller, in *ecs.RunTaskInput) (*run, error) {
	r := &run{caller: caller, count: 1, startedBy: aws.ToString(in.StartedBy), exec: in.EnableExecuteCommand}
	if in.Count != nil {
		r.count = int(*in.Count)
	}
	if r.count < 1 || r.count > 10 {
		return nil, invalid("count must be between 1 and 10.")
	}
	if len(aws.ToString(in.ClientToken)) > 64 {
		return nil, invalid("clientToken must be at most 64 characters long.")
	}
	if len(r.startedBy) > 128 {
		return nil, invalid("startedBy longer than 128.")
	}
	if aws.ToString(in.TaskDefinition) == "" {
		return nil, invalid("TaskDefinition can not be blank.")
	}
	var err error
	if r.cluster, err = s.activeCluster(tx, caller, in.Cluster); err != nil {
		return nil, err
	}
	if r.def, err = s.taskDefinition(tx, caller, *in.TaskDefinition); err != nil {
		return nil, err
	}
	if r.def.Spec.V.Status != types.TaskDefinitionStatusActive {
		return nil, &types.ClientException{Message: aws.String("TaskDefinition is inactive")}
	}
	if err := r.capacity(tx, in); err != nil {
		return nil, err
	}
	switch {
	case !r.onInstances():
		if r.platform, err = platformVersion(in.PlatformVersion); err != nil {
			return nil, err
		}
	case aws.ToString(in.PlatformVersion) != "":
		return nil, invalid("The platform version must be null when specifying an %s launch type.", r.launch)
	}
	if err := r.override(in.Overrides); err != nil {
		return nil, err
	}
	r.group = aws.ToString(in.Group)
	switch {
	case r.group == "":
		r.group = "family:" + r.def.Family
	case strings.HasPrefix(r.group, "service:"):
		return nil, invalid("Invalid namespace for group.")
	case len(r.group) > 255:
		return nil, invalid("group must be at most 255 characters long.")
	}
	if r.onInstances() {
		if err := r.planInstances(in.PlacementConstraints, in.PlacementStrategy); err != nil {
			return nil, err
		}
	} else if len(in.PlacementConstraints) > 0 || len(in.PlacementStrategy) > 0 {
		return nil, invalid("Placement constraints and placement strategies are not supported with FARGATE launch type.")
	}
	if r.tags, err = r.allTags(in); err != nil {
		return nil, err
	}
	if r.mode() != types.NetworkModeAwsvpc {
		if in.NetworkConfiguration != nil {
			return nil, invalid("Network Configuration is not valid for the given networkMode of this task definition.")
		}
		return r, nil
	}
	if r.network, err = s.planNetwork(tx, r, in.NetworkConfiguration); err != nil {
		return nil, err
	}
	if r.onInstances() && r.network.public {
		return nil, invalid("Assign public IP is not supported for this launch type.")
	}
	return r, nil
}

// placeAny places the i-th task of a run on the capacity that it is for.
func (s *Service) placeAny(tx *store.Tx, r *run, i int) (*state.Task, []types.Failure) {
	if r.onInstances() {
		return s.placeOnInstance(tx, r, i, "")
	}
	task, failure := s.place(tx, r, i)
	if failure != nil {
		return nil, []types.Failure{*failure}
	}
	return task, nil
}

// capacity decides between launch type, the call's strategy and the cluster's.
func (r *run) capacity(v store.View, in *ecs.RunTaskInput) error {
	r.launch = types.LaunchTypeFargate
	strategy := in.CapacityProviderStrategy
	switch {
	case in.LaunchType != "" && len(strategy) > 0:
		return invalid("Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again.")
	case in.LaunchType == "" && len(strategy) == 0:
		strategy = r.cluster.Spec.V.DefaultCapacityProviderStrategy
	}
	if len(strategy) == 0 {
		switch in.LaunchType {
		case types.LaunchTypeFargate:
		case "", types.LaunchTypeEc2, types.LaunchTypeExternal:
			r.launch = cmp.Or(in.LaunchType, types.LaunchTypeEc2)
			if !slices.Contains(r.def.Spec.V.Compatibilities, types.Compatibility(r.launch)) {
				return invalid("Task definition does not support launch_type %s.", r.launch)
			}
			for range store.Instances.List(v, r.cluster.Scope, r.cluster.Name+"/") {
				return nil
			}
			return invalid("No Container Instances were found in your cluster.")
		default:
			return invalid("Invalid launch type: %s", in.LaunchType)
		}
	} else {
		providers, err := spread(strategy, r.cluster.Spec.V.CapacityProviders, r.count)
		if err != nil {
			return err
		}
		r.providers = providers
	}
	if !slices.Contains(r.def.Spec.V.Compatibilities, types.CompatibilityFargate) {
		return invalid("Task definition does not support launch_type FARGATE.")
	}
	return nil
}

// spread gives each of count tasks its capacity provider: first every base,
// then by weight (SDK, types.CapacityProviderStrategyItem).
func spread(strategy []types.CapacityProviderStrategyItem, associated []string, count int) ([]string, error) {
	if len(strategy) > 20 {
		return nil, invalid("The capacity provider strategy can have at most 20 capacity providers.")
	}
	bases := 0
	for _, item := range strategy {
		name := aws.ToString(item.CapacityProvider)
		if !slices.Contains(associated, name) {
			return nil, invalid("The specified capacity provider strategy cannot contain a capacity provider that is not associated with the cluster. Associate the capacity provider with the cluster or specify a valid capacity provider and try again.")
		}
		if item.Base < 0 || item.Base > 100000 || item.Weight < 0 || item.Weight > 1000 {
			return nil, invalid("The capacity provider strategy has a base or weight out of range for '%s': base is 0 to 100,000, weight 0 to 1,000.", name)
		}
		if item.Base > 0 {
			bases++
		}
	}
	if bases > 1 {
		return nil, invalid("Only one capacity provider in a capacity provider strategy can have a base defined.")
	}
	given := make([]int, len(strategy))
	out := make([]string, 0, count)
	for range count {
		best := -1
		for i, item := range strategy {
			if given[i] < int(item.Base) {
				best = i
				break
			}
			if item.Weight == 0 {
				continue
			}
			if best < 0 || beyond(given[i], item)*int(strategy[best].Weight) < beyond(given[best], strategy[best])*int(item.Weight) {
				best = i
			}
		}
		if best < 0 {
			return nil, invalid("The capacity provider strategy must have at least one capacity provider with a weight greater than 0.")
		}
		given[best]++
		out = append(out, aws.ToString(strategy[best].CapacityProvider))
	}
	return out, nil
}

// beyond is how many tasks an item has got above its base.
func beyond(given int, item types.CapacityProviderStrategyItem) int { return given - int(item.Base) }

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
	def := &r.def.Spec.V
	if o != nil {
		r.overrides = *o
	}
	names := map[string]bool{}
	for i, c := range r.overrides.ContainerOverrides {
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
	}
	if b, err := awsjson.Marshal(&r.overrides); err != nil {
		return err
	} else if len(b) > 8192 {
		return invalid("Overrides are longer than the limit of 8192 characters.")
	}
	cpu, memory := aws.ToString(def.Cpu), aws.ToString(def.Memory)
	if r.overrides.Cpu != nil {
		cpu = *r.overrides.Cpu
	}
	if r.overrides.Memory != nil {
		memory = *r.overrides.Memory
	}
	if r.onInstances() {
		if err := r.instanceSize(cpu, memory); err != nil {
			return err
		}
		return r.fits()
	}
	size, err := fargateSize(cpu, memory)
	if err != nil {
		return err
	}
	r.cpu, r.mem = size.cpu, size.memory
	return r.fits()
}

// fits refuses container overrides that ask for more than the task has.
func (r *run) fits() error {
	var cpu, memory int64
	for _, d := range r.def.Spec.V.ContainerDefinitions {
		c := containerSize(d, r.overrides)
		cpu += int64(c.cpu)
		memory += int64(max(c.memory, c.reservation))
		if r.mem != 0 && c.memory > r.mem {
			return invalid("Invalid setting for container '%s'. The memory of a container must not be more than the task's %d MiB.", aws.ToString(d.Name), r.mem)
		}
	}
	if r.cpu != 0 && cpu > int64(r.cpu) {
		return invalid("The sum of the container cpu values (%d) is more than the task's cpu (%d).", cpu, r.cpu)
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
		for _, t := range r.def.Tags {
			if !has(t.Key) {
				tags = append(tags, t)
			}
		}
	default:
		return nil, invalid("PropagateTags can only be TASK_DEFINITION or NONE for RunTask.")
	}
	if in.EnableECSManagedTags {
		tags = append(tags, state.Tag{Key: "aws:ecs:clusterName", Value: r.cluster.Name})
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
