package agent

import (
	"context"
	"log/slog"
	"sync"

	"github.com/berth/berth/state"
)

// reports are what the server has not yet accepted: of each task the latest,
// since a report says all that is known.
type reports struct {
	wake chan struct{}

	mu     sync.Mutex
	latest map[string]state.TaskReport // by task ID
	order  []string                    // task IDs, longest waiting first
	err    error                       // of the last try
}

// maxReports are sent in one call.
const maxReports = 256

func newReports() *reports {
	return &reports{wake: make(chan struct{}, 1), latest: map[string]state.TaskReport{}}
}

func (r *reports) put(rep state.TaskReport) {
	r.mu.Lock()
	if _, waits := r.latest[rep.TaskID]; !waits {
		r.order = append(r.order, rep.TaskID)
	}
	r.latest[rep.TaskID] = rep
	r.mu.Unlock()
	ring(r.wake)
}

// take removes the next batch.
func (r *reports) take() []state.TaskReport {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := min(len(r.order), maxReports)
	batch := make([]state.TaskReport, n)
	for i, id := range r.order[:n] {
		batch[i] = r.latest[id]
		delete(r.latest, id)
	}
	r.order = append([]string(nil), r.order[n:]...)
	return batch
}

// putBack returns a batch that was not accepted. What is newer stays.
func (r *reports) putBack(batch []state.TaskReport, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
	var back []string
	for _, rep := range batch {
		if _, newer := r.latest[rep.TaskID]; !newer {
			r.latest[rep.TaskID] = rep
			back = append(back, rep.TaskID)
		}
	}
	r.order = append(back, r.order...)
}

// waiting tells how many tasks have something unreported, and why.
func (r *reports) waiting() (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.order), r.err
}

// run sends reports, one call at a time so that those of a task stay in order,
// until ctx ends.
func (r *reports) run(ctx context.Context, to Reporter, log *slog.Logger) {
	for failed := 0; ; {
		batch := r.take()
		if len(batch) == 0 {
			select {
			case <-ctx.Done():
				return
			case <-r.wake:
			}
			continue
		}
		err := to.Report(ctx, batch)
		if err == nil {
			failed = 0
			r.putBack(nil, nil)
			continue
		}
		r.putBack(batch, err)
		if ctx.Err() != nil {
			return
		}
		failed++
		log.Warn("report tasks", "tasks", len(batch), "tries", failed, "err", err)
		if !again(ctx, failed) {
			return
		}
	}
}
