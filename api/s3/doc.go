// Package s3 is S3's API over a store of blobs: buckets, objects, lists and uploads in
// parts. Its methods are operations (see package wire).
//
// It owns S3's rules: names, conditions, ranges, checksums, error codes and the form of
// lists. What is kept, and how it outlasts ends, is package blobstore's. Signatures, chunked
// uploads and HTTP's parts are package wire's. What becomes of each field is in
// fidelity.txt.
//
//	s := s3.New(store)                              // *blobstore.Store
//	service, err := wire.NewService(wire.S3, s)
//
// # Tests
//
// They serve the package over wire to the real SDK client, on a store in a temporary
// directory; the AWS CLI's own commands are in e2e.
package s3
