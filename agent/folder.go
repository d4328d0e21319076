package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/state"
)

// folder is a task's directory, <Dir>/tasks/<task ID>:
//
//	assignment.json  what was ordered (state.Assignment)
//	progress.json    how far it got (progress)
//	etc/             hosts, hostname and resolv.conf of its containers
//	volumes/0, 1, …  its volumes, as in the definition
type folder string

func (f folder) etc(name string) string { return filepath.Join(string(f), "etc", name) }
func (f folder) volume(i int) string    { return filepath.Join(string(f), "volumes", strconv.Itoa(i)) }
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
	Launched   bool               `json:",omitempty"`
	StartedAt  time.Time          `json:",omitzero"`
	FinishedAt time.Time          `json:",omitzero"`
	ExitCode   *int32             `json:",omitempty"`
	Reason     string             `json:",omitempty"`
	Health     types.HealthStatus `json:",omitempty"`
	// StopAt is when it was first told to stop.
	StopAt time.Time `json:",omitzero"`
	// Shipped: the last line of its output has been handed on.
	Shipped bool `json:",omitempty"`
}

// write puts v into a file whole or not at all. With sync it also survives a
// loss of power.
func write(path string, v any, sync bool) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return writeFile(path, b, sync)
}

func writeFile(path string, b []byte, sync bool) (err error) {
	tmp := path + ".new"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil && sync {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	if !sync {
		return nil
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// read is the reverse of write. It reports false where there is no file.
func read(path string, v any) (bool, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := json.NewDecoder(bytes.NewReader(b)).Decode(v); err != nil {
		return false, fmt.Errorf("read %s: %w", path, err)
	}
	return true, nil
}
