package state

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// OwnKernel reports whether an OCI runtime gives each container a kernel of its
// own, and nothing of the host's: gVisor's runsc does.
func OwnKernel(runtime string) bool { return strings.HasPrefix(runtime, "runsc") }

// HostKernel names the first field of a task definition that hands out a part of
// the host's kernel, which runtimes with a kernel of their own don't have; "" is
// none.
func HostKernel(def *types.TaskDefinition) string {
	switch {
	case def.PidMode != "":
		return "pidMode"
	case def.IpcMode != "" && def.IpcMode != types.IpcModeNone:
		return "ipcMode"
	}
	for i := range def.ContainerDefinitions {
		c := &def.ContainerDefinitions[i]
		switch {
		case aws.ToBool(c.Privileged):
			return "privileged"
		case len(c.SystemControls) > 0:
			return "systemControls"
		case c.LinuxParameters != nil && len(c.LinuxParameters.Devices) > 0:
			return "linuxParameters.devices"
		}
	}
	return ""
}
