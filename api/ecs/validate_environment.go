package ecs

import (
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/internal/arn"
)

// maxEnvironmentFiles is how many a task definition may have (Amazon ECS
// Developer Guide, "Pass environment variables to an Amazon ECS container").
const maxEnvironmentFiles = 10

func checkEnvironment(_ *types.TaskDefinition, c *types.ContainerDefinition) error {
	for i, e := range c.Environment {
		if name := aws.ToString(e.Name); name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(aws.ToString(e.Value), "\x00") {
			return clientError("Invalid 'environment' setting for container '%s': environment[%d] must have a name without '=', and no null character.", *c.Name, i)
		}
	}
	return nil
}

func checkEnvironmentFiles(d *types.TaskDefinition, c *types.ContainerDefinition) error {
	if why := wrongEnvironmentFile(c.EnvironmentFiles); why != "" {
		return clientError("Invalid 'environmentFiles' setting for container '%s': %s", *c.Name, why)
	}
	all := 0
	for i := range d.ContainerDefinitions {
		all += len(d.ContainerDefinitions[i].EnvironmentFiles)
	}
	if all > maxEnvironmentFiles {
		return clientError("Invalid 'environmentFiles' setting for container '%s': a task definition can have at most %d environment files.", *c.Name, maxEnvironmentFiles)
	}
	return nil
}

// wrongEnvironmentFile says what is wrong with a list of environment files;
// empty is nothing (SDK, types.EnvironmentFile).
func wrongEnvironmentFile(files []types.EnvironmentFile) string {
	if len(files) > maxEnvironmentFiles {
		return fmt.Sprintf("environmentFiles can have at most %d items.", maxEnvironmentFiles)
	}
	for i, f := range files {
		value := aws.ToString(f.Value)
		name, err := arn.Parse(value)
		bucket, key, _ := strings.Cut(name.Resource, "/")
		switch {
		case f.Type != types.EnvironmentFileTypeS3:
			return fmt.Sprintf("environmentFiles[%d].type must be s3.", i)
		case err != nil || name.Service != "s3" || bucket == "" || key == "":
			return fmt.Sprintf("environmentFiles[%d].value must be the ARN of an Amazon S3 object, not '%s'.", i, value)
		case !strings.HasSuffix(key, ".env"):
			return fmt.Sprintf("environmentFiles[%d].value must have the file extension .env, not '%s'.", i, value)
		}
	}
	return ""
}
