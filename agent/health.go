package agent

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/agent/runtime"
)

// check is a container's health check with ECS's defaults filled in.
type check struct {
	args                           []string
	interval, timeout, startPeriod time.Duration
	retries                        int
}

// newCheck reads a definition's health check; images' own are not looked at
// (ECS API Reference, HealthCheck). It returns nil where there is none.
func newCheck(h *types.HealthCheck) *check {
	if h == nil || len(h.Command) == 0 {
		return nil
	}
	seconds := func(v *int32, otherwise int32) time.Duration {
		if v == nil {
			v = &otherwise
		}
		return time.Duration(*v) * time.Second
	}
	c := &check{
		interval: seconds(h.Interval, 30), timeout: seconds(h.Timeout, 5), startPeriod: seconds(h.StartPeriod, 0),
		retries: 3,
	}
	if h.Retries != nil {
		c.retries = int(aws.ToInt32(h.Retries))
	}
	switch command := h.Command; command[0] {
	case "NONE":
		return nil
	case "CMD":
		c.args = command[1:]
	case "CMD-SHELL":
		c.args = append([]string{"/bin/sh", "-c"}, command[1:]...)
	default:
		c.args = command
	}
	return c
}

// pulse is what a row of health checks comes to.
type pulse struct {
	status types.HealthStatus
	failed int // in a row, those that count
}

// beat counts one check, as Docker does: one success makes the container
// HEALTHY; failures that began within the start period don't count until there
// was a success.
func (p pulse) beat(c *check, ok bool, sinceStart time.Duration) pulse {
	switch {
	case ok:
		return pulse{status: types.HealthStatusHealthy}
	case p.status == types.HealthStatusUnknown && sinceStart < c.startPeriod:
		return p
	}
	p.failed++
	if p.failed >= c.retries {
		p.status = types.HealthStatusUnhealthy
	}
	return p
}

// watchHealth checks a running container, an interval after its start and
// then an interval after the end of each check, and tells each change, with the
// check that made it, until ctx ends.
func watchHealth(ctx context.Context, rt runtime.Runtime, id string, c *check, status types.HealthStatus, startedAt time.Time, tell func(types.HealthStatus, runtime.ExecResult)) {
	p := pulse{status: status}
	timer := time.NewTimer(c.interval)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		began := time.Now()
		once, cancel := context.WithTimeout(ctx, c.timeout)
		res, err := rt.Exec(once, id, runtime.Exec{Args: c.args})
		late := once.Err() != nil // the command was killed, whatever Exec returned
		cancel()
		if ctx.Err() != nil {
			return
		}
		was := p.status
		p = p.beat(c, err == nil && !late && res.ExitCode == 0, began.Sub(startedAt))
		if p.status != was {
			tell(p.status, res)
		}
		timer.Reset(c.interval)
	}
}
