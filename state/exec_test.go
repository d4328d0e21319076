package state

import (
	"testing"
	"time"
)

// A container's agent has the state that its node says, is never RUNNING after
// the end, and isn't there where nobody asked for it.
func TestExecAgent(t *testing.T) {
	at := time.Unix(2000, 0)
	task := begun()
	task.Containers[0].ExecAgent = ExecAgentPending
	report := func(agent string, last TaskState) {
		task.Observe(TaskReport{State: last, Containers: []ContainerReport{{Name: "a", Last: last, ExecAgent: agent, ExecAgentAt: at}}}, at)
	}
	want := func(agent string) {
		t.Helper()
		if got := task.Containers[0]; got.ExecAgent != agent {
			t.Errorf("the agent is %s, want %s", got.ExecAgent, agent)
		}
	}
	version := task.Version
	report(ExecAgentRunning, Running)
	want(ExecAgentRunning)
	if task.Containers[0].ExecAgentAt != at || task.Version == version {
		t.Errorf("%+v, version %d", task.Containers[0], task.Version)
	}
	report("", Running) // of a node that doesn't say
	want(ExecAgentRunning)
	stopped := task.Clone()
	report(ExecAgentStopped, Stopping)
	report(ExecAgentRunning, Stopping)
	want(ExecAgentStopped)
	// The node's last words may never come.
	task = stopped
	if err := task.To(Stopped, at); err != nil {
		t.Fatal(err)
	}
	want(ExecAgentStopped)
	if other := task.Containers[1]; other.ExecAgent != "" {
		t.Errorf("%+v", other)
	}
}
