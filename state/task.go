package state

import (
	"cmp"
	"fmt"
	"strconv"
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
	// Service is the name of the service that started it, and Deployment the ID of
	// that one's deployment or task set; empty for other tasks.
	Service    string `json:",omitempty"`
	Deployment string `json:",omitempty"`
	// Counted is whether the end of a task that ended by itself was counted by its
	// service.
	Counted        bool `json:",omitempty"`
	Overrides      Spec[types.TaskOverride, *types.TaskOverride]
	ExecuteCommand bool
	Tags           []Tag `json:",omitempty"`
	// CPU in CPU units (1024 a vCPU) and Memory in MiB: the task's size after
	// overrides.
	CPU    int32
	Memory int32
	// EphemeralGiB is the size of its ephemeral storage in GiB.
	EphemeralGiB int32
	Arch         string // X86_64, ARM64
	// NetworkMode is awsvpc, bridge, host or none. Only awsvpc has an interface.
	NetworkMode types.NetworkMode `json:",omitempty"`
	// Volumes are those that were configured when it was started.
	Volumes []Volume `json:",omitempty"`

	// Where it runs, written when it is placed.
	Node string // node ID
	// ContainerInstance is the ID of the container instance it was placed on;
	// empty for Fargate.
	ContainerInstance string `json:",omitempty"`
	Zone              string // availability zone
	// Runtime is the OCI runtime of the capacity it was placed on: see Node.
	Runtime      string `json:",omitempty"`
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
	// Steps are how long each part of the launch took, in the order of their ends.
	Steps []Step `json:",omitempty"`

	CreatedAt          time.Time
	ConnectivityAt     time.Time `json:",omitzero"`
	PullStartedAt      time.Time `json:",omitzero"`
	PullStoppedAt      time.Time `json:",omitzero"`
	StartedAt          time.Time `json:",omitzero"`
	StoppingAt         time.Time `json:",omitzero"`
	ExecutionStoppedAt time.Time `json:",omitzero"`
	StoppedAt          time.Time `json:",omitzero"`

	// ProtectedUntil is when its protection ends: see Protection.
	ProtectedUntil time.Time `json:",omitzero"`

	StopCode      types.TaskStopCode `json:",omitempty"`
	StoppedReason string             `json:",omitempty"`
}

// DefaultEphemeralGiB is the size of a Fargate task's ephemeral storage where
// nobody says otherwise (SDK, types.EphemeralStorage).
const DefaultEphemeralGiB = 20

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
	// Pinned is the digest that its image must have, whatever its name leads to by
	// now; empty for any.
	Pinned    string `json:",omitempty"`
	RuntimeID string `json:",omitempty"`
	Last      TaskState
	ExitCode  *int32 `json:",omitempty"`
	// Reason says more when it could not start or was ended by the kernel, in
	// AWS's words: "OutOfMemoryError: Container killed due to memory usage".
	Reason string             `json:",omitempty"`
	Health types.HealthStatus `json:",omitempty"`
	// CPU in CPU units, Memory and MemoryReservation in MiB, as strings like
	// AWS's; empty where the definition has none.
	CPU               string `json:",omitempty"`
	Memory            string `json:",omitempty"`
	MemoryReservation string `json:",omitempty"`
	// Ports are its port mappings outside awsvpc, with the host ports that were
	// chosen when the task was placed.
	Ports []PortBinding `json:",omitempty"`
	// GPUs are the IDs of the devices that it was given.
	GPUs []string `json:",omitempty"`
	// Restarts counts how often its restart policy has started it again.
	Restarts int32 `json:",omitempty"`
	// ExecAgent is the state of its ExecuteCommandAgent: PENDING, RUNNING or
	// STOPPED; empty where the task doesn't enable ECS Exec.
	ExecAgent string `json:",omitempty"`
	// ExecAgentAt is when it last began to be RUNNING.
	ExecAgentAt time.Time `json:",omitzero"`
}

// PortBinding maps a port, or a range of as many, of the host to one of a
// container.
type PortBinding struct {
	BindIP        string // 0.0.0.0
	Protocol      types.TransportProtocol
	ContainerPort int32
	HostPort      int32
	// Count is how many ports: 1, or a range's.
	Count int32
}

// The steps of a launch.
const (
	StepPlace  = "place" // by the server; the others by the node
	StepENI    = "eni"
	StepPull   = "pull"
	StepUnpack = "unpack"
	// StepLazyPull is in StepPull's place where a container could run before its
	// image's layers were there.
	StepLazyPull = "lazy-pull"
	StepCreate   = "create"
	StepStart    = "start"
	StepHealth   = "health" // until the first HEALTHY
)

// Step is a part of a launch, for the timeline of a task.
type Step struct {
	Name string
	// Container has the name of the container whose step it is, if it is one's.
	Container string `json:",omitempty"`
	Began     time.Time
	Took      time.Duration
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

// Reserves is what the task holds of its host, in CPU units and MiB: its own
// size or, without one, what its containers reserve.
func (t *Task) Reserves() (cpu, memory int32) {
	var cpus, memories int32
	for i := range t.Containers {
		c := &t.Containers[i]
		cpus += units(c.CPU)
		if c.MemoryReservation != "" {
			memories += units(c.MemoryReservation)
		} else {
			memories += units(c.Memory)
		}
	}
	return cmp.Or(t.CPU, cpus), cmp.Or(t.Memory, memories)
}

func units(text string) int32 {
	n, _ := strconv.ParseInt(text, 10, 32) // empty is none
	return int32(n)
}

// Clone returns a copy whose slices are its own.
func (t *Task) Clone() *Task {
	c := *t
	c.Containers = append([]Container(nil), t.Containers...)
	c.Tags = append([]Tag(nil), t.Tags...)
	c.Volumes = append([]Volume(nil), t.Volumes...)
	c.Steps = append([]Step(nil), t.Steps...)
	return &c
}
