package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
	"github.com/berth/berth/store/memory"
)

// mute is an engine that can't say for a time whether it writes, and doesn't.
type mute struct {
	*memory.Backend
	until time.Time
}

func (m *mute) Commit(ctx context.Context, guards []store.Guard, ops []store.Op) (int64, error) {
	if time.Now().Before(m.until) {
		time.Sleep(5 * time.Second)
		return 0, fmt.Errorf("%w: timed out", store.ErrUnknown)
	}
	return m.Backend.Commit(ctx, guards, ops)
}

// A store in doubt waits until it knows, and ends when that takes too long.
func TestDoubt(t *testing.T) {
	for _, c := range []struct {
		mute time.Duration
		ends bool
	}{{20 * time.Second, false}, {10 * time.Minute, true}} {
		synctest.Test(t, func(t *testing.T) {
			s, err := store.Open(t.Context(), &mute{memory.New(), time.Now().Add(c.mute)})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			put := func(name string) error {
				return s.Update(t.Context(), func(tx *store.Tx) error {
					store.Families.Put(tx, &state.Family{Name: name})
					return nil
				})
			}
			if err := put("first"); !errors.Is(err, store.ErrUnknown) {
				t.Errorf("mute for %v: Update returned %v", c.mute, err)
			}
			if (s.Err() != nil) != c.ends {
				t.Errorf("mute for %v: the store ended by %v", c.mute, s.Err())
			}
			if err := put("second"); (err != nil) != c.ends {
				t.Errorf("mute for %v: the next Update returned %v", c.mute, err)
			}
			for f := range store.Families.All(s.View()) {
				if f.Name != "second" {
					t.Errorf("%s is there", f.Name)
				}
			}
		})
	}
}
