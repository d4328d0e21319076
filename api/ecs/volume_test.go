package ecs

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/launch"
	"github.com/berth/berth/state"
)

func TestCheckVolumes(t *testing.T) {
	efs := func(change func(*types.EFSVolumeConfiguration)) func(*types.Volume) {
		return func(v *types.Volume) {
			c := &types.EFSVolumeConfiguration{FileSystemId: aws.String("fs-0123abcd")}
			change(c)
			v.EfsVolumeConfiguration = c
		}
	}
	for name, tc := range map[string]struct {
		set  func(*types.Volume)
		want string // of the error; empty for none
	}{
		"nothing":       {func(*types.Volume) {}, ""},
		"a host path":   {func(v *types.Volume) { v.Host = &types.HostVolumeProperties{SourcePath: aws.String("/srv")} }, ""},
		"no host path":  {func(v *types.Volume) { v.Host = &types.HostVolumeProperties{SourcePath: aws.String("")} }, ""},
		"relative path": {func(v *types.Volume) { v.Host = &types.HostVolumeProperties{SourcePath: aws.String("srv/../x")} }, "must be an absolute path"},
		"two kinds": {func(v *types.Volume) {
			v.Host, v.DockerVolumeConfiguration = &types.HostVolumeProperties{}, &types.DockerVolumeConfiguration{}
		}, "only one volume configuration type should be used."},
		"docker": {func(v *types.Volume) {
			v.DockerVolumeConfiguration = &types.DockerVolumeConfiguration{Scope: types.ScopeShared}
		}, ""},
		"docker scope": {func(v *types.Volume) {
			v.DockerVolumeConfiguration = &types.DockerVolumeConfiguration{Scope: "global"}
		}, "must be task or shared"},
		"EFS":         {efs(func(c *types.EFSVolumeConfiguration) { c.RootDirectory = aws.String("/a") }), ""},
		"EFS ID":      {efs(func(c *types.EFSVolumeConfiguration) { c.FileSystemId = aws.String("../fs") }), "not the ID of a file system"},
		"EFS root":    {efs(func(c *types.EFSVolumeConfiguration) { c.RootDirectory = aws.String("a") }), "must be an absolute path"},
		"EFS transit": {efs(func(c *types.EFSVolumeConfiguration) { c.TransitEncryption = "MAYBE" }), "must be ENABLED or DISABLED"},
		"EFS port":    {efs(func(c *types.EFSVolumeConfiguration) { c.TransitEncryptionPort = aws.Int32(2049) }), "transitEncryption must be ENABLED"},
		"EFS port 0": {efs(func(c *types.EFSVolumeConfiguration) {
			c.TransitEncryption, c.TransitEncryptionPort = types.EFSTransitEncryptionEnabled, aws.Int32(0)
		}), "between 1 and 65535"},
		"EFS iam": {efs(func(c *types.EFSVolumeConfiguration) {
			c.AuthorizationConfig = &types.EFSAuthorizationConfig{Iam: types.EFSAuthorizationConfigIAMEnabled}
		}), "when IAM authorization is"},
		"EFS access point": {efs(func(c *types.EFSVolumeConfiguration) {
			c.TransitEncryption, c.RootDirectory = types.EFSTransitEncryptionEnabled, aws.String("/a")
			c.AuthorizationConfig = &types.EFSAuthorizationConfig{AccessPointId: aws.String("fsap-1")}
		}), "omitted or '/'"},
	} {
		v := types.Volume{Name: aws.String("v")}
		tc.set(&v)
		err := checkVolumes(&types.TaskDefinition{Volumes: []types.Volume{v}})
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
	two := []types.Volume{{Name: aws.String("a"), ConfiguredAtLaunch: aws.Bool(true)}, {Name: aws.String("b"), ConfiguredAtLaunch: aws.Bool(true)}}
	if err := checkVolumes(&types.TaskDefinition{Volumes: two}); err == nil || !strings.Contains(err.Error(), "Only one volume") {
		t.Errorf("two volumes at launch: %v", err)
	}
	need := volumeAttributes(&types.TaskDefinition{Volumes: []types.Volume{
		{DockerVolumeConfiguration: &types.DockerVolumeConfiguration{}}, {DockerVolumeConfiguration: &types.DockerVolumeConfiguration{Driver: aws.String("x")}},
		{EfsVolumeConfiguration: &types.EFSVolumeConfiguration{}}, two[0], {},
	}})
	if want := []string{"ecs.capability.docker-plugin.local", "ecs.capability.docker-plugin.x", "ecs.capability.efs", "ecs.capability.storage.ebs-task-volume-attach"}; !slices.Equal(need, want) {
		t.Errorf("the attributes are %q", need)
	}
}

func TestVolumeConfigurations(t *testing.T) {
	def := &state.TaskDefinition{}
	def.Spec.V.Volumes = []types.Volume{{Name: aws.String("other")}, {Name: aws.String("v"), ConfiguredAtLaunch: aws.Bool(true)}}
	ebs := func(change func(*types.TaskManagedEBSVolumeConfiguration)) []types.TaskVolumeConfiguration {
		c := &types.TaskManagedEBSVolumeConfiguration{RoleArn: aws.String("arn:aws:iam::123456789012:role/r"), SizeInGiB: aws.Int32(10)}
		change(c)
		return []types.TaskVolumeConfiguration{{Name: aws.String("v"), ManagedEBSVolume: c}}
	}
	type ebsc = types.TaskManagedEBSVolumeConfiguration
	for name, tc := range map[string]struct {
		in   []types.TaskVolumeConfiguration
		want string
	}{
		"all":               {ebs(func(*ebsc) {}), ""},
		"none":              {nil, "must have a configuration"},
		"another name":      {[]types.TaskVolumeConfiguration{{Name: aws.String("other")}}, "'other' is not the name"},
		"twice":             {append(ebs(func(*ebsc) {}), ebs(func(*ebsc) {})...), "volumeConfigurations[1].name"},
		"no volume":         {[]types.TaskVolumeConfiguration{{Name: aws.String("v")}}, "managedEBSVolume must be specified"},
		"no role":           {ebs(func(c *ebsc) { c.RoleArn = nil }), "roleArn must be specified"},
		"no size":           {ebs(func(c *ebsc) { c.SizeInGiB = nil }), "sizeInGiB or a snapshotId"},
		"size":              {ebs(func(c *ebsc) { c.SizeInGiB = aws.Int32(16385) }), "between 1 and 16384"},
		"type":              {ebs(func(c *ebsc) { c.VolumeType = aws.String("gp9") }), "must be one of"},
		"type's size":       {ebs(func(c *ebsc) { c.VolumeType = aws.String("st1") }), "between 125 and 16384"},
		"standard":          {ebs(func(c *ebsc) { c.VolumeType = aws.String("standard") }), "not supported on Fargate"},
		"no iops":           {ebs(func(c *ebsc) { c.VolumeType = aws.String("io2") }), "iops must be specified"},
		"iops":              {ebs(func(c *ebsc) { c.Iops = aws.Int32(2999) }), "between 3000 and 16000"},
		"iops of gp2":       {ebs(func(c *ebsc) { c.VolumeType, c.Iops = aws.String("gp2"), aws.Int32(3000) }), "iops is not supported"},
		"throughput":        {ebs(func(c *ebsc) { c.Throughput = aws.Int32(1001) }), "at most 1000"},
		"throughput of gp2": {ebs(func(c *ebsc) { c.VolumeType, c.Throughput = aws.String("gp2"), aws.Int32(10) }), "only supported for the volume type gp3"},
		"Windows":           {ebs(func(c *ebsc) { c.FilesystemType = types.TaskFilesystemTypeNtfs }), "ntfs"},
		"file system":       {ebs(func(c *ebsc) { c.FilesystemType = "btrfs" }), "must be ext3, ext4 or xfs"},
		"file system kept": {ebs(func(c *ebsc) {
			c.FilesystemType, c.TerminationPolicy = types.TaskFilesystemTypeExt4, &types.TaskManagedEBSVolumeTerminationPolicy{DeleteOnTermination: aws.Bool(false)}
		}), ""},
	} {
		r := &run{plan: &plan{Order: launch.Order{Launch: types.LaunchTypeFargate, Definition: def}}}
		err := r.volumeConfigurations(tc.in)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
		if err == nil && (len(r.Volumes) != 1 || r.Volumes[0].SizeGiB != 10 || r.Volumes[0].DeleteOnTermination == (name == "file system kept")) {
			t.Errorf("%s: %+v", name, r.Volumes)
		}
	}
	for _, tc := range []struct {
		launch types.LaunchType
		size   int32
		want   string
	}{{types.LaunchTypeFargate, 21, ""}, {types.LaunchTypeFargate, 20, "between 21 and 200"}, {types.LaunchTypeFargate, 201, "between 21 and 200"}, {types.LaunchTypeEc2, 30, "not supported for the EC2 launch type"}} {
		r := &run{plan: &plan{Order: launch.Order{Launch: tc.launch, Definition: def, Overrides: types.TaskOverride{EphemeralStorage: &types.EphemeralStorage{SizeInGiB: tc.size}}}}}
		if err := r.overrideStorage(); (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%d GiB on %s: %v", tc.size, tc.launch, err)
		}
	}
}

// The attachment of a volume goes with its task.
func TestRenderVolume(t *testing.T) {
	task := &state.Task{Volumes: []state.Volume{{Name: "v", ID: "vol-1", AttachmentID: "a", RoleARN: "r", DeleteOnTermination: true}}}
	for _, tc := range []struct {
		last state.TaskState
		keep bool
		want string
	}{
		{state.Provisioning, false, "CREATED"}, {state.Pending, false, "ATTACHING"}, {state.Activating, false, "ATTACHED"}, {state.Running, false, "ATTACHED"},
		{state.Stopping, false, "ATTACHED"}, {state.Deprovisioning, false, "DETACHING"}, {state.Stopped, false, "DELETED"}, {state.Stopped, true, "DETACHED"},
	} {
		task.Last, task.Volumes[0].DeleteOnTermination = tc.last, !tc.keep
		if a := renderTask(task, nil, false).Attachments; len(a) != 1 || *a[0].Status != tc.want || *a[0].Type != "AmazonElasticBlockStorage" || len(a[0].Details) != 4 {
			t.Errorf("%v: %+v", tc.last, a)
		}
	}
}
