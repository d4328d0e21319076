package state

import (
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/internal/arn"
)

// TaskState is a task's lastStatus or desiredStatus. States only go up
// (Amazon ECS Developer Guide, "Task lifecycle").
type TaskState int

// The states, in order. A task may skip states upwards; it never goes back.
const (
	Provisioning TaskState = iota + 1
	Pending
	Activating
	Running
	Deactivating
	Stopping
	Deprovisioning
	Stopped
)

var taskStates = [...]string{"", "PROVISIONING", "PENDING", "ACTIVATING", "RUNNING", "DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED"}

// String returns AWS's name of the state.
func (s TaskState) String() string {
	if s < 0 || int(s) >= len(taskStates) {
		return fmt.Sprintf("TaskState(%d)", int(s))
	}
	return taskStates[s]
}

// MarshalText writes AWS's name.
func (s TaskState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads AWS's name.
func (s *TaskState) UnmarshalText(b []byte) error {
	for i, n := range taskStates {
		if n == string(b) {
			*s = TaskState(i)
			return nil
		}
	}
	return fmt.Errorf("no task state %q", b)
}

// Task is one ECS task.
type Task struct {
	Scope
	Cluster string // name
	ID      string // 32 hexadecimal digits

	// What was asked, written once.
	Family           string
	Revision         int32
	LaunchType       types.LaunchType
	CapacityProvider string
	PlatformVersion  string
	PlatformFamily   string
	Group            string
	StartedBy        string
	Overrides        Spec[types.TaskOverride, *types.TaskOverride]
	ExecuteCommand   bool
	Tags             []Tag `json:",omitempty"`
	// CPU in CPU units (1024 a vCPU) and Memory in MiB: the task's size after
	// overrides.
	CPU    int32
	Memory int32
	// EphemeralGiB is the size of its ephemeral storage in GiB.
	EphemeralGiB int32
	Arch         string // X86_64, ARM64

	// Where it runs, written when it is placed.
	Node         string // node ID
	Zone         string // availability zone
	ENI          string // network interface ID
	AttachmentID string // UUID of the ENI's attachment
	// Interface is the ENI as its node builds it. It stays when the ENI is gone:
	// DescribeTasks shows it for stopped tasks too.
	Interface Interface

	// What is wanted. Only Running and Stopped.
	Desired TaskState

	// What is.
	Last       TaskState
	Health     types.HealthStatus
	Version    int64 // grows with each change that users can see
	Containers []Container

	CreatedAt          time.Time
	ConnectivityAt     time.Time `json:",omitzero"`
	PullStartedAt      time.Time `json:",omitzero"`
	PullStoppedAt      time.Time `json:",omitzero"`
	StartedAt          time.Time `json:",omitzero"`
	StoppingAt         time.Time `json:",omitzero"`
	ExecutionStoppedAt time.Time `json:",omitzero"`
	StoppedAt          time.Time `json:",omitzero"`

	StopCode      types.TaskStopCode `json:",omitempty"`
	StoppedReason string             `json:",omitempty"`
}

// Container is one container of a task, as DescribeTasks shows it.
type Container struct {
	Name string
	// Essential and HealthCheck, whether it has one, are its definition's: the
	// task's health is made of them.
	Essential   bool   `json:",omitempty"`
	HealthCheck bool   `json:",omitempty"`
	ID          string // UUID, the last part of its ARN
	Image       string
	ImageDigest string `json:",omitempty"`
	RuntimeID   string `json:",omitempty"`
	Last        TaskState
	ExitCode    *int32 `json:",omitempty"`
	// Reason says more when it could not start or was ended by the kernel, in
	// AWS's words: "OutOfMemoryError: Container killed due to memory usage".
	Reason string             `json:",omitempty"`
	Health types.HealthStatus `json:",omitempty"`
	// CPU in CPU units, Memory and MemoryReservation in MiB, as strings like
	// AWS's; empty where the definition has none.
	CPU               string `json:",omitempty"`
	Memory            string `json:",omitempty"`
	MemoryReservation string `json:",omitempty"`
}

// Key is "cluster/id".
func (t *Task) Key() Key { return t.Scope.Key(t.Cluster + "/" + t.ID) }

// ARN returns the task's (long) ARN.
func (t *Task) ARN() string { return arn.ECS(t.Region, t.Account, "task/"+t.Cluster+"/"+t.ID) }

// ClusterARN returns the ARN of its cluster.
func (t *Task) ClusterARN() string { return arn.ECS(t.Region, t.Account, "cluster/"+t.Cluster) }

// DefinitionARN returns the ARN of its task definition.
func (t *Task) DefinitionARN() string {
	return arn.ECS(t.Region, t.Account, fmt.Sprintf("task-definition/%s:%d", t.Family, t.Revision))
}

// ContainerARN returns the ARN of one of its containers.
func (t *Task) ContainerARN(c *Container) string {
	return arn.ECS(t.Region, t.Account, "container/"+t.Cluster+"/"+t.ID+"/"+c.ID)
}

// Clone returns a copy whose slices are its own.
func (t *Task) Clone() *Task {
	c := *t
	c.Containers = append([]Container(nil), t.Containers...)
	c.Tags = append([]Tag(nil), t.Tags...)
	return &c
}
