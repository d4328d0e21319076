// Package place decides where a task runs, or says why it can't run anywhere.
//
// It is pure: records go in as values, a decision comes out. It may know package
// state, not the store. The store keeps an Index of all capacity current with
// each record that is written, so that a transaction decides on what it sees
// itself, its own writes included:
//
//	offer, no := store.Places(tx).PickInstance(cluster, demand)  // EC2, EXTERNAL
//	node, no := store.Places(tx).PickNode(request)               // FARGATE
//
// # How it scales
//
// An Index is immutable: Change returns another one that shares all but a path
// with it. Container instances that can't be told apart by attributes, agent,
// status or capacity provider are one class, and what depends on those alone is
// asked once a class: most of a demand's constraints, and spread over an
// attribute. Each class holds its instances in three orders (fewest tasks,
// least memory free, least CPU free), as balanced trees which know the most that
// is free below each of their branches. So the first instance that fits is found
// without a look at those before it that are full, and the strategies are exact.
// What costs more: spread over instanceId followed by another strategy passes by
// the instances that have the group already, and a demand that nothing meets
// asks each instance for its reason.
//
// # Ties
//
// AWS leaves open what decides among instances that all strategies like the same.
// Here it is the other resource after binpack, then fewest tasks, then the lower
// ID.
//
// The properties in the tests compare every decision with one that asks all
// instances, one after another.
package place
