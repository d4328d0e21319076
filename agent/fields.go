package agent

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/agent/runtime"
)

// shape is what a container's definition says of its surroundings, as the
// runtime takes it.
func shape(d *types.ContainerDefinition) (runtime.Spec, error) {
	s := runtime.Spec{
		Terminal: aws.ToBool(d.PseudoTerminal), Stdin: aws.ToBool(d.Interactive),
		Privileged:    aws.ToBool(d.Privileged),
		AllowNewPrivs: true, // as with Docker, where setuid programs work
	}
	for _, c := range d.SystemControls {
		if s.Sysctls == nil {
			s.Sysctls = map[string]string{}
		}
		s.Sysctls[aws.ToString(c.Namespace)] = aws.ToString(c.Value)
	}
	for _, o := range d.DockerSecurityOptions {
		switch o = strings.Replace(o, "=", ":", 1); {
		case o == "no-new-privileges", o == "no-new-privileges:true":
			s.AllowNewPrivs = false
		case o == "seccomp:unconfined":
			s.NoSeccomp = true
		default:
			return s, fmt.Errorf("dockerSecurityOptions has %s: this host has no such security module", o)
		}
	}
	l := d.LinuxParameters
	if l == nil {
		return s, nil
	}
	for _, t := range l.Tmpfs {
		s.Tmpfs = append(s.Tmpfs, runtime.Tmpfs{Target: aws.ToString(t.ContainerPath), Size: int64(t.Size) << 20, Options: t.MountOptions})
	}
	for _, dev := range l.Devices {
		permissions := ""
		for _, p := range dev.Permissions {
			permissions += string(p)[:1] // read, write, mknod
		}
		permissions = strings.ReplaceAll(first(permissions, "rwm"), "mm", "m")
		s.Devices = append(s.Devices, runtime.Device{
			Source: aws.ToString(dev.HostPath), Target: first(aws.ToString(dev.ContainerPath), aws.ToString(dev.HostPath)), Permissions: permissions,
		})
	}
	s.ShmSize = int64(aws.ToInt32(l.SharedMemorySize)) << 20
	if l.MaxSwap != nil {
		swap := int64(*l.MaxSwap) << 20
		s.Swap = &swap
	}
	if l.Swappiness != nil {
		swappiness := uint64(*l.Swappiness)
		s.Swappiness = &swappiness
	}
	return s, nil
}

// borrow adds to each container the mounts of those in its volumesFrom.
func (p *plan) borrow(def *types.TaskDefinition) error {
	own := make([][]mount, len(p.containers))
	for i, c := range p.containers {
		own[i] = c.mounts
	}
	for i, d := range def.ContainerDefinitions {
		c := p.containers[i]
		for _, v := range d.VolumesFrom {
			from := slices.IndexFunc(p.containers, func(o *container) bool { return o.name == aws.ToString(v.SourceContainer) })
			if from < 0 {
				return fmt.Errorf("container %s: volumesFrom names %q, which the task doesn't have", c.name, aws.ToString(v.SourceContainer))
			}
			c.borrows = append(c.borrows, borrowed{from, aws.ToBool(v.ReadOnly)})
			for _, m := range own[from] {
				// Its own mount of the same path goes before.
				if slices.ContainsFunc(c.mounts, func(o mount) bool { return o.path == m.path }) {
					continue
				}
				m.readOnly = m.readOnly || aws.ToBool(v.ReadOnly)
				c.mounts = append(slices.Clip(c.mounts), m)
			}
		}
	}
	return nil
}
