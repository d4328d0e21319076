// Package exec runs commands of people inside of a node's containers, for ECS
// Exec. It owns what such a command is like: its words, its user, its terminal.
// It must not know who sits at the other end, nor how a container or a terminal
// comes to be: that is behind [Runtime].
//
//	n := exec.New(runtime)
//	code, err := n.Exec(ctx, request, stdin, stdout, stderr, sizes)
//
// One call is one session: it returns when the command has ended, and with it
// all that it started. The end of ctx ends it. Calls may be made at the same
// time, and keep nothing.
//
// Tests run on the runtime in memory; that of terminals is runtimetest's.
package exec
