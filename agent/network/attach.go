package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/berth/berth/state"
)

// NetNS is the path of the namespace that Attach makes for an interface.
func (n *Network) NetNS(i state.Interface) string {
	return filepath.Join(netnsDir, n.prefix()+i.ENI)
}

// Attach makes an interface of a VPC the eth0 of a namespace of its own, and
// returns the namespace's path. Attaching what is attached does nothing. Until
// Configure has been told of the interface, no packet passes it.
func (n *Network) Attach(ctx context.Context, task string, i state.Interface) (string, error) {
	want, err := wanted(task, i)
	if err != nil {
		return "", err
	}
	v := n.vpc(i.VPC)
	want.vpc = v
	path := n.NetNS(i)
	unlock, err := n.lockENI(ctx, i.ENI)
	if err != nil {
		return "", err
	}
	defer unlock()
	if have := n.attached(i.ENI); have != nil {
		if !have.same(want) {
			return "", fmt.Errorf("attach %s to task %s: it is attached to task %s in %s as %s: detach it first", i.ENI, task, have.task, have.vpc.id, have.addr)
		}
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
		if err := n.detach(have); err != nil { // somebody else removed its namespace
			return "", err
		}
	}
	if err := v.settled(ctx, want.eni, want.addr.String()); err != nil {
		return "", fmt.Errorf("attach %s: wait until the last interface with %s is gone: %w", i.ENI, want.addr, err)
	}
	if err := v.reserve(want); err != nil {
		return "", err
	}
	err = n.build(want, i)
	v.mu.Lock()
	delete(v.coming, want.addr)
	v.mu.Unlock()
	if err != nil {
		err = fmt.Errorf("attach %s to task %s in %s: %w", i.ENI, task, i.VPC, err)
		return "", errors.Join(err, n.discard(want))
	}
	n.mu.Lock()
	n.enis[i.ENI] = want
	n.mu.Unlock()
	return path, nil
}

// wanted checks an interface.
func wanted(task string, i state.Interface) (*attachment, error) {
	mac, err := net.ParseMAC(i.MAC)
	addr, gw := i.Address.Unmap(), i.Gateway.Unmap()
	switch {
	case err != nil || len(mac) != 6:
		return nil, fmt.Errorf("attach %s: %q is not an Ethernet address", i.ENI, i.MAC)
	case !addr.Is4() || !gw.Is4() || !i.SubnetPrefix.Contains(addr):
		return nil, fmt.Errorf("attach %s: address %s, gateway %s and subnet %s don't go together", i.ENI, i.Address, i.Gateway, i.SubnetPrefix)
	case !isName(i.ENI) || !strings.HasPrefix(i.ENI, "eni-") || !isName(i.VPC) || !strings.HasPrefix(i.VPC, "vpc-") || !isName(task):
		return nil, fmt.Errorf("attach %q to task %q in %q: these are not IDs", i.ENI, task, i.VPC)
	}
	return &attachment{eni: i.ENI, task: task, mac: mac, addr: addr}, nil
}

// isName keeps IDs that become file names and receipts in shape.
func isName(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == ""
}

// reserve keeps an address of the VPC for an interface that is being attached.
func (v *vpc) reserve(a *attachment) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, other := range v.ports {
		if other.addr == a.addr {
			return fmt.Errorf("attach %s: %s has the address %s: detach it first", a.eni, other.eni, a.addr)
		}
	}
	if other := v.coming[a.addr]; other != nil {
		return fmt.Errorf("attach %s: %s is being attached with the address %s", a.eni, other.eni, a.addr)
	}
	v.coming[a.addr] = a
	return nil
}

// build makes all of an interface; the receipt is written last.
func (n *Network) build(a *attachment, i state.Interface) error {
	v := a.vpc
	v.mu.Lock()
	err := n.open(v)
	v.mu.Unlock()
	if err != nil {
		return err
	}
	// What a failed attempt left would be in the way.
	if err := v.deletePorts([]string{portName(a.eni)}); err != nil {
		return err
	}
	if err := removeNamespace(n.prefix() + a.eni); err != nil {
		return err
	}
	task, err := createNamespace(n.prefix()+a.eni, taskSettings)
	if err != nil {
		return err
	}
	defer task.close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.HardwareAddr = portName(a.eni), n.host.mtu, routerMAC
	port := &netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerHardwareAddr: a.mac, PeerNamespace: netlink.NsFd(task.fd())}
	if err := v.ns.link.LinkAdd(port); err != nil {
		return explain("make link "+attrs.Name, err)
	}
	if err := taskSide(task.link, i); err != nil {
		return err
	}
	if err := v.ns.link.LinkSetUp(port); err != nil {
		return explain("bring up "+attrs.Name, err)
	}
	// The end that came up first drops what is sent until the kernel, behind, has
	// seen that the other did too. Since Linux 6.8 it looks when asked about it.
	if _, err := task.link.LinkByName("eth0"); err != nil {
		return explain("find eth0", err)
	}
	if err := v.ns.link.NeighSet(neighbour(port.Attrs().Index, a.addr, a.mac)); err != nil {
		return explain("set neighbour of "+attrs.Name, err)
	}
	err = v.ns.link.RouteAdd(&netlink.Route{Dst: hostNet(a.addr), LinkIndex: port.Attrs().Index, Scope: netlink.SCOPE_LINK})
	if err != nil {
		return explain(fmt.Sprintf("route %s in %s", a.addr, v.id), err)
	}
	if v.id != bridgeID { // the host reaches its containers by ports alone
		if err := n.host.addPrivate(a.addr, v.link, v.slot); err != nil {
			return err
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.written { // else Configure is about to write it with all ports
		add := func() error { return v.gates.addElements(v.gates.ports(), []nftables.SetElement{a.port()}) }
		if err := v.gates.transact(add); err != nil {
			v.written = false
			return err
		}
	}
	if err := v.ns.link.LinkSetAlias(port, a.receipt()); err != nil {
		v.have = nil // the table has a port too many: the next Configure writes it anew
		return explain("write receipt on "+attrs.Name, err)
	}
	v.ports[a.eni] = a
	return nil
}

// taskSettings prepares a task's namespace, in it.
func taskSettings(ns *namespace) error {
	lo := &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: 1, Name: "lo"}}
	if err := ns.link.LinkSetUp(lo); err != nil {
		return explain("bring up lo", err)
	}
	if prefersCubic() {
		// A host that doesn't allow it has said so at Open.
		_ = sysctl("ipv4/tcp_congestion_control", "cubic")
	}
	return quietIPv6("default")
}

// taskSide sets eth0 up: the subnet is in sight as on AWS, yet everything goes
// to the router, whose Ethernet address is known and never asked for.
func taskSide(h *netlink.Handle, i state.Interface) error {
	eth0, err := h.LinkByName("eth0")
	if err != nil {
		return explain("find eth0", err)
	}
	addr := netip.PrefixFrom(i.Address.Unmap(), i.SubnetPrefix.Bits())
	if err := h.AddrAdd(eth0, &netlink.Addr{IPNet: ipNet(addr), Flags: unix.IFA_F_NOPREFIXROUTE}); err != nil {
		return explain(fmt.Sprintf("give %s to eth0", addr), err)
	}
	if err := h.LinkSetUp(eth0); err != nil {
		return explain("bring up eth0", err)
	}
	gw := i.Gateway.Unmap()
	if err := h.NeighSet(neighbour(eth0.Attrs().Index, gw, routerMAC)); err != nil {
		return explain("set neighbour of eth0", err)
	}
	err = h.RouteAdd(&netlink.Route{LinkIndex: eth0.Attrs().Index, Gw: gw.AsSlice(), Flags: int(netlink.FLAG_ONLINK)})
	return explain(fmt.Sprintf("set default route of eth0 to %s", gw), err)
}

// Detach takes an interface away: no packet passes it once Detach has returned.
// What takes longer goes on behind; Close waits for it. Detaching what isn't
// attached is no error.
func (n *Network) Detach(ctx context.Context, eni string) error {
	unlock, err := n.lockENI(ctx, eni)
	if err != nil {
		return err
	}
	defer unlock()
	a := n.attached(eni)
	if a == nil {
		return nil
	}
	return n.detach(a)
}

// detach does Detach's work. The caller holds the ENI's lock.
func (n *Network) detach(a *attachment) error {
	err := a.vpc.unplug(a)
	if err == nil && a.vpc.id == bridgeID {
		a.vpc.mu.Lock()
		err = n.forgetPorts(a.vpc, a.addr)
		a.vpc.mu.Unlock()
	}
	if err != nil {
		return fmt.Errorf("detach %s: %w", a.eni, err)
	}
	n.mu.Lock()
	delete(n.enis, a.eni)
	n.mu.Unlock()
	return n.discard(a)
}

// unplug stops an interface's packets.
func (v *vpc) unplug(a *attachment) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	name := portName(a.eni)
	// Without its receipt, it is removed by the next process should this one end.
	port, err := v.ns.link.LinkByName(name)
	if err == nil {
		err = v.ns.link.LinkSetAlias(port, "leaving")
	}
	if err != nil && !errors.As(err, &netlink.LinkNotFoundError{}) {
		return explain("take the receipt from "+name, err)
	}
	err = v.ns.link.RouteDel(&netlink.Route{Dst: hostNet(a.addr), Scope: netlink.SCOPE_LINK})
	if err != nil && !errors.Is(err, unix.ESRCH) {
		return explain(fmt.Sprintf("remove the route to %s in %s", a.addr, v.ns.name), err)
	}
	if v.written {
		remove := func() error { return v.gates.deleteElements(v.gates.ports(), []nftables.SetElement{a.port()}) }
		if err := v.gates.transact(remove); err != nil {
			v.written = false // the next Configure writes it anew
			return err
		}
	}
	delete(v.ports, a.eni)
	return nil
}

// discard hides an interface, or what was made of one, from the host and leaves
// the rest to the reaper.
func (n *Network) discard(a *attachment) error {
	err := n.host.removePrivate(a.addr, a.vpc.link)
	n.doom(a)
	return err
}

// doom hands what there is of an interface to the VPC's reaper.
func (n *Network) doom(a *attachment) {
	v := a.vpc
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ns == nil {
		return
	}
	a.gone = make(chan struct{})
	v.leaving[a.addr.String()], v.leaving[a.eni] = a.gone, a.gone
	v.doomed = append(v.doomed, a)
	if !v.reaping {
		v.reaping = true
		n.behind.Go(func() { n.reap(v) })
	}
}

// reap removes doomed interfaces, all that came while the last ones went in one
// go: the kernel waits once (35 ms) however many links a request removes.
func (n *Network) reap(v *vpc) {
	for {
		v.mu.Lock()
		batch := v.doomed
		v.doomed = nil
		if len(batch) == 0 {
			v.reaping = false
			v.idle.Broadcast()
			v.mu.Unlock()
			return
		}
		v.mu.Unlock()
		var ports []string
		addrs := map[netip.Addr]bool{}
		for _, a := range batch {
			ports = append(ports, portName(a.eni))
			addrs[a.addr] = true
		}
		err := v.deletePorts(ports)
		for _, a := range batch {
			err = errors.Join(err, removeNamespace(n.prefix()+a.eni))
		}
		err = errors.Join(err, v.forget(addrs))
		if err != nil {
			n.cfg.Log.Error("removing interfaces; what is left goes at the next start", "vpc", v.id, "error", err)
		}
		v.mu.Lock()
		for _, a := range batch {
			for _, key := range []string{a.eni, a.addr.String()} {
				if v.leaving[key] == a.gone {
					delete(v.leaving, key)
				}
			}
			close(a.gone)
		}
		v.mu.Unlock()
	}
}

// settled returns when nothing is left of earlier interfaces with the ENI's ID
// or address.
func (v *vpc) settled(ctx context.Context, eni, addr string) error {
	for _, key := range []string{eni, addr} {
		v.mu.Lock()
		gone := v.leaving[key]
		v.mu.Unlock()
		if gone == nil {
			continue
		}
		select {
		case <-gone:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// doomedGroup is the link group of ports about to be removed together.
const doomedGroup = 0xbe27

// deletePorts removes the ports that are there, in one request.
func (v *vpc) deletePorts(names []string) error {
	found := false
	for _, name := range names {
		l, err := v.ns.link.LinkByName(name)
		if errors.As(err, &netlink.LinkNotFoundError{}) {
			continue
		}
		if err == nil {
			err = v.ns.link.LinkSetGroup(l, doomedGroup)
		}
		if err != nil && !errors.Is(err, unix.ENODEV) {
			return explain("find link "+name, err)
		}
		found = true
	}
	if !found {
		return nil
	}
	err := v.ns.do(func() error {
		s, err := nl.Subscribe(unix.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		defer s.Close()
		req := nl.NewNetlinkRequest(unix.RTM_DELLINK, unix.NLM_F_ACK)
		req.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Socket: s}}
		req.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
		req.AddData(nl.NewRtAttr(unix.IFLA_GROUP, nl.Uint32Attr(doomedGroup)))
		_, err = req.Execute(unix.NETLINK_ROUTE, 0)
		return err
	})
	if errors.Is(err, unix.ENODEV) {
		return nil
	}
	return explain("remove links of "+v.ns.name, err)
}

// forget drops the tracked connections of addresses, so that whoever has one
// next doesn't inherit what was allowed to the last.
func (v *vpc) forget(addrs map[netip.Addr]bool) error {
	_, err := v.ns.link.ConntrackDeleteFilters(netlink.ConntrackTable, unix.AF_INET, connectionsOf(addrs))
	return explain("forget tracked connections in "+v.ns.name, err)
}

type connectionsOf map[netip.Addr]bool

func (c connectionsOf) MatchConntrackFlow(f *netlink.ConntrackFlow) bool {
	return slices.ContainsFunc([]net.IP{f.Forward.SrcIP, f.Forward.DstIP, f.Reverse.SrcIP, f.Reverse.DstIP}, func(ip net.IP) bool {
		a, ok := netip.AddrFromSlice(ip)
		return ok && c[a.Unmap()]
	})
}
