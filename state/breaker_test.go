package state

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

func TestBreakerThreshold(t *testing.T) {
	for desired, want := range map[int32]int32{0: 3, 1: 3, 6: 3, 7: 4, 25: 13, 400: 200, 800: 200} {
		if got := BreakerThreshold(&types.DeploymentCircuitBreaker{}, desired); got != want {
			t.Errorf("of %d it is %d, want %d", desired, got, want)
		}
	}
	of := func(k types.ThresholdType, v int32) *types.DeploymentCircuitBreaker {
		return &types.DeploymentCircuitBreaker{ThresholdConfiguration: &types.ThresholdConfiguration{Type: k, Value: v}}
	}
	for _, c := range []struct {
		b    *types.DeploymentCircuitBreaker
		want int32
	}{{of(types.ThresholdTypeCount, 5), 5}, {of(types.ThresholdTypeUnboundedPercent, 50), 500}, {of(types.ThresholdTypeBoundedPercent, 10), 100}} {
		if got := BreakerThreshold(c.b, 1000); got != c.want {
			t.Errorf("%+v is %d", c.b.ThresholdConfiguration, got)
		}
	}
}
