package metadata

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/agent/runtime"
	"github.com/berth/berth/state"
)

// Source knows the tasks of the node. A Task that it returned isn't changed.
type Source interface {
	Task(id string) (*Task, bool)
}

// Records is what the server knows of tasks, and may change while they run.
type Records interface {
	// Protection is a task's from being stopped: after the change, if there is one.
	Protection(ctx context.Context, task *state.Task, change *state.ProtectionChange) (state.Protection, *state.ProtectionFailure, error)
	// Tags are the task's, and those of its container instance.
	Tags(ctx context.Context, task *state.Task) (own, instance []state.Tag, err error)
}

// Stats reads what a container has used, and how full a sandbox's storage is, or
// returns runtime.ErrNotFound.
type Stats interface {
	Storage(ctx context.Context, sandbox string) (runtime.Storage, error)
	Stats(ctx context.Context, container string) (runtime.Stats, error)
}

// Network hands out listeners, now and later, each with a function that tells
// the task of a caller's address.
type Network interface {
	Answer(serve func(l net.Listener, owner func(netip.Addr) (task string, ok bool)))
}

// Task is a task as its node knows it.
type Task struct {
	Task       state.Task // as assigned, with its Desired as it is now
	Definition *types.TaskDefinition
	Interface  state.Interface // with Mode awsvpc
	Mode       types.NetworkMode
	Known      state.TaskState
	Containers []Container

	PullStartedAt, PullStoppedAt, ExecutionStoppedAt time.Time
}

// Container is one of its containers.
type Container struct {
	ID      string // on the host, unique; begins with the task's ID
	Name    string
	ARN     string
	Image   string
	Digest  string // of the image; empty before it is known
	Labels  map[string]string
	CPU     int32 // CPU units
	Memory  int32 // MiB
	Desired state.TaskState
	Known   string // NONE, PULLED, CREATED, RUNNING or STOPPED
	Health  types.HealthStatus
	// What the health check came to that made it so.
	HealthExit   int32
	HealthOutput string
	Address      netip.Addr // of its own, with Mode bridge
	Ports        []state.PortBinding
	GPUs         []string

	ExitCode   *int32
	Restarts   *int32 // nil without a restart policy
	LogDriver  string
	LogOptions map[string]string

	CreatedAt, StartedAt, FinishedAt, HealthAt time.Time
}
