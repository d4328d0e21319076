package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/berth/berth/state"
)

// Snapshot is all records at one moment. It never changes.
type Snapshot struct{ image image }

func (s *Snapshot) look(*descriptor, state.Key) *image { return &s.image }
func (s *Snapshot) scan(*descriptor) *image            { return &s.image }

// Revision is the revision of the last commit that the snapshot shows.
func (s *Snapshot) Revision() int64 { return s.image.rev }

// Tx is one transaction, valid until the function it was given to returns.
type Tx struct {
	base   *image // durable, before the batch: what guards are taken from
	image  image  // with the batch's writes before this one, and its own
	guards map[string]int64
	wrote  map[string]*entry // by path; nil entries are deletions
	order  []write
	over   bool
}

// write is one path that a transaction wrote.
type write struct {
	path string
	d    *descriptor
	key  state.Key
}

func newTx(base *image, on image) *Tx {
	return &Tx{base: base, image: on, guards: map[string]int64{}, wrote: map[string]*entry{}}
}

func (tx *Tx) look(d *descriptor, k state.Key) *image {
	tx.guard(d, k)
	return &tx.image
}

// scan guards against any change of the table: what a list or an index yields
// may depend on each.
func (tx *Tx) scan(d *descriptor) *image {
	tx.check()
	tx.guards[fencePath(d.name)] = tx.base.fences[d.number]
	// A copy: the sequence goes on over what was there, whatever is written
	// meanwhile.
	img := tx.image
	return &img
}

// guard remembers of which revision a record was when it was looked at.
func (tx *Tx) guard(d *descriptor, k state.Key) (path string) {
	tx.check()
	path = join(d.name, k)
	if _, ok := tx.guards[path]; !ok {
		var rev int64
		if e, ok := tx.base.get(d, k); ok {
			rev = e.rev
		}
		tx.guards[path] = rev
	}
	return path
}

func (tx *Tx) check() {
	if tx.over {
		panic("a transaction is used after its function returned")
	}
}

func (tx *Tx) put(d *descriptor, k state.Key, rec any) {
	e := &entry{rec: rec, key: k}
	path := tx.guard(d, k)
	tx.image.put(d, e)
	tx.write(write{path, d, k}, e)
}

func (tx *Tx) remove(d *descriptor, k state.Key) {
	path := tx.guard(d, k)
	if tx.image.remove(d, k) != nil {
		tx.write(write{path, d, k}, nil)
	}
}

func (tx *Tx) write(w write, e *entry) {
	if _, ok := tx.wrote[w.path]; !ok {
		tx.order = append(tx.order, w)
	}
	tx.wrote[w.path] = e
}

// The most that one transaction may read and write, well below what an engine
// takes in one request.
const (
	txWrites = 4096
	txReads  = 8192
	txBytes  = 4 << 20
)

// run calls fn and returns what it wrote. A panic of it is an error.
func (tx *Tx) run(fn func(*Tx) error) (ops []Op, size int, err error) {
	if err := tx.call(fn); err != nil {
		return nil, 0, err
	}
	if len(tx.order) > txWrites || len(tx.guards) > txReads {
		return nil, 0, fmt.Errorf("a transaction may read %d and write %d records, not %d and %d: do it in several", txReads, txWrites, len(tx.guards), len(tx.order))
	}
	for _, w := range tx.order {
		op := Op{Path: w.path}
		if e := tx.wrote[w.path]; e != nil {
			if op.Value, err = json.Marshal(e.rec); err != nil {
				return nil, 0, fmt.Errorf("write the record %s: %w", w.path, err)
			}
		}
		size += len(op.Path) + len(op.Value)
		ops = append(ops, op)
	}
	if size > txBytes {
		return nil, 0, fmt.Errorf("a transaction may write %d bytes, not %d: do it in several", txBytes, size)
	}
	return ops, size, nil
}

// call calls fn, in a goroutine of its own so that one that ends its goroutine
// (testing.T.FailNow) fails alone.
func (tx *Tx) call(fn func(*Tx) error) (err error) {
	defer func() { tx.over = true }()
	done := make(chan error, 1)
	go func() {
		err := errors.New("a transaction's function ended its goroutine")
		defer func() { done <- err }()
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("panic in a transaction: %v\n%s", p, debug.Stack())
			}
		}()
		err = fn(tx)
	}()
	return <-done
}
