package agent

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/agent/runtime"
	"github.com/berth/berth/state"
)

// shared are the namespaces that a task's containers have together (ECS API
// Reference, TaskDefinition.pidMode and ipcMode), in the runtime's words.
type shared struct {
	pid, ipc string
	noShm    bool
	pause    *runtime.Spec // the container that holds them; nil: none is needed
}

func newShared(t *state.Task, d *types.TaskDefinition) shared {
	var s shared
	pause := &runtime.Spec{ID: t.ID + "-pause", Sandbox: t.ID, Pause: true, NetNS: runtime.HostNS, CapDrop: []string{"ALL"}}
	switch d.PidMode {
	case types.PidModeHost:
		s.pid = runtime.HostNS
	case types.PidModeTask:
		s.pid, s.pause = runtime.NSOf+pause.ID, pause
	}
	switch d.IpcMode {
	case types.IpcModeHost:
		s.ipc = runtime.HostNS
	case types.IpcModeTask:
		s.ipc, s.pause = runtime.NSOf+pause.ID, pause
		for _, c := range d.ContainerDefinitions { // the largest of what they ask for is there for all
			if l := c.LinuxParameters; l != nil && l.SharedMemorySize != nil {
				pause.ShmSize = max(pause.ShmSize, int64(*l.SharedMemorySize)<<20)
			}
		}
	case types.IpcModeNone:
		s.noShm = true
	}
	return s
}

// hold starts what holds the namespaces. It ends with the task's sandbox.
func (s *shared) hold(ctx context.Context, r runtime.Runtime) error {
	if s.pause == nil {
		return nil
	}
	if err := r.Create(ctx, *s.pause); err != nil {
		return err
	}
	return r.Start(ctx, s.pause.ID)
}
