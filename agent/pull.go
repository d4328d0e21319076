package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/berth/berth/agent/runtime"
	"github.com/berth/berth/state"
)

// PullBehavior says when a registry is asked for an image, as
// ECS_IMAGE_PULL_BEHAVIOR does for AWS's agent (ECS developer guide, "Amazon ECS
// container agent configuration"). What is present is never fetched again, and
// what a digest names, or came from an archive, is not asked for where it is
// present.
type PullBehavior string

// The behaviours.
const (
	// PullDefault asks, and takes the image that is present if there is no answer.
	PullDefault PullBehavior = "default"
	// PullAlways asks, and fails if there is no answer.
	PullAlways PullBehavior = "always"
	// PullOnce and PullPreferCached ask for an image that is absent. With the
	// latter images should not be removed to make room.
	PullOnce         PullBehavior = "once"
	PullPreferCached PullBehavior = "prefer-cached"
)

func (b PullBehavior) check() error {
	switch b {
	case PullDefault, PullAlways, PullOnce, PullPreferCached:
		return nil
	}
	return fmt.Errorf("image pull behavior %q: must be default, always, once or prefer-cached", string(b))
}

// image has an image, as the node's behaviour is.
func (a *Agent) image(ctx context.Context, ref string) (runtime.Image, error) {
	switch a.cfg.PullBehavior {
	case PullAlways:
		return a.cfg.Runtime.Pull(ctx, ref, true)
	case PullOnce, PullPreferCached:
		return a.cfg.Runtime.Pull(ctx, ref, false)
	}
	if img, err := a.cfg.Runtime.Image(ctx, ref); err == nil && img.Imported {
		// No registry has it, or a person wanted this one.
		return a.cfg.Runtime.Pull(ctx, ref, false)
	}
	img, err := a.cfg.Runtime.Pull(ctx, ref, true)
	if err == nil || ctx.Err() != nil {
		return img, err
	}
	present, presentErr := a.cfg.Runtime.Image(ctx, ref)
	if presentErr != nil {
		return img, err
	}
	a.log.Warn("the registry was not reached, and the image that is present is taken", "image", ref, "digest", present.Digest, "err", err)
	return present, nil
}

// reference is how a container's image is asked for: by the digest that it must
// have, if any. One that came from an archive is taken as it is: no registry has
// another.
func (a *Agent) reference(ctx context.Context, c *container) string {
	if img, err := a.cfg.Runtime.Image(ctx, c.image); c.pinned != "" && err == nil && img.Imported {
		return c.image
	}
	return pinned(c.image, c.pinned)
}

// pinned is a reference with a digest, if one is given and it has none.
func pinned(ref, digest string) string {
	if digest == "" || strings.Contains(ref, "@") {
		return ref
	}
	if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') {
		ref = ref[:i]
	}
	return ref + "@" + digest
}

// Images are those of all tasks that the node has, started or not. A task is
// among them before its images are asked for.
func (a *Agent) Images() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var list []string
	for _, t := range a.tasks {
		for _, c := range t.plan.containers { // a plan never changes
			list = append(list, c.image)
			if c.pinned != "" {
				list = append(list, pinned(c.image, c.pinned))
			}
		}
	}
	return list
}

// pullAll has the images that are still needed.
func (t *task) pullAll() {
	if t.p.PullStartedAt.IsZero() {
		t.p.PullStartedAt = time.Now()
	}
	all := true
	for i := range t.plan.containers {
		if c := &t.p.Containers[i]; c.Launched || c.Last == state.Stopped || t.live[i].image != nil {
			continue
		}
		all = false
		t.op(t.launching, t.name("pull", i), func(ctx context.Context) func() {
			took := t.stopwatch(state.StepPull, i)
			img, err := t.a.image(ctx, t.a.reference(ctx, t.plan.containers[i]))
			steps := split(took(), img)
			return func() {
				if err != nil {
					t.containerFailed(ctx, i, pullReason(err))
					if !t.p.StoppingAt.IsZero() && t.p.PullStoppedAt.IsZero() {
						t.p.PullStoppedAt = time.Now()
					}
					return
				}
				for _, s := range steps {
					t.noted(s)
				}
				t.live[i].image = &img
				t.p.Containers[i].Digest = img.Digest
				t.p.Containers[i].StopSignal = stopSignal(img)
			}
		})
	}
	if all && t.p.PullStoppedAt.IsZero() {
		t.p.PullStoppedAt = time.Now()
	}
}

func pullReason(err error) string {
	var pull *runtime.PullError
	if errors.As(err, &pull) {
		return pull.Error()
	}
	return "CannotPullContainerError: " + err.Error()
}

// split tells the unpacking of an image apart from its coming, as far as it came
// after it, and a pull of all of it from one that left its layers to come.
func split(pull state.Step, img runtime.Image) []state.Step {
	if img.Coming {
		pull.Name = state.StepLazyPull
		return []state.Step{pull}
	}
	if img.UnpackedIn <= 0 || img.UnpackedIn > pull.Took {
		return []state.Step{pull}
	}
	unpack := pull
	unpack.Name, unpack.Took = state.StepUnpack, img.UnpackedIn
	pull.Took -= img.UnpackedIn
	unpack.Began = pull.Began.Add(pull.Took)
	return []state.Step{pull, unpack}
}
