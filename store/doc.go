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
// disk (synced) when Update returns nil. A function that returns an error or
// panics leaves nothing. The function sees its own writes, and may be called
// again when another process wrote what it read: it must have no effect but
// through tx. It is called from another goroutine than the caller's, one
// function at a time, so it must be quick and must not call Update. When Update
// returns, View in this process shows the writes. One that writes nothing costs
// no commit.
//
// Updates of all processes are serializable: each is as if it ran alone. A
// commit is guarded by the revisions of the records that were read by key, also
// of those that weren't there, and for List, All and By by the table's fence: a
// path that is written with each commit to the table. So a function that lists
// a table runs again when another process wrote anything in it.
//
// Concurrent Updates share one synced commit: what queues up while one is being
// synced goes into the next.
//
// # Watching
//
// ViewAndWatch gives a snapshot, and then all changes after it and only those,
// in the order they were committed, each once. Changes are given once they are
// durable. What a watch's reader has not taken is kept in memory without bound.
//
// # Changes
//
// What events will tell of (state.Telling) is written with the commit that it
// happened in: all changes of a commit are one record of the table Changes, in
// their order. So each change is there once, whatever becomes of who acts on it.
// A reader that remembers the last key it has dealt with goes on after it; sets
// of one process are in the order of their keys, and a set's key is greater than
// those of all sets that its commit has seen. control/reaper forgets them.
//
// # Tests
//
// Package storetest has the suites for engines and for a Store over one;
// store/memory and store/etcd run them.
package store
