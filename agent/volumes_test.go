package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/berth/berth/agent/runtime"
	"github.com/berth/berth/agent/volumes"
	"github.com/berth/berth/internal/loopfs"
	"github.com/berth/berth/state"
)

// What a definition says of a volume is what is asked for.
func TestNewVolume(t *testing.T) {
	ebs := []state.Volume{{Name: "v", ID: "vol-1", SizeGiB: 2, FileSystem: types.TaskFilesystemTypeExt4}}
	for name, c := range map[string]struct {
		set  func(*types.Volume)
		want volume
		err  string
	}{
		"of the task": {set: func(v *types.Volume) { v.Host = &types.HostVolumeProperties{} }},
		"of the host": {set: func(v *types.Volume) { v.Host = &types.HostVolumeProperties{SourcePath: aws.String("/srv")} }, want: volume{host: "/srv"}},
		"Docker, of the task": {set: func(v *types.Volume) {
			v.DockerVolumeConfiguration = &types.DockerVolumeConfiguration{Autoprovision: aws.Bool(true), Labels: map[string]string{"a": "b"}}
		}, want: volume{more: &volumes.Spec{Docker: &volumes.Docker{Labels: map[string]string{"a": "b"}}}}},
		"Docker, shared": {set: func(v *types.Volume) {
			v.DockerVolumeConfiguration = &types.DockerVolumeConfiguration{Scope: types.ScopeShared, Autoprovision: aws.Bool(true), Driver: aws.String("local"), DriverOpts: map[string]string{"type": "tmpfs"}}
		}, want: volume{more: &volumes.Spec{Docker: &volumes.Docker{Shared: true, Create: true, Driver: "local", Options: map[string]string{"type": "tmpfs"}}}}},
		"EFS": {set: func(v *types.Volume) {
			v.EfsVolumeConfiguration = &types.EFSVolumeConfiguration{FileSystemId: aws.String("fs-1"), RootDirectory: aws.String("/a")}
		}, want: volume{more: &volumes.Spec{EFS: &volumes.EFS{FileSystem: "fs-1", Root: "/a"}}}},
		"EBS":                         {set: func(v *types.Volume) { v.ConfiguredAtLaunch = aws.Bool(true) }, want: volume{more: &volumes.Spec{EBS: &volumes.EBS{ID: "vol-1", Size: 2 << 30, Kind: loopfs.Ext4, Keep: true}}}},
		"EBS without a configuration": {set: func(v *types.Volume) { v.Name, v.ConfiguredAtLaunch = aws.String("w"), aws.Bool(true) }, err: "volume w is to be configured at launch"},
	} {
		t.Run(name, func(t *testing.T) {
			d := types.Volume{Name: aws.String("v")}
			c.set(&d)
			got, err := newVolume(d, ebs)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("%v, want %q", err, c.err)
				}
				return
			}
			c.want.name = "v"
			if c.want.more != nil {
				c.want.more.Name = "v"
			}
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("%+v, %v, want %+v", got, err, c.want)
			}
		})
	}
}

func TestFills(t *testing.T) {
	img := runtime.Image{Config: v1.ImageConfig{Volumes: map[string]struct{}{"/data/": {}, "../out": {}, "/": {}}}}
	if got := declared(img); !slices.Equal(got, []string{"/data", "/out"}) {
		t.Errorf("declared are %q", got)
	}
	fargate, instance := &state.Task{}, &state.Task{ContainerInstance: "i"}
	docker, mounted := &volumes.Spec{Docker: &volumes.Docker{}}, &volumes.Spec{Docker: &volumes.Docker{Options: map[string]string{"type": "tmpfs"}}}
	for _, c := range []struct {
		name string
		v    volume
		task *state.Task
		path string
		want bool
	}{
		{"Fargate, declared", volume{}, fargate, "/data", true},
		{"Fargate, not declared", volume{}, fargate, "/else", false},
		{"an instance", volume{}, instance, "/else", true},
		{"the host's", volume{host: "/srv"}, instance, "/data", false},
		{"Docker's", volume{more: docker}, instance, "/else", true},
		{"Docker's, mounted", volume{more: mounted}, instance, "/data", false},
		{"EFS", volume{more: &volumes.Spec{EFS: &volumes.EFS{}}}, fargate, "/data", false},
	} {
		if got := c.v.fills(c.task, img, c.path); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// provider provides volumes in memory.
type provider struct {
	mu   sync.Mutex
	has  map[string][]string // by task
	fail error
}

func (p *provider) Provide(_ context.Context, task string, v volumes.Spec) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Contains(p.has[task], v.Name) {
		p.has[task] = append(p.has[task], v.Name)
	}
	return "/provided/" + v.Name, p.fail
}

func (p *provider) Release(_ context.Context, task string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.has, task)
	return nil
}

func (p *provider) Tasks() ([]string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []string
	for id := range p.has {
		list = append(list, id)
	}
	return list, nil
}

// inVolumes is inWorld with a provider of volumes.
func inVolumes(t *testing.T, f func(w *world, p *provider)) {
	t.Helper()
	inWorld(t, func(t *testing.T, w *world) {
		w.close()
		p := &provider{has: map[string][]string{"stray": {"v"}}}
		w.volumes = p
		w.start(0)
		f(w, p)
		if len(p.has) > 0 {
			t.Errorf("volumes are left: %v", p.has)
		}
	})
}

func withVolume(d types.Volume) func(*state.Assignment) {
	return func(as *state.Assignment) { as.Definition.V.Volumes = []types.Volume{d} }
}

func mounting(volume, path string) func(*types.ContainerDefinition) {
	return func(d *types.ContainerDefinition) {
		d.MountPoints = []types.MountPoint{{SourceVolume: &volume, ContainerPath: &path}}
	}
}

// A task's volumes are provided before its containers are made, and released
// after them; those of unknown tasks are removed.
func TestProvide(t *testing.T) {
	inVolumes(t, func(w *world, p *provider) {
		host := filepath.Join(filepath.Dir(w.dir), "host", "deep")
		id := w.runWith(func(as *state.Assignment) {
			as.Definition.V.Volumes = []types.Volume{
				{Name: aws.String("efs"), EfsVolumeConfiguration: &types.EFSVolumeConfiguration{FileSystemId: aws.String("fs-1")}},
				{Name: aws.String("host"), Host: &types.HostVolumeProperties{SourcePath: &host}},
			}
		}, define("web", func(d *types.ContainerDefinition) {
			mounting("efs", "/efs")(d)
			d.MountPoints = append(d.MountPoints, types.MountPoint{SourceVolume: aws.String("host"), ContainerPath: aws.String("/host")})
		}))
		w.host.mu.Lock()
		for _, c := range w.host.containers {
			for _, want := range []runtime.Mount{{Source: "/provided/efs", Target: "/efs"}, {Source: host, Target: "/host"}} {
				if !slices.Contains(c.spec.Mounts, want) {
					t.Errorf("mounts %+v lack %+v", c.spec.Mounts, want)
				}
			}
		}
		w.host.mu.Unlock()
		if got := p.has[id]; !slices.Equal(got, []string{"efs"}) {
			t.Errorf("provided are %q", got)
		}
		w.stop(id)
		if _, err := os.Stat(host); err != nil {
			t.Errorf("the host's directory: %v", err)
		}
		w.gone()
	})
}

func TestProvideFails(t *testing.T) {
	inVolumes(t, func(w *world, p *provider) {
		p.fail = errors.New("failed to invoke EFS utils commands to set up EFS volumes: no")
		id := w.runWith(withVolume(types.Volume{Name: aws.String("v"), EfsVolumeConfiguration: &types.EFSVolumeConfiguration{FileSystemId: aws.String("fs-1")}}), define("web", mounting("v", "/v")))
		pass(time.Second)
		w.wantStop(id, types.TaskStopCodeTaskFailedToStart, "ResourceInitializationError: failed to invoke EFS utils commands to set up EFS volumes: no")
		w.gone()
	})
}

// Volumes that an image declares are of each container alone, but for those that
// have its volumes.
func TestImageVolumes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.host.images["plain"] = &image{}
		w.host.images["app"].config.Volumes = map[string]struct{}{"/a": {}, "/b": {}, "/tmp": {}}
		id := w.runWith(withVolume(types.Volume{Name: aws.String("v")}),
			define("reader", func(d *types.ContainerDefinition) {
				d.VolumesFrom = []types.VolumeFrom{{SourceContainer: aws.String("owner"), ReadOnly: aws.Bool(true)}}
				d.Image = aws.String("plain")
			}),
			define("owner", func(d *types.ContainerDefinition) {
				mounting("v", "/b/")(d)
				d.LinuxParameters = &types.LinuxParameters{Tmpfs: []types.Tmpfs{{ContainerPath: aws.String("/tmp"), Size: 1}}}
			}))
		w.host.mu.Lock()
		defer w.host.mu.Unlock()
		dir := w.proc.VolumeDir(id)
		got := map[string]string{}
		for _, c := range w.host.containers {
			for _, m := range c.spec.Mounts {
				if rest, ok := strings.CutPrefix(m.Source, dir); ok {
					got[nameOf(c.spec)] += fmt.Sprintf("%s on %s, fill %v, read-only %v; ", rest, m.Target, m.Fill, m.ReadOnly)
				}
			}
		}
		want := map[string]string{
			"owner":  "/0 on /b/, fill true, read-only false; /image-owner/0 on /a, fill true, read-only false; ",
			"reader": "/0 on /b/, fill false, read-only true; /image-owner/0 on /a, fill false, read-only true; ",
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("\n%v, want\n%v", got, want)
		}
	})
}
