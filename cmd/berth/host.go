package main

import (
	"context"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/berth/berth/internal/id"
	"github.com/berth/berth/state"
	"github.com/berth/berth/store"

	"time"
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
	for _, z := range state.Zones(cfg.Region) {
		n.Zones = append(n.Zones, z.Name)
	}
	return n, nil
}

// seed makes the default VPC of a scope that has none.
func seed(ctx context.Context, s *store.Store, scope state.Scope) error {
	err := s.Update(ctx, func(tx *store.Tx) error {
		for range store.VPCs.List(tx, scope, "") {
			return nil
		}
		d, err := state.Seed(scope, state.DefaultPrefix, time.Now(), id.Resource)
		if err != nil {
			return err
		}
		store.VPCs.Put(tx, d.VPC)
		for _, subnet := range d.Subnets {
			store.Subnets.Put(tx, subnet)
		}
		store.InternetGateways.Put(tx, d.InternetGateway)
		store.RouteTables.Put(tx, d.RouteTable)
		store.SecurityGroups.Put(tx, d.SecurityGroup)
		return nil
	})
	if err != nil {
		return fmt.Errorf("make the default VPC: %w", err)
	}
	return nil
}
