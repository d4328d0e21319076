// Package launch starts tasks: in the caller's transaction it finds a task its
// place, takes its network interface and addresses, and writes all of it. When
// the transaction is acknowledged, the task is assigned. RunTask and StartTask
// (api/ecs) start tasks by it, and so do the loops that keep services' counts. It
// also takes Spot capacity back when somebody asks for that (Interrupt).
//
// It may know state, store and place; not the wire, nor who asks. What is asked
// was checked before: an Order is whole and in itself possible. What it checks
// itself is what may have changed since: subnets, groups, capacity.
//
//	network, err := launch.Resolve(tx, scope, configuration)  // awsvpc only
//	order := &launch.Order{…}
//	task, refusal := launcher.Place(tx, order, i, provider)
//
// Tests: with its callers, over store/memory.
package launch
