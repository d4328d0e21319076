package e2e

import (
	"archive/tar"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// onInstance runs the task on the host as a container instance.
func onInstance(in *ecs.RunTaskInput) {
	in.LaunchType, in.NetworkConfiguration = types.LaunchTypeEc2, nil
}

// small is a container that has its own memory, as one on an instance must.
func smallContainer(name string, command ...string) types.ContainerDefinition {
	c := container(name, command...)
	c.Memory = aws.Int32(64)
	return c
}

// inSubnet is the network of a task on Fargate.
func (h *host) inSubnet(t *testing.T) func(*ecs.RunTaskInput) {
	return func(in *ecs.RunTaskInput) {
		in.NetworkConfiguration.AwsvpcConfiguration.Subnets = []string{h.subnets(t)[0]}
	}
}

func withMounts(c types.ContainerDefinition, mounts ...string) types.ContainerDefinition {
	for _, m := range mounts {
		volume, path, _ := strings.Cut(m, ":")
		c.MountPoints = append(c.MountPoints, types.MountPoint{SourceVolume: &volume, ContainerPath: &path})
	}
	return c
}

func withVolumes(volumes ...types.Volume) func(*ecs.RegisterTaskDefinitionInput) {
	return func(in *ecs.RegisterTaskDefinitionInput) { in.Volumes = volumes }
}

// saidBy runs a task to its end and returns what its first container printed.
func (h *host) saidBy(t *testing.T, definition string, edit ...func(*ecs.RunTaskInput)) string {
	t.Helper()
	task := h.run(t, definition, edit...)
	end := h.await(t, *task.TaskArn, "STOPPED")
	lines, err := h.lines(t.Context(), *task.TaskArn, *task.Containers[0].Name)
	if err != nil && !strings.Contains(err.Error(), "log stream does not exist") { // it never started
		t.Fatal(err)
	}
	return strings.Join(lines, "\n") + "\n" + aws.ToString(end.StoppedReason) + "\n" + reasons(end)
}

func wantAll(t *testing.T, what, said string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(said, w) {
			t.Errorf("%s: %q, want %q in it", what, said, w)
		}
	}
}

// Host paths, Docker volumes and EFS on a container instance, looked at from inside.
func TestInstanceVolumes(t *testing.T) {
	t.Parallel()
	outside, nas := t.TempDir(), t.TempDir()
	if err := os.MkdirAll(filepath.Join(nas, "app"), 0o777); err != nil {
		t.Fatal(err)
	}
	h := newHost(t, "--efs", "fs-0123abcd="+nas)
	if out, err := h.berth("node"); err != nil {
		t.Fatalf("berth node: %v: %s", err, out)
	}
	bridge := onInstances(types.NetworkModeBridge)
	path := filepath.Join(outside, "made", "here")
	docker := func(name string, c types.DockerVolumeConfiguration) types.Volume {
		return types.Volume{Name: &name, DockerVolumeConfiguration: &c}
	}
	shared := docker("common", types.DockerVolumeConfiguration{Scope: types.ScopeShared, Autoprovision: aws.Bool(true), Driver: aws.String("local"), Labels: map[string]string{"a": "b"}})
	memory := docker("memory", types.DockerVolumeConfiguration{Scope: types.ScopeTask, DriverOpts: map[string]string{"type": "tmpfs", "device": "tmpfs", "o": "size=3m,mode=1777"}})
	all := withVolumes(
		types.Volume{Name: aws.String("host"), Host: &types.HostVolumeProperties{SourcePath: &path}}, shared, memory, docker("own", types.DockerVolumeConfiguration{}),
		types.Volume{Name: aws.String("efs"), EfsVolumeConfiguration: &types.EFSVolumeConfiguration{FileSystemId: aws.String("fs-0123abcd"), RootDirectory: aws.String("/app")}},
	)
	steps := []string{"write=/host/f:of the host", "write=/common/f:of all", "write=/own/f:of the task", "write=/efs/f:of EFS", "write=/memory/f:x", "mounted=/memory", "print=end"}
	mounts := []string{"host:/host", "common:/common", "own:/own", "memory:/memory", "efs:/efs"}
	said := h.saidBy(t, h.register(t, []types.ContainerDefinition{withMounts(smallContainer("main", steps...), mounts...)}, bridge, all), onInstance)
	wantAll(t, "the writer", said, "mounted tmpfs", "size=3072k", "end\n")
	for file, want := range map[string]string{filepath.Join(path, "f"): "of the host", filepath.Join(nas, "app", "f"): "of EFS"} {
		if b, err := os.ReadFile(file); err != nil || strings.TrimSpace(string(b)) != want {
			t.Errorf("%s has %q, %v", file, b, err)
		}
	}
	said = h.saidBy(t, h.register(t, []types.ContainerDefinition{withMounts(smallContainer("main", "cat=/host/f", "cat=/common/f", "ls=/memory", "ls=/own", "cat=/own/f"), mounts...)}, bridge, all), onInstance)
	wantAll(t, "the reader", said, "of the host", "of all", "/own/f: no such file")

	// What can't be had stops the task, and says why.
	for _, c := range []struct {
		volume types.Volume
		want   string
	}{
		{types.Volume{Name: aws.String("v"), EfsVolumeConfiguration: &types.EFSVolumeConfiguration{FileSystemId: aws.String("fs-9999")}}, "ResourceInitializationError: failed to invoke EFS utils commands to set up EFS volumes: "},
		{types.Volume{Name: aws.String("v"), EfsVolumeConfiguration: &types.EFSVolumeConfiguration{FileSystemId: aws.String("fs-0123abcd"), RootDirectory: aws.String("/no")}}, "mounting fs-0123abcd:/no failed"},
		{docker("v", types.DockerVolumeConfiguration{Scope: types.ScopeShared}), "its autoprovision is false"},
		{docker("v", types.DockerVolumeConfiguration{DriverOpts: map[string]string{"type": "none", "o": "bind", "device": "/no/such/thing"}}), "mount the volume's device /no/such/thing"},
	} {
		wantAll(t, "a bad volume", h.saidBy(t, h.register(t, []types.ContainerDefinition{withMounts(smallContainer("main", "exit=0"), "v:/v")}, bridge, withVolumes(c.volume)), onInstance), c.want)
	}
	// No instance has another driver.
	other := h.register(t, []types.ContainerDefinition{smallContainer("main", "exit=0")}, bridge, withVolumes(docker("v", types.DockerVolumeConfiguration{Driver: aws.String("rexray/ebs")})))
	if out, err := h.tryRun(t.Context(), other, onInstance); err != nil || len(out.Failures) != 1 || !strings.Contains(*out.Failures[0].Reason, "ATTRIBUTE") {
		t.Errorf("another driver: %v, %+v", err, out)
	}
	// Links in an image, and dots in a path, lead to nothing of the host.
	victim := filepath.Join(outside, "victim")
	if err := os.Mkdir(victim, 0o755); err != nil {
		t.Fatal(err)
	}
	h.importImage(t, "escape:1", nil, link("out", strings.Repeat("../", 20)+victim[1:]))
	c := withMounts(smallContainer("main", "write=/out/deep/f:x", "ls=/"), "own:/out/deep", "common:"+strings.Repeat("/..", 20)+victim+"/dots")
	c.Image = aws.String("escape:1")
	h.saidBy(t, h.register(t, []types.ContainerDefinition{c}, bridge, withVolumes(docker("own", types.DockerVolumeConfiguration{}), shared)), onInstance)
	if left, err := os.ReadDir(victim); err != nil || len(left) > 0 {
		t.Errorf("a mount's target got to the host: %v, %v", left, err)
	}
}

// Volumes that an image declares have its content, on both kinds of capacity.
func TestImageVolumes(t *testing.T) {
	t.Parallel()
	h := sharedHost(t)
	h.importImage(t, "declares:1", func(c *v1.Config) { c.Volumes = map[string]struct{}{"/data": {}, "/new": {}} },
		entry{tar.Header{Name: "data/", Typeflag: tar.TypeDir, Mode: 0o750, Uid: 12, Gid: 34}, ""}, entry{tar.Header{Name: "data/f", Typeflag: tar.TypeReg, Mode: 0o640, Uid: 12, Gid: 34}, "of the image"})
	one := container("one", "stat=/data", "cat=/data/f", "write=/data/g:by one", "write=/new/f:x", "exit=0")
	two := container("two", "ls=/data", "exit=0")
	three := container("three", "cat=/data/g", "write=/data/h:x")
	three.VolumesFrom = []types.VolumeFrom{{SourceContainer: aws.String("one"), ReadOnly: aws.Bool(true)}}
	three.DependsOn = []types.ContainerDependency{{ContainerName: aws.String("one"), Condition: types.ContainerConditionSuccess}}
	// A volume of the task gets the content, too, where the image declares one.
	four := withMounts(container("four", "cat=/data/f", "ls=/data", "exit=0"), "v:/data", "v:/elsewhere")
	one.Image, two.Image, four.Image = aws.String("declares:1"), aws.String("declares:1"), aws.String("declares:1")
	one.Essential, two.Essential, four.Essential = aws.Bool(false), aws.Bool(false), aws.Bool(false)
	three.DependsOn = append(three.DependsOn, types.ContainerDependency{ContainerName: aws.String("two"), Condition: types.ContainerConditionSuccess}, types.ContainerDependency{ContainerName: aws.String("four"), Condition: types.ContainerConditionSuccess})
	task := h.run(t, h.register(t, []types.ContainerDefinition{one, two, three, four}, withVolumes(types.Volume{Name: aws.String("v")})))
	end := h.await(t, *task.TaskArn, "STOPPED")
	for name, want := range map[string][]string{
		"one": {"12 34", "of the image"}, "two": {"f"}, "three": {"by one", "read-only file system"}, "four": {"of the image", "f"},
	} {
		lines, err := h.lines(t.Context(), *task.TaskArn, name)
		if err != nil {
			t.Fatal(err)
		}
		all := strings.Join(lines, "\n")
		wantAll(t, name, all, want...)
		if name == "two" && strings.Contains(all, "g") {
			t.Errorf("the volume of one container is another's: %s; %s", all, reasons(end))
		}
	}
}

// A task's writable layers and volumes can't outgrow its ephemeral storage, and
// its containers see how much it is.
func TestEphemeralStorage(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	sized := func(gib int32) func(*ecs.RegisterTaskDefinitionInput) {
		return func(in *ecs.RegisterTaskDefinitionInput) {
			in.Volumes = []types.Volume{{Name: aws.String("v")}}
			if gib > 0 {
				in.EphemeralStorage = &types.EphemeralStorage{SizeInGiB: gib}
			}
		}
	}
	register := func(gib int32, steps ...string) string {
		return h.register(t, []types.ContainerDefinition{withMounts(container("main", steps...), "v:/v")}, sized(gib))
	}
	wantAll(t, "by default", h.saidBy(t, register(0, "df=/", "df=/v", "reserve=/a:12", "reserve=/v/b:6", "reserve=/c:6")),
		"holds 19.", "reserved 12 GiB: <nil>", "reserved 6 GiB: <nil>", "reserved 6 GiB: no space left on device")
	wantAll(t, "by the definition", h.saidBy(t, register(30, "reserve=/a:28", "reserve=/b:4")), "reserved 28 GiB: <nil>", "reserved 4 GiB: no space left on device")
	override := func(gib int32) func(*ecs.RunTaskInput) {
		return func(in *ecs.RunTaskInput) {
			in.Overrides = &types.TaskOverride{EphemeralStorage: &types.EphemeralStorage{SizeInGiB: gib}}
		}
	}
	wantAll(t, "by the call", h.saidBy(t, register(30, "reserve=/a:36"), override(40)), "reserved 36 GiB: <nil>")
	if _, err := h.tryRun(t.Context(), register(0, "exit=0"), h.inSubnet(t), override(20)); err == nil || !strings.Contains(err.Error(), "sizeInGiB must be between 21 and 200") {
		t.Errorf("too little: %v", err)
	}

	// It goes on after kill -9, with what is in it, and is measured.
	web := h.run(t, register(0, "write=/v/f:kept", "reserve=/a:3", "serve=8080"), func(in *ecs.RunTaskInput) {
		in.NetworkConfiguration.AwsvpcConfiguration.SecurityGroups = []string{h.group(t, "--protocol tcp --port 8080 --cidr 0.0.0.0/0")}
	})
	task := h.await(t, *web.TaskArn, "RUNNING")
	if task.EphemeralStorage == nil || task.EphemeralStorage.SizeInGiB != 20 {
		t.Errorf("the task shows %+v", task.EphemeralStorage)
	}
	h.kill()
	if err := h.start(); err != nil {
		t.Fatal(err)
	}
	address := *task.Containers[0].NetworkInterfaces[0].PrivateIpv4Address
	eventually(t, 20*time.Second, func() error {
		text, err := fetch(t.Context(), fmt.Sprintf("http://%s:8080/metadata?path=/task", address))
		if err == nil && !strings.Contains(text, `"EphemeralStorageMetrics":{"Utilized":3`) {
			err = fmt.Errorf("the metadata is %s", text)
		}
		return err
	})
	h.stop(t, *web.TaskArn)
}

// An EBS volume is configured when the task starts, and attached to it.
func TestEBSVolume(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	def := h.register(t, []types.ContainerDefinition{withMounts(container("main", "mounted=/ebs", "df=/ebs", "write=/ebs/f:x", "reserve=/ebs/g:3", "wait"), "data:/ebs")},
		withVolumes(types.Volume{Name: aws.String("data"), ConfiguredAtLaunch: aws.Bool(true)}))
	volume := func(keep bool) func(*ecs.RunTaskInput) {
		return func(in *ecs.RunTaskInput) {
			in.VolumeConfigurations = []types.TaskVolumeConfiguration{{Name: aws.String("data"), ManagedEBSVolume: &types.TaskManagedEBSVolumeConfiguration{
				RoleArn: aws.String("arn:aws:iam::123456789012:role/ebs"), SizeInGiB: aws.Int32(2), FilesystemType: types.TaskFilesystemTypeExt4,
				TerminationPolicy: &types.TaskManagedEBSVolumeTerminationPolicy{DeleteOnTermination: aws.Bool(!keep)},
			}}}
		}
	}
	if _, err := h.tryRun(t.Context(), def, h.inSubnet(t)); err == nil || !strings.Contains(err.Error(), "must have a configuration for it") {
		t.Errorf("without a configuration: %v", err)
	}
	for _, keep := range []bool{false, true} {
		task := h.run(t, def, volume(keep))
		h.await(t, *task.TaskArn, "RUNNING")
		h.awaitLine(t, *task.TaskArn, "main", "reserved 3 GiB: no space left on device")
		lines, err := h.lines(t.Context(), *task.TaskArn, "main")
		if err != nil {
			t.Fatal(err)
		}
		wantAll(t, "the container", strings.Join(lines, "\n"), "mounted ext4 rw", "holds 1.9 GiB")
		running := h.await(t, *task.TaskArn, "RUNNING")
		id, status := ebsAttachment(t, running)
		if status != "ATTACHED" || !strings.HasPrefix(id, "vol-0") {
			t.Errorf("the attachment is %s, %s", id, status)
		}
		want := map[bool]string{false: "DELETED", true: "DETACHED"}[keep]
		if _, status := ebsAttachment(t, h.stop(t, *task.TaskArn)); status != want {
			t.Errorf("afterwards the attachment is %s, want %s", status, want)
		}
		kept := filepath.Join(h.dir, "runtime", "volumes", "kept", id)
		eventually(t, 20*time.Second, func() error {
			if _, err := os.Stat(kept); (err == nil) != keep {
				return fmt.Errorf("keep %v: %v", keep, err)
			}
			if left, err := os.ReadDir(filepath.Join(h.dir, "runtime", "volumes", "tasks")); err != nil || len(left) > 0 {
				return fmt.Errorf("left are %v, %v", left, err)
			}
			return nil
		})
	}
}

func ebsAttachment(t *testing.T, task types.Task) (id, status string) {
	t.Helper()
	for _, a := range task.Attachments {
		if *a.Type != "AmazonElasticBlockStorage" {
			continue
		}
		for _, d := range a.Details {
			if *d.Name == "volumeId" {
				return *d.Value, *a.Status
			}
		}
	}
	t.Fatalf("the task has no volume: %+v", task.Attachments)
	return "", ""
}
