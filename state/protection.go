package state

import (
	"fmt"
	"time"
)

// The times that a task can be protected for, in minutes, and for how long it is
// if nobody says (SDK, UpdateTaskProtectionInput.ExpiresInMinutes).
const minProtection, maxProtection, defaultProtection = 1, 2880, 120

// ProtectionChange is what somebody wants a task's protection to be.
type ProtectionChange struct {
	Enabled bool
	Minutes *int32 // nil: AWS's default
}

// Check says what is wrong with the change, or "".
func (c ProtectionChange) Check() string {
	if c.Minutes != nil && (*c.Minutes < minProtection || *c.Minutes > maxProtection) {
		return fmt.Sprintf("Invalid expiresInMinutes: it must be between %d and %d.", minProtection, maxProtection)
	}
	return ""
}

// Protection is a task's, from being stopped by scaling in and by deployments.
type Protection struct {
	Enabled bool
	Until   time.Time `json:",omitzero"`
}

// ProtectionFailure is why a task can't be protected, nor asked for it: ECS's reason
// (Amazon ECS Developer Guide, "API failure reasons").
type ProtectionFailure struct{ Reason, Detail string }

// Protection is the task's, or why it can have none.
func (t *Task) Protection(now time.Time) (Protection, *ProtectionFailure) {
	if t.Service == "" {
		return Protection{}, &ProtectionFailure{"TASK_NOT_VALID", "The specified task is not part of an Amazon ECS service. Only service-managed tasks can be protected."}
	}
	if !now.Before(t.ProtectedUntil) {
		return Protection{}, nil
	}
	return Protection{Enabled: true, Until: t.ProtectedUntil}, nil
}

// Protected reports whether scaling in and deployments leave the task alone.
func (t *Task) Protected(now time.Time) bool { return now.Before(t.ProtectedUntil) }

// Protect makes a change that Check has nothing against. Each begins the time anew.
func (t *Task) Protect(c ProtectionChange, now time.Time) *ProtectionFailure {
	if _, no := t.Protection(now); no != nil {
		return no
	}
	if t.Desired == Stopped {
		return &ProtectionFailure{"TASK_NOT_VALID", "The specified task is stopping or has stopped."}
	}
	t.ProtectedUntil = time.Time{}
	if c.Enabled {
		minutes := int32(defaultProtection)
		if c.Minutes != nil {
			minutes = *c.Minutes
		}
		t.ProtectedUntil = now.Add(time.Duration(minutes) * time.Minute).Truncate(time.Millisecond)
	}
	return nil
}
