package state

import (
	"testing"
	"time"
)

func TestProtection(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 6000000, time.UTC)
	minutes := func(n int32) *int32 { return &n }
	for _, m := range []*int32{nil, minutes(1), minutes(2880)} {
		if no := (ProtectionChange{Minutes: m}).Check(); no != "" {
			t.Errorf("%d minutes: %s", m, no)
		}
	}
	for _, m := range []*int32{minutes(0), minutes(-1), minutes(2881)} {
		if (ProtectionChange{Minutes: m}).Check() == "" {
			t.Errorf("%d minutes are taken", *m)
		}
	}
	alone := &Task{Desired: Running}
	if _, no := alone.Protection(now); no == nil || no.Reason != "TASK_NOT_VALID" {
		t.Errorf("a task of no service: %v", no)
	}
	if no := alone.Protect(ProtectionChange{Enabled: true}, now); no == nil || alone.Protected(now) {
		t.Errorf("a task of no service: %v", no)
	}
	task := &Task{Desired: Running, Service: "web"}
	for _, step := range []struct {
		change ProtectionChange
		want   time.Duration
	}{
		{ProtectionChange{Enabled: true}, 120 * time.Minute},
		{ProtectionChange{Enabled: true, Minutes: minutes(1)}, time.Minute},
		{ProtectionChange{Minutes: minutes(5)}, 0},
		{ProtectionChange{}, 0},
	} {
		if no := task.Protect(step.change, now); no != nil {
			t.Fatal(no)
		}
		p, _ := task.Protection(now)
		if p.Enabled != (step.want > 0) || p.Enabled && !p.Until.Equal(now.Add(step.want)) || task.Protected(now) != p.Enabled {
			t.Errorf("after %+v: %+v", step.change, p)
		}
		if p, _ = task.Protection(now.Add(step.want)); p.Enabled || !p.Until.IsZero() || task.Protected(now.Add(step.want)) {
			t.Errorf("%v after %+v: %+v", step.want, step.change, p)
		}
	}
	task.Desired = Stopped
	if no := task.Protect(ProtectionChange{Enabled: true}, now); no == nil || no.Reason != "TASK_NOT_VALID" {
		t.Errorf("a task that stops: %v", no)
	}
}
