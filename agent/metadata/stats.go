package metadata

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	goruntime "runtime"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/agent/runtime"
)

// statsDocument is what Docker's API has for a container (GET
// /containers/{id}/stats), and the rates that version 4 adds.
type statsDocument struct {
	Read         time.Time               `json:"read"`
	PreRead      time.Time               `json:"preread"`
	PIDs         pidStats                `json:"pids_stats"`
	BlockIO      blockStats              `json:"blkio_stats"`
	NumProcs     uint32                  `json:"num_procs"`
	StorageStats struct{}                `json:"storage_stats"`
	CPU          cpuStats                `json:"cpu_stats"`
	PreCPU       cpuStats                `json:"precpu_stats"`
	Memory       memoryStats             `json:"memory_stats"`
	Name         string                  `json:"name"`
	ID           string                  `json:"id"`
	Networks     map[string]networkStats `json:"networks,omitempty"`
	Rates        *rateStats              `json:"network_rate_stats,omitempty"`
}

type pidStats struct {
	Current uint64 `json:"current,omitempty"`
	Limit   uint64 `json:"limit,omitempty"`
}

type blockStats struct {
	Bytes []blockEntry `json:"io_service_bytes_recursive"`
	Ops   []blockEntry `json:"io_serviced_recursive"`
}

type blockEntry struct {
	Major uint64 `json:"major"`
	Minor uint64 `json:"minor"`
	Op    string `json:"op"`
	Value uint64 `json:"value"`
}

type cpuStats struct {
	Usage      cpuUsage   `json:"cpu_usage"`
	System     uint64     `json:"system_cpu_usage,omitempty"` // the host's, in nanoseconds
	Online     int        `json:"online_cpus,omitempty"`
	Throttling throttling `json:"throttling_data"`
}

type cpuUsage struct {
	Total  uint64   `json:"total_usage"`
	PerCPU []uint64 `json:"percpu_usage,omitempty"`
	Kernel uint64   `json:"usage_in_kernelmode"`
	User   uint64   `json:"usage_in_usermode"`
}

type throttling struct {
	Periods   uint64 `json:"periods"`
	Throttled uint64 `json:"throttled_periods"`
	Time      uint64 `json:"throttled_time"`
}

type memoryStats struct {
	Usage  uint64            `json:"usage"`
	Max    uint64            `json:"max_usage,omitempty"`
	Detail map[string]uint64 `json:"stats"`
	Limit  uint64            `json:"limit"`
}

type networkStats struct {
	RxBytes   uint64 `json:"rx_bytes"`
	RxPackets uint64 `json:"rx_packets"`
	RxErrors  uint64 `json:"rx_errors"`
	RxDropped uint64 `json:"rx_dropped"`
	TxBytes   uint64 `json:"tx_bytes"`
	TxPackets uint64 `json:"tx_packets"`
	TxErrors  uint64 `json:"tx_errors"`
	TxDropped uint64 `json:"tx_dropped"`
}

type rateStats struct {
	Rx float64 `json:"rx_bytes_per_sec"`
	Tx float64 `json:"tx_bytes_per_sec"`
}

// samples are what was last answered of each container: rates are since then.
type samples struct {
	mu   sync.Mutex
	last map[string]statsDocument
}

// swap keeps a document and returns the one before.
func (s *samples) swap(d statsDocument) (statsDocument, bool) {
	const old = 10 * time.Minute
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		s.last = map[string]statsDocument{}
	}
	before, ok := s.last[d.ID]
	if !ok {
		for id, other := range s.last { // of containers that are gone, or ask no more
			if d.Read.Sub(other.Read) > old {
				delete(s.last, id)
			}
		}
	}
	s.last[d.ID] = d
	return before, ok
}

// withStorage adds to a task's document how full its ephemeral storage is, which
// those on Fargate have.
func (s *Server) withStorage(ctx context.Context, a asked, d taskDocument) (any, error) {
	if !a.v4 || !a.task.fargate() {
		return d, nil
	}
	have, err := s.stats.Storage(ctx, a.task.Task.ID)
	switch {
	case errors.Is(err, runtime.ErrNotFound):
	case err != nil:
		return nil, fmt.Errorf("read how full the task's storage is: %w", err)
	case have.Size > 0:
		d.Ephemeral = &storageMetrics{Utilized: have.Used >> 20, Reserved: have.Size >> 20}
	}
	return d, nil
}

func (s *Server) taskStats(ctx context.Context, a asked) (any, error) {
	all := map[string]*statsDocument{}
	for i := range a.task.Containers {
		d, err := s.statsOf(ctx, a.task, &a.task.Containers[i], a.v4)
		if err != nil {
			return nil, err
		}
		all[a.task.Containers[i].ID] = d
	}
	return all, nil
}

// statsOf is what a container uses; nil if it doesn't run.
func (s *Server) statsOf(ctx context.Context, t *Task, c *Container, v4 bool) (*statsDocument, error) {
	if c.Known != "RUNNING" {
		return nil, nil
	}
	have, err := s.stats.Stats(ctx, c.ID)
	if errors.Is(err, runtime.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what container %s uses: %w", c.Name, err)
	}
	d, err := document(c, have)
	if err != nil {
		return nil, err
	}
	if t.Mode == types.NetworkModeAwsvpc || t.Mode == types.NetworkModeBridge {
		if d.Networks, err = readNetworks(have.PID); err != nil {
			return nil, err
		}
	}
	before, ok := s.samples.swap(*d)
	if !ok {
		return d, nil
	}
	d.PreRead, d.PreCPU = before.Read, before.CPU
	if seconds := d.Read.Sub(before.Read).Seconds(); v4 && seconds > 0 && d.Networks != nil {
		d.Rates = &rateStats{}
		for name, n := range d.Networks {
			d.Rates.Rx += rate(before.Networks[name].RxBytes, n.RxBytes, seconds)
			d.Rates.Tx += rate(before.Networks[name].TxBytes, n.TxBytes, seconds)
		}
	}
	return d, nil
}

func rate(before, now uint64, seconds float64) float64 {
	if now < before {
		return 0
	}
	return float64(now-before) / seconds
}

// document is what was read in Docker's form.
func document(c *Container, have runtime.Stats) (*statsDocument, error) {
	system, err := hostCPU()
	if err != nil {
		return nil, err
	}
	d := &statsDocument{
		Read: have.Read.UTC(), Name: "/" + c.Name, ID: c.ID, PIDs: pidStats{have.PIDs, have.PIDsLimit},
		BlockIO: blockStats{Bytes: []blockEntry{}, Ops: []blockEntry{}},
		CPU: cpuStats{
			Usage:  cpuUsage{Total: have.CPU, PerCPU: have.PerCPU, Kernel: have.CPUSystem, User: have.CPUUser},
			System: system, Online: goruntime.NumCPU(), Throttling: throttling{have.Periods, have.Throttled, have.ThrottledTime},
		},
		Memory: memoryStats{Usage: have.Memory, Max: have.MemoryMax, Detail: have.MemoryDetail, Limit: have.MemoryLimit},
	}
	if d.Memory.Detail == nil {
		d.Memory.Detail = map[string]uint64{}
	}
	for _, io := range have.IO {
		d.BlockIO.Bytes = append(d.BlockIO.Bytes, blockEntry{io.Major, io.Minor, io.Op, io.Bytes})
		d.BlockIO.Ops = append(d.BlockIO.Ops, blockEntry{io.Major, io.Minor, io.Op, io.Ops})
	}
	return d, nil
}

// hostCPU is the CPU time that the host has spent on anything, idling too.
func hostCPU() (uint64, error) {
	f, err := os.Open("/proc/stat")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	line, err := bufio.NewReader(f).ReadString('\n')
	if err != nil {
		return 0, err
	}
	const nanosecondsPerTick = 1e9 / 100 // USER_HZ is 100 on all that Go runs on
	var total, ticks uint64
	for i, field := range strings.Fields(line) {
		if i == 0 || i > 8 { // its name, and what is in other columns already
			continue
		}
		if _, err := fmt.Sscan(field, &ticks); err != nil {
			return 0, fmt.Errorf("read /proc/stat: %w", err)
		}
		total += ticks
	}
	return total * nanosecondsPerTick, nil
}

// readNetworks reads the interfaces that a process sees, but for lo.
func readNetworks(pid int) (map[string]networkStats, error) {
	if pid == 0 {
		return nil, nil
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/dev", pid))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil // it has just ended
	}
	if err != nil {
		return nil, err
	}
	return parseNetworks(string(b))
}

// parseNetworks reads the kernel's table: a name, eight columns of what came in,
// eight of what went out.
func parseNetworks(table string) (map[string]networkStats, error) {
	all := map[string]networkStats{}
	for line := range strings.Lines(table) {
		name, columns, ok := strings.Cut(line, ":")
		if name = strings.TrimSpace(name); !ok || name == "lo" {
			continue
		}
		var n networkStats
		var skip uint64
		if _, err := fmt.Sscan(columns, &n.RxBytes, &n.RxPackets, &n.RxErrors, &n.RxDropped, &skip, &skip, &skip, &skip,
			&n.TxBytes, &n.TxPackets, &n.TxErrors, &n.TxDropped); err != nil {
			return nil, fmt.Errorf("read the counters of interface %s: %w", name, err)
		}
		all[name] = n
	}
	return all, nil
}
