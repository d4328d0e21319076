// Package services keeps the tasks of services: as many as are desired, of the
// revision that is desired, and changed without harm. It starts and stops tasks,
// moves deployments and task sets on, and writes services' events.
//
// It is a control.Loop. A key is one service ("account region cluster/name"). A
// step has three parts:
//
//	p := look(view, key, …)   // load.go: the service, its deployments, sets and live tasks
//	decide(p)                 // pure: changes the copies in p, and says what to start and stop
//	apply(tx, p)              // apply.go: writes all of that, in one transaction
//
// A step first decides on a snapshot; only when there is something to do it does
// so again in a transaction, so that what it does rests on what it read. It does a
// part of what there is to do that fits into one transaction (at most batch starts
// and stops); its own writes wake the key again. Nothing is remembered between
// steps but which services wait for room, and all services are stepped after a
// restart: so a step can be cut off anywhere.
//
// # The decisions
//
//   - tally.go sorts a service's tasks: wanted, spare, sick, lost, on their way out.
//   - keep.go is the one rule by which tasks are started and stopped, for all kinds
//     of services: start what is missing while that stays within the most there may
//     be, stop what is spare while that leaves the least that must be healthy.
//   - pick.go says which tasks go first when there are too many.
//   - deploy.go moves deployments: begin, the circuit breaker, rolling back,
//     completion. stages.go has the stages and hooks of BLUE_GREEN, LINEAR, CANARY.
//   - daemon.go (one task an instance), sets.go (EXTERNAL, CODE_DEPLOY), drain.go
//     (a deleted service) and balance.go (availability zones) are the other kinds.
//   - events.go has the texts, which are AWS's.
//
// # Healthy
//
// A task is healthy when its health checks say so; one without any once it has been
// RUNNING for 2 seconds (settle). AWS waits for 40 seconds (SDK,
// types.DeploymentConfiguration.MinimumHealthyPercent); what that wait is for, to
// tell programs apart that end soon after their start, two seconds do nearly as
// well, and each step of a deployment takes so much less.
//
// It may know state, store, place and launch; no API, no node.
//
// Tests: decide over values in tables; the whole loop over store/memory with
// properties (rapid) and testing/synctest's time.
package services
