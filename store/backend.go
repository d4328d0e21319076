package store

import (
	"context"
	"errors"
)

// ErrConflict is what Backend.Commit returns when a guard did not hold.
var ErrConflict = errors.New("a record changed meanwhile")

// ErrUnknown is in what Backend.Commit returns when it can't say whether the
// commit was made, or will be.
var ErrUnknown = errors.New("it is unknown whether that was written")

// Backend is an engine that keeps bytes under paths: memory or etcd. Package
// storetest has the suite that each must pass.
type Backend interface {
	// Load calls each with every pair, and returns the revision they are of.
	Load(ctx context.Context, each func(path string, value []byte, rev int64) error) (int64, error)
	// Commit writes all of ops if all guards hold, else returns ErrConflict. It
	// returns the revision of the commit, once it is on disk. A path is in ops
	// once. An error that wraps ErrUnknown leaves open whether the commit was
	// made, but it was not made later than any commit that is begun after the
	// return; any other error says that nothing was written.
	Commit(ctx context.Context, guards []Guard, ops []Op) (int64, error)
	// Watch calls changed with all changes after revision rev, in order, those
	// of one commit together, until ctx ends or the engine fails.
	Watch(ctx context.Context, rev int64, changed func(rev int64, changes []Change)) error
	Close() error
}

// Guard holds while the last change of path is of revision Rev; 0 while path
// doesn't exist.
type Guard struct {
	Path string
	Rev  int64
}

// Op writes Value to Path, or deletes Path when Value is nil.
type Op struct {
	Path  string
	Value []byte
}

// Change is an Op that was committed.
type Change = Op
