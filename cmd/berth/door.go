package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/agent/runtime"
	"github.com/berth/berth/control"
	"github.com/berth/berth/launch"
	"github.com/berth/berth/local"
	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
)

// door answers the local commands.
func (b *berth) door() *local.Server {
	return &local.Server{
		Status: b.status,
		ImportImage: func(ctx context.Context, r io.Reader, ref string) ([]local.Image, error) {
			return localImages(b.runtime.Import(ctx, r, ref))
		},
		ListImages:  func(ctx context.Context) ([]local.Image, error) { return localImages(b.runtime.ListImages(ctx)) },
		RemoveImage: b.runtime.RemoveImage,
		Interrupt: func(ctx context.Context, in local.Interruption) ([]string, error) {
			return b.launcher.Interrupt(ctx, b.store, launch.Interruption(in))
		},
		Down: func(ctx context.Context) error {
			err := b.down(ctx)
			if err == nil {
				// The answer is still to be sent: closing waits for it.
				close(b.ending)
			}
			return err
		},
	}
}

func localImages(in []runtime.Image, err error) ([]local.Image, error) {
	out := make([]local.Image, 0, len(in))
	for _, i := range in {
		out = append(out, local.Image{Ref: i.Ref, Digest: i.Digest, Size: i.Size, Created: i.CreatedAt})
	}
	return out, err
}

// status gathers what a person wants to know.
func (b *berth) status(context.Context) (local.Status, error) {
	view := b.store.View()
	s := local.Status{
		Instance: b.instance.ID, PID: os.Getpid(), Started: b.started, Endpoint: b.endpoint.URL, Region: b.cfg.Region, Account: b.cfg.Account,
		Verified: b.cfg.Verify, PublicPool: b.cfg.PublicPool.String(), Notes: slices.Clone(b.notes),
	}
	for n := range store.Nodes.All(view) {
		cpu, memory, tasks := store.Places(view).Load(n.ID)
		s.Nodes = append(s.Nodes, local.NodeStatus{
			ID: n.ID, Name: n.Name, Status: n.Status, HostCPU: int64(n.CPU), HostMemory: int64(n.Memory), Tasks: tasks,
			CPU: int64(float64(n.CPU) * n.CPUOvercommit), Memory: int64(float64(n.Memory) * n.MemoryOvercommit),
			CPUReserved: cpu, MemoryReserved: memory,
		})
	}
	node := b.agent.Status()
	doing := map[string]string{}
	for _, t := range node.Tasks {
		doing[t.ID] = strings.Join(t.Doing, ", ")
	}
	for t := range store.Tasks.All(view) {
		if t.Last == state.Stopped {
			continue
		}
		ts := local.TaskStatus{
			ID: t.ID, Cluster: t.Cluster, Definition: fmt.Sprintf("%s:%d", t.Family, t.Revision), State: t.Last.String(),
			Address: t.Interface.Address.String(), Zone: t.Zone, Doing: doing[t.ID], Created: t.CreatedAt,
		}
		if t.Interface.Public.IsValid() {
			ts.Public = t.Interface.Public.String()
		}
		s.Tasks = append(s.Tasks, ts)
	}
	for _, p := range b.runtime.Pulls() {
		s.Pulls = append(s.Pulls, local.PullStatus{Image: p.Ref, Began: p.Began, Done: p.Done, Total: p.Total, Unpacked: p.Unpacked, Layers: p.Layers})
	}
	for _, driver := range []*control.Driver{b.reaper, b.services} {
		loop := driver.Status()
		ls := local.LoopStatus{Name: loop.Name, Failing: len(loop.Failing)}
		for key, err := range loop.Failing {
			ls.LastError = key + ": " + err.Error()
		}
		s.Loops = append(s.Loops, ls)
	}
	if node.ReportError != "" {
		s.Notes = append(s.Notes, "The node's reports are not accepted: "+node.ReportError)
	}
	if node.NetworkError != "" {
		s.Notes = append(s.Notes, "The host doesn't carry the VPC's plan: "+node.NetworkError)
	}
	return s, nil
}

// downWithin bounds how long tasks may take to stop by themselves: the longest
// stopTimeout there is, and some.
const downWithin = 150 * time.Second

// down stops all tasks as StopTask does, waits for their end, and removes what
// the instance has made on the host. Where that they shall stop can't be
// written, as on a full disk, they are ended without: that may give the room
// back to write it then.
func (b *berth) down(ctx context.Context) error {
	_, watch := b.store.ViewAndWatch(store.Tasks.Name())
	defer watch.Close()
	patience, cancel := context.WithTimeout(ctx, downWithin)
	defer cancel()
	b.goingDown.Store(true)
	b.stopServices() // which would start anew what stops
	unwritten := b.stopAll(ctx)
	if unwritten != nil {
		b.log.Warn("tasks are ended at once", "tasks", b.running(), "because", unwritten)
	}
	for unwritten == nil && b.running() > 0 {
		if _, err := watch.Next(patience); err != nil {
			b.log.Warn("tasks did not stop in time and are ended now", "tasks", b.running(), "err", err)
			break
		}
		// Those too whose call was under way.
		unwritten = b.stopAll(ctx)
	}
	err := b.agent.Destroy(ctx)
	// An order that came now would make again what is being removed.
	b.stopOrders()
	err = errors.Join(err, b.agent.Close(), b.network.Destroy(ctx), b.volumes.Destroy(ctx), b.runtime.Destroy(ctx))
	if unwritten != nil {
		err = errors.Join(err, b.stopAll(ctx))
	}
	return err
}

// untilDown refuses calls once Berth goes down: what they would make would be
// left behind.
func (b *berth) untilDown(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if b.goingDown.Load() {
			http.Error(w, "berth is going down", http.StatusServiceUnavailable)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// stopAll makes STOPPED what is wanted of every task, some at a time: a
// transaction has a size that it can't exceed.
func (b *berth) stopAll(ctx context.Context) error {
	const some = 500
	for more := true; more; {
		err := b.store.Update(ctx, func(tx *store.Tx) error {
			stopped := 0
			for t := range store.Tasks.All(tx) {
				if stopped == some {
					break
				}
				if t.Desired != state.Stopped {
					t = t.Clone()
					t.Stop(types.TaskStopCodeTerminationNotice, "Berth was taken down (berth down)", time.Now())
					store.Tasks.Put(tx, t)
					stopped++
				}
			}
			more = stopped == some
			return nil
		})
		if err != nil {
			return fmt.Errorf("stop all tasks: %w", err)
		}
	}
	return nil
}

// running counts the tasks that have not stopped.
func (b *berth) running() int {
	n := 0
	for t := range store.Tasks.All(b.store.View()) {
		if t.Last != state.Stopped {
			n++
		}
	}
	return n
}
