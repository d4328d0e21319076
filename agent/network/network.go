package network

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/berth/berth/state"
)

// Config says whose network it is.
type Config struct {
	// Instance is 8 hexadecimal digits, in the name of all that is made.
	Instance string
	// Node is this node's ID, by which plans say which interfaces are here.
	Node string
	// HostNS is the path of the network namespace to take for the host's;
	// empty is the one that the process is in.
	HostNS string
	Log    *slog.Logger
}

// Network is an instance's VPCs on this node. Its methods may be called at the
// same time.
type Network struct {
	cfg    Config
	host   *host
	behind sync.WaitGroup // reapers

	mu   sync.Mutex
	vpcs map[string]*vpc
	enis map[string]*attachment
	busy map[string]chan struct{} // by ENI: closed when who holds it lets go
	// answer serves the doors.
	answer func(net.Listener, Owner)
}

// Open makes what the instance needs on the host, adopts what an earlier process
// of it left, and removes what that one left half-made.
func Open(ctx context.Context, cfg Config) (*Network, error) {
	if !regexp.MustCompile(`^[0-9a-f]{8}$`).MatchString(cfg.Instance) {
		return nil, fmt.Errorf("open network: instance %q is not 8 hexadecimal digits", cfg.Instance)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	n := &Network{cfg: cfg, vpcs: map[string]*vpc{}, enis: map[string]*attachment{}, busy: map[string]chan struct{}{}}
	if err := prepareNetnsDir(); err != nil {
		return nil, fmt.Errorf("open network: %w", err)
	}
	var err error
	if n.host, err = openHost(cfg); err != nil {
		return nil, fmt.Errorf("open network: %w", err)
	}
	if err := n.takeOver(ctx); err != nil {
		n.Close()
		return nil, fmt.Errorf("open network: %w", err)
	}
	return n, nil
}

// prefix begins the names of the instance's namespaces.
func (n *Network) prefix() string { return "berth-" + n.cfg.Instance + "-" }

// names lists the instance's namespaces without the prefix.
func (n *Network) names() ([]string, error) {
	all, err := namesIn(netnsDir)
	var names []string
	for _, name := range all {
		if name, ok := strings.CutPrefix(name, n.prefix()); ok {
			names = append(names, name)
		}
	}
	return names, err
}

// takeOver adopts what is there and removes what is half-made.
func (n *Network) takeOver(ctx context.Context) error {
	names, err := n.names()
	if err != nil {
		return err
	}
	if err := n.removeHalfLinks(names); err != nil {
		return err
	}
	for _, name := range names {
		if !strings.HasPrefix(name, "vpc-") {
			continue
		}
		if err := n.adopt(n.vpc(name)); err != nil {
			return err
		}
	}
	for _, name := range names {
		if !strings.HasPrefix(name, "vpc-") && n.enis[name] == nil {
			if err := removeNamespace(n.prefix() + name); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// removeHalfLinks removes links to VPCs that were not finished, or whose VPC's
// namespace is gone.
func (n *Network) removeHalfLinks(names []string) error {
	links, err := n.host.links()
	if err != nil {
		return err
	}
	for _, l := range links {
		if slices.Contains(names, l.Attrs().Alias) {
			continue
		}
		if err := n.host.ns.link.LinkDel(l); err != nil && !errors.Is(err, unix.ENODEV) {
			return explain("remove link "+l.Attrs().Name, err)
		}
	}
	return nil
}

// vpc returns the VPC, which need not be on the node yet.
func (n *Network) vpc(id string) *vpc {
	n.mu.Lock()
	defer n.mu.Unlock()
	v := n.vpcs[id]
	if v == nil {
		v = newVPC(id)
		n.vpcs[id] = v
	}
	return v
}

func (n *Network) attached(eni string) *attachment {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.enis[eni]
}

// lockENI waits until nobody else works on the ENI.
func (n *Network) lockENI(ctx context.Context, eni string) (unlock func(), err error) {
	mine := make(chan struct{})
	for {
		n.mu.Lock()
		other := n.busy[eni]
		if other == nil {
			n.busy[eni] = mine
		}
		n.mu.Unlock()
		if other == nil {
			return func() {
				n.mu.Lock()
				delete(n.busy, eni)
				n.mu.Unlock()
				close(mine)
			}, nil
		}
		select {
		case <-other:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for %s: %w", eni, ctx.Err())
		}
	}
}

// Attached lists the interfaces that are attached, by this process or an
// earlier one, and their tasks.
func (n *Network) Attached() map[string]string {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := map[string]string{}
	for eni, a := range n.enis {
		all[eni] = a.task
	}
	return all
}

// Configure brings every VPC to its plan, which holds all of its groups and
// interfaces; each VPC's change is one transaction in the kernel. A VPC without
// a plan is removed once no interface of it is attached; until then its last
// plan stays in force. What one VPC fails at doesn't keep the others.
func (n *Network) Configure(ctx context.Context, plans []state.VPCPlan) error {
	if err := n.host.ensure(); err != nil {
		return fmt.Errorf("configure network: %w", err)
	}
	var errs []error
	planned := map[string]bool{}
	for _, p := range plans {
		if err := check(p); err != nil {
			errs = append(errs, fmt.Errorf("configure VPC %q: %w", p.VPC, err))
			continue
		}
		planned[p.VPC] = true
		v := n.vpc(p.VPC)
		v.mu.Lock()
		if err := n.configure(v, p); err != nil {
			errs = append(errs, fmt.Errorf("configure %s: %w", p.VPC, err))
		}
		v.mu.Unlock()
	}
	n.mu.Lock()
	vpcs := maps.Clone(n.vpcs)
	n.mu.Unlock()
	for id, v := range vpcs {
		if planned[id] {
			continue
		}
		v.mu.Lock()
		if err := n.remove(v); err != nil {
			errs = append(errs, fmt.Errorf("remove %s: %w", id, err))
		}
		v.mu.Unlock()
	}
	return errors.Join(append(errs, ctx.Err())...)
}

// check refuses IDs that would not do as names.
func check(p state.VPCPlan) error {
	if !isName(p.VPC) || !strings.HasPrefix(p.VPC, "vpc-") {
		return errors.New("not a VPC's ID")
	}
	for _, g := range p.Groups {
		if !isName(g.ID) || !strings.HasPrefix(g.ID, "sg-") {
			return fmt.Errorf("%q is not a security group's ID", g.ID)
		}
	}
	return nil
}

// Close waits for what goes on behind and lets go. Everything stays as it is.
func (n *Network) Close() error {
	n.behind.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, v := range n.vpcs {
		v.mu.Lock()
		v.close()
		v.mu.Unlock()
	}
	n.host.close()
	return nil
}

// Destroy removes all of the instance from the host, and gives back what it
// changed there. The Network is of no use afterwards but for Close.
func (n *Network) Destroy(ctx context.Context) error {
	n.behind.Wait()
	names, err := n.names()
	if err != nil {
		return fmt.Errorf("destroy network: %w", err)
	}
	var errs []error
	for _, name := range names {
		if v := n.vpc(name); strings.HasPrefix(name, "vpc-") {
			v.mu.Lock()
			v.close()
			v.ports = map[string]*attachment{}
			v.mu.Unlock()
		}
		errs = append(errs, removeNamespace(n.prefix()+name))
	}
	errs = append(errs, n.removeHalfLinks(nil), n.host.remove(), tidyNetnsDir())
	n.mu.Lock()
	n.enis = map[string]*attachment{}
	n.mu.Unlock()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("destroy network: %w", err)
	}
	return ctx.Err()
}
