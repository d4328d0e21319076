package agent

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/agent/runtime"
	"github.com/berth/berth/state"
)

// mode is the task's network mode.
func (t *task) mode() types.NetworkMode {
	return t.plan.mode()
}

// netNS is the network namespace that a container is to join.
func (t *task) netNS(i int) string {
	if t.plan.containers[i].names.offline {
		return ""
	}
	switch t.mode() {
	case types.NetworkModeHost:
		return runtime.HostNS
	case types.NetworkModeNone:
		return "" // one of its own with nothing in it
	case types.NetworkModeBridge:
		return t.a.cfg.Network.BridgeNS(t.plan.containers[i].id)
	}
	return t.a.cfg.Network.NetNS(t.as.Interface)
}

// ports are the host's ports that lead to a container.
func (t *task) ports(i int) []state.PortBinding {
	for _, c := range t.as.Task.Containers {
		if c.Name == t.plan.containers[i].name {
			return c.Ports
		}
	}
	return nil
}

// join gives each container of a bridge task its interface and ports. What an
// earlier process gave them they keep, and it is asked for again: so ports come
// back that were lost on the host.
func (t *task) join() {
	type one struct {
		id    string
		ports []state.PortBinding
	}
	var all []one
	for i, c := range t.plan.containers {
		if c.names.offline {
			all = append(all, one{})
			continue
		}
		all = append(all, one{c.id, t.ports(i)})
	}
	t.op(t.launching, "attach", func(ctx context.Context) func() {
		took := t.stopwatch(state.StepENI, everyContainer)
		addresses, errs := make([]netip.Addr, len(all)), make([]error, len(all))
		var wg sync.WaitGroup
		for i, c := range all {
			if c.id == "" {
				continue
			}
			wg.Go(func() { addresses[i], errs[i] = t.a.cfg.Network.Join(ctx, t.id, c.id, c.ports) })
		}
		wg.Wait()
		err := errors.Join(errs...)
		step := took()
		return func() {
			if err != nil && t.launched() {
				if ctx.Err() == nil {
					t.a.log.Error("connect the containers of a running task", "task", t.id, "err", err)
					t.wakeAt(time.Now().Add(time.Second))
				}
				return
			}
			if err != nil {
				t.failed(ctx, "CannotStartContainerError", err)
				return
			}
			for i := range t.p.Containers {
				t.p.Containers[i].Address = addresses[i]
			}
			t.noted(step)
			t.connected()
		}
	})
}

// connected notes that packets pass.
func (t *task) connected() {
	close(t.attached)
	if t.p.ConnectivityAt.IsZero() {
		t.p.ConnectivityAt = time.Now()
	}
}

// launched reports whether any container was launched.
func (t *task) launched() bool {
	for _, c := range t.p.Containers {
		if c.Launched {
			return true
		}
	}
	return false
}

// disconnect takes away what attach gave the task. It is no error that it isn't
// there.
func (t *task) disconnect(ctx context.Context) error {
	switch t.mode() {
	case types.NetworkModeHost, types.NetworkModeNone:
		return nil
	case types.NetworkModeBridge:
		var errs []error
		for _, c := range t.plan.containers {
			errs = append(errs, t.a.cfg.Network.Leave(ctx, c.id))
		}
		return errors.Join(errs...)
	}
	return t.a.cfg.Network.Detach(ctx, t.as.Interface.ENI)
}
