package cli

import (
	"context"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// program is an image and how it is run: a Fargate task definition of one
// container.
type program struct {
	family, group string // group is the log group
	image         string
	command       []string
	env           []types.KeyValuePair
	ports         []types.PortMapping
	cpu, memory   string // CPU units, MiB
}

// definition returns the task definition of a program: the family's newest if it is
// the same, else a new revision.
func (p program) definition(ctx context.Context, a *api) (string, error) {
	have, err := a.ecs.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: &p.family})
	if err == nil && p.same(have.TaskDefinition) {
		return *have.TaskDefinition.TaskDefinitionArn, nil
	}
	out, err := a.ecs.RegisterTaskDefinition(ctx, &ecs.RegisterTaskDefinitionInput{
		Family: &p.family, NetworkMode: types.NetworkModeAwsvpc, RequiresCompatibilities: []types.Compatibility{types.CompatibilityFargate},
		Cpu: &p.cpu, Memory: &p.memory,
		ContainerDefinitions: []types.ContainerDefinition{{
			Name: aws.String(runContainer), Image: &p.image, Command: p.command, Environment: p.env, PortMappings: p.ports, Essential: aws.Bool(true),
			LogConfiguration: &types.LogConfiguration{LogDriver: types.LogDriverAwslogs, Options: map[string]string{
				"awslogs-group": p.group, "awslogs-create-group": "true", "awslogs-region": a.cfg.Region, "awslogs-stream-prefix": p.family,
			}},
		}},
	})
	if err != nil {
		return "", plain(err)
	}
	return *out.TaskDefinition.TaskDefinitionArn, nil
}

func (p program) same(d *types.TaskDefinition) bool {
	if d.Status != types.TaskDefinitionStatusActive || aws.ToString(d.Cpu) != p.cpu || aws.ToString(d.Memory) != p.memory || len(d.ContainerDefinitions) != 1 {
		return false
	}
	main := d.ContainerDefinitions[0]
	if aws.ToString(main.Image) != p.image || main.LogConfiguration == nil || main.LogConfiguration.Options["awslogs-group"] != p.group {
		return false
	}
	return slices.Equal(main.Command, p.command) &&
		slices.EqualFunc(main.Environment, p.env, func(x, y types.KeyValuePair) bool {
			return aws.ToString(x.Name) == aws.ToString(y.Name) && aws.ToString(x.Value) == aws.ToString(y.Value)
		}) &&
		slices.EqualFunc(main.PortMappings, p.ports, func(x, y types.PortMapping) bool {
			return aws.ToInt32(x.ContainerPort) == aws.ToInt32(y.ContainerPort) && x.Protocol == y.Protocol
		})
}

// environment reads NAME=VALUE, and command drops the "--" before a command.
func environment(pairs []string) ([]types.KeyValuePair, error) {
	var out []types.KeyValuePair
	for _, e := range pairs {
		name, value, ok := strings.Cut(e, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("-e %s: must be NAME=VALUE", e)
		}
		out = append(out, types.KeyValuePair{Name: &name, Value: &value})
	}
	return out, nil
}

func command(args []string) []string {
	if len(args) > 0 && args[0] == "--" {
		return args[1:]
	}
	return args
}

var notFamily = regexp.MustCompile(`[^a-zA-Z0-9_-]+`)

// imageName is an image's name without registry, tag and digest, as families may be
// named.
func imageName(image string) string {
	name, _, _ := strings.Cut(path.Base(image), "@")
	name, _, _ = strings.Cut(name, ":")
	return notFamily.ReplaceAllString(name, "-")
}

// again is the request to register a definition as it is once more.
func again(d *types.TaskDefinition, tags []types.Tag) *ecs.RegisterTaskDefinitionInput {
	in := &ecs.RegisterTaskDefinitionInput{
		Family: d.Family, ContainerDefinitions: slices.Clone(d.ContainerDefinitions), Cpu: d.Cpu, Memory: d.Memory, NetworkMode: d.NetworkMode,
		RequiresCompatibilities: d.RequiresCompatibilities, Volumes: d.Volumes, TaskRoleArn: d.TaskRoleArn, ExecutionRoleArn: d.ExecutionRoleArn,
		PlacementConstraints: d.PlacementConstraints, RuntimePlatform: d.RuntimePlatform, PidMode: d.PidMode, IpcMode: d.IpcMode,
		ProxyConfiguration: d.ProxyConfiguration, EphemeralStorage: d.EphemeralStorage, EnableFaultInjection: d.EnableFaultInjection,
	}
	if len(tags) > 0 {
		in.Tags = tags
	}
	return in
}
