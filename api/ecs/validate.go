package ecs

import (
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/internal/awsjson"
)

// The limits of a task definition (Amazon ECS Developer Guide, "Amazon ECS
// service quotas" and "task definition parameters").
const (
	maxContainers   = 10
	maxPortMappings = 100
	minTaskCPU      = 128     // EC2 and external only; Fargate has its matrix
	maxTaskCPU      = 196_608 // 192 vCPU
	maxDefinition   = 65_536  // bytes of JSON
)

// definition checks a request by ECS's rules, and returns the definition that
// it makes: with AWS's defaults filled in, and without family's revision,
// status and times. It is pure. Its error is a ClientException, in AWS's words
// where they are known.
func definition(in *ecs.RegisterTaskDefinitionInput) (*types.TaskDefinition, error) {
	d := &types.TaskDefinition{
		ContainerDefinitions:    slices.Clone(in.ContainerDefinitions),
		EphemeralStorage:        in.EphemeralStorage,
		ExecutionRoleArn:        in.ExecutionRoleArn,
		Family:                  in.Family,
		IpcMode:                 in.IpcMode,
		NetworkMode:             in.NetworkMode,
		PidMode:                 in.PidMode,
		PlacementConstraints:    append([]types.TaskDefinitionPlacementConstraint{}, in.PlacementConstraints...),
		ProxyConfiguration:      in.ProxyConfiguration,
		RequiresCompatibilities: in.RequiresCompatibilities,
		RuntimePlatform:         in.RuntimePlatform,
		TaskRoleArn:             in.TaskRoleArn,
		Volumes:                 append([]types.Volume{}, in.Volumes...),
	}
	for _, check := range []func(*types.TaskDefinition) error{
		checkFamily,
		func(d *types.TaskDefinition) error { return setTaskSize(d, in) },
		checkPlatform,
		checkIsolation,
		checkVolumes,
		checkContainers,
		checkDependencies,
		checkFirelens,
		checkCompatibilities,
		checkConstraints,
		checkSums,
	} {
		if err := check(d); err != nil {
			return nil, err
		}
	}
	for i := range d.ContainerDefinitions {
		fillContainer(&d.ContainerDefinitions[i], d.NetworkMode)
	}
	b, err := awsjson.Marshal(d)
	if err != nil {
		return nil, err
	}
	if len(b) > maxDefinition {
		return nil, clientError("Actual length: '%d'. Max allowed length is '%d' bytes.", len(b), maxDefinition)
	}
	d.RequiresAttributes = requiredAttributes(d)
	return d, nil
}

func checkFamily(d *types.TaskDefinition) error {
	switch family := aws.ToString(d.Family); {
	case family == "":
		return clientError("Family should not be null or empty.")
	case !nameRule.MatchString(family):
		return clientError("Family contains invalid characters: it must be 1 to 255 letters, numbers, hyphens and underscores.")
	}
	return nil
}

// setTaskSize writes the task's cpu and memory in plain units, as ECS keeps them.
func setTaskSize(d *types.TaskDefinition, in *ecs.RegisterTaskDefinitionInput) error {
	cpu, err := cpuUnits(aws.ToString(in.Cpu))
	if err != nil {
		return err
	}
	memory, err := mebibytes(aws.ToString(in.Memory))
	if err != nil {
		return err
	}
	if cpu != 0 {
		if cpu < minTaskCPU || cpu > maxTaskCPU {
			return clientError("Invalid 'cpu' setting for task.")
		}
		d.Cpu = aws.String(strconv.Itoa(int(cpu)))
	}
	if memory != 0 {
		d.Memory = aws.String(strconv.Itoa(int(memory)))
	}
	return nil
}

// checkPlatform keeps to what networks and platforms there are.
func checkPlatform(d *types.TaskDefinition) error {
	if d.NetworkMode != "" && !slices.Contains(d.NetworkMode.Values(), d.NetworkMode) {
		return clientError("Invalid network mode '%s': networkMode must be one of bridge, host, awsvpc, none.", d.NetworkMode)
	}
	p := d.RuntimePlatform
	switch {
	case p == nil:
		return nil
	case p.CpuArchitecture != "" && !slices.Contains(p.CpuArchitecture.Values(), p.CpuArchitecture):
		return clientError("Invalid CPU architecture '%s': runtimePlatform.cpuArchitecture must be X86_64 or ARM64.", p.CpuArchitecture)
	case p.OperatingSystemFamily != "" && !slices.Contains(p.OperatingSystemFamily.Values(), p.OperatingSystemFamily):
		return clientError("Invalid operating system family '%s' in runtimePlatform.operatingSystemFamily.", p.OperatingSystemFamily)
	case p.OperatingSystemFamily != "" && p.OperatingSystemFamily != types.OSFamilyLinux:
		return clientError("runtimePlatform.operatingSystemFamily %s is not supported: only LINUX containers can run here.", p.OperatingSystemFamily)
	}
	return nil
}

// checkContainers checks each container by itself and all names together.
func checkContainers(d *types.TaskDefinition) error {
	switch n := len(d.ContainerDefinitions); {
	case n == 0:
		return clientError("Container list cannot be empty.")
	case n > maxContainers:
		return clientError("Too many containers.")
	}
	names := map[string]bool{}
	essential := false
	for i := range d.ContainerDefinitions {
		c := &d.ContainerDefinitions[i]
		if err := checkContainer(d, c); err != nil {
			return err
		}
		if names[*c.Name] {
			return clientError("Container names must be unique within a task definition: '%s' is there more than once.", *c.Name)
		}
		names[*c.Name] = true
		essential = essential || c.Essential == nil || *c.Essential
	}
	if !essential {
		return clientError("Task definition doesn't have any essential container.")
	}
	return checkPorts(d)
}

// checkPorts keeps ports and their names apart. With awsvpc the containers of a
// task share one interface.
func checkPorts(d *types.TaskDefinition) error {
	names, taken := map[string]bool{}, map[string]bool{}
	for _, c := range d.ContainerDefinitions {
		if len(c.PortMappings) > maxPortMappings {
			return clientError("Too many port mappings in container '%s': there can be at most %d.", *c.Name, maxPortMappings)
		}
		for _, p := range c.PortMappings {
			if name := aws.ToString(p.Name); name != "" {
				if names[name] {
					return clientError("port mapping name is already used: '%s'.", name)
				}
				names[name] = true
			}
			if p.ContainerPort == nil || d.NetworkMode != types.NetworkModeAwsvpc {
				continue
			}
			port := strconv.Itoa(int(*p.ContainerPort)) + "/" + string(protocolOf(p))
			if taken[port] {
				return clientError("Invalid 'containerPort' setting for container '%s': port %s is mapped more than once, and containers share their ports when networkMode=awsvpc.", *c.Name, port)
			}
			taken[port] = true
		}
	}
	return nil
}

func protocolOf(p types.PortMapping) types.TransportProtocol {
	if p.Protocol == "" {
		return types.TransportProtocolTcp
	}
	return p.Protocol
}

// checkDependencies keeps dependsOn to containers that there are, to conditions
// that they can reach, and without cycles.
func checkDependencies(d *types.TaskDefinition) error {
	byName := map[string]*types.ContainerDefinition{}
	for i := range d.ContainerDefinitions {
		byName[*d.ContainerDefinitions[i].Name] = &d.ContainerDefinitions[i]
	}
	for _, c := range d.ContainerDefinitions {
		for _, dep := range c.DependsOn {
			target, ok := byName[aws.ToString(dep.ContainerName)]
			if !ok {
				return clientError("Cannot depend on container '%s' because it does not exist.", aws.ToString(dep.ContainerName))
			}
			switch dep.Condition {
			case types.ContainerConditionStart:
			case types.ContainerConditionComplete, types.ContainerConditionSuccess:
				if target.Essential == nil || *target.Essential {
					return clientError("A dependency container with SUCCESS or COMPLETE condition cannot be an essential container.")
				}
			case types.ContainerConditionHealthy:
				if target.HealthCheck == nil {
					return clientError("A dependency container with HEALTHY condition must have health check configured.")
				}
			default:
				return clientError("Invalid dependency condition '%s' of container '%s': it must be one of START, COMPLETE, SUCCESS, HEALTHY.", dep.Condition, *c.Name)
			}
		}
	}
	if cycle := dependencyCycle(d.ContainerDefinitions); cycle != nil {
		return clientError("Container dependencies should not have a cycle: %s.", strings.Join(cycle, " -> "))
	}
	return nil
}

// dependencyCycle returns containers each of which depends on the next, the
// first and last the same; nil where there is no cycle.
func dependencyCycle(containers []types.ContainerDefinition) []string {
	needs := map[string][]types.ContainerDependency{}
	for _, c := range containers {
		needs[*c.Name] = c.DependsOn
	}
	done := map[string]bool{}
	var path []string
	var visit func(name string) []string
	visit = func(name string) []string {
		if i := slices.Index(path, name); i >= 0 {
			return append(slices.Clone(path[i:]), name)
		}
		if done[name] {
			return nil
		}
		path = append(path, name)
		for _, dep := range needs[name] {
			if cycle := visit(aws.ToString(dep.ContainerName)); cycle != nil {
				return cycle
			}
		}
		path = path[:len(path)-1]
		done[name] = true
		return nil
	}
	for _, c := range containers {
		if cycle := visit(*c.Name); cycle != nil {
			return cycle
		}
	}
	return nil
}

// checkSums compares what containers ask for with what the task has.
func checkSums(d *types.TaskDefinition) error {
	taskCPU, _ := cpuUnits(aws.ToString(d.Cpu)) // read before
	taskMemory, _ := mebibytes(aws.ToString(d.Memory))
	var cpu, reserved int64
	for _, c := range d.ContainerDefinitions {
		cpu += int64(c.Cpu)
		reserved += int64(aws.ToInt32(c.MemoryReservation))
		switch {
		case taskMemory == 0 && c.Memory == nil && c.MemoryReservation == nil:
			return clientError("Invalid setting for container '%s'. At least one of 'memory' or 'memoryReservation' must be specified.", *c.Name)
		case taskMemory != 0 && aws.ToInt32(c.Memory) > taskMemory:
			return clientError("The 'memory' setting for container '%s' is greater than for the task.", *c.Name)
		}
	}
	switch {
	case taskCPU != 0 && cpu > int64(taskCPU):
		return clientError("The sum of all container 'cpu' values cannot be greater than the value of the task 'cpu'.")
	case taskMemory != 0 && reserved > int64(taskMemory):
		return clientError("The sum of all container 'memoryReservation' values cannot be greater than the value of the task 'memory'.")
	}
	return nil
}

// checkCompatibilities works out where the definition can run, and refuses one
// that can't run where it says it must.
func checkCompatibilities(d *types.TaskDefinition) error {
	fargate, instances := fargateRules(d), instanceRules(d)
	host := d.NetworkMode != types.NetworkModeAwsvpc
	if len(d.RequiresCompatibilities) == 0 && instances != nil && fargate != nil {
		return instances
	}
	for _, c := range d.RequiresCompatibilities {
		switch c {
		case types.CompatibilityEc2:
			if instances != nil {
				return instances
			}
		case types.CompatibilityFargate:
			if fargate != nil {
				return fargate
			}
		case types.CompatibilityExternal:
			if !host {
				return clientError("External instances do not support network mode 'awsvpc'.")
			}
			if instances != nil {
				return instances
			}
		case types.CompatibilityManagedInstances:
			return clientError("requiresCompatibilities MANAGED_INSTANCES is not supported: managed instances are not built yet.")
		default:
			return clientError("Invalid compatibility '%s': requiresCompatibilities must be of EC2, FARGATE, EXTERNAL, MANAGED_INSTANCES.", c)
		}
	}
	if host && instances == nil {
		d.Compatibilities = append(d.Compatibilities, types.CompatibilityExternal)
	}
	if instances == nil {
		d.Compatibilities = append(d.Compatibilities, types.CompatibilityEc2)
	}
	if fargate == nil {
		d.Compatibilities = append(d.Compatibilities, types.CompatibilityFargate)
	}
	return nil
}
