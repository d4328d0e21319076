package ecs

import (
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/state"
)

// instanceRules says why a definition can't run on container instances, or nil
// if it can.
func instanceRules(d *types.TaskDefinition) error {
	for i := range d.ContainerDefinitions {
		if err := state.CheckLogConfiguration(d.ContainerDefinitions[i].LogConfiguration, true, hasRouter(d)); err != nil {
			return clientError("%s", err.Error())
		}
	}
	return nil
}
