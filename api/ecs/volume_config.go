package ecs

import (
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/state"
)

// ebsType is what the types of EBS volumes allow: sizes in GiB, and I/O
// operations a second where they may be given (SDK,
// types.TaskManagedEBSVolumeConfiguration).
type ebsType struct {
	minSize, maxSize int32
	minIOPS, maxIOPS int32 // 0: may not be given
	needIOPS         bool
}

func ebsTypeOf(name string) (ebsType, bool) {
	switch name {
	case "", "gp3":
		return ebsType{minSize: 1, maxSize: 16384, minIOPS: 3000, maxIOPS: 16000}, true
	case "gp2":
		return ebsType{minSize: 1, maxSize: 16384}, true
	case "io1":
		return ebsType{minSize: 4, maxSize: 16384, minIOPS: 100, maxIOPS: 64000, needIOPS: true}, true
	case "io2":
		return ebsType{minSize: 4, maxSize: 16384, minIOPS: 100, maxIOPS: 256000, needIOPS: true}, true
	case "st1", "sc1":
		return ebsType{minSize: 125, maxSize: 16384}, true
	case "standard":
		return ebsType{minSize: 1, maxSize: 1024}, true
	}
	return ebsType{}, false
}

// maxThroughput of a gp3 volume, in MiB a second.
const maxThroughput = 1000

// volumeConfigurations checks the volumes that RunTask and StartTask configure
// against those that the definition leaves to them.
func (p *plan) volumeConfigurations(in []types.TaskVolumeConfiguration) error {
	var open []string
	for _, v := range p.Definition.Spec.V.Volumes {
		if aws.ToBool(v.ConfiguredAtLaunch) {
			open = append(open, aws.ToString(v.Name))
		}
	}
	for i, c := range in {
		name := aws.ToString(c.Name)
		at := slices.Index(open, name)
		if at < 0 {
			return invalid("volumeConfigurations[%d].name '%s' is not the name of a volume that is configuredAtLaunch in the task definition, or it is there more than once.", i, name)
		}
		open = slices.Delete(open, at, at+1)
		v, err := p.ebsVolume(i, c.ManagedEBSVolume)
		if err != nil {
			return err
		}
		v.Name = name
		p.Volumes = append(p.Volumes, v)
	}
	if len(open) > 0 {
		return invalid("The task definition has the volume '%s' that is configuredAtLaunch: volumeConfigurations must have a configuration for it.", open[0])
	}
	return nil
}

// ebsVolume checks the configuration of an EBS volume.
func (p *plan) ebsVolume(i int, c *types.TaskManagedEBSVolumeConfiguration) (state.Volume, error) {
	wrong := func(field, format string, args ...any) (state.Volume, error) {
		return state.Volume{}, invalid("volumeConfigurations[%d].managedEBSVolume"+field+" "+format, append([]any{i}, args...)...)
	}
	if c == nil {
		return wrong("", "must be specified.")
	}
	kind, known := ebsTypeOf(aws.ToString(c.VolumeType))
	name := aws.ToString(c.VolumeType)
	if name == "" {
		name = "gp3"
	}
	switch {
	case aws.ToString(c.RoleArn) == "":
		return wrong(".roleArn", "must be specified: it is the ECS infrastructure role that manages the volume.")
	case !known:
		return wrong(".volumeType", "must be one of gp2, gp3, io1, io2, sc1, st1, standard, not '%s'.", name)
	case name == "standard" && !p.OnInstances():
		return wrong(".volumeType", "standard is not supported on Fargate.")
	case c.SizeInGiB == nil:
		return wrong("", "must have a sizeInGiB or a snapshotId.")
	case *c.SizeInGiB < kind.minSize || *c.SizeInGiB > kind.maxSize:
		return wrong(".sizeInGiB", "must be between %d and %d for the volume type %s.", kind.minSize, kind.maxSize, name)
	case c.Iops == nil && kind.needIOPS:
		return wrong(".iops", "must be specified for the volume type %s.", name)
	case c.Iops != nil && kind.maxIOPS == 0:
		return wrong(".iops", "is not supported for the volume type %s.", name)
	case c.Iops != nil && (*c.Iops < kind.minIOPS || *c.Iops > kind.maxIOPS):
		return wrong(".iops", "must be between %d and %d for the volume type %s.", kind.minIOPS, kind.maxIOPS, name)
	case c.Throughput != nil && name != "gp3":
		return wrong(".throughput", "is only supported for the volume type gp3.")
	case c.Throughput != nil && (*c.Throughput < 1 || *c.Throughput > maxThroughput):
		return wrong(".throughput", "must be at most %d.", maxThroughput)
	}
	switch c.FilesystemType {
	case "", types.TaskFilesystemTypeExt3, types.TaskFilesystemTypeExt4, types.TaskFilesystemTypeXfs:
	case types.TaskFilesystemTypeNtfs:
		return wrong(".filesystemType", "ntfs is only supported for Windows tasks.")
	default:
		return wrong(".filesystemType", "must be ext3, ext4 or xfs, not '%s'.", c.FilesystemType)
	}
	v := state.Volume{SizeGiB: *c.SizeInGiB, FileSystem: c.FilesystemType, RoleARN: *c.RoleArn, DeleteOnTermination: true}
	if p := c.TerminationPolicy; p != nil {
		v.DeleteOnTermination = p.DeleteOnTermination == nil || *p.DeleteOnTermination
	}
	return v, nil
}

// overrideStorage checks the size that a call gives to a task's ephemeral storage.
func (p *plan) overrideStorage() error {
	s := p.Overrides.EphemeralStorage
	switch {
	case s == nil:
	case p.OnInstances():
		return invalid("Overriding ephemeralStorage is not supported for the %s launch type.", p.Launch)
	case s.SizeInGiB < minEphemeral || s.SizeInGiB > maxEphemeral:
		return invalid("Invalid 'ephemeralStorage' setting for task: sizeInGiB must be between %d and %d.", minEphemeral, maxEphemeral)
	}
	return nil
}
