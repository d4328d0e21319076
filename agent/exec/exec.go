package exec

import (
	"context"
	"fmt"
	"io"

	"github.com/berth/berth/agent/runtime"
	"github.com/berth/berth/state"
)

// Runtime runs commands in containers.
type Runtime interface {
	Status(ctx context.Context, id string) (runtime.Status, error)
	ExecStreams(ctx context.Context, id string, e runtime.Exec, s runtime.Streams) (exitCode int, err error)
}

// Node runs commands in the containers of one node.
type Node struct{ runtime Runtime }

// New returns the node of a runtime.
func New(r Runtime) *Node { return &Node{runtime: r} }

// Exec runs a command to its end and returns its exit code. Its error is why
// there is none: the container isn't there or doesn't run, the command can't be
// read or started, or ctx's. stderr is not used with a terminal. sizes may be
// nil, and is not read any more when ctx has ended.
//
// The command is root, whatever the container's user, as AWS's agent is (Amazon
// ECS Developer Guide, "Monitor Amazon ECS containers with ECS Exec").
func (n *Node) Exec(ctx context.Context, r state.ExecRequest, stdin io.Reader, stdout, stderr io.Writer, sizes <-chan state.WindowSize) (int, error) {
	args, err := words(r.Command)
	if err != nil {
		return -1, err
	}
	status, err := n.runtime.Status(ctx, r.RuntimeID)
	if err != nil {
		return -1, err
	}
	if status.Sandbox != r.TaskID {
		return -1, fmt.Errorf("container %s: it is not of task %s", r.RuntimeID, r.TaskID)
	}
	e := runtime.Exec{Args: args, User: "0"}
	s := runtime.Streams{Stdin: stdin, Stdout: stdout, Stderr: stderr, Terminal: r.Terminal, Size: runtime.Size(r.Size)}
	if r.Terminal {
		e.Env = []string{"TERM=xterm-256color"}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if sizes != nil {
		s.Sizes = convert(ctx, sizes)
	}
	return n.runtime.ExecStreams(ctx, r.RuntimeID, e, s)
}

// convert passes window sizes on until ctx ends.
func convert(ctx context.Context, from <-chan state.WindowSize) <-chan runtime.Size {
	to := make(chan runtime.Size)
	go func() {
		defer close(to)
		for {
			select {
			case <-ctx.Done():
				return
			case size, ok := <-from:
				if !ok {
					return
				}
				select {
				case to <- runtime.Size(size):
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	return to
}
