// Package store keeps Berth's records: transactions, indexes and watches over
// them. It owns the only durable copy of desired state and status. It may know
// package state and an engine (Backend); it knows no API, no loop, no node.
//
// # Reading
//
// Each process holds an indexed copy of all records in memory. View gives a
// consistent snapshot of it, without a hop:
//
//	v := st.View()
//	task, ok := store.Tasks.Get(v, key)
//	for t := range store.Tasks.By(v, store.TasksByNode, node) { … }
//
// Records are shared and must not be changed by who reads them: copy, change
// the copy, Put it.
//
// # Writing
//
//	err := st.Update(ctx, func(tx *store.Tx) error {
//		c, ok := store.Clusters.Get(tx, key)
//		…
//		store.Clusters.Put(tx, c)
//		return nil
//	})
//
// All writes of one Update become visible at once or not at all, and are on
// disk (synced) when Update returns nil. A function that returns an error
// leaves nothing. The function sees its own writes, and may be called again
// when another process wrote what it read: it must have no effect but through
// tx, and may be called from another goroutine than the caller's, one function
// at a time. When Update returns, View in this process shows the writes.
// Concurrent Updates share one synced commit.
//
// # Watching
//
// ViewAndWatch gives a snapshot, and then all changes after it and only those,
// in the order they were committed. Changes are given once they are durable.
package store
