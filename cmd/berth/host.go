package main

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/berth/berth/state"
)

// thisHost describes the host as a node. It serves all zones: a single host
// stands for the whole region.
func thisHost(nodeID string, cfg Config) (state.Node, error) {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return state.Node{}, fmt.Errorf("ask for the host's memory: %w", err)
	}
	n := state.Node{
		ID: nodeID, Name: hostname(), Arch: map[string]string{"amd64": "X86_64", "arm64": "ARM64"}[runtime.GOARCH],
		CPU: int32(runtime.NumCPU()) * 1024, Memory: int32(info.Totalram * uint64(info.Unit) >> 20),
		CPUOvercommit: cfg.CPUOvercommit, MemoryOvercommit: cfg.MemoryOvercommit,
	}
	n.Runtime, n.FargateRuntime = runtimeName(cfg.Runtime), runtimeName(cfg.FargateRuntime)
	for _, z := range state.Zones(cfg.Region) {
		n.Zones = append(n.Zones, z.Name)
	}
	return n, nil
}
