package launch

import (
	"context"
	"fmt"
	"time"

	"github.com/berth/berth/place"
	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
)

// Interruption says whose Spot capacity is taken back.
type Interruption struct {
	// Task is the ARN of a task; or Cluster the name of a cluster, all of whose tasks
	// on FARGATE_SPOT are meant.
	Task, Cluster string
	// ClosedFor is how long no other task gets Spot capacity, in any cluster.
	ClosedFor time.Duration
}

// interruptAtOnce is how many tasks are interrupted in one transaction.
const interruptAtOnce = 500

// Interrupt takes Spot capacity back, and returns the ARNs of the tasks that lose
// it. Those that are being stopped already are left alone.
func (l *Launcher) Interrupt(ctx context.Context, s *store.Store, in Interruption) ([]string, error) {
	if (in.Task == "") == (in.Cluster == "") {
		return nil, fmt.Errorf("interrupt Spot capacity: name either a task or a cluster")
	}
	var all []string
	for more := true; more; {
		var some []string
		err := s.Update(ctx, func(tx *store.Tx) error {
			some, more = nil, false
			if in.ClosedFor > 0 {
				store.Spots.Put(tx, &state.Spot{ClosedUntil: l.Now().Add(in.ClosedFor)})
			}
			known := false
			for t := range store.Tasks.All(tx) {
				if in.Task != "" && t.ARN() != in.Task || in.Task == "" && t.Cluster != in.Cluster {
					continue
				}
				known = true
				switch {
				case t.CapacityProvider != state.FargateSpot:
					if in.Task != "" {
						return fmt.Errorf("interrupt task %s: it is not of the capacity provider %s", t.ID, state.FargateSpot)
					}
				case len(some) == interruptAtOnce:
					more = true
					return nil
				default:
					c := t.Clone()
					if c.Interrupt(l.Now()) {
						store.Tasks.Put(tx, c)
						some = append(some, c.ARN())
					}
				}
			}
			if in.Task != "" && !known {
				return fmt.Errorf("interrupt task %s: there is no such task", in.Task)
			}
			return nil
		})
		if err != nil {
			return all, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// spotClosed is until when FARGATE_SPOT takes no task; zero if it does.
func (l *Launcher) spotClosed(v store.View) time.Time {
	if spot, ok := store.Spots.Get(v, (*state.Spot)(nil).Key()); ok && spot.ClosedUntil.After(l.Now()) {
		return spot.ClosedUntil
	}
	return time.Time{}
}

// fromSpot is the capacity provider of a task whose own may be FARGATE_SPOT while
// that is closed: FARGATE if that is what the operator chose, else there is a
// refusal.
func (l *Launcher) fromSpot(v store.View, provider string) (string, *place.Refusal) {
	if provider != state.FargateSpot {
		return provider, nil
	}
	switch until := l.spotClosed(v); {
	case until.IsZero():
		return provider, nil
	case l.SpotFallback:
		return "FARGATE", nil
	default:
		return "", place.Refused(place.NoSpot, "closed to FARGATE_SPOT until "+until.UTC().Format(time.RFC3339), nil)
	}
}
