package store

import (
	"context"
	"errors"
	"fmt"
)

// A batch is cut off at so many writes or bytes, below the engine's limits of
// one request. A single transaction may be larger, and is then refused by the
// engine if it is too large.
const (
	batchOps   = 512
	batchBytes = 512 << 10
)

// batch is what is committed at once: transactions that ran one after another,
// each on the image that the one before left.
type batch struct {
	base   image
	image  image
	guards map[string]int64
	wrote  map[string]*entry // nil entries are deletions
	order  []string
	done   []*update // whose transactions are in it
}

// commitLoop takes updates as they come. What queues up while one commit is
// being synced goes into the next together.
func (s *Store) commitLoop(ctx context.Context) {
	for {
		var queue []*update
		select {
		case u := <-s.updates:
			queue = append(queue, u)
		case <-ctx.Done():
			return
		}
		for more := true; more && len(queue) < batchOps; {
			select {
			case u := <-s.updates:
				queue = append(queue, u)
			default:
				more = false
			}
		}
		for len(queue) > 0 {
			queue = s.commit(ctx, queue)
		}
	}
}

// commit runs and commits what fits into one batch, and returns the rest.
func (s *Store) commit(ctx context.Context, queue []*update) []*update {
	b, ops, rest := s.build(queue)
	if len(ops) == 0 {
		b.answer(nil)
		return rest
	}
	guards := make([]Guard, 0, len(b.guards))
	for path, rev := range b.guards {
		guards = append(guards, Guard{Path: path, Rev: rev})
	}
	rev, err := s.backend.Commit(ctx, guards, ops)
	if errors.Is(err, ErrConflict) {
		// Another process wrote what was read. Once that is seen here, the same
		// transactions run again.
		if err = s.reach(ctx, b.base.rev+1); err == nil {
			return append(b.done, rest...)
		}
	}
	if err != nil {
		b.answer(fmt.Errorf("commit: %w", err))
		return rest
	}
	s.show(b, rev)
	b.answer(s.reach(ctx, rev))
	return rest
}

// build runs transactions until the batch is full, and answers those that fail.
func (s *Store) build(queue []*update) (*batch, []Op, []*update) {
	s.mu.Lock()
	base := s.current
	s.mu.Unlock()
	b := &batch{base: base, image: base, guards: map[string]int64{}, wrote: map[string]*entry{}}
	var ops []Op
	size := 0
	values := map[string]int{} // path to its place in ops
	for i, u := range queue {
		if len(ops) >= batchOps || size >= batchBytes {
			return b, ops, queue[i:]
		}
		if err := u.ctx.Err(); err != nil {
			u.done <- err
			continue
		}
		tx := newTx(&b.base, b.image)
		err := tx.run(u.fn)
		var own []Op
		for _, path := range tx.order {
			var value []byte
			if e := tx.wrote[path]; e != nil && err == nil {
				if value, err = encode(e.rec); err != nil {
					err = fmt.Errorf("write the record %s: %w", path, err)
				}
			}
			own = append(own, Op{Path: path, Value: value})
		}
		if err != nil {
			u.done <- err
			continue
		}
		b.image = tx.image
		b.done = append(b.done, u)
		for path, rev := range tx.asked {
			b.guards[path] = rev
		}
		for _, op := range own {
			b.wrote[op.Path] = tx.wrote[op.Path]
			size += len(op.Value)
			if at, ok := values[op.Path]; ok {
				ops[at] = op
				continue
			}
			values[op.Path] = len(ops)
			ops = append(ops, op)
			b.order = append(b.order, op.Path)
		}
	}
	return b, ops, nil
}

// show makes a committed batch visible, unless other commits lie between: then
// all of them come by the watch, in order.
func (s *Store) show(b *batch, rev int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current.rev != b.base.rev || rev != b.base.rev+1 {
		return
	}
	var events []Event
	for _, path := range b.order {
		table, key, err := split(path)
		if err != nil {
			panic(err) // join made it
		}
		ev := Event{Table: table, Key: key}
		if old, _, ok := b.base.records.Get(recordKey(table, key)); ok {
			ev.Old = old.rec
		}
		if e := b.wrote[path]; e != nil {
			e.rev = rev
			ev.New = e.rec
		}
		if ev.Old != nil || ev.New != nil {
			events = append(events, ev)
		}
	}
	b.image.rev = rev
	s.publish(b.image, events)
}

func (b *batch) answer(err error) {
	for _, u := range b.done {
		u.done <- err
	}
}
