package ecs

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// fillContainer fills in what ECS shows of a container that was not said.
func fillContainer(c *types.ContainerDefinition, network types.NetworkMode) {
	if c.Essential == nil {
		c.Essential = aws.Bool(true)
	}
	c.Environment = append([]types.KeyValuePair{}, c.Environment...)
	c.MountPoints = append([]types.MountPoint{}, c.MountPoints...)
	c.VolumesFrom = append([]types.VolumeFrom{}, c.VolumesFrom...)
	c.SystemControls = append([]types.SystemControl{}, c.SystemControls...)
	c.PortMappings = append([]types.PortMapping{}, c.PortMappings...)
	for i := range c.PortMappings {
		p := &c.PortMappings[i]
		p.Protocol = protocolOf(*p)
		switch {
		case p.HostPort != nil || p.ContainerPort == nil:
		case network == types.NetworkModeAwsvpc || network == types.NetworkModeHost:
			p.HostPort = aws.Int32(*p.ContainerPort)
		default:
			p.HostPort = aws.Int32(0)
		}
	}
	if c.HealthCheck != nil {
		h := *c.HealthCheck
		h.Interval = orDefault(h.Interval, 30)
		h.Timeout = orDefault(h.Timeout, 5)
		h.Retries = orDefault(h.Retries, 3)
		c.HealthCheck = &h
	}
}

func orDefault(p *int32, def int32) *int32 {
	if p == nil {
		return &def
	}
	return p
}

// requiredAttributes are what a container instance must have to run the
// definition. ECS works them out from the fields that are used; the names are
// those of the container agent's capabilities.
func requiredAttributes(d *types.TaskDefinition) []types.Attribute {
	const docker = "com.amazonaws.ecs.capability.docker-remote-api."
	out := []types.Attribute{}
	seen := map[string]bool{}
	need := func(names ...string) {
		for _, name := range names {
			if !seen[name] {
				seen[name] = true
				out = append(out, types.Attribute{Name: aws.String(name)})
			}
		}
	}
	execution := aws.ToString(d.ExecutionRoleArn) != ""
	for _, c := range d.ContainerDefinitions {
		if l := c.LogConfiguration; l != nil {
			need("com.amazonaws.ecs.capability.logging-driver." + string(l.LogDriver))
			if l.LogDriver == types.LogDriverAwslogs {
				if execution {
					need("ecs.capability.execution-role-awslogs")
				}
				need(docker + "1.19")
			}
		}
		if strings.Contains(*c.Image, ".dkr.ecr.") {
			need("com.amazonaws.ecs.capability.ecr-auth")
			if execution {
				need("ecs.capability.execution-role-ecr-pull")
			}
		}
		if aws.ToBool(c.ReadonlyRootFilesystem) {
			need(docker + "1.17")
		}
		if f := c.FirelensConfiguration; f != nil {
			need("ecs.capability.firelens."+string(f.Type), docker+"1.17")
			if f.Options["config-file-type"] == "file" {
				need("ecs.capability.firelens.options.config.file")
			}
		}
		if len(c.EnvironmentFiles) > 0 {
			need("ecs.capability.env-files.s3")
		}
		if c.HealthCheck != nil {
			need("ecs.capability.container-health-check", docker+"1.24")
		}
		if len(c.DependsOn) > 0 || c.StartTimeout != nil || c.StopTimeout != nil {
			need("ecs.capability.container-ordering")
		}
		if c.RestartPolicy != nil && aws.ToBool(c.RestartPolicy.Enabled) {
			need("ecs.capability.container-restart-policy")
		}
		if aws.ToBool(c.Privileged) {
			need("com.amazonaws.ecs.capability.privileged-container")
		}
		if c.LinuxParameters != nil && aws.ToBool(c.LinuxParameters.InitProcessEnabled) {
			need(docker + "1.25")
		}
	}
	if aws.ToString(d.TaskRoleArn) != "" {
		need("com.amazonaws.ecs.capability.task-iam-role")
	}
	need(volumeAttributes(d)...)
	need(docker + "1.18")
	if d.PidMode != "" || d.IpcMode != "" {
		need("ecs.capability.pid-ipc-namespace-sharing")
	}
	if d.NetworkMode == types.NetworkModeAwsvpc {
		need("ecs.capability.task-eni")
	}
	return out
}
