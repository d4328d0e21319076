package agent

import (
	"errors"
	"slices"
	"strings"

	"github.com/berth/berth/agent/gpu"
	"github.com/berth/berth/agent/runtime"
	"github.com/berth/berth/state"
)

// GPUs knows the devices of those that containers were given. It is implemented
// by gpu.Host.
type GPUs interface {
	Devices(ids []string) ([]runtime.Device, error)
}

// gpus gives a container the devices of the GPUs that it was placed with.
func (t *task) gpus(i int, spec *runtime.Spec) error {
	at := slices.IndexFunc(t.as.Task.Containers, func(c state.Container) bool { return c.Name == t.plan.containers[i].name })
	if at < 0 || len(t.as.Task.Containers[at].GPUs) == 0 {
		return nil
	}
	ids := t.as.Task.Containers[at].GPUs
	if t.a.cfg.GPUs == nil {
		return errors.New("the task was given GPUs, and this host has none")
	}
	devices, err := t.a.cfg.GPUs.Devices(ids)
	if err != nil {
		return err
	}
	spec.Devices = append(slices.Clip(spec.Devices), devices...)
	// Whatever the definition and the image say.
	env := slices.DeleteFunc(slices.Clone(spec.Env), func(kv string) bool { return strings.HasPrefix(kv, gpu.VisibleDevices+"=") })
	spec.Env = append(env, gpu.VisibleDevices+"="+strings.Join(ids, ","))
	return nil
}
