package ecs

import (
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// capabilities are the names that linuxParameters.capabilities may have
// (SDK, types.KernelCapabilities).
var capabilities = []string{
	"ALL", "AUDIT_CONTROL", "AUDIT_WRITE", "BLOCK_SUSPEND", "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID",
	"IPC_LOCK", "IPC_OWNER", "KILL", "LEASE", "LINUX_IMMUTABLE", "MAC_ADMIN", "MAC_OVERRIDE", "MKNOD", "NET_ADMIN",
	"NET_BIND_SERVICE", "NET_BROADCAST", "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_ADMIN", "SYS_BOOT",
	"SYS_CHROOT", "SYS_MODULE", "SYS_NICE", "SYS_PACCT", "SYS_PTRACE", "SYS_RAWIO", "SYS_RESOURCE", "SYS_TIME",
	"SYS_TTY_CONFIG", "SYSLOG", "WAKE_ALARM",
}

// maxMebibytes keeps sizes in MiB far from overflowing as bytes: 1 PiB.
const maxMebibytes = 1 << 30

// checkLinux keeps the rules of linuxParameters that hold wherever the container
// runs. Those of tmpfs are checkTmpfs's.
func checkLinux(_ *types.TaskDefinition, c *types.ContainerDefinition) error {
	p := c.LinuxParameters
	if p == nil {
		return nil
	}
	if k := p.Capabilities; k != nil {
		for _, list := range []struct {
			field string
			names []string
		}{{"add", k.Add}, {"drop", k.Drop}} {
			for _, name := range list.names {
				if !slices.Contains(capabilities, name) {
					return clientError("Invalid 'linuxParameters.capabilities.%s' setting for container '%s': there is no capability '%s'.", list.field, *c.Name, name)
				}
			}
		}
	}
	for _, d := range p.Devices {
		host, inside := aws.ToString(d.HostPath), aws.ToString(d.ContainerPath)
		switch {
		case !strings.HasPrefix(host, "/"):
			return clientError("Invalid 'devices' setting for container '%s': hostPath must be an absolute path, not '%s'.", *c.Name, host)
		case inside != "" && !strings.HasPrefix(inside, "/"):
			return clientError("Invalid 'devices' setting for container '%s': containerPath must be an absolute path, not '%s'.", *c.Name, inside)
		}
		for _, permission := range d.Permissions {
			if !slices.Contains(permission.Values(), permission) {
				return clientError("Invalid 'devices' setting for container '%s': permissions must be of read, write, mknod, not '%s'.", *c.Name, permission)
			}
		}
	}
	for _, r := range []struct {
		field    string
		value    *int32
		min, max int32
	}{
		{"sharedMemorySize", p.SharedMemorySize, 1, maxMebibytes},
		{"maxSwap", p.MaxSwap, 0, maxMebibytes},
		{"swappiness", p.Swappiness, 0, 100},
	} {
		if r.value != nil && (*r.value < r.min || *r.value > r.max) {
			return clientError("Invalid '%s' setting for container '%s': it must be between %d and %d.", r.field, *c.Name, r.min, r.max)
		}
	}
	return nil
}

// checkSecurityOptions keeps to the forms of dockerSecurityOptions (SDK,
// types.ContainerDefinition) and to what hosts have.
func checkSecurityOptions(_ *types.TaskDefinition, c *types.ContainerDefinition) error {
	for _, option := range c.DockerSecurityOptions {
		kind, value, _ := strings.Cut(strings.Replace(option, "=", ":", 1), ":")
		switch {
		case kind == "no-new-privileges" && (value == "" || value == "true"), kind == "seccomp" && value == "unconfined":
		case slices.Contains([]string{"apparmor", "label", "credentialspec", "seccomp"}, kind):
			return clientError("dockerSecurityOptions '%s' of container '%s' is not supported: hosts are not asked for %s.", option, *c.Name, kind)
		default:
			return clientError("Invalid 'dockerSecurityOptions' setting for container '%s': there is no option '%s'.", *c.Name, option)
		}
	}
	return nil
}

// Ranges of a restart policy (SDK, types.ContainerRestartPolicy), in seconds.
const minRestartPeriod, maxRestartPeriod, maxIgnoredCodes = 60, 1800, 50

func checkRestartPolicy(_ *types.TaskDefinition, c *types.ContainerDefinition) error {
	p := c.RestartPolicy
	switch {
	case p == nil:
	case p.Enabled == nil:
		return clientError("Invalid 'restartPolicy' setting for container '%s': enabled must be specified.", *c.Name)
	case len(p.IgnoredExitCodes) > maxIgnoredCodes:
		return clientError("Invalid 'restartPolicy' setting for container '%s': there can be at most %d ignoredExitCodes.", *c.Name, maxIgnoredCodes)
	case p.RestartAttemptPeriod != nil && (*p.RestartAttemptPeriod < minRestartPeriod || *p.RestartAttemptPeriod > maxRestartPeriod):
		return clientError("Invalid 'restartPolicy' setting for container '%s': restartAttemptPeriod must be between %d and %d.", *c.Name, minRestartPeriod, maxRestartPeriod)
	}
	return nil
}

// Range of a task's ephemeral storage (SDK, types.EphemeralStorage), in GiB.
const minEphemeral, maxEphemeral = 21, 200

// checkIsolation keeps to the values of what the task's containers share.
func checkIsolation(d *types.TaskDefinition) error {
	switch {
	case d.PidMode != "" && !slices.Contains(d.PidMode.Values(), d.PidMode):
		return clientError("Invalid 'pidMode' setting for task: it must be host or task.")
	case d.IpcMode != "" && !slices.Contains(d.IpcMode.Values(), d.IpcMode):
		return clientError("Invalid 'ipcMode' setting for task: it must be host, task or none.")
	case d.EphemeralStorage != nil && (d.EphemeralStorage.SizeInGiB < minEphemeral || d.EphemeralStorage.SizeInGiB > maxEphemeral):
		return clientError("Invalid 'ephemeralStorage' setting for task: sizeInGiB must be between %d and %d.", minEphemeral, maxEphemeral)
	}
	return nil
}

// checkResources keeps the rules of resourceRequirements: one count of GPUs.
func checkResources(_ *types.TaskDefinition, c *types.ContainerDefinition) error {
	gpus := false
	for _, r := range c.ResourceRequirements {
		n, err := strconv.ParseUint(aws.ToString(r.Value), 10, 15)
		switch {
		case !slices.Contains(r.Type.Values(), r.Type):
			return clientError("Invalid 'resourceRequirements' setting for container '%s': type must be GPU or InferenceAccelerator.", *c.Name)
		case r.Type != types.ResourceTypeGpu:
			return clientError("Invalid 'resourceRequirements' setting for container '%s': Amazon Elastic Inference, and with it InferenceAccelerator, is no longer available.", *c.Name)
		case gpus:
			return clientError("Invalid 'resourceRequirements' setting for container '%s': GPU is there more than once.", *c.Name)
		case err != nil || n < 1:
			return clientError("Invalid 'resourceRequirements' setting for container '%s': the value of GPU must be a number of devices, not '%s'.", *c.Name, aws.ToString(r.Value))
		default:
			gpus = true
		}
	}
	return nil
}
