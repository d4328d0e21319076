package agent

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/agent/runtime"
	"github.com/berth/berth/state"
)

func TestFailures(t *testing.T) {
	broken := errors.New("broken")
	tests := map[string]struct {
		prepare func(w *world)
		edit    func(as *state.Assignment)
		reason  string
		plain   bool // the container's reason says nothing: it was not its fault
	}{
		"image": {prepare: func(w *world) { delete(w.host.images, "app") }, reason: "CannotPullContainerError: app: not found"},
		"manifest": {prepare: func(w *world) {
			w.host.images["app"].err = &runtime.PullError{Code: "CannotPullImageManifestError", Err: broken}
		}, reason: "CannotPullImageManifestError: broken"},
		"create": {prepare: func(w *world) { w.host.programs["web"] = &program{createErr: broken} }, reason: "CannotCreateContainerError: broken"},
		"start":  {prepare: func(w *world) { w.host.programs["web"] = &program{startErr: broken} }, reason: "CannotStartContainerError: broken"},
		"output": {edit: func(as *state.Assignment) { logTo("nowhere")(&as.Definition.V.ContainerDefinitions[0]) }, reason: "ResourceInitializationError: failed to validate logger args: broken"},
		"interface": {edit: func(as *state.Assignment) { as.Interface.ENI = "eni-bad" },
			reason: "ResourceInitializationError: unable to set up the network interface eni-bad: no such device", plain: true},
		"network": {prepare: func(w *world) {
			w.host.mu.Lock()
			w.host.netErr = broken
			w.host.mu.Unlock()
			w.full()
		}, reason: "ResourceInitializationError: unable to set up the network interface", plain: true},
		"command": {edit: func(as *state.Assignment) { as.Definition.V.ContainerDefinitions[0].Command = nil }, reason: "CannotCreateContainerError: no command specified"},
		"dependency": {edit: func(as *state.Assignment) { after("nobody", onStart)(&as.Definition.V.ContainerDefinitions[0]) },
			reason: `ResourceInitializationError: container web: dependsOn names "nobody"`, plain: true},
		"volume": {edit: func(as *state.Assignment) {
			as.Definition.V.ContainerDefinitions[0].MountPoints = []types.MountPoint{{SourceVolume: aws.String("v"), ContainerPath: aws.String("/v")}}
		}, reason: `ResourceInitializationError: container web: mountPoints names "v"`, plain: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				if tt.prepare != nil {
					tt.prepare(w)
				}
				w.host.images["other"] = &image{}
				id := w.runWith(tt.edit, define("web"), define("side", func(d *types.ContainerDefinition) { d.Image = aws.String("other") }))
				pass(time.Second)
				w.wantStop(id, notBegun, tt.reason)
				if !tt.plain {
					w.wantExit(id, "web", -1, tt.reason)
				}
				w.gone()
			})
		})
	}
}

// What fails in a container that is not essential is that container's alone.
func TestOptionalFailures(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.host.programs["side"] = &program{startErr: errors.New("broken")}
		image := func(d *types.ContainerDefinition) { d.Image = aws.String("nothing") }
		id := w.run(define("web"), define("side", optional), define("other", optional, image), define("last", optional, after("side", onStart)))
		w.wantState(id, state.Running)
		w.wantExit(id, "side", -1, "CannotStartContainerError: broken")
		w.wantExit(id, "other", -1, "CannotPullContainerError")
		w.wantExit(id, "last", -1, "container last depends on side reaching START, and that can't be reached any more: CannotStartContainerError: broken")
		w.stop(id)
		w.gone()
	})
}

// A disk that can't be written is said, and nothing is started that was not recorded.
func TestDiskRefuses(t *testing.T) {
	for file, reason := range map[string]string{
		"assignment.json": "ResourceInitializationError: unable to write the task's order",
		"progress.json":   "CannotStartContainerError: unable to record that it starts",
	} {
		t.Run(file, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				synctest.Wait() // no folder is stray any more
				id := strings.Repeat("d", 32)
				obstacle := filepath.Join(w.dir, "tasks", id, file+".new")
				if err := os.MkdirAll(obstacle, 0o755); err != nil {
					t.Fatal(err)
				}
				w.tasks[id] = assignment(id, define("web"))
				w.assign(state.Assignments{Tasks: []state.Assignment{*w.tasks[id]}})
				pass(time.Second)
				w.wantStop(id, notBegun, reason)
				if len(w.host.starts) > 0 {
					t.Errorf("started %v", w.host.starts)
				}
				if err := os.RemoveAll(obstacle); err != nil {
					t.Fatal(err)
				}
				pass(2 * time.Second)
				w.gone()
			})
		})
	}
}

// Tasks of another node, or for a closed agent, are refused.
func TestAssignRefuses(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		as := assignment("x", define("web"))
		as.Task.Node = "n2"
		if err := w.agent.Assign(t.Context(), state.Assignments{Tasks: []state.Assignment{*as}}); err == nil || !strings.Contains(err.Error(), `it is of node "n2"`) {
			t.Errorf("another node's task: %v", err)
		}
		w.close()
		if err := w.agent.Assign(t.Context(), state.Assignments{}); err == nil {
			t.Error("a closed agent takes orders")
		}
	})
}
