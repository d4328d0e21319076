package store

import (
	"context"
	"iter"

	"github.com/berth/berth/state"
)

// View is something records can be read from: a *Snapshot, or a *Tx, which
// also shows its own writes.
type View interface {
	view()
}

// Snapshot is all records at one moment. It never changes.
type Snapshot struct{}

func (*Snapshot) view() {}

// Tx is one transaction, valid until the function it was given to returns.
type Tx struct{}

func (*Tx) view() {}

// Store is a process's access to the records.
type Store struct{}

// Open loads all records from the backend and follows its changes until Close.
func Open(ctx context.Context, b Backend) (*Store, error) { panic("unwritten") }

// View returns the newest snapshot.
func (s *Store) View() *Snapshot { panic("unwritten") }

// Update runs fn in a transaction, see the package comment.
func (s *Store) Update(ctx context.Context, fn func(tx *Tx) error) error { panic("unwritten") }

// Event is one committed change of one record.
type Event struct {
	Table string // Table.Name
	Key   state.Key
	// Old and New are *T of the table; Old is nil when the record was made, New
	// when it was deleted.
	Old, New any
}

// Watch delivers changes in the order of their commits.
type Watch struct{}

// Next waits for changes and returns all that are there. It returns an error
// only when ctx or the store ended.
func (w *Watch) Next(ctx context.Context) ([]Event, error) { panic("unwritten") }

// Close ends the watch.
func (w *Watch) Close() { panic("unwritten") }

// ViewAndWatch returns a snapshot and a watch of all changes to the named
// tables (none: all) after that snapshot, and only those.
func (s *Store) ViewAndWatch(tables ...string) (*Snapshot, *Watch) { panic("unwritten") }

// Close stops following the backend and closes it.
func (s *Store) Close() error { panic("unwritten") }

// Table is one kind of record.
type Table[T any] struct{}

// Index finds a table's records by another value than their key.
type Index[T any] struct{}

// Name is the table's name, as in "ecs/task".
func (t *Table[T]) Name() string { panic("unwritten") }

// Get returns one record.
func (t *Table[T]) Get(v View, k state.Key) (*T, bool) { panic("unwritten") }

// List yields the records of a scope whose ID begins with prefix, by ID.
func (t *Table[T]) List(v View, s state.Scope, prefix string) iter.Seq[*T] { panic("unwritten") }

// All yields all records in all scopes, by key.
func (t *Table[T]) All(v View) iter.Seq[*T] { panic("unwritten") }

// By yields the records that the index files under value, by key.
func (t *Table[T]) By(v View, ix Index[T], value string) iter.Seq[*T] { panic("unwritten") }

// Put writes a record. The transaction keeps rec: don't change it afterwards.
func (t *Table[T]) Put(tx *Tx, rec *T) { panic("unwritten") }

// Delete removes a record, if it is there.
func (t *Table[T]) Delete(tx *Tx, k state.Key) { panic("unwritten") }
