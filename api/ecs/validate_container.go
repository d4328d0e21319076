package ecs

import (
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/launch"
)

// The forms of an image's name (SDK, types.ContainerDefinition.Image).
var (
	imageRule  = regexp.MustCompile(`^[a-zA-Z0-9_:./#-]{1,255}$`)
	digestRule = regexp.MustCompile(`^sha256:[a-fA-F0-9]{64}$`)
)

// minMemory is the smallest memory of a container in MiB. The SDK speaks of 6,
// for the sake of newer Docker daemons, ECS has accepted 4 ever since.
const minMemory = 4

// checkContainer keeps the rules of one container that hold wherever it runs.
func checkContainer(d *types.TaskDefinition, c *types.ContainerDefinition) error {
	name := aws.ToString(c.Name)
	switch {
	case name == "":
		return clientError("Container.name should not be null or empty.")
	case !nameRule.MatchString(name):
		return clientError("Container.name contains invalid characters.")
	}
	for _, check := range []func(*types.TaskDefinition, *types.ContainerDefinition) error{
		checkImage, checkContainerSize, checkPortMappings, checkEnvironment, checkEnvironmentFiles, checkNames, checkMountPoints, checkVolumesFrom, checkHealth, checkLogs,
		checkUlimits, checkSystemControls, checkTmpfs, checkLinux, checkSecurityOptions, checkRestartPolicy, checkResources,
	} {
		if err := check(d, c); err != nil {
			return err
		}
	}
	return nil
}

func checkImage(_ *types.TaskDefinition, c *types.ContainerDefinition) error {
	image, digest, pinned := strings.Cut(aws.ToString(c.Image), "@")
	switch {
	case image == "":
		return clientError("Container.image should not be null or empty.")
	case !imageRule.MatchString(image), pinned && !digestRule.MatchString(digest):
		return clientError("Container.image contains invalid characters.")
	}
	if v := c.VersionConsistency; v != "" && !slices.Contains(v.Values(), v) {
		return clientError("Invalid 'versionConsistency' setting for container '%s'.", *c.Name)
	}
	return nil
}

func checkContainerSize(_ *types.TaskDefinition, c *types.ContainerDefinition) error {
	switch {
	case c.Cpu < 0:
		return clientError("Invalid 'cpu' setting for container '%s'.", *c.Name)
	case c.Memory != nil && *c.Memory < minMemory:
		return clientError("Invalid 'memory' setting for container '%s'.", *c.Name)
	case c.MemoryReservation != nil && *c.MemoryReservation < minMemory:
		return clientError("Invalid 'memoryReservation' setting for container '%s'.", *c.Name)
	case c.Memory != nil && c.MemoryReservation != nil && *c.Memory < *c.MemoryReservation:
		return clientError("Invalid setting for container '%s'. 'memory' must be greater than or equal to 'memoryReservation'.", *c.Name)
	}
	return nil
}

func checkPortMappings(d *types.TaskDefinition, c *types.ContainerDefinition) error {
	if len(c.PortMappings) > 0 && d.NetworkMode == types.NetworkModeNone {
		return clientError("Port mappings are not supported on container '%s' when networkMode=none.", *c.Name)
	}
	for _, p := range c.PortMappings {
		if p.ContainerPortRange != nil {
			if p.ContainerPort != nil || p.HostPort != nil {
				return clientError("Invalid setting for container '%s': cannot specify both single port and port range.", *c.Name)
			}
			if _, _, err := launch.PortRange(*p.ContainerPortRange); err != nil {
				return clientError("Invalid 'containerPortRange' setting for container '%s': it must be FIRST-LAST, with ports from 1 to 65535.", *c.Name)
			}
			if d.NetworkMode != types.NetworkModeAwsvpc && d.NetworkMode != types.NetworkModeBridge && d.NetworkMode != "" {
				return clientError("containerPortRange is supported only with the network modes awsvpc and bridge.")
			}
			continue
		}
		port := aws.ToInt32(p.ContainerPort)
		switch {
		case port < 1 || port > 65535:
			return clientError("Invalid 'containerPort' setting for container '%s'.", *c.Name)
		case p.HostPort != nil && (*p.HostPort < 0 || *p.HostPort > 65535):
			return clientError("Invalid 'hostPort' setting for container '%s'.", *c.Name)
		case p.HostPort != nil && *p.HostPort != port && d.NetworkMode == types.NetworkModeAwsvpc:
			return clientError("When networkMode=awsvpc, the host ports and container ports in port mappings must match.")
		case p.HostPort != nil && *p.HostPort != port && d.NetworkMode == types.NetworkModeHost:
			return clientError("When networkMode=host, the host ports and container ports in port mappings must match.")
		case p.Protocol != "" && !slices.Contains(p.Protocol.Values(), p.Protocol):
			return clientError("Invalid 'protocol' setting for container '%s'.", *c.Name)
		case p.AppProtocol != "" && !slices.Contains(p.AppProtocol.Values(), p.AppProtocol):
			return clientError("Invalid 'appProtocol' setting for container '%s'.", *c.Name)
		case p.AppProtocol != "" && aws.ToString(p.Name) == "":
			return clientError("Invalid setting for container '%s': a port mapping with 'appProtocol' must have a 'name'.", *c.Name)
		}
	}
	return nil
}

func checkMountPoints(d *types.TaskDefinition, c *types.ContainerDefinition) error {
	paths := map[string]bool{}
	for _, m := range c.MountPoints {
		volume, path := aws.ToString(m.SourceVolume), aws.ToString(m.ContainerPath)
		switch {
		case !slices.ContainsFunc(d.Volumes, func(v types.Volume) bool { return *v.Name == volume }):
			return clientError("Unknown volume '%s'.", volume)
		case !strings.HasPrefix(path, "/"):
			return clientError("Invalid 'containerPath' setting for container '%s': it must be an absolute path, not '%s'.", *c.Name, path)
		case paths[path]:
			return clientError("Invalid 'containerPath' setting for container '%s': '%s' has more than one mount point.", *c.Name, path)
		}
		paths[path] = true
	}
	return nil
}

// checkHealth keeps the ranges of types.HealthCheck: interval 5 to 300 s,
// timeout 2 to 60 s, retries 1 to 10, startPeriod 0 to 300 s.
func checkHealth(_ *types.TaskDefinition, c *types.ContainerDefinition) error {
	h := c.HealthCheck
	if h == nil {
		return nil
	}
	if len(h.Command) == 0 {
		return clientError("Invalid 'healthCheck' setting for container '%s': healthCheck.command should not be null or empty.", *c.Name)
	}
	kind, rest := h.Command[0], h.Command[1:]
	switch {
	case kind == "NONE" && len(rest) == 0:
	case kind != "CMD" && kind != "CMD-SHELL":
		return clientError("Invalid 'healthCheck' setting for container '%s': healthCheck.command must begin with CMD or CMD-SHELL.", *c.Name)
	case len(rest) == 0 || rest[0] == "":
		return clientError("Invalid 'healthCheck' setting for container '%s': healthCheck.command has no command after %s.", *c.Name, kind)
	}
	for _, r := range []struct {
		field    string
		value    *int32
		min, max int32
	}{
		{"interval", h.Interval, 5, 300},
		{"timeout", h.Timeout, 2, 60},
		{"retries", h.Retries, 1, 10},
		{"startPeriod", h.StartPeriod, 0, 300},
	} {
		if r.value != nil && (*r.value < r.min || *r.value > r.max) {
			return clientError("Invalid 'healthCheck' setting for container '%s': healthCheck.%s must be between %d and %d.", *c.Name, r.field, r.min, r.max)
		}
	}
	return nil
}

// checkLogs keeps what holds for logs outside Fargate, which has rules of its own.
func checkLogs(_ *types.TaskDefinition, c *types.ContainerDefinition) error {
	l := c.LogConfiguration
	if l == nil {
		return nil
	}
	if !slices.Contains(l.LogDriver.Values(), l.LogDriver) {
		return clientError("Invalid 'logDriver' setting for container '%s'.", *c.Name)
	}
	if l.LogDriver == types.LogDriverAwslogs && l.Options["awslogs-group"] == "" {
		return clientError("Log driver awslogs requires options: awslogs-group.")
	}
	return nil
}
