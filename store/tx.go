package store

import (
	"fmt"

	"github.com/berth/berth/state"
)

// Snapshot is all records at one moment. It never changes.
type Snapshot struct{ image image }

func (s *Snapshot) look(string, state.Key) *image { return &s.image }
func (s *Snapshot) all() *image                   { return &s.image }

// Revision is the revision of the last commit that the snapshot shows.
func (s *Snapshot) Revision() int64 { return s.image.rev }

// Tx is one transaction, valid until the function it was given to returns.
type Tx struct {
	base  *image // durable, before the batch: what guards are taken from
	image image  // with the batch's writes before this one, and its own
	asked map[string]int64
	wrote map[string]*entry // nil entries are deletions
	order []string
}

func newTx(base *image, on image) *Tx {
	return &Tx{base: base, image: on, asked: map[string]int64{}, wrote: map[string]*entry{}}
}

func (tx *Tx) look(table string, k state.Key) *image {
	tx.ask(table, k)
	return &tx.image
}

func (tx *Tx) all() *image {
	// A copy: the sequence goes on over what was there, whatever is written
	// meanwhile.
	img := tx.image
	return &img
}

// ask remembers of which revision a record was when it was looked at.
func (tx *Tx) ask(table string, k state.Key) string {
	path := join(table, k)
	if _, ok := tx.asked[path]; !ok {
		var rev int64
		if e, _, ok := tx.base.records.Get(recordKey(table, k)); ok {
			rev = e.rev
		}
		tx.asked[path] = rev
	}
	return path
}

func (tx *Tx) put(d *descriptor, k state.Key, rec any) {
	path := tx.ask(d.name, k)
	e := &entry{rec: rec, key: k, path: path}
	tx.image.put(d, e)
	tx.write(path, e)
}

func (tx *Tx) remove(d *descriptor, k state.Key) {
	path := tx.ask(d.name, k)
	if tx.image.remove(d, k) != nil {
		tx.write(path, nil)
	}
}

func (tx *Tx) write(path string, e *entry) {
	if _, ok := tx.wrote[path]; !ok {
		tx.order = append(tx.order, path)
	}
	tx.wrote[path] = e
}

// run calls fn, and turns a panic of it into an error.
func (tx *Tx) run(fn func(*Tx) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in a transaction: %v", p)
		}
	}()
	return fn(tx)
}
