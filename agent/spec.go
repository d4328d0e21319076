package agent

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"github.com/berth/berth/agent/runtime"
	"github.com/berth/berth/state"
)

// The least and the most CPU shares that Linux knows; ECS passes 2 for no
// value, 0 and 1 (ECS API Reference, ContainerDefinition.cpu).
const (
	minShares = 2
	maxShares = 262144
)

// spec is the container as the runtime is to make it from an image. dir is the
// task's folder (see folder), netns the path of its network namespace.
func (p *plan) spec(c *container, img runtime.Image, dir folder, netns string) (runtime.Spec, error) {
	args := c.args(img)
	if len(args) == 0 {
		return runtime.Spec{}, errors.New("no command specified: neither the task definition nor the image " + c.image + " has one")
	}
	s := c.shape
	s.Runtime = p.task.Runtime
	s.ID, s.Sandbox, s.Image = c.id, p.task.ID, img.Ref
	s.Args, s.Env = args, p.env(c, img)
	s.WorkingDir = first(c.workingDirectory, img.Config.WorkingDir, "/")
	s.User = first(c.user, img.Config.User)
	s.Hostname, s.NetNS = p.hostnameOf(c), netns
	s.ReadonlyRootfs, s.Init = c.readonlyRootfs, c.init
	s.CapAdd, s.CapDrop = c.capAdd, c.capDrop
	s.CPUShares = uint64(min(max(c.cpu, minShares), maxShares))
	s.Memory, s.MemoryReserved = int64(c.memory)<<20, int64(c.reservation)<<20
	s.Ulimits, s.Labels = c.ulimits, c.labels
	s.PIDNS, s.IPCNS, s.NoShm = p.shared.pid, p.shared.ipc, p.shared.noShm
	for _, name := range etcFiles {
		s.Mounts = append(s.Mounts, runtime.Mount{Source: p.etc(c, dir, name), Target: filepath.Join("/etc", name)})
	}
	if c.routes {
		s.Mounts = append(s.Mounts, p.routerMounts(dir)...)
	}
	for _, m := range c.mounts {
		at := p.volume(m.volume)
		s.Mounts = append(s.Mounts, runtime.Mount{Source: p.sources[at], Target: m.path, ReadOnly: m.readOnly, Fill: p.volumes[at].fills(p.task, img, m.path)})
	}
	return s, nil
}

// args joins entry point and command as Docker does: a new entry point clears
// the image's command.
func (c *container) args(img runtime.Image) []string {
	entry, command := img.Config.Entrypoint, img.Config.Cmd
	if len(c.entryPoint) > 0 {
		entry, command = c.entryPoint, nil
	}
	if len(c.command) > 0 {
		command = c.command
	}
	return slices.Concat(entry, command)
}

// env is the image's environment, then that of environment files, the
// definition's and the override's, and what Fargate adds where none of them says
// otherwise.
func (p *plan) env(c *container, img runtime.Image) []string {
	var env [][2]string
	for _, kv := range img.Config.Env {
		k, v, _ := strings.Cut(kv, "=")
		env = setEnv(env, k, v)
	}
	for _, kv := range slices.Concat(c.fileEnv, p.fluentEnv(c), c.environment) {
		env = setEnv(env, kv[0], kv[1])
	}
	for _, kv := range [][2]string{
		{"PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		{"HOSTNAME", p.hostnameOf(c)},
		{"AWS_EXECUTION_ENV", executionEnv(p.task)},
		{"AWS_REGION", p.task.Region},
		{"AWS_DEFAULT_REGION", p.task.Region},
	} {
		if !slices.ContainsFunc(env, func(e [2]string) bool { return e[0] == kv[0] }) {
			env = append(env, kv)
		}
	}
	out := make([]string, len(env))
	for i, kv := range env {
		out[i] = kv[0] + "=" + kv[1]
	}
	return out
}

// executionEnv names the kind of capacity (Amazon ECS Developer Guide, "Amazon
// ECS environment variables").
func executionEnv(t *state.Task) string {
	if t.ContainerInstance != "" {
		return "AWS_ECS_EC2"
	}
	return "AWS_ECS_FARGATE"
}

// stopSignal is the image's STOPSIGNAL, or SIGTERM.
func stopSignal(img runtime.Image) string { return first(img.Config.StopSignal, "SIGTERM") }

// first returns the first of its arguments that is not empty.
func first(of ...string) string {
	for _, s := range of {
		if s != "" {
			return s
		}
	}
	return ""
}
