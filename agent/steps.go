package agent

import (
	"time"

	"github.com/berth/berth/state"
)

// everyContainer stands for the whole task where a step is of no one container.
const everyContainer = -1

// stopwatch begins a step of the launch. What it returns ends it, where the work
// is done; noted then takes it down, in the task's goroutine.
func (t *task) stopwatch(name string, i int) func() state.Step {
	s := state.Step{Name: name, Began: time.Now()}
	if i != everyContainer {
		s.Container = t.plan.containers[i].name
	}
	return func() state.Step {
		s.Took = time.Since(s.Began)
		return s
	}
}

// noted keeps a step that is done. The same step done again, by a process after
// this one, is no news.
func (t *task) noted(s state.Step) {
	for _, old := range t.p.Steps {
		if old.Name == s.Name && old.Container == s.Container {
			return
		}
	}
	t.p.Steps = append(t.p.Steps, s)
}
