// Package blobstore keeps buckets of objects on this host's disk: the bytes of each
// object in a file, and what is known of it in an index sorted by key (Pebble).
//
//	s, err := blobstore.Open(dir, time.Now)
//	blob, err := s.Stage(reader)                       // to a file, synced
//	old, err := s.Put(bucket, object, blob, condition) // the object is there, whole
//
// It owns names, bytes, digests and order. It must not know S3's requests, errors or
// permissions: those are package api/s3's.
//
// # What is durable, and when
//
// Put, Delete and all other writes have reached the disk when they return. A staged blob is a
// file that nothing names; it becomes an object's by one write of the index, which is
// atomic. So an object is as it was before a write or as it is after, whenever the process
// or the host ends. Files that nothing names are what an end leaves behind, and the next
// Open removes them.
//
// A reader has the file open that its object had: writes and deletes don't disturb it.
//
// # Tests
//
// They run on a store in a temporary directory; ends of the process are stores that are
// left without Close, and reopened.
package blobstore
