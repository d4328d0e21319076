package agent

import (
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/berth/berth/agent/metadata"
	"github.com/berth/berth/state"
)

// Task implements metadata.Source.
func (a *Agent) Task(id string) (*metadata.Task, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t, ok := a.views[id]
	return t, ok
}

func (a *Agent) setView(v *metadata.Task) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.views[v.Task.ID] = v
}

// endpoints tells the containers where their metadata is. It has the last word,
// as the ECS agent has.
func (p *plan) endpoints(t *task) {
	if t.a.cfg.Metadata == nil {
		return
	}
	for _, c := range p.containers {
		base, id := t.a.cfg.Metadata.Endpoint(c.id, t.mode())
		for _, kv := range [][2]string{
			{"ECS_CONTAINER_METADATA_URI", base + "/v3/" + id},
			{"ECS_CONTAINER_METADATA_URI_V4", base + "/v4/" + id},
			{"ECS_AGENT_URI", base + "/api/" + id},
		} {
			c.environment = setEnv(c.environment, kv[0], kv[1])
		}
	}
}

// view is the task as its own containers may see it.
func (t *task) view() *metadata.Task {
	p := &t.p
	v := &metadata.Task{
		Task: t.as.Task, Definition: &t.as.Definition.V, Interface: t.as.Interface, Mode: t.mode(), Known: p.State,
		PullStartedAt: p.PullStartedAt, PullStoppedAt: p.PullStoppedAt, ExecutionStoppedAt: p.ExecutionStoppedAt,
	}
	if !p.StoppingAt.IsZero() {
		v.Task.Desired = state.Stopped
	}
	for i, c := range t.plan.containers {
		have := &p.Containers[i]
		m := metadata.Container{
			ID: c.id, Name: c.name, Image: c.image, Digest: have.Digest, Labels: c.labels, CPU: c.cpu, Memory: c.memory,
			Desired: v.Task.Desired, Known: known(have), ExitCode: have.ExitCode, Health: have.Health, HealthAt: have.HealthAt, HealthExit: have.HealthExit, HealthOutput: have.HealthOutput,
			CreatedAt: have.CreatedAt, StartedAt: have.StartedAt, FinishedAt: have.FinishedAt, Address: have.Address, Ports: t.ports(i),
		}
		if c.restart != nil {
			n := have.Restarts
			m.Restarts = &n
		}
		if have.Last == state.Stopped {
			m.Desired = state.Stopped
		}
		if at := slices.IndexFunc(t.as.Task.Containers, func(s state.Container) bool { return s.Name == c.name }); at >= 0 {
			m.ARN = t.as.Task.ContainerARN(&t.as.Task.Containers[at])
			m.GPUs = t.as.Task.Containers[at].GPUs
		}
		for _, d := range t.as.Definition.V.ContainerDefinitions {
			if l := d.LogConfiguration; l != nil && aws.ToString(d.Name) == c.name {
				m.LogDriver, m.LogOptions = string(l.LogDriver), l.Options
			}
		}
		v.Containers = append(v.Containers, m)
	}
	return v
}

// known is a container's state in the ECS agent's words.
func known(c *containerProgress) string {
	switch {
	case c.Last == state.Running:
		return "RUNNING"
	case c.Last == state.Stopped:
		return "STOPPED"
	case c.Launched:
		return "CREATED"
	case c.Digest != "":
		return "PULLED"
	}
	return "NONE"
}
