package store

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/berth/berth/state"
)

// journal notes which of a transaction's writes events will tell of. ops are the
// writes, in their order.
func (b *batch) journal(tx *Tx, ops []Op) {
	for i, w := range tx.order {
		e := tx.wrote[w.path]
		if e == nil {
			continue
		}
		var before any
		if old, ok := b.image.get(w.d, w.key); ok {
			before = old.rec
		}
		if kind := state.Telling(before, e.rec); kind != "" {
			b.changes = append(b.changes, state.Change{Kind: kind, Record: ops[i].Value})
		}
	}
}

// seal adds the batch's changes to what it writes, as one record.
func (s *Store) seal(b *batch) error {
	if len(b.changes) == 0 {
		return nil
	}
	text, err := json.Marshal(b.changes)
	if err != nil {
		return fmt.Errorf("write the changes down: %w", err)
	}
	now := time.Now()
	set := &state.ChangeSet{
		Number: max(now.UnixNano(), b.image.numbered+1), Process: s.id, At: now, Count: len(b.changes), Data: s.packer.EncodeAll(text, nil),
	}
	value, err := json.Marshal(set)
	if err != nil {
		return fmt.Errorf("write the changes down: %w", err)
	}
	e := &entry{rec: set, key: set.Key()}
	w := write{path: join(Changes.d.name, e.key), d: Changes.d, key: e.key}
	b.image.put(w.d, e)
	b.wrote[w.path] = e
	b.order = append(b.order, w)
	b.ops = append(b.ops, Op{Path: w.path, Value: value})
	return nil
}
