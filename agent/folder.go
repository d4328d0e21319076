package agent

import (
	"net/netip"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/state"
)

// folder is a task's directory, <Dir>/tasks/<task ID>:
//
//	assignment.json  what was ordered (state.Assignment)
//	progress.json    how far it got (progress)
//	etc/             hosts, hostname and resolv.conf of its containers: with
//	                 awsvpc one of each, else a directory for each container
//	environment.json what its environment files set
type folder string

func (f folder) etc(name string) string { return filepath.Join(string(f), "etc", name) }
func (f folder) assignment() string     { return filepath.Join(string(f), "assignment.json") }
func (f folder) progress() string       { return filepath.Join(string(f), "progress.json") }

// progress is what the node knows of a task that nothing else on the host
// tells. All of it only grows: states go up, and times and codes, once set, stay.
type progress struct {
	// Boot is the host's boot ID when a container was first started.
	Boot       string `json:",omitempty"`
	State      state.TaskState
	Containers []containerProgress // as in the definition

	ConnectivityAt     time.Time `json:",omitzero"`
	PullStartedAt      time.Time `json:",omitzero"`
	PullStoppedAt      time.Time `json:",omitzero"`
	StartedAt          time.Time `json:",omitzero"`
	StoppingAt         time.Time `json:",omitzero"`
	ExecutionStoppedAt time.Time `json:",omitzero"`
	StoppedAt          time.Time `json:",omitzero"`

	StopCode      types.TaskStopCode `json:",omitempty"`
	StoppedReason string             `json:",omitempty"`

	// Steps are how long the parts of the launch took.
	Steps []state.Step `json:",omitempty"`

	// Removed: nothing of the task is left on the host but this folder.
	Removed bool `json:",omitempty"`
}

// containerProgress is the same of one container.
type containerProgress struct {
	Last   state.TaskState // Pending, Running or Stopped
	Digest string          `json:",omitempty"`
	// StopSignal is the image's.
	StopSignal string `json:",omitempty"`
	// Launched is set, and on the disk, before the container is first started:
	// from then on it is never made anew.
	Launched bool `json:",omitempty"`
	// Address is its own, on the bridge.
	Address    netip.Addr `json:",omitzero"`
	CreatedAt  time.Time  `json:",omitzero"`
	StartedAt  time.Time  `json:",omitzero"`
	FinishedAt time.Time  `json:",omitzero"`
	// Restarts counts how often its restart policy started it again. Restarting: it
	// ended, at FinishedAt with LastCode, and is to be.
	Restarts   int32              `json:",omitempty"`
	Restarting bool               `json:",omitempty"`
	LastCode   *int32             `json:",omitempty"`
	ExitCode   *int32             `json:",omitempty"`
	Reason     string             `json:",omitempty"`
	Health     types.HealthStatus `json:",omitempty"`
	HealthAt   time.Time          `json:",omitzero"` // since when
	// What the check came to that made it so.
	HealthExit   int32  `json:",omitempty"`
	HealthOutput string `json:",omitempty"`
	// StopAt is when it was first told to stop.
	StopAt time.Time `json:",omitzero"`
	// Shipped: the last line of its output has been handed on.
	Shipped bool `json:",omitempty"`
}
