package store

import (
	"encoding/json"
	"iter"

	"github.com/berth/berth/state"
)

// View is something records can be read from: a *Snapshot, or a *Tx, which
// also shows its own writes.
type View interface {
	// look returns the image to read one record from, scan the one to read many.
	look(d *descriptor, k state.Key) *image
	scan(d *descriptor) *image
}

// Table is one kind of record.
type Table[T any] struct {
	d   *descriptor
	key func(*T) state.Key
}

// Index finds a table's records by another value than their key.
type Index[T any] struct {
	name   string
	values func(*T) []string
}

// newTable describes a table: its name ("service/kind"), how a record's key is
// found, and its indexes.
func newTable[T any](name string, key func(*T) state.Key, indexes ...Index[T]) *Table[T] {
	return &Table[T]{key: key, d: &descriptor{
		name: name,
		decode: func(b []byte) (any, state.Key, error) {
			rec := new(T)
			err := json.Unmarshal(b, rec)
			return rec, key(rec), err
		},
		indexes: func(rec any, file func(index, value string)) {
			for _, ix := range indexes {
				for _, v := range ix.values(rec.(*T)) {
					file(ix.name, v)
				}
			}
		},
	}}
}

// newIndex describes an index: values gives what a record is filed under.
func newIndex[T any](name string, values func(*T) []string) Index[T] {
	return Index[T]{name: name, values: values}
}

// Name is the table's name, as in "ecs/task".
func (t *Table[T]) Name() string { return t.d.name }

// Get returns one record.
func (t *Table[T]) Get(v View, k state.Key) (*T, bool) {
	e, ok := v.look(t.d, k).get(t.d, k)
	if !ok {
		return nil, false
	}
	return e.rec.(*T), true
}

// List yields the records of a scope whose ID begins with prefix, by ID.
func (t *Table[T]) List(v View, s state.Scope, prefix string) iter.Seq[*T] {
	return t.prefix(v, recordKey(t.d.name, s.Key(prefix)))
}

// All yields all records in all scopes, by key.
func (t *Table[T]) All(v View) iter.Seq[*T] { return t.prefix(v, []byte(t.d.name+"\x00")) }

func (t *Table[T]) prefix(v View, prefix []byte) iter.Seq[*T] {
	img := v.scan(t.d)
	return func(yield func(*T) bool) {
		found, _ := img.records.Prefix(prefix)
		for _, e := range found.All {
			if !yield(e.rec.(*T)) {
				return
			}
		}
	}
}

// By yields the records that the index files under value, by key.
func (t *Table[T]) By(v View, ix Index[T], value string) iter.Seq[*T] {
	img := v.scan(t.d)
	return func(yield func(*T) bool) {
		found, _ := img.index.Prefix(indexPrefix(t.d.name, ix.name, value))
		for _, e := range found.All {
			if !yield(e.rec.(*T)) {
				return
			}
		}
	}
}

// Put writes a record. The transaction keeps rec: don't change it afterwards.
func (t *Table[T]) Put(tx *Tx, rec *T) { tx.put(t.d, t.key(rec), rec) }

// Delete removes a record, if it is there.
func (t *Table[T]) Delete(tx *Tx, k state.Key) { tx.remove(t.d, k) }

// named numbers descriptors and files them by name; two of one name are a
// mistake.
func named(ds ...*descriptor) map[string]*descriptor {
	m := map[string]*descriptor{}
	for i, d := range ds {
		if m[d.name] != nil {
			panic("two tables are named " + d.name)
		}
		d.number = i
		m[d.name] = d
	}
	return m
}
