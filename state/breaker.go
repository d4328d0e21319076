package state

import (
	"math"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// BreakerThreshold is how many tasks may fail in a row before a deployment of a
// service with a desired count has failed (Amazon ECS Developer Guide, "How the
// Amazon ECS deployment circuit breaker detects failures"; SDK,
// types.ThresholdConfiguration).
func BreakerThreshold(b *types.DeploymentCircuitBreaker, desired int32) int32 {
	kind, value := types.ThresholdTypeBoundedPercent, int32(50)
	if t := b.ThresholdConfiguration; t != nil {
		kind, value = t.Type, t.Value
	}
	switch n := int32(math.Ceil(float64(desired) * float64(value) / 100)); kind {
	case types.ThresholdTypeCount:
		return max(value, 1)
	case types.ThresholdTypeUnboundedPercent:
		return max(n, 1)
	default:
		return min(max(n, 3), 200)
	}
}
