package state

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/internal/arn"
)

// CapacityProvider is one that a user has made, of an Auto Scaling group. FARGATE
// and FARGATE_SPOT have no record.
type CapacityProvider struct {
	Scope
	Name string
	// Spec has what the user may set: autoScalingGroupProvider, defaults filled in.
	Spec Spec[types.CapacityProvider, *types.CapacityProvider]
	// Update is what became of the last change, Reason says more where it failed.
	Update types.CapacityProviderUpdateStatus `json:",omitempty"`
	Reason string                             `json:",omitempty"`

	Tags      []Tag `json:",omitempty"`
	CreatedAt time.Time
}

// Key is the provider's name.
func (p *CapacityProvider) Key() Key { return p.Scope.Key(p.Name) }

// ARN returns the provider's ARN.
func (p *CapacityProvider) ARN() string { return ProviderARN(p.Scope, p.Name) }

// ProviderARN is the ARN of a capacity provider.
func ProviderARN(s Scope, name string) string {
	return arn.ECS(s.Region, s.Account, "capacity-provider/"+name)
}
