package ecs

import (
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/state"
)

// Fargate's range of startTimeout and stopTimeout, in seconds (Amazon ECS
// Developer Guide, "task definition parameters", container timeouts).
const minTimeout, maxTimeout = 2, 120

// fargateRules says why a definition can't run on Fargate, or nil if it can.
func fargateRules(d *types.TaskDefinition) error {
	switch {
	case d.NetworkMode != types.NetworkModeAwsvpc:
		return clientError("Fargate only supports network mode ‘awsvpc’.")
	case d.IpcMode != "":
		return clientError("Tasks using the Fargate launch type do not support ipcMode.")
	case d.PidMode == types.PidModeHost:
		return clientError("Tasks using the Fargate launch type do not support pidMode 'host'.")
	case len(d.PlacementConstraints) > 0:
		return clientError("Fargate compatible task definitions do not support constraints.")
	}
	if _, err := fargateSize(aws.ToString(d.Cpu), aws.ToString(d.Memory)); err != nil {
		return err
	}
	for _, v := range d.Volumes {
		switch {
		case v.Host != nil && aws.ToString(v.Host.SourcePath) != "":
			return clientError("Fargate compatible task definitions do not support sourcePath.")
		case v.DockerVolumeConfiguration != nil:
			return clientError("Fargate compatible task definitions do not support dockerVolumeConfiguration.")
		}
	}
	for i := range d.ContainerDefinitions {
		if err := fargateContainer(d, &d.ContainerDefinitions[i]); err != nil {
			return err
		}
	}
	return nil
}

// noFargateGPU is AWS's word on GPUs on Fargate.
const noFargateGPU = "Tasks using the Fargate launch type do not support GPU resource requirements."

// awsvpcContainer says why a container can't share its task's interface.
func awsvpcContainer(c *types.ContainerDefinition) error {
	switch {
	case aws.ToString(c.Hostname) != "":
		return clientError("hostname is not supported on container when networkMode=awsvpc.")
	case len(c.ExtraHosts) > 0:
		return clientError("Extra hosts are not supported on container when networkMode=awsvpc.")
	case aws.ToBool(c.DisableNetworking):
		return clientError("Disable Networking is not supported on container when networkMode=awsvpc.")
	case len(c.Links) > 0:
		return clientError("Links are not supported when networkMode=awsvpc.")
	case len(c.DnsServers) > 0 || len(c.DnsSearchDomains) > 0:
		return clientError("DNS servers are not supported on container when networkMode=awsvpc.")
	}
	return nil
}

// fargateContainer says why a container can't run on Fargate.
func fargateContainer(d *types.TaskDefinition, c *types.ContainerDefinition) error {
	const lacks = "Fargate compatible task definitions do not support %s."
	if err := awsvpcContainer(c); err != nil {
		return err
	}
	switch {
	case aws.ToBool(c.Privileged):
		return clientError("Fargate requires that the 'privileged' setting be 'false'.")
	case len(c.DockerSecurityOptions) > 0:
		return clientError(lacks, "dockerSecurityOptions")
	case slices.ContainsFunc(c.ResourceRequirements, func(r types.ResourceRequirement) bool { return r.Type == types.ResourceTypeGpu }):
		return clientError(noFargateGPU)
	}
	for _, t := range []struct {
		field string
		value *int32
	}{{"startTimeout", c.StartTimeout}, {"stopTimeout", c.StopTimeout}} {
		if t.value != nil && (*t.value < minTimeout || *t.value > maxTimeout) {
			return clientError("Invalid '%s' setting for container '%s': on Fargate it must be between %d and %d.", t.field, *c.Name, minTimeout, maxTimeout)
		}
	}
	if p := c.LinuxParameters; p != nil {
		switch {
		case len(p.Devices) > 0:
			return clientError(lacks, "devices")
		case p.SharedMemorySize != nil:
			return clientError(lacks, "sharedMemorySize")
		case p.MaxSwap != nil:
			return clientError(lacks, "maxSwap")
		case p.Swappiness != nil:
			return clientError(lacks, "swappiness")
		}
		if err := fargateCapabilities(p.Capabilities); err != nil {
			return err
		}
	}
	if err := state.CheckLogConfiguration(c.LogConfiguration, false, hasRouter(d)); err != nil {
		return clientError("%s", err.Error())
	}
	return nil
}

// fargateCapabilities lets containers add SYS_PTRACE alone.
func fargateCapabilities(k *types.KernelCapabilities) error {
	if k == nil {
		return nil
	}
	for _, name := range k.Add {
		if name != "SYS_PTRACE" {
			return clientError("%s is not allowed on Fargate.", name)
		}
	}
	return nil
}
