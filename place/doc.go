// Package place decides which node runs a task, or says why none can.
//
// It is pure: nodes and what is on them go in as values, a node's ID or a
// Refusal comes out. It may know package state, not the store. Callers check
// again in the transaction that writes the decision, by calling Pick inside it.
package place
