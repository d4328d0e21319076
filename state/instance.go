package state

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/internal/arn"
)

// ContainerInstance is a node as capacity of one cluster, for tasks of launch
// types EC2 and EXTERNAL.
type ContainerInstance struct {
	Scope
	Cluster string // name
	ID      string // 32 hexadecimal digits
	Node    string // node ID
	// EC2InstanceID is i-… or, for EXTERNAL, mi-….
	EC2InstanceID string
	Status        types.ContainerInstanceStatus // ACTIVE, DRAINING
	// CPU in CPU units, Memory in MiB, and the ports that tasks may not have.
	CPU      int32
	Memory   int32
	TCPPorts []int32  `json:",omitempty"` // reserved
	UDPPorts []int32  `json:",omitempty"`
	GPUs     []string `json:",omitempty"`

	Attributes []types.Attribute `json:",omitempty"` // name, value
	Tags       []Tag             `json:",omitempty"`
	Agent      types.VersionInfo
	// Connected tells whether its node answers.
	Connected bool
	// CapacityProvider is the name of the one that it belongs to; or empty.
	CapacityProvider string `json:",omitempty"`
	Version          int64
	RegisteredAt     time.Time
}

// ARN returns the instance's ARN.
func (i *ContainerInstance) ARN() string { return InstanceARN(i.Scope, i.Cluster, i.ID) }

// InstanceARN is the ARN of a container instance.
func InstanceARN(s Scope, cluster, id string) string {
	return arn.ECS(s.Region, s.Account, "container-instance/"+cluster+"/"+id)
}

// Clone returns a copy whose slices are its own.
func (i *ContainerInstance) Clone() *ContainerInstance {
	c := *i
	c.Attributes = append([]types.Attribute(nil), i.Attributes...)
	c.Tags = append([]Tag(nil), i.Tags...)
	return &c
}

// Key is "cluster/id".
func (i *ContainerInstance) Key() Key { return i.Scope.Key(i.Cluster + "/" + i.ID) }
