package agent

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/agent/runtime"
	"github.com/berth/berth/state"
)

// inMode makes an assignment one of a network mode, with a host port for its
// first container.
func inMode(mode types.NetworkMode, hostPort int32) func(*state.Assignment) {
	return func(as *state.Assignment) {
		as.Task.NetworkMode = mode
		if mode != types.NetworkModeAwsvpc {
			as.Interface = state.Interface{}
		}
		for i, d := range as.Definition.V.ContainerDefinitions {
			c := state.Container{Name: *d.Name, ID: *d.Name}
			if i == 0 && hostPort > 0 {
				c.Ports = []state.PortBinding{{Protocol: types.TransportProtocolTcp, HostPort: hostPort, ContainerPort: 80, Count: 1}}
			}
			as.Task.Containers = append(as.Task.Containers, c)
		}
	}
}

func TestModes(t *testing.T) {
	for mode, netns := range map[types.NetworkMode]string{types.NetworkModeBridge: "/netns/", types.NetworkModeHost: runtime.HostNS, types.NetworkModeNone: "", types.NetworkModeAwsvpc: "/netns/eni-"} {
		t.Run(string(mode), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				id := w.runWith(inMode(mode, 8080), define("a"), define("b"))
				w.wantState(id, state.Running)
				w.host.mu.Lock()
				seen := map[string]bool{}
				for _, c := range w.host.containers {
					if !strings.HasPrefix(c.spec.NetNS, netns) || (netns == "") != (c.spec.NetNS == "") {
						t.Errorf("container %s joins %q", nameOf(c.spec), c.spec.NetNS)
					}
					seen[c.spec.NetNS] = true
				}
				interfaces := len(w.host.enis)
				w.host.mu.Unlock()
				want := map[types.NetworkMode]int{types.NetworkModeBridge: 2, types.NetworkModeAwsvpc: 1}[mode]
				if interfaces != want || (mode == types.NetworkModeBridge) != (len(seen) == 2) {
					t.Errorf("%d interfaces, namespaces %v", interfaces, seen)
				}
				w.stop(id)
				w.gone() // and with it each interface
			})
		})
	}
}

// TestJoinedAgain: the next process asks for interfaces and ports of what runs
// again, and takes them away in the end.
func TestJoinedAgain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := w.runWith(inMode(types.NetworkModeBridge, 8080), define("a"), define("b"))
		w.close()
		w.start(0)
		synctest.Wait()
		w.wantState(id, state.Running)
		if w.host.joins != 4 {
			t.Errorf("joined %d times, want twice each", w.host.joins)
		}
		v, ok := w.agent.Task(id)
		if !ok || len(v.Containers) != 2 || v.Containers[0].Address.String() != "172.17.0.2" || v.Containers[0].Known != "RUNNING" || len(v.Containers[0].Ports) != 1 {
			t.Errorf("what its containers read of it: %+v", v)
		}
		w.stop(id)
		w.gone()
		if _, ok := w.agent.Task(id); ok {
			t.Error("a forgotten task can be read of")
		}
	})
}

func TestTakenPort(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := w.runWith(inMode(types.NetworkModeBridge, 22), define("a"), define("b"))
		w.wantStop(id, types.TaskStopCodeTaskFailedToStart, "CannotStartContainerError: Bind for 0.0.0.0:22 failed: port is already allocated")
		w.gone()
	})
}
