package store

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/berth/berth/state"
)

// A batch takes no more transactions once it has so many operations, guards or
// bytes. With the largest transaction (txWrites …) on top it is still within
// the engine's limits for one request.
const (
	batchOps    = 2048
	batchGuards = 4096
	batchBytes  = 512 << 10
)

// settleWithin bounds how long the store may be in doubt about a commit.
const settleWithin = time.Minute

// update is one caller's transaction on its way to the committer.
type update struct {
	ctx   context.Context
	fn    func(*Tx) error
	state atomic.Int32 // queued, taken, dropped
	err   error        // what fn said, nil or not
	done  chan error
}

const (
	queued  = iota
	taken   // by the committer, who will answer
	dropped // by the caller, who doesn't wait any more
)

// batch is what is committed at once: transactions that ran one after another,
// each on the image that the one before left.
type batch struct {
	base    image
	image   image
	guards  map[string]int64
	wrote   map[string]*entry // by path; nil entries are deletions
	order   []write
	ops     []Op
	at      map[string]int // a path's place in ops
	size    int            // bytes
	updates []*update      // whose transactions are in it
	changes []state.Change // what events will tell of it
}

// commitLoop takes updates as they come. What queues up while one commit is
// being synced goes into the next together.
func (s *Store) commitLoop() {
	for {
		var queue []*update
		select {
		case u := <-s.updates:
			queue = append(queue, u)
		case <-s.closing:
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
			queue = s.commit(queue)
		}
	}
}

// commit runs and commits what fits into one batch, and returns the rest. It
// isn't cut off by Close, so that no caller is left in doubt.
func (s *Store) commit(queue []*update) []*update {
	b, rest := s.build(queue)
	if len(b.ops) == 0 {
		b.answer(nil)
		return rest
	}
	if err := s.seal(b); err != nil {
		b.answer(err)
		return rest
	}
	s.commits++
	mark := fmt.Sprintf("%s/%d", s.id, s.commits)
	ops, guards := b.request(mark)
	s.await(mark)
	rev, err := s.backend.Commit(context.Background(), guards, ops)
	if errors.Is(err, ErrUnknown) {
		rev, err = s.settle(err)
	}
	if errors.Is(err, ErrConflict) {
		// Another process wrote what was read. Once that is seen here, the same
		// transactions run again.
		if err = s.reach(b.base.rev + 1); err == nil {
			for _, u := range b.updates {
				u.state.Store(queued)
			}
			return append(b.updates, rest...)
		}
	}
	if err != nil {
		b.answer(fmt.Errorf("commit: %w", err))
		return rest
	}
	s.show(b, rev)
	b.answer(s.reach(rev))
	return rest
}

// build runs transactions until the batch is full.
func (s *Store) build(queue []*update) (*batch, []*update) {
	base := *s.current.Load()
	b := &batch{base: base, image: base, guards: map[string]int64{}, wrote: map[string]*entry{}, at: map[string]int{}}
	for i, u := range queue {
		if len(b.ops) >= batchOps || len(b.guards) >= batchGuards || b.size >= batchBytes {
			return b, queue[i:]
		}
		if !u.state.CompareAndSwap(queued, taken) {
			continue
		}
		if err := u.ctx.Err(); err != nil {
			u.done <- err
			continue
		}
		tx := newTx(&b.base, b.image)
		ops, size, err := tx.run(u.fn)
		// One that failed is answered with the others: it may have failed for what
		// one of them wrote.
		u.err = err
		b.add(u, tx, ops, size)
	}
	return b, nil
}

// add takes a transaction into the batch: what it read, and what it wrote unless
// it failed.
func (b *batch) add(u *update, tx *Tx, ops []Op, size int) {
	b.updates = append(b.updates, u)
	for path, rev := range tx.guards {
		b.guards[path] = rev
	}
	if u.err != nil {
		return
	}
	b.journal(tx, ops)
	b.image = tx.image
	b.size += size
	for i, op := range ops {
		b.wrote[op.Path] = tx.wrote[op.Path]
		if at, ok := b.at[op.Path]; ok {
			b.ops[at] = op
			continue
		}
		b.at[op.Path] = len(b.ops)
		b.ops = append(b.ops, op)
		b.order = append(b.order, tx.order[i])
	}
}

// request is the batch as the engine gets it, with the fences of the tables that
// it writes.
func (b *batch) request(mark string) ([]Op, []Guard) {
	ops := b.ops
	fenced := map[*descriptor]bool{}
	for _, w := range b.order {
		if !fenced[w.d] {
			fenced[w.d] = true
			ops = append(ops, Op{Path: fencePath(w.d.name), Value: []byte(mark)})
		}
	}
	guards := make([]Guard, 0, len(b.guards))
	for path, rev := range b.guards {
		guards = append(guards, Guard{Path: path, Rev: rev})
	}
	return ops, guards
}

func (b *batch) answer(err error) {
	for _, u := range b.updates {
		if err != nil {
			u.done <- err
		} else {
			u.done <- u.err
		}
	}
}

// show makes a committed batch visible, unless other commits lie between: then
// all of them come by the watch, in order.
func (s *Store) show(b *batch, rev int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current.Load().rev != b.base.rev || rev != b.base.rev+1 {
		return
	}
	var events []Event
	for _, w := range b.order {
		ev := Event{Table: w.d.name, Key: w.key}
		if old, ok := b.base.get(w.d, w.key); ok {
			ev.Old = old.rec
		}
		if e := b.wrote[w.path]; e != nil {
			e.rev = rev
			ev.New = e.rec
		}
		if b.image.fences[w.d.number] != rev {
			b.image.fence(w.d, rev)
		}
		if ev.Old != nil || ev.New != nil {
			events = append(events, ev)
		}
	}
	b.image.rev = rev
	s.publish(b.image, events)
}

// settle finds out whether a commit was made of which the engine couldn't say
// so: once a later one is seen, its mark has been seen or never will be. Until
// that is known nothing else is committed. When it takes too long, the store
// ends: the next one reads what is there.
func (s *Store) settle(doubt error) (int64, error) {
	late := time.NewTimer(settleWithin)
	defer late.Stop()
	s.mu.Lock()
	mark := s.awaited
	s.mu.Unlock()
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		rev, err := s.backend.Commit(context.Background(), nil, []Op{{Path: fencePath(fences), Value: []byte("after " + mark)}})
		if err == nil {
			if err := s.reach(rev); err != nil {
				return 0, err
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.arrived != 0 {
				return s.arrived, nil
			}
			return 0, doubt
		}
		if !errors.Is(err, ErrUnknown) {
			return 0, s.giveUp(doubt, err)
		}
		select {
		case <-time.After(pause):
		case <-late.C:
			return 0, s.giveUp(doubt, fmt.Errorf("the same for %v", settleWithin))
		case <-s.closing:
			return 0, doubt
		case <-s.ended:
			return 0, s.failed
		}
	}
}

func (s *Store) giveUp(doubt, err error) error {
	err = fmt.Errorf("%w; and then: %w", doubt, err)
	s.end(err)
	return err
}

// await notes in arrived when a commit with the mark is seen.
func (s *Store) await(mark string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.awaited, s.arrived = mark, 0
}
