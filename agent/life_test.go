package agent

import (
	"testing"
	"testing/synctest"

	"github.com/berth/berth/state"
)

func TestRunAndStop(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := w.run(define("web"))
		w.wantState(id, state.Running)
		r := w.report(id)
		if r.ConnectivityAt.IsZero() || r.PullStartedAt.IsZero() || r.PullStoppedAt.IsZero() || r.StartedAt.IsZero() || !r.StoppingAt.IsZero() {
			t.Errorf("times of a running task: %+v", r)
		}
		if c := w.container(id, "web"); c.Last != state.Running || c.ImageDigest != "sha256:app" || len(c.RuntimeID) != 43 || c.Health != "UNKNOWN" {
			t.Errorf("container %+v", c)
		}
		w.stop(id)
		w.wantStop(id, "", "")
		w.wantExit(id, "web", 143, "")
		r = w.report(id)
		if r.StoppingAt.IsZero() || r.ExecutionStoppedAt.IsZero() || r.StoppedAt.IsZero() {
			t.Errorf("times of a stopped task: %+v", r)
		}
		w.wantEvents("start web", "signal web SIGTERM", "exit web 143", "detach eni-"+id)
		w.gone()
		synctest.Wait()
	})
}
