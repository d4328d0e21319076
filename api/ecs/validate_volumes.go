package ecs

import (
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// fileSystemRule is an EFS file system's ID.
var fileSystemRule = regexp.MustCompile(`^fs-[0-9a-f]{4,40}$`)

// maxPort is the last port there is.
const maxPort = 65535

// checkVolumes keeps volumes to one kind each, and each kind to its rules.
func checkVolumes(d *types.TaskDefinition) error {
	seen := map[string]bool{}
	atLaunch := 0
	for _, v := range d.Volumes {
		name := aws.ToString(v.Name)
		switch {
		case name == "":
			return clientError("Volume.name should not be null or empty.")
		case !nameRule.MatchString(name):
			return clientError("Volume.name contains invalid characters.")
		case seen[name]:
			return clientError("Volume names must be unique within a task definition: '%s' is there more than once.", name)
		}
		seen[name] = true
		kinds := 0
		for _, given := range []bool{
			v.Host != nil, v.DockerVolumeConfiguration != nil, v.EfsVolumeConfiguration != nil, v.FsxWindowsFileServerVolumeConfiguration != nil,
			v.S3filesVolumeConfiguration != nil, aws.ToBool(v.ConfiguredAtLaunch),
		} {
			if given {
				kinds++
			}
		}
		if kinds > 1 {
			return clientError("When the volume parameter is specified, only one volume configuration type should be used.")
		}
		if aws.ToBool(v.ConfiguredAtLaunch) {
			atLaunch++
		}
		for _, check := range []func(types.Volume) error{checkHostVolume, checkDockerVolume, checkEFSVolume} {
			if err := check(v); err != nil {
				return err
			}
		}
	}
	if atLaunch > 1 {
		return clientError("Only one volume of a task definition can be configuredAtLaunch.")
	}
	return nil
}

func checkHostVolume(v types.Volume) error {
	if v.Host == nil || v.Host.SourcePath == nil {
		return nil
	}
	if path := *v.Host.SourcePath; path != "" && (!strings.HasPrefix(path, "/") || strings.ContainsRune(path, 0)) {
		return clientError("Invalid 'host.sourcePath' setting for volume '%s': it must be an absolute path, not '%s'.", *v.Name, path)
	}
	return nil
}

func checkDockerVolume(v types.Volume) error {
	c := v.DockerVolumeConfiguration
	switch {
	case c == nil:
	case c.Scope != "" && !slices.Contains(c.Scope.Values(), c.Scope):
		return clientError("Invalid 'dockerVolumeConfiguration.scope' setting for volume '%s': it must be task or shared.", *v.Name)
	}
	return nil
}

// checkEFSVolume keeps the rules of types.EFSVolumeConfiguration and
// types.EFSAuthorizationConfig.
func checkEFSVolume(v types.Volume) error {
	c := v.EfsVolumeConfiguration
	if c == nil {
		return nil
	}
	invalid := func(field, format string, args ...any) error {
		return clientError("Invalid 'efsVolumeConfiguration."+field+"' setting for volume '"+*v.Name+"': "+format, args...)
	}
	if id := aws.ToString(c.FileSystemId); !fileSystemRule.MatchString(id) {
		return invalid("fileSystemId", "'%s' is not the ID of a file system.", id)
	}
	root := aws.ToString(c.RootDirectory)
	if root != "" && !strings.HasPrefix(root, "/") || strings.ContainsRune(root, 0) {
		return invalid("rootDirectory", "it must be an absolute path, not '%s'.", root)
	}
	encrypted := c.TransitEncryption == types.EFSTransitEncryptionEnabled
	switch {
	case c.TransitEncryption != "" && !slices.Contains(c.TransitEncryption.Values(), c.TransitEncryption):
		return invalid("transitEncryption", "it must be ENABLED or DISABLED.")
	case c.TransitEncryptionPort != nil && (*c.TransitEncryptionPort < 1 || *c.TransitEncryptionPort > maxPort):
		return invalid("transitEncryptionPort", "it must be between 1 and %d.", maxPort)
	case c.TransitEncryptionPort != nil && !encrypted:
		return invalid("transitEncryptionPort", "transitEncryption must be ENABLED with it.")
	}
	a := c.AuthorizationConfig
	switch {
	case a == nil:
	case a.Iam != "" && !slices.Contains(a.Iam.Values(), a.Iam):
		return invalid("authorizationConfig.iam", "it must be ENABLED or DISABLED.")
	case a.Iam == types.EFSAuthorizationConfigIAMEnabled && !encrypted:
		return invalid("transitEncryption", "it must be ENABLED when IAM authorization is.")
	case aws.ToString(a.AccessPointId) != "" && !encrypted:
		return invalid("transitEncryption", "it must be ENABLED when an access point is used.")
	case aws.ToString(a.AccessPointId) != "" && root != "" && root != "/":
		return invalid("rootDirectory", "it must be omitted or '/' when an access point is used.")
	}
	return nil
}

// volumeAttributes are what a container instance must have for a definition's
// volumes.
func volumeAttributes(d *types.TaskDefinition) []string {
	var need []string
	for _, v := range d.Volumes {
		switch {
		case v.DockerVolumeConfiguration != nil:
			driver := aws.ToString(v.DockerVolumeConfiguration.Driver)
			if driver == "" {
				driver = "local"
			}
			need = append(need, "ecs.capability.docker-plugin."+driver)
		case v.EfsVolumeConfiguration != nil:
			need = append(need, "ecs.capability.efs")
		case aws.ToBool(v.ConfiguredAtLaunch):
			need = append(need, "ecs.capability.storage.ebs-task-volume-attach")
		}
	}
	return need
}
