package state

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/klauspost/compress/zstd"
)

// The kinds of changes that are kept for who acts on events, by EventBridge's
// names (Amazon ECS Developer Guide, "Amazon ECS events").
const (
	TaskStateChange       = "ECS Task State Change"
	InstanceStateChange   = "ECS Container Instance State Change"
	DeploymentStateChange = "ECS Deployment State Change"
	ServiceAction         = "ECS Service Action"
)

// ChangeSet is the changes of one commit, in their order. They are written in the
// same commit as what they tell, so none is lost and none is there twice.
type ChangeSet struct {
	// Number grows from set to set of one process, and is greater than that of any
	// set which its commit has seen. It is near the time in nanoseconds.
	Number int64
	// Process is the ID of who committed it, so that two never write the same set.
	Process string
	At      time.Time
	Count   int
	Data    []byte // the changes, as compressed JSON
}

// Key is the number in hexadecimal and the process: keys sort as sets were made.
func (s *ChangeSet) Key() Key { return Key{ID: fmt.Sprintf("%016x-%s", s.Number, s.Process)} }

// Change is a record as it became in one transaction. Its ID is that of the set
// and its place in it.
type Change struct {
	Kind   string
	Record json.RawMessage // a Task, ContainerInstance, Deployment or ServiceEvent
}

// Changes are the changes of the set.
func (s *ChangeSet) Changes() ([]Change, error) {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer d.Close()
	text, err := d.DecodeAll(s.Data, nil)
	if err != nil {
		return nil, fmt.Errorf("unpack the changes of %s: %w", s.Key().ID, err)
	}
	var out []Change
	if err := json.Unmarshal(text, &out); err != nil {
		return nil, fmt.Errorf("read the changes of %s: %w", s.Key().ID, err)
	}
	return out, nil
}

// Telling is the kind of a change of a record that events tell of, or empty. Either
// record may be nil; that a record is forgotten is no event.
func Telling(before, after any) string {
	switch now := after.(type) {
	case *Task:
		if was, ok := before.(*Task); !ok || was.Last != now.Last || was.Desired != now.Desired || was.Health != now.Health || was.StopCode != now.StopCode ||
			was.ConnectivityAt != now.ConnectivityAt || containersTell(was.Containers, now.Containers) {
			return TaskStateChange
		}
	case *ContainerInstance:
		if was, ok := before.(*ContainerInstance); !ok || was.Version != now.Version || was.Connected != now.Connected || was.Status != now.Status {
			return InstanceStateChange
		}
	case *Deployment:
		if was, ok := before.(*Deployment); !ok || was.Rollout != now.Rollout {
			return DeploymentStateChange
		}
	case *ServiceEvent:
		if before == nil {
			return ServiceAction
		}
	}
	return ""
}

func containersTell(was, now []Container) bool {
	if len(was) != len(now) {
		return true
	}
	for i := range now {
		w, n := &was[i], &now[i]
		if w.Last != n.Last || w.Health != n.Health || w.Reason != n.Reason || (w.ExitCode == nil) != (n.ExitCode == nil) || w.ExecAgent != n.ExecAgent {
			return true
		}
	}
	return false
}
