package state

import "time"

// ExecSession is a command that somebody was allowed to run in a container, by
// ExecuteCommand. It isn't kept: it ends with the process that offers it.
type ExecSession struct {
	Scope
	ID        string // ecs-execute-command-…
	Cluster   string // name
	TaskID    string
	Task      string // ARN
	Container string // name
	RuntimeID string
	Node      string // node ID
	Command   string // as it was given: one string
	By        string // ARN of who asked
	From      string // their address
	// Log is where its transcript goes; nil is nowhere.
	Log *LogTarget
	// Object is where it goes besides, when the session has ended; nil is nowhere.
	Object    *ObjectTarget
	CreatedAt time.Time
}

// ObjectTarget is an object of an account's bucket that is to be.
type ObjectTarget struct{ Bucket, Key string }

// ExecRequest is what a node is told to run a command.
type ExecRequest struct {
	Session   string
	TaskID    string
	RuntimeID string
	Command   string
	// Terminal gives it a pseudo-terminal, at first of this size.
	Terminal bool
	Size     WindowSize
}

// WindowSize is that of a terminal, in characters. Zero is not known.
type WindowSize struct{ Rows, Cols uint16 }

// The states of a container's ExecuteCommandAgent (ECS API Reference,
// ManagedAgent.lastStatus).
const (
	ExecAgentPending = "PENDING"
	ExecAgentRunning = "RUNNING"
	ExecAgentStopped = "STOPPED"
)
