package agent

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/state"
)

func restarting(period int32, ignored ...int32) func(*types.ContainerDefinition) {
	return func(d *types.ContainerDefinition) {
		d.RestartPolicy = &types.ContainerRestartPolicy{Enabled: aws.Bool(true), IgnoredExitCodes: ignored}
		if period > 0 {
			d.RestartPolicy.RestartAttemptPeriod = &period
		}
	}
}

func TestRestartPolicy(t *testing.T) {
	off := &types.ContainerRestartPolicy{Enabled: aws.Bool(false)}
	short := &types.ContainerRestartPolicy{Enabled: aws.Bool(true), RestartAttemptPeriod: aws.Int32(60), IgnoredExitCodes: []int32{0, 7}}
	for _, c := range []struct {
		policy *types.ContainerRestartPolicy
		code   int
		ran    time.Duration
		want   bool
	}{
		{nil, 1, time.Hour, false},
		{off, 1, time.Hour, false},
		{&types.ContainerRestartPolicy{Enabled: aws.Bool(true)}, 0, 300 * time.Second, true},
		{&types.ContainerRestartPolicy{Enabled: aws.Bool(true)}, 1, 299 * time.Second, false},
		{short, 1, 60 * time.Second, true},
		{short, 137, time.Hour, true},
		{short, 1, 59 * time.Second, false},
		{short, 0, time.Hour, false},
		{short, 7, time.Hour, false},
		{short, -1, time.Hour, false}, // nobody saw it end
	} {
		if got := newRestartPolicy(c.policy).again(c.code, c.ran); got != c.want {
			t.Errorf("%+v after %s with code %d: %t", c.policy, c.ran, c.code, got)
		}
	}
}

// A container that ran for long enough is started again, with nothing of it lost,
// and one that then ends early is not.
func TestRestart(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.host.programs["web"] = &program{exitAfter: 70 * time.Second, code: 3, health: func(int) (int, time.Duration) { return 0, 0 }}
		id := w.run(define("web", restarting(60), checked(10, 5, 2, 0)), define("side", optional))
		pass(65 * time.Second)
		before := w.report(id)
		if before.Containers[0].Health != "HEALTHY" {
			t.Errorf("before: %+v", before.Containers[0])
		}
		pass(6 * time.Second)
		w.wantState(id, state.Running)
		c := w.container(id, "web")
		if c.Last != state.Running || c.Restarts != 1 || c.ExitCode != nil || c.Reason != "" || c.Health != "UNKNOWN" || c.RuntimeID != before.Containers[0].RuntimeID {
			t.Errorf("started again: %+v", c)
		}
		if r := w.report(id); !r.StartedAt.Equal(before.StartedAt) {
			t.Errorf("the task started at %v, now at %v", before.StartedAt, r.StartedAt)
		}
		pass(20 * time.Second)
		if c := w.container(id, "web"); c.Health != "HEALTHY" {
			t.Errorf("its health check: %+v", c)
		}
		if v, ok := w.agent.Task(id); !ok || *v.Containers[0].Restarts != 1 || v.Containers[1].Restarts != nil {
			t.Errorf("what its containers see: %+v", v)
		}
		pass(51 * time.Second)
		if c := w.container(id, "web"); c.Restarts != 2 {
			t.Errorf("after its second end: %+v", c)
		}
		w.host.end("web", 5)
		pass(time.Second)
		w.wantStop(id, exited, "Essential container in task exited")
		w.wantExit(id, "web", 5, "")
		if c := w.container(id, "web"); c.Restarts != 2 {
			t.Errorf("at its end: %+v", c)
		}
		w.gone()
	})
}

// One that is not essential is started again, too; a stop between its end and its
// start ends it as it ended.
func TestStopWhileRestarting(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.host.programs["side"] = &program{exitAfter: 70 * time.Second, code: 3}
		id := w.run(define("web"), define("side", optional, restarting(60, 4)))
		pass(69 * time.Second)
		w.host.mu.Lock()
		w.host.late = 5 * time.Second
		w.host.mu.Unlock()
		pass(2 * time.Second)
		w.stop(id) // while it is reset
		pass(time.Minute)
		w.wantStop(id, "", "")
		if c := w.container(id, "side"); c.Restarts != 1 || c.ExitCode == nil || *c.ExitCode != 3 && *c.ExitCode != 143 {
			t.Errorf("%+v", c)
		}
		w.gone()
	})
}

// Whenever the agent is killed while a container is started again, the next one
// does what was left of it, once.
func TestRestartCutOff(t *testing.T) {
	for cut, total := 1, 1<<30; cut <= total; cut++ {
		ok := t.Run(fmt.Sprint(cut), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.host.programs["web"] = &program{exitAfter: 70 * time.Second, code: 3}
				id := w.run(define("web", restarting(60)))
				pass(69 * time.Second)
				w.close()
				w.boot(cut)
				w.full()
				pass(20 * time.Second)
				w.proc.cmu.Lock()
				calls := w.proc.calls
				w.proc.cmu.Unlock()
				if calls < cut {
					total = calls // the last one was not cut off
				}
				w.close()
				w.boot(0)
				w.full()
				pass(time.Second)
				w.wantState(id, state.Running)
				c := w.container(id, "web")
				resets := 0
				for _, e := range w.host.log() {
					if e == "reset web" {
						resets++
					}
				}
				if c.Restarts != 1 || resets != 1 || c.Last != state.Running {
					t.Errorf("%+v, reset %d times", c, resets)
				}
				w.stop(id)
				pass(time.Minute)
				w.wantStop(id, "", "")
				w.gone()
			})
		})
		if !ok {
			return
		}
	}
}
