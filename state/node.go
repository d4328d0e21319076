package state

import (
	"net/netip"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// NodeDown is the Status of a node that isn't heard of any more.
const NodeDown = "DOWN"

// Node is a host that runs tasks.
type Node struct {
	ID   string // 32 hexadecimal digits
	Name string // host name
	// Zones are the availability zones that its Fargate capacity serves, by
	// name (us-east-1a). A single host serves all.
	Zones []string
	Arch  string // X86_64 or ARM64, as runtimePlatform.cpuArchitecture
	// What the host has: CPU in CPU units (1024 a core), Memory in MiB.
	CPU    int32
	Memory int32
	// Overcommit factors, 1 or more: capacity for placement is CPU*CPUOvercommit
	// and Memory*MemoryOvercommit. Limits inside a task are hard all the same.
	CPUOvercommit    float64
	MemoryOvercommit float64
	// FargateRuntime and Runtime are the OCI runtimes of its capacity for Fargate
	// and as container instances: "runsc" (gVisor), or another's name; empty is
	// the one that it has by itself.
	FargateRuntime string `json:",omitempty"`
	Runtime        string `json:",omitempty"`
	// GPUs are the IDs of its devices for computing.
	GPUs         []string `json:",omitempty"`
	Status       string   // READY, DOWN
	RegisteredAt time.Time
	LastSeen     time.Time
}

// Key is the node's ID, in no scope.
func (n *Node) Key() Key { return Key{ID: n.ID} }

// Assignment is all that a node must know of one task. It is complete: the
// node asks nobody.
type Assignment struct {
	Task       Task
	Definition Spec[types.TaskDefinition, *types.TaskDefinition]
	Interface  Interface
}

// Interface is the task's network interface as its node builds it.
type Interface struct {
	ENI     string // eni-…
	VPC     string // vpc-…
	Subnet  string // subnet-…
	MAC     string // 02:…
	Address netip.Addr
	// SubnetPrefix is the subnet's range; Gateway its first address.
	SubnetPrefix netip.Prefix
	Gateway      netip.Addr
	Public       netip.Addr `json:",omitzero"`
	DNS          []netip.Addr
	PrivateDNS   string
}

// Assignments are a node's orders: first a full set, then changes.
type Assignments struct {
	// Full says that tasks not named here are no longer the node's: what is
	// left of them is removed.
	Full bool
	// Tasks are new or changed (desired state) assignments.
	Tasks []Assignment
	// Gone are the IDs of tasks whose record no longer needs the node: they
	// reported STOPPED and that is committed.
	Gone []string
	// Networks are the VPCs that changed, each whole.
	Networks []VPCPlan
}

// VPCPlan is everything a node must know of one VPC to carry its packets:
// all of its groups and interfaces, on this node and elsewhere.
type VPCPlan struct {
	VPC        string
	Prefixes   []netip.Prefix
	Groups     []GroupPlan
	Interfaces []InterfacePlan
}

// GroupPlan is one security group.
type GroupPlan struct {
	ID      string
	Ingress []RulePlan
	Egress  []RulePlan
}

// RulePlan allows what it matches.
type RulePlan struct {
	// Protocol is the IP protocol number, or -1 for all.
	Protocol int
	// From and To are ports, or ICMP type and code; -1 for all.
	From, To int32
	// Peer is one of: a range, or a group whose members match.
	Prefix netip.Prefix `json:",omitzero"`
	Group  string       `json:",omitempty"`
}

// InterfacePlan is one ENI of the VPC.
type InterfacePlan struct {
	ENI     string
	Node    string // where it is
	Task    string // task ID
	MAC     string
	Address netip.Addr
	Subnet  netip.Prefix
	Public  netip.Addr `json:",omitzero"`
	Groups  []string
}

// TaskReport is what a node says of one task: all it knows, each time, so that
// a lost or repeated report does no harm.
type TaskReport struct {
	Scope      Scope
	Cluster    string
	TaskID     string
	State      TaskState
	Containers []ContainerReport

	ConnectivityAt     time.Time `json:",omitzero"`
	PullStartedAt      time.Time `json:",omitzero"`
	PullStoppedAt      time.Time `json:",omitzero"`
	StartedAt          time.Time `json:",omitzero"`
	StoppingAt         time.Time `json:",omitzero"`
	ExecutionStoppedAt time.Time `json:",omitzero"`
	StoppedAt          time.Time `json:",omitzero"`

	// StopCode and StoppedReason are set when the node itself ended the task
	// (EssentialContainerExited, TaskFailedToStart).
	StopCode      types.TaskStopCode `json:",omitempty"`
	StoppedReason string             `json:",omitempty"`

	Steps []Step `json:",omitempty"`
}

// ContainerReport is what a node says of one container.
type ContainerReport struct {
	Name        string
	Last        TaskState
	RuntimeID   string             `json:",omitempty"`
	ImageDigest string             `json:",omitempty"`
	ExitCode    *int32             `json:",omitempty"`
	Reason      string             `json:",omitempty"`
	Health      types.HealthStatus `json:",omitempty"`
	Restarts    int32              `json:",omitempty"`
	ExecAgent   string             `json:",omitempty"`
	ExecAgentAt time.Time          `json:",omitzero"`
}
