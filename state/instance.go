package state

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
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
	Connected    bool
	Version      int64
	RegisteredAt time.Time
}

// Key is "cluster/id".
func (i *ContainerInstance) Key() Key { return i.Scope.Key(i.Cluster + "/" + i.ID) }
