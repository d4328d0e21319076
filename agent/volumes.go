package agent

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/agent/runtime"
	"github.com/berth/berth/agent/volumes"
	"github.com/berth/berth/internal/loopfs"
	"github.com/berth/berth/state"
)

// Volumes makes the volumes that are more than a directory of the task's storage
// or a path of the host. Package volumes has the one of this host.
type Volumes interface {
	// Provide makes a task's volume and returns its directory. Providing what is
	// there changes nothing.
	Provide(ctx context.Context, task string, v volumes.Spec) (dir string, err error)
	// Release removes a task's volumes. It is no error that there are none.
	Release(ctx context.Context, task string) error
	// Tasks lists the tasks that have some.
	Tasks() ([]string, error)
}

// volume is one entry of a definition's volumes. At most one of host and more is
// set: with neither it is a directory of the task's storage.
type volume struct {
	name string
	host string // path on the host
	more *volumes.Spec
}

// newVolume reads a definition's volume. configured are those that were
// configured at the task's start.
func newVolume(d types.Volume, configured []state.Volume) (volume, error) {
	v := volume{name: aws.ToString(d.Name)}
	spec := &volumes.Spec{Name: v.name}
	switch docker, efs := d.DockerVolumeConfiguration, d.EfsVolumeConfiguration; {
	case docker != nil:
		shared := docker.Scope == types.ScopeShared
		spec.Docker = &volumes.Docker{
			Shared: shared, Create: shared && aws.ToBool(docker.Autoprovision), Driver: aws.ToString(docker.Driver), Options: docker.DriverOpts, Labels: docker.Labels,
		}
	case efs != nil:
		spec.EFS = &volumes.EFS{FileSystem: aws.ToString(efs.FileSystemId), Root: aws.ToString(efs.RootDirectory)}
	case aws.ToBool(d.ConfiguredAtLaunch):
		at := slices.IndexFunc(configured, func(c state.Volume) bool { return c.Name == v.name })
		if at < 0 {
			return v, fmt.Errorf("volume %s is to be configured at launch, and the task has no configuration for it", v.name)
		}
		c := configured[at]
		spec.EBS = &volumes.EBS{ID: c.ID, Size: int64(c.SizeGiB) << 30, Kind: loopfs.Kind(c.FileSystem), Keep: !c.DeleteOnTermination}
	default:
		if d.Host != nil {
			v.host = aws.ToString(d.Host.SourcePath)
		}
		return v, nil
	}
	v.more = spec
	return v, nil
}

// fills reports whether a volume, if it is empty, gets what an image has at the
// path where it is mounted: Docker's volumes do; on Fargate those of the task do
// where the image declares a volume at that very path (Amazon ECS Developer Guide,
// "Bind mounts"). What is mounted from elsewhere doesn't.
func (v *volume) fills(t *state.Task, img runtime.Image, path string) bool {
	switch {
	case v.more != nil:
		return v.more.Docker != nil && len(v.more.Docker.Options) == 0
	case v.host != "":
		return false
	case t.ContainerInstance != "":
		return true
	}
	return slices.Contains(declared(img), clean(path))
}

// declared are the paths at which an image declares volumes, in order.
func declared(img runtime.Image) []string {
	var paths []string
	for path := range maps.Keys(img.Config.Volumes) {
		if path = clean(path); path != "/" {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// clean is a path in a container, whatever an image says.
func clean(path string) string { return filepath.Join("/", path) }

// provide makes the task's volumes and returns their directories.
func (t *task) provide(ctx context.Context) ([]string, error) {
	dirs := make([]string, len(t.plan.volumes))
	for i, v := range t.plan.volumes {
		var err error
		switch {
		case v.more != nil && t.a.cfg.Volumes == nil:
			err = fmt.Errorf("this node has no such volumes")
		case v.more != nil:
			dirs[i], err = t.a.cfg.Volumes.Provide(ctx, t.id, *v.more)
		case v.host != "":
			// As Docker does: what isn't there becomes a directory.
			if dirs[i] = v.host; !there(v.host) {
				err = os.MkdirAll(v.host, 0o755)
			}
		default:
			dirs[i] = filepath.Join(t.a.cfg.Runtime.VolumeDir(t.id), strconv.Itoa(i))
			err = makeVolume(dirs[i])
		}
		switch {
		case err != nil && v.more != nil && v.more.EFS != nil:
			return nil, err // in AWS's words
		case err != nil:
			return nil, fmt.Errorf("unable to set up the volume %s: %w", v.name, err)
		}
	}
	return dirs, nil
}

func there(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// makeVolume makes a volume's directory. Whatever Berth's umask is: the
// container's user must get in (Amazon ECS Developer Guide, "Bind mounts": 0755
// and root's). One that is there is left as its user made it.
func makeVolume(dir string) error {
	if there(dir) {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.Chmod(dir, 0o755)
}

// imageVolumes gives a container the volumes that its image declares where the
// definition mounts nothing, each with what the image has there, and those of
// the containers from which it has volumes.
func (t *task) imageVolumes(i int, s *runtime.Spec) error {
	add := func(of int, readOnly bool) error {
		if t.live[of].image == nil {
			return nil // it could not be had, and the task goes on without it
		}
		for n, path := range declared(*t.live[of].image) {
			if t.mounts(of, path) || slices.ContainsFunc(s.Mounts, func(m runtime.Mount) bool { return clean(m.Target) == path }) ||
				slices.ContainsFunc(s.Tmpfs, func(m runtime.Tmpfs) bool { return clean(m.Target) == path }) {
				continue
			}
			dir := filepath.Join(t.a.cfg.Runtime.VolumeDir(t.id), "image-"+t.plan.containers[of].name, strconv.Itoa(n))
			if err := makeVolume(dir); err != nil {
				return fmt.Errorf("make the volume that its image declares at %s: %w", path, err)
			}
			s.Mounts = append(s.Mounts, runtime.Mount{Source: dir, Target: path, ReadOnly: readOnly, Fill: of == i})
		}
		return nil
	}
	if err := add(i, false); err != nil {
		return err
	}
	for _, b := range t.plan.containers[i].borrows {
		if err := add(b.from, b.readOnly); err != nil {
			return err
		}
	}
	return nil
}

// mounts reports whether a container's definition mounts something on a path.
func (t *task) mounts(i int, path string) bool {
	c := t.plan.containers[i]
	return slices.ContainsFunc(c.mounts, func(m mount) bool { return clean(m.path) == path }) ||
		slices.ContainsFunc(c.shape.Tmpfs, func(m runtime.Tmpfs) bool { return clean(m.Target) == path })
}

// lent reports whether the containers from which container i has volumes have
// filled them: they were made, or never will be.
func (t *task) lent(i int) bool {
	for _, b := range t.plan.containers[i].borrows {
		from := &t.p.Containers[b.from]
		mutual := slices.ContainsFunc(t.plan.containers[b.from].borrows, func(o borrowed) bool { return o.from == i })
		if img := t.live[b.from].image; !mutual && !from.Launched && from.Last == state.Pending && (img == nil || len(declared(*img)) > 0) {
			return false
		}
	}
	return true
}
