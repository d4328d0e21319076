package agent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth/berth/agent/runtime"
	"github.com/berth/berth/internal/wholefile"
	"github.com/berth/berth/state"
)

// restart kills the agent and starts the next one without orders.
func (w *world) restart() {
	w.t.Helper()
	w.close()
	w.boot(0)
}

// A running task runs on while there is no agent, and under the next one,
// even before the server is heard of.
func TestAdoptRunning(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.host.programs["web"] = &program{health: func(int) (int, time.Duration) { return 0, 0 }}
		id := w.run(define("web", checked(10, 5, 2, 0)), define("side", optional))
		pass(11 * time.Second)
		before := w.report(id)
		w.restart()
		pass(time.Minute)
		w.wantState(id, state.Running)
		after := w.report(id)
		if !after.StartedAt.Equal(before.StartedAt) || after.Containers[0].Health != "HEALTHY" {
			t.Errorf("before %+v, after %+v", before, after)
		}
		w.host.mu.Lock()
		if len(w.host.followed) != 2 {
			t.Errorf("followed: %v", w.host.followed)
		}
		w.host.mu.Unlock()
		w.full()
		w.stop(id)
		w.wantStop(id, "", "")
		w.gone()
	})
}

// An exit that no agent saw is reported with its code and time.
func TestAdoptExited(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.host.programs["web"] = &program{exitAfter: 10 * time.Second, code: 42}
		id := w.run(define("web"))
		w.close()
		pass(time.Minute)
		w.boot(0)
		synctest.Wait()
		w.wantStop(id, exited, "Essential container in task exited")
		w.wantExit(id, "web", 42, "")
		if r := w.report(id); r.ExecutionStoppedAt.Sub(r.StartedAt) != 10*time.Second {
			t.Errorf("execution stopped after %s", r.ExecutionStoppedAt.Sub(r.StartedAt))
		}
		w.full()
		w.gone()
	})
}

// A stop timeout is not begun anew.
func TestAdoptStopping(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.host.programs["web"] = &program{deaf: true}
		id := w.run(define("web", stopTimeout(60)))
		w.stop(id)
		pass(50 * time.Second)
		w.restart()
		pass(11 * time.Second)
		w.wantStop(id, "", "")
		w.wantExit(id, "web", 137, "")
	})
}

// A clock that was set back doesn't keep a deaf container alive.
func TestAdoptStoppingAfterClockSetBack(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.host.programs["web"] = &program{deaf: true}
		id := w.run(define("web", stopTimeout(60)))
		w.stop(id)
		pass(time.Second)
		w.close()
		file := filepath.Join(w.dir, "tasks", id, "progress.json")
		var p progress
		if found, err := wholefile.ReadJSON(file, &p); !found || err != nil {
			t.Fatal(found, err)
		}
		p.Containers[0].StopAt = p.Containers[0].StopAt.Add(5 * time.Hour)
		if err := wholefile.WriteJSON(file, p); err != nil {
			t.Fatal(err)
		}
		w.start(0)
		pass(61 * time.Second)
		w.wantStop(id, "", "")
		w.wantExit(id, "web", 137, "")
	})
}

// A task that is half launched goes on when the server has confirmed it.
func TestAdoptLaunching(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.host.programs["init"] = &program{exitAfter: 10 * time.Second}
		id := w.run(define("init", optional), define("web", after("init", onSuccess)))
		w.restart()
		pass(time.Minute)
		w.wantState(id, state.Activating)
		w.wantExit(id, "init", 0, "")
		w.full()
		synctest.Wait()
		w.wantState(id, state.Running)
		w.wantEvents("start init", "exit init 0", "start web")
	})
}

// What the full set doesn't name is ended without a word.
func TestFullWithoutTask(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.host.programs["web"] = &program{deaf: true}
		id := w.run(define("web"))
		sent := w.server.batches
		delete(w.tasks, id)
		w.full()
		pass(0)
		w.wantNothing()
		if w.server.batches != sent {
			t.Errorf("reports of a dropped task: %+v", w.server.all)
		}
		w.wantEvents("start web", "signal web SIGKILL", "exit web 137", "detach eni-"+id)
	})
}

// So is what is on the host of tasks that left no record.
func TestStrays(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := w.run(define("web"))
		w.close()
		if err := os.RemoveAll(filepath.Join(w.dir, "tasks")); err != nil {
			t.Fatal(err)
		}
		delete(w.tasks, id)
		w.boot(0)
		pass(0)
		if len(w.host.left()) == 0 {
			t.Error("strays were removed before the server was heard of")
		}
		w.full()
		pass(0)
		w.wantNothing()
	})
}

// A node that has lost its record of a task doesn't run it again.
func TestLostRecord(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := w.run(define("web"))
		w.close()
		if err := os.RemoveAll(filepath.Join(w.dir, "tasks")); err != nil {
			t.Fatal(err)
		}
		w.tasks[id].Task.Last = state.Running
		w.start(0)
		pass(0)
		w.wantStop(id, "InfrastructureHealth", "the node has no record of the task")
		w.gone()
	})
}

// After a reboot the containers have ended, with no code that anybody saw; one
// that was about to start may have run, and is not started.
func TestReboot(t *testing.T) {
	t.Run("running", func(t *testing.T) {
		inWorld(t, func(t *testing.T, w *world) {
			id := w.run(define("web"))
			w.close()
			w.host.reboot()
			w.start(0)
			pass(0)
			w.wantStop(id, exited, "Essential container in task exited")
			w.wantExit(id, "web", -1, "ContainerRuntimeError: nobody saw the container end")
			w.gone()
		})
	})
	for _, boot := range []string{"same", "other"} {
		t.Run("starting, "+boot, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.host.programs["web"] = &program{startErr: errors.New("broken")} // it stays created
				id := w.run(define("web"))
				w.close()
				dir := folder(filepath.Join(w.dir, "tasks", id))
				var p progress
				if ok, err := wholefile.ReadJSON(dir.progress(), &p); !ok || err != nil {
					t.Fatal(ok, err)
				}
				// As it was just before the start.
				p.State, p.StoppingAt, p.StopCode, p.StoppedReason, p.Removed = state.Activating, time.Time{}, "", "", false
				p.StoppedAt, p.ExecutionStoppedAt = time.Time{}, time.Time{}
				p.Containers[0] = containerProgress{Last: state.Pending, Launched: true}
				if boot == "other" {
					p.Boot = "another"
				}
				if err := wholefile.WriteJSON(dir.progress(), p); err != nil {
					t.Fatal(err)
				}
				delete(w.host.programs, "web")
				clear(w.server.latest)
				c := w.tasks[id]
				pl, err := newPlan(c, "")
				if err != nil {
					t.Fatal(err)
				}
				w.host.containers[pl.containers[0].id] = &proc{
					spec: runtime.Spec{ID: pl.containers[0].id, Sandbox: id, Labels: pl.containers[0].labels}, done: make(chan struct{}),
					st: runtime.Status{ID: pl.containers[0].id, Sandbox: id, State: runtime.Created},
				}
				w.start(0)
				pass(0)
				if boot == "same" {
					w.wantState(id, state.Running)
					w.stop(id)
				} else {
					w.wantStop(id, exited, "")
					w.wantExit(id, "web", -1, "ContainerRuntimeError")
				}
				w.gone()
			})
		})
	}
}

// A loss of power may damage what was not synced. The order comes again; a task
// of which it isn't known whether it ran is not run again.
func TestDamagedRecord(t *testing.T) {
	damage := func(w *world, id, file string) {
		w.close()
		if err := os.WriteFile(filepath.Join(w.dir, "tasks", id, file), []byte("{"), 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	t.Run("order", func(t *testing.T) {
		inWorld(t, func(t *testing.T, w *world) {
			id := w.run(define("web"))
			damage(w, id, "assignment.json")
			w.boot(0)
			pass(time.Second)
			w.full()
			pass(time.Second)
			w.wantState(id, state.Running)
			w.wantEvents("start web")
			w.close()
			w.boot(0)
			w.host.end("web", 3) // it is known again without the server
			pass(time.Second)
			w.wantStop(id, exited, "")
			w.full()
			w.gone()
		})
	})
	t.Run("progress", func(t *testing.T) {
		inWorld(t, func(t *testing.T, w *world) {
			id := w.run(define("web"))
			damage(w, id, "progress.json")
			w.start(0)
			pass(time.Second)
			w.wantStop(id, "InfrastructureHealth", "ContainerRuntimeError: the node's record of the task is damaged, and it may have run")
			w.gone()
		})
	})
	t.Run("of a task that is gone", func(t *testing.T) {
		inWorld(t, func(t *testing.T, w *world) {
			id := w.run(define("web"))
			damage(w, id, "assignment.json")
			delete(w.tasks, id)
			w.start(0)
			pass(time.Second)
			w.wantNothing()
		})
	})
}

// Destroy needs no server: it stops in order and in time, and removes all.
func TestDestroy(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.host.programs["db"] = &program{slow: 2 * time.Second}
		w.run(define("db"), define("web", after("db", onStart)))
		w.run(define("other"))
		w.close()
		w.host.enis["eni-stray"] = "nobody"
		w.host.sandboxes["stray"] = runtime.Sandbox{ID: "stray"}
		w.proc, w.kill = &process{host: w.host, die: t.Context(), server: w.server}, func() {}
		w.server.fail = errors.New("no server")
		var err error
		if w.agent, err = New(w.agent.cfg); err != nil {
			t.Fatal(err)
		}
		w.agent.cfg.Runtime, w.agent.cfg.Network, w.agent.cfg.Logs, w.agent.cfg.Reporter = w.proc, w.proc, w.proc, w.proc
		if err := w.agent.Destroy(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.wantNothing()
		for id, s := range w.host.shipped {
			if s != 1 {
				t.Errorf("output of %s was finished %d times", id, s)
			}
		}
	})
}

// The agent is killed at each moment at which it touches the world, before
// and after the effect; the next one brings every task to the same end.
func TestCutOff(t *testing.T) {
	scenarios := map[string]struct {
		programs map[string]*program
		play     func(w *world)
		check    func(w *world)
	}{
		"stop": {
			programs: map[string]*program{"init": {exitAfter: time.Second}, "web": {slow: time.Second, health: func(int) (int, time.Duration) { return 0, 0 }}},
			play: func(w *world) {
				w.tasks["t"] = assignment("t", define("init", optional), define("web", after("init", onSuccess), checked(5, 2, 1, 0)), define("side", after("web", onHealthy)))
				w.full()
				pass(20 * time.Second)
				w.tasks["t"].Task.Desired = state.Stopped
				w.full()
				pass(time.Minute)
			},
			check: func(w *world) {
				w.wantStop("t", "", "")
				for _, c := range w.report("t").Containers {
					if c.ExitCode == nil {
						w.t.Errorf("a container has no exit code: %+v", c)
					}
				}
			},
		},
		"exit": {
			programs: map[string]*program{"web": {exitAfter: 3 * time.Second, code: 5}},
			play: func(w *world) {
				w.tasks["t"] = assignment("t", define("web"), define("side", optional))
				w.full()
				pass(time.Minute)
			},
			check: func(w *world) {
				w.wantStop("t", exited, "Essential container in task exited")
				w.wantExit("t", "web", 5, "")
				// Where the end came before the second could be started, it never was RUNNING.
				if r := w.report("t"); r.StartedAt.IsZero() && r.Containers[1].ExitCode != nil {
					w.t.Errorf("the task has no start: %+v", r)
				}
			},
		},
		"failure": {
			programs: map[string]*program{"web": {startErr: errors.New("broken")}},
			play: func(w *world) {
				w.tasks["t"] = assignment("t", define("side"), define("web", after("side", onStart)))
				w.full()
				pass(time.Minute)
			},
			check: func(w *world) { w.wantStop("t", notBegun, "CannotStartContainerError: broken") },
		},
	}
	for name, s := range scenarios {
		t.Run(name, func(t *testing.T) {
			total := 1 << 30
			cuts := 0
			for cut := 1; cut <= total; cut++ {
				ok := t.Run(fmt.Sprint(cut), func(t *testing.T) {
					inWorld(t, func(t *testing.T, w *world) {
						w.host.programs = s.programs
						w.close()
						w.boot(cut)
						s.play(w)
						w.proc.cmu.Lock()
						calls := w.proc.calls
						w.proc.cmu.Unlock()
						if calls < cut {
							total = calls // the last one was not cut off
						} else {
							w.close()
							pass(time.Second)
							w.boot(0)
							s.play(w)
						}
						s.check(w)
						w.gone()
					})
				})
				if !ok {
					return
				}
				cuts++
			}
			t.Logf("cut off at %d moments", cuts)
			if cuts < 50 {
				t.Errorf("only %d moments", cuts)
			}
		})
	}
}
