package ecs

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/place/query"
)

// maxDefinitionConstraints is how many placement constraints a definition may
// have (SDK, RegisterTaskDefinitionInput.PlacementConstraints).
const maxDefinitionConstraints = 10

// checkConstraints keeps the rules of a definition's placement constraints.
func checkConstraints(d *types.TaskDefinition) error {
	if len(d.PlacementConstraints) > maxDefinitionConstraints {
		return clientError("The number of placement constraints must be at most %d.", maxDefinitionConstraints)
	}
	for _, c := range d.PlacementConstraints {
		if c.Type != types.TaskDefinitionPlacementConstraintTypeMemberOf {
			return clientError("Create TaskDefinition: constraint.type '%s' is not supported.", c.Type)
		}
		if _, err := query.Parse(aws.ToString(c.Expression)); err != nil {
			return clientError("Create TaskDefinition: invalid expression %q of the placement constraint memberOf: %v", aws.ToString(c.Expression), err)
		}
	}
	return nil
}
