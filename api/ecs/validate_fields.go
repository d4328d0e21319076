package ecs

import (
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// checkUlimits keeps to the limits that there are.
func checkUlimits(_ *types.TaskDefinition, c *types.ContainerDefinition) error {
	seen := map[types.UlimitName]bool{}
	for _, u := range c.Ulimits {
		switch {
		case !slices.Contains(u.Name.Values(), u.Name):
			return clientError("Invalid 'ulimits' setting for container '%s': there is no ulimit '%s'.", *c.Name, u.Name)
		case seen[u.Name]:
			return clientError("Invalid 'ulimits' setting for container '%s': '%s' is there more than once.", *c.Name, u.Name)
		case u.SoftLimit > u.HardLimit && u.HardLimit >= 0:
			return clientError("Invalid 'ulimits' setting for container '%s': the softLimit of '%s' is greater than its hardLimit.", *c.Name, u.Name)
		}
		seen[u.Name] = true
	}
	return nil
}

// ipcControls are the kernel parameters of an IPC namespace (Amazon ECS
// Developer Guide, task definition parameters, system controls).
var ipcControls = []string{
	"kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced",
}

// controlRule is a kernel parameter's name.
var controlRule = regexp.MustCompile(`^[a-z0-9_-]+(\.[a-z0-9_-]+)+$`)

// checkSystemControls keeps to the kernel parameters that a container has for
// itself.
func checkSystemControls(d *types.TaskDefinition, c *types.ContainerDefinition) error {
	for _, s := range c.SystemControls {
		name := aws.ToString(s.Namespace)
		net, ipc := strings.HasPrefix(name, "net."), strings.HasPrefix(name, "fs.mqueue.") || slices.Contains(ipcControls, name)
		switch {
		case !controlRule.MatchString(name) || !net && !ipc:
			return clientError("Invalid 'systemControls' setting for container '%s': '%s' is not a namespaced kernel parameter.", *c.Name, name)
		case aws.ToString(s.Value) == "":
			return clientError("Invalid 'systemControls' setting for container '%s': '%s' has no value.", *c.Name, name)
		case net && d.NetworkMode == types.NetworkModeHost:
			return clientError("Network namespaced system controls are not supported when networkMode=host.")
		case ipc && d.IpcMode == types.IpcModeHost:
			return clientError("IPC namespaced system controls are not supported when ipcMode=host.")
		}
	}
	return nil
}

// tmpfsOptions are the values that mountOptions may have (SDK, types.Tmpfs).
// Those with a value are given it after "=".
var tmpfsOptions = []string{
	"defaults", "ro", "rw", "suid", "nosuid", "dev", "nodev", "exec", "noexec", "sync", "async", "dirsync", "remount", "mand", "nomand", "atime", "noatime",
	"diratime", "nodiratime", "bind", "rbind", "unbindable", "runbindable", "private", "rprivate", "shared", "rshared", "slave", "rslave", "relatime",
	"norelatime", "strictatime", "nostrictatime", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol",
}

func checkTmpfs(_ *types.TaskDefinition, c *types.ContainerDefinition) error {
	if c.LinuxParameters == nil {
		return nil
	}
	for _, t := range c.LinuxParameters.Tmpfs {
		path := aws.ToString(t.ContainerPath)
		switch {
		case !strings.HasPrefix(path, "/"):
			return clientError("Invalid 'tmpfs' setting for container '%s': containerPath must be an absolute path, not '%s'.", *c.Name, path)
		case t.Size <= 0:
			return clientError("Invalid 'tmpfs' setting for container '%s': size must be greater than 0.", *c.Name)
		}
		for _, o := range t.MountOptions {
			if name, _, _ := strings.Cut(o, "="); !slices.Contains(tmpfsOptions, name) {
				return clientError("Invalid 'tmpfs' setting for container '%s': there is no mount option '%s'.", *c.Name, o)
			}
		}
	}
	return nil
}

// checkVolumesFrom keeps volumesFrom to other containers of the definition.
func checkVolumesFrom(d *types.TaskDefinition, c *types.ContainerDefinition) error {
	for _, v := range c.VolumesFrom {
		from := aws.ToString(v.SourceContainer)
		known := slices.ContainsFunc(d.ContainerDefinitions, func(o types.ContainerDefinition) bool { return aws.ToString(o.Name) == from })
		if !known || from == *c.Name {
			return clientError("Invalid 'volumesFrom' setting for container '%s': the sourceContainer '%s' does not exist in the task definition.", *c.Name, from)
		}
	}
	return nil
}

// firelensOptions are those of a log router.
var firelensOptions = []string{"enable-ecs-log-metadata", "config-file-type", "config-file-value"}

// checkFirelens keeps the rules of log routers, of which there is at most one,
// and somebody logs to it.
func checkFirelens(d *types.TaskDefinition) error {
	routers, users := 0, 0
	for _, c := range d.ContainerDefinitions {
		if c.LogConfiguration != nil && c.LogConfiguration.LogDriver == types.LogDriverAwsfirelens {
			users++
		}
		f := c.FirelensConfiguration
		if f == nil {
			continue
		}
		routers++
		if !slices.Contains(f.Type.Values(), f.Type) {
			return clientError("Invalid 'firelensConfiguration' setting for container '%s': type must be fluentd or fluentbit.", *c.Name)
		}
		for o := range f.Options {
			if !slices.Contains(firelensOptions, o) {
				return clientError("Invalid 'firelensConfiguration' setting for container '%s': there is no option '%s'.", *c.Name, o)
			}
		}
		kind, value := f.Options["config-file-type"], f.Options["config-file-value"]
		switch {
		case (kind == "") != (value == ""):
			return clientError("Invalid 'firelensConfiguration' setting for container '%s': config-file-type and config-file-value must be specified together.", *c.Name)
		case kind == "s3":
			return clientError("firelensConfiguration.options config-file-type s3 is not supported: configuration is not read from S3 yet.")
		case kind != "" && kind != "file":
			return clientError("Invalid 'firelensConfiguration' setting for container '%s': config-file-type must be s3 or file.", *c.Name)
		}
		if b := f.Options["enable-ecs-log-metadata"]; b != "" && b != "true" && b != "false" {
			return clientError("Invalid 'firelensConfiguration' setting for container '%s': enable-ecs-log-metadata must be true or false.", *c.Name)
		}
	}
	switch {
	case routers > 1:
		return clientError("Only one container in a task definition can have a firelensConfiguration.")
	case routers == 1 && users == 0:
		return clientError("When a firelensConfiguration object is specified, at least one container has to be configured with the awsfirelens log driver.")
	case routers == 0 && users > 0:
		return clientError("When the awsfirelens log driver is specified, one container has to have a firelensConfiguration object.")
	}
	return nil
}

func hasRouter(d *types.TaskDefinition) bool {
	return slices.ContainsFunc(d.ContainerDefinitions, func(c types.ContainerDefinition) bool { return c.FirelensConfiguration != nil })
}
