package logdriver

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/aws/smithy-go"
)

// One Put holds what one call of PutLogEvents could.
const (
	maxBatchEvents = 10_000
	maxBatchBytes  = 1 << 20
	eventOverhead  = 26
)

// put hands the sink what it does not have yet, in order. It returns when all
// of it is stored or dropped, or with ctx.
func (f *follower) put(ctx context.Context, batch []shipment) error {
	for len(batch) > 0 && batch[0].end <= f.cursor {
		batch = batch[1:]
	}
	for len(batch) > 0 {
		n := part(batch)
		events := make([]Event, n)
		for i := range events {
			events[i] = batch[i].Event
		}
		next := batch[n-1].end
		if err := f.deliver(ctx, events, next); err != nil {
			return err
		}
		f.cursor, batch = next, batch[n:]
	}
	return nil
}

// part returns how many events go in the next Put. The events of one line stay
// together: the cursor cannot tell them apart.
func part(batch []shipment) int {
	bytes, whole := 0, 0
	for i := range batch {
		bytes += len(batch[i].Message) + eventOverhead
		if whole > 0 && (bytes > maxBatchBytes || i >= maxBatchEvents) {
			return whole
		}
		if i+1 == len(batch) || batch[i+1].end != batch[i].end {
			whole = i + 1
		}
	}
	return whole
}

// deliver stores one batch, trying until it can.
func (f *follower) deliver(ctx context.Context, events []Event, next int64) error {
	for try := 0; ; try++ {
		err := f.s.sink.Put(ctx, *f.target, f.id, events, next)
		switch {
		case err == nil:
			if f.dropped {
				f.log.Info("a container's log stream is back", "group", f.target.Group, "stream", f.target.Stream)
				f.dropped = false
			}
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case gone(err):
			if !f.dropped {
				f.log.Error("drop a container's output: its log stream is gone", "group", f.target.Group, "stream", f.target.Stream, "err", err)
				f.dropped = true
			}
			return nil
		}
		pause := backoff(try)
		f.log.Error("store a container's output", "group", f.target.Group, "stream", f.target.Stream, "retry", pause, "err", err)
		if !sleep(ctx, pause) {
			return ctx.Err()
		}
	}
}

// gone reports whether the error says that group or stream do not exist.
func gone(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && api.ErrorCode() == "ResourceNotFoundException"
}

// backoff returns the pause before another try: doubled each time up to ten
// seconds, the last half of it random.
func backoff(try int) time.Duration {
	d := min(100*time.Millisecond<<min(try, 10), 10*time.Second)
	return d/2 + rand.N(d/2)
}

// sleep returns false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
