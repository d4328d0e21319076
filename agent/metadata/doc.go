// Package metadata answers containers that ask about themselves: the task
// metadata endpoint of versions 3 and 4, with statistics, and the agent's API for
// task protection (Amazon ECS Developer Guide, "Amazon ECS task metadata
// endpoint version 4", "Amazon ECS task scale-in protection endpoint").
//
// It knows the node's tasks by a Source and what containers use by Stats. It
// keeps no record of either, so a new process answers as the last one did.
//
// # Who asks
//
// Tasks with a network of their own ask at 169.254.170.2. Listeners there come
// from package network, in the namespace of the router that the task is at, with
// a function that says whose address the caller has: routers let nobody send with
// another's. A container's ID in a URL is good only for callers of its own task;
// for all others there is no such container. Nothing listens in the task's own
// namespace, where it would keep the task's programs from port 80, so a launch
// costs nothing here.
//
// Tasks in the host's network ask at a port of 127.0.0.1, which stays the same as
// long as Dir does. There the ID in the URL is a container's and a code that only
// this node can make, and whoever has it is let in.
//
// A task may ask 40 times a second, and 60 at once, and have 32 connections.
//
// # Order of calls
//
// Open, so that containers can be told of their URLs (Endpoint); then Serve.
//
// # Tests
//
// They need no rights: the package's own go over HTTP with listeners and owners of
// their own; agent/network's tests have the kernel say who asks.
package metadata
