package dispatch

import (
	"context"

	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
)

// Tags are those of a task as they are now, and of the container instance that it
// is on.
func (d *Dispatch) Tags(_ context.Context, task *state.Task) (own, instance []state.Tag, err error) {
	v := d.store.View()
	if t, ok := store.Tasks.Get(v, task.Key()); ok {
		own = t.Tags
	}
	if task.ContainerInstance == "" {
		return own, nil, nil
	}
	if i, ok := store.Instances.Get(v, task.Scope.Key(task.Cluster+"/"+task.ContainerInstance)); ok {
		instance = i.Tags
	}
	return own, instance, nil
}
