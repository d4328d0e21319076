package agent

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/berth/berth/agent/runtime/fake"
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
		if s := w.host.sandboxes[id]; s.CPU != 256 || s.Memory != 512 {
			t.Errorf("sandbox %+v", s)
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
	})
}

// The files and volumes are there when a container starts, readable for its
// user, and gone with the task.
func TestFilesAndVolumes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := w.runWith(func(as *state.Assignment) {
			as.Definition.V.Volumes = []types.Volume{{Name: aws.String("v")}}
		}, define("web", func(d *types.ContainerDefinition) {
			d.MountPoints = []types.MountPoint{{SourceVolume: aws.String("v"), ContainerPath: aws.String("/v")}}
		}))
		w.host.mu.Lock()
		for _, c := range w.host.containers {
			for _, m := range c.spec.Mounts {
				info, err := os.Stat(m.Source)
				if err != nil || info.Mode().Perm()&0o444 != 0o444 {
					t.Errorf("mount %+v: %v %v", m, info, err)
				}
			}
			if len(c.spec.Mounts) != 4 {
				t.Errorf("mounts %+v", c.spec.Mounts)
			}
		}
		w.host.mu.Unlock()
		dir := filepath.Join(w.dir, "tasks", id)
		if b, err := os.ReadFile(filepath.Join(dir, "etc", "hosts")); err != nil || !strings.Contains(string(b), "172.31.5.6 ip-172-31-5-6.ec2.internal\n") {
			t.Errorf("hosts: %q %v", b, err)
		}
		volumes := w.proc.VolumeDir(id)
		if err := os.WriteFile(filepath.Join(volumes, "0", "data"), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		w.stop(id)
		for _, left := range []string{filepath.Join(dir, "etc"), volumes} {
			if _, err := os.Stat(left); !os.IsNotExist(err) {
				t.Errorf("%s of a stopped task: %v", left, err)
			}
		}
		w.gone()
	})
}

// The agent with the runtime that passes the runtimes' own suite.
func TestOnConformingRuntime(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.close()
		dir := filepath.Join(filepath.Dir(w.dir), "runtime")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		served := make(chan string, 1)
		rt := fake.New(dir, map[string]fake.Program{
			"init": func(context.Context, fake.Process) int { return 0 },
			"web": func(ctx context.Context, p fake.Process) int {
				served <- p.Args[0] + " as " + p.Spec.Hostname
				select {
				case <-p.Signals:
					return 7
				case <-ctx.Done():
					return 0
				}
			},
			"check": func(context.Context, fake.Process) int { return 0 },
			"deaf":  func(ctx context.Context, _ fake.Process) int { <-ctx.Done(); return 0 },
			"eat":   func(context.Context, fake.Process) int { return fake.OutOfMemory },
		})
		if _, err := rt.Publish("app", v1.Image{}); err != nil {
			t.Fatal(err)
		}
		cfg := w.agent.cfg
		w.boot(0)
		w.agent.Close()
		cfg.Runtime, cfg.Network, cfg.Logs, cfg.Reporter, cfg.Log = rt, w.proc, w.proc, w.proc, slog.New(slog.DiscardHandler)
		var err error
		if w.agent, err = New(cfg); err != nil {
			t.Fatal(err)
		}
		w.full()
		program := func(name string) func(*types.ContainerDefinition) {
			return func(d *types.ContainerDefinition) { d.Command = []string{name} }
		}
		health := func(d *types.ContainerDefinition) { d.HealthCheck.Command = []string{"CMD", "check"} }
		id := w.run(
			define("a", optional, program("init")),
			define("b", program("web"), after("a", onSuccess), checked(5, 2, 1, 0), health),
			define("c", program("deaf"), after("b", onHealthy), stopTimeout(3)))
		pass(6 * time.Second)
		w.wantState(id, state.Running)
		if got := <-served; got != "web as ip-172-31-5-6.ec2.internal" {
			t.Errorf("served: %s", got)
		}
		w.stop(id)
		pass(4 * time.Second)
		w.wantStop(id, "", "")
		w.wantExit(id, "a", 0, "")
		w.wantExit(id, "b", 7, "")
		w.wantExit(id, "c", 137, "")

		oom := w.run(define("a", program("eat")))
		w.wantStop(oom, exited, "")
		w.wantExit(oom, "a", 137, "OutOfMemoryError: Container killed due to memory usage")
		none := w.run(define("a", program("nothing")))
		w.wantStop(none, notBegun, "CannotStartContainerError")
		image := w.run(define("a", func(d *types.ContainerDefinition) { d.Image = aws.String("example.com/nothing:1") }))
		w.wantStop(image, notBegun, "CannotPullContainerError")
		w.gone()
		if all, err := rt.ListContainers(t.Context()); err != nil || len(all) > 0 {
			t.Errorf("left: %v %v", all, err)
		}
		if all, err := rt.Sandboxes(t.Context()); err != nil || len(all) > 0 {
			t.Errorf("left: %v %v", all, err)
		}
		synctest.Wait()
	})
}
