package ecs

import (
	"cmp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/state"
)

// instanceRules says why a definition can't run on container instances, or nil
// if it can.
func instanceRules(d *types.TaskDefinition) error {
	for i := range d.ContainerDefinitions {
		if d.NetworkMode == types.NetworkModeAwsvpc {
			if err := awsvpcContainer(&d.ContainerDefinitions[i]); err != nil {
				return err
			}
		}
		if err := state.CheckLogConfiguration(d.ContainerDefinitions[i].LogConfiguration, true, hasRouter(d)); err != nil {
			return clientError("%s", err.Error())
		}
		if err := linkRules(d, &d.ContainerDefinitions[i]); err != nil {
			return err
		}
	}
	return nil
}

// linkRules says why a container's links, "container" or "container:alias",
// can't be made.
func linkRules(d *types.TaskDefinition, c *types.ContainerDefinition) error {
	mode := cmp.Or(d.NetworkMode, types.NetworkModeBridge)
	if len(c.Links) > 0 && mode != types.NetworkModeBridge {
		return clientError("Links are not supported when networkMode=%s.", mode)
	}
	for _, link := range c.Links {
		name, alias, aliased := strings.Cut(link, ":")
		if strings.ContainsAny(alias, ": \t\n") || aliased && alias == "" {
			return clientError("Invalid link '%s' of container '%s': links are written as 'container:alias'.", link, aws.ToString(c.Name))
		}
		if name == aws.ToString(c.Name) || !slices.ContainsFunc(d.ContainerDefinitions, func(o types.ContainerDefinition) bool { return aws.ToString(o.Name) == name }) {
			return clientError("Invalid link '%s' of container '%s': the task definition has no other container named '%s'.", link, aws.ToString(c.Name), name)
		}
	}
	return nil
}
