package state

import "time"

// Spot is how it stands with the capacity that FARGATE_SPOT gives.
type Spot struct {
	// ClosedUntil is until when it takes no task: capacity was taken back, and does
	// not return at once.
	ClosedUntil time.Time
}

// Key is the only one there is.
func (*Spot) Key() Key { return Key{ID: "fargate"} }

// FargateSpot is the capacity provider whose tasks may be interrupted.
const FargateSpot = "FARGATE_SPOT"

// Interrupt takes the task's Spot capacity back: SIGTERM goes out at once, and
// SIGKILL after the stop timeout, of two minutes at most (Amazon ECS Developer
// Guide, "Amazon ECS clusters for Fargate", Fargate Spot termination notices). It
// reports whether the task was to go on.
func (t *Task) Interrupt(at time.Time) bool {
	return t.Stop("SpotInterruption", "Your Spot Task was interrupted.", at)
}
