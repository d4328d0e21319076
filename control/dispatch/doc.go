// Package dispatch sends each node its assignments and writes down what the
// node reports. It is the only writer of what a task is, and the one that gives
// a stopped task's interface and addresses back.
//
// It knows a node as something that takes assignments (Node): the agent in this
// process, or a session with another machine. It never waits for a task.
//
// Connect sends a node everything once and then what changes. Orders are
// level-based: each says how a task or a VPC is to be, so what happened in between
// two orders doesn't matter, and a node that missed some gets the whole again
// when it connects. A node is told of a task until the task is STOPPED here; once
// that is committed, the task is in Assignments.Gone and the node forgets it.
//
// Report takes a node's reports into the records, all of a call in one
// transaction. Reports are level-based too: state.Task.Observe is the one place
// that knows what they may change.
package dispatch
