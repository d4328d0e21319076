package reaper

import (
	"context"
	"time"

	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
)

// How long sets of changes are kept, and of how many changes. EventBridge, which
// they are kept for, tries to deliver an event for 24 hours.
const (
	changesKept  = 24 * time.Hour
	changesCount = 100_000
	// changesEvery is how often old ones are looked for: each look goes through all
	// that there are.
	changesEvery = 30 * time.Second
	// changesAtOnce is how many sets are forgotten in one transaction.
	changesAtOnce = 1000
)

// changesKey is the key of all sets together.
func changesKey() string { return name(store.Changes.Name(), state.Key{}) }

// stepChanges forgets the sets of changes that have had their time.
func (r *Reaper) stepChanges(ctx context.Context) (time.Duration, error) {
	for {
		due := r.dueChanges(r.store.View())
		if len(due) == 0 {
			return changesEvery, nil
		}
		err := r.store.Update(ctx, func(tx *store.Tx) error {
			for _, k := range due[:min(len(due), changesAtOnce)] {
				store.Changes.Delete(tx, k)
			}
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
}

// dueChanges are the keys of the sets that are too old or too many, the oldest
// first.
func (r *Reaper) dueChanges(v store.View) []state.Key {
	total := 0
	for s := range store.Changes.All(v) {
		total += s.Count
	}
	var due []state.Key
	for s := range store.Changes.All(v) {
		if total <= changesCount && r.now().Sub(s.At) < changesKept {
			break
		}
		total -= s.Count
		due = append(due, s.Key())
	}
	return due
}
