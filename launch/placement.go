package launch

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/place/query"
)

// The limits of placement (SDK, RunTaskInput).
const maxPlacementConstraints, maxPlacementStrategies = 10, 5

// Placement checks what a call or a service says of placement on container
// instances, and takes it into the order. Its errors are AWS's. The definition's
// own constraints are added when a task is placed.
func (o *Order) Placement(constraints []types.PlacementConstraint, strategy []types.PlacementStrategy) error {
	switch {
	case len(constraints) > maxPlacementConstraints:
		return invalid("The number of placement constraints must be at most %d.", maxPlacementConstraints)
	case len(strategy) > maxPlacementStrategies:
		return invalid("The number of placement strategies must be at most %d.", maxPlacementStrategies)
	}
	o.Distinct, o.Members, o.Strategy = false, nil, strategy
	for _, c := range constraints {
		switch c.Type {
		case types.PlacementConstraintTypeDistinctInstance:
			if aws.ToString(c.Expression) != "" {
				return invalid("distinctInstance expression should not be specified.")
			}
			o.Distinct = true
		case types.PlacementConstraintTypeMemberOf:
			x, err := query.Parse(aws.ToString(c.Expression))
			if err != nil {
				return invalid("Invalid expression %q of the placement constraint memberOf: %v", aws.ToString(c.Expression), err)
			}
			o.Members = append(o.Members, x)
		default:
			return invalid("Invalid placement constraint type: %s", c.Type)
		}
	}
	for _, p := range strategy {
		field := aws.ToString(p.Field)
		switch p.Type {
		case types.PlacementStrategyTypeRandom:
			if field != "" {
				return invalid("The field of the placement strategy random must be empty.")
			}
		case types.PlacementStrategyTypeBinpack:
			if !strings.EqualFold(field, "cpu") && !strings.EqualFold(field, "memory") {
				return invalid("The field of the placement strategy binpack must be cpu or memory.")
			}
		case types.PlacementStrategyTypeSpread:
			if name, ok := strings.CutPrefix(field, "attribute:"); field != "instanceId" && field != "host" && (!ok || name == "") {
				return invalid("The field of the placement strategy spread must be instanceId, host or attribute:NAME.")
			}
		default:
			return invalid("Invalid placement strategy type: %s", p.Type)
		}
	}
	return nil
}

// members are the expressions that must hold: the order's and its definition's.
func (o *Order) members() []*query.Expr {
	all := o.Members[:len(o.Members):len(o.Members)]
	for _, c := range o.Definition.Spec.V.PlacementConstraints {
		if x, err := query.Parse(aws.ToString(c.Expression)); err == nil { // was checked with the definition
			all = append(all, x)
		}
	}
	return all
}
