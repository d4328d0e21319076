// Package control drives the loops that bring records in line with what is
// wanted. Each loop has a folder of its own, named by what it keeps true: they
// meet in the store and don't know each other. A loop may know state, store and
// place; never an API, the wire or an agent.
//
// A loop is keys and a step (Loop). A Driver steps a key
//
//   - when an event in the store concerns it (On): the loop is told the key only,
//     and looks at the store itself;
//   - when the step asked to be called again (wait);
//   - at start and from time to time, with all other keys;
//   - after an error, later and later: from 0.1 seconds to a minute. Others don't
//     wait for it.
//
// Decisions belong into pure functions, of state or of the loop, so that tests
// and simulation can call them. Loops are tested over store/memory, in
// testing/synctest where time matters.
package control
