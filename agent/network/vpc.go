package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/berth/berth/state"
)

// vpc is one VPC on this node.
type vpc struct {
	id string

	mu     sync.Mutex
	ns     *namespace // nil: there is none
	gates  *gates
	link   int // index of the host's end of its link
	slot   slot
	ports  map[string]*attachment     // by ENI
	coming map[netip.Addr]*attachment // being attached
	ranges map[netip.Prefix]bool      // dead ends where no interface has the address
	door   net.Listener               // for the tasks' metadata
	// On the bridge: where the host's ports lead, the addresses that are being
	// given, and the last one given.
	mapped map[hostPort]netip.AddrPort
	kept   map[string]netip.Addr // by ENI
	last   netip.Addr
	// written says that the table is in the kernel and holds the ports; have is
	// what else it holds, nil if that isn't known.
	written bool
	have    *ruleset

	// leaving are the ENIs and addresses of interfaces that are being torn down;
	// each channel is closed when nothing of it is left.
	leaving map[string]chan struct{}
	doomed  []*attachment
	reaping bool
	idle    *sync.Cond // on mu: reaping has ended
}

func newVPC(id string) *vpc {
	v := &vpc{id: id, ports: map[string]*attachment{}, coming: map[netip.Addr]*attachment{}, leaving: map[string]chan struct{}{},
		mapped: map[hostPort]netip.AddrPort{}, kept: map[string]netip.Addr{}}
	v.idle = sync.NewCond(&v.mu)
	return v
}

// linkLocal is dropped by a VPC's router as by AWS's: it would otherwise lead to
// the metadata service of the cloud that the host is in.
var linkLocal = netip.MustParsePrefix("169.254.0.0/16")

// open makes the VPC's namespace, link and table, or adopts those there are.
// The caller holds v.mu.
func (n *Network) open(v *vpc) (err error) {
	if v.ns != nil {
		return nil
	}
	name := n.prefix() + v.id
	ns, err := openNamespace(name, netnsDir+"/"+name)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) {
		if err := removeNamespace(name); err != nil { // a name without a namespace
			return err
		}
		ns, err = createNamespace(name, func(ns *namespace) error { return nil })
	}
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			v.close()
		}
	}()
	v.ns, v.written, v.have, v.ranges = ns, false, nil, map[netip.Prefix]bool{}
	if err := ns.do(routerSettings); err != nil {
		return err
	}
	lo := &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: 1, Name: "lo"}}
	if err := ns.link.LinkSetUp(lo); err != nil {
		return explain("bring up lo in "+name, err)
	}
	if err := v.deadEnd(linkLocal); err != nil {
		return err
	}
	links, err := n.host.links()
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(links, func(l netlink.Link) bool { return l.Attrs().Alias == v.id }); i >= 0 {
		v.link = links[i].Attrs().Index
		v.slot, err = n.host.slotOf(links[i])
	} else {
		v.link, v.slot, err = n.host.connect(v.id, ns)
	}
	if err != nil {
		return err
	}
	if err := n.openDoor(v); err != nil {
		return err
	}
	if v.gates, err = newGates(ns, v.id == bridgeID); err != nil {
		return err
	}
	tables, err := v.gates.conn.ListTablesOfFamily(nftables.TableFamilyIPv4)
	if err != nil {
		return explain("list nftables tables of "+name, err)
	}
	if len(tables) == 0 {
		return v.rebuild(&ruleset{})
	}
	v.written = slices.ContainsFunc(tables, func(t *nftables.Table) bool { return t.Name == tableName })
	return nil
}

// routerSettings makes the calling thread's namespace a router of IPv4 only.
func routerSettings() error {
	return errors.Join(
		sysctl("ipv4/ip_forward", "1"),
		sysctl("ipv4/conf/all/rp_filter", "0"), sysctl("ipv4/conf/default/rp_filter", "0"),
		sysctl("ipv4/conf/all/accept_redirects", "0"), sysctl("ipv4/conf/default/accept_redirects", "0"),
		sysctl("ipv4/conf/all/send_redirects", "0"), sysctl("ipv4/conf/default/send_redirects", "0"),
		quietIPv6("all"), quietIPv6("default"))
}

// close lets go of the VPC, which stays in the kernel.
func (v *vpc) close() {
	if v.gates != nil {
		v.gates.close()
	}
	if v.door != nil {
		v.door.Close()
	}
	if v.ns != nil {
		v.ns.close()
	}
	v.gates, v.ns, v.door = nil, nil, nil
}

// deadEnd drops what is for a range and not for an interface in it.
func (v *vpc) deadEnd(p netip.Prefix) error {
	err := v.ns.link.RouteReplace(&netlink.Route{Dst: ipNet(p), Type: unix.RTN_BLACKHOLE})
	return explain(fmt.Sprintf("route %s nowhere in %s", p, v.ns.name), err)
}

// rebuild replaces the table, whatever it was, by one that holds want and the
// ports there are, in one transaction.
func (v *vpc) rebuild(want *ruleset) error {
	tables, err := v.gates.conn.ListTablesOfFamily(nftables.TableFamilyIPv4)
	if err != nil {
		return explain("list nftables tables of "+v.ns.name, err)
	}
	var elements []nftables.SetElement
	for _, a := range v.ports {
		elements = append(elements, a.port())
	}
	v.written, v.have = false, nil
	g := v.gates
	err = g.transact(func() error {
		if err := g.reset(tables); err != nil {
			return err
		}
		if err := g.addElements(g.ports(), elements); err != nil {
			return err
		}
		if g.bridge {
			var mapped []nftables.SetElement
			for p, to := range v.mapped {
				mapped = append(mapped, portElement(p, to))
			}
			return g.addElements(g.mapped(), mapped)
		}
		return g.change(&ruleset{}, want)
	})
	if err != nil {
		return err
	}
	v.written, v.have = true, want
	return nil
}

// configure brings the VPC to its plan. The caller holds v.mu.
func (n *Network) configure(v *vpc, p state.VPCPlan) error {
	if err := n.open(v); err != nil {
		return err
	}
	want := compile(p, n.cfg.Node)
	for _, r := range p.Prefixes {
		if r = r.Masked(); r.Addr().Is4() && !v.ranges[r] {
			if err := v.deadEnd(r); err != nil {
				return err
			}
			v.ranges[r] = true
		}
	}
	if !v.written || v.have == nil {
		if err := v.rebuild(want); err != nil {
			return err
		}
	} else {
		have := v.have
		v.have = nil // until the kernel says that it has taken the change
		if err := v.gates.transact(func() error { return v.gates.change(have, want) }); err != nil {
			return err
		}
		v.have = want
	}
	return n.host.setPublic(want.inbound, v.link, v.slot)
}

// remove takes a VPC without interfaces off the node. The caller holds v.mu.
func (n *Network) remove(v *vpc) error {
	for v.reaping {
		v.idle.Wait()
	}
	if v.ns == nil || len(v.ports) > 0 || len(v.coming) > 0 || len(v.kept) > 0 {
		return nil
	}
	if err := n.host.setPublic(nil, v.link, v.slot); err != nil {
		return err
	}
	if v.id == bridgeID {
		if err := n.host.dropPorts(); err != nil {
			return err
		}
	}
	name := v.ns.name
	link := &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: v.link}}
	if err := n.host.ns.link.LinkDel(link); err != nil && !errors.Is(err, unix.ENODEV) {
		return explain("remove the host's link to "+v.id, err)
	}
	v.close()
	v.link = 0
	return removeNamespace(name)
}

// adopt takes over the interfaces that an earlier process attached, removes
// those that are half-made, and sets the host's routes right.
func (n *Network) adopt(v *vpc) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := n.open(v); err != nil {
		return err
	}
	links, err := v.ns.link.LinkList()
	if err != nil {
		return explain("list links of "+v.ns.name, err)
	}
	var halfMade []string
	wanted := map[netip.Addr]bool{}
	for _, l := range links {
		name := l.Attrs().Name
		if !strings.HasPrefix(name, portPrefix) {
			continue
		}
		a, ok := readReceipt(l.Attrs().Alias)
		if !ok {
			halfMade = append(halfMade, name)
			continue
		}
		a.vpc = v
		v.ports[a.eni], n.enis[a.eni] = a, a
		wanted[a.addr] = true
	}
	routed, err := n.host.routes(unix.RT_TABLE_MAIN, v.link)
	if err != nil {
		return err
	}
	for _, addr := range routed {
		if wanted[addr] {
			delete(wanted, addr)
		} else if err := n.host.removePrivate(addr, v.link); err != nil {
			return err
		}
	}
	if v.id == bridgeID {
		clear(wanted) // the host reaches containers by ports alone
	}
	for addr := range wanted {
		if err := n.host.addPrivate(addr, v.link, v.slot); err != nil {
			return err
		}
	}
	if err := v.tidyPorts(); err != nil {
		return err
	}
	if v.id == bridgeID {
		if err := n.adoptPorts(v); err != nil {
			return err
		}
	}
	return v.deletePorts(halfMade)
}

// tidyPorts removes what the table has of interfaces that are not there.
func (v *vpc) tidyPorts() error {
	if !v.written {
		return nil
	}
	g := v.gates
	elements, err := g.conn.GetSetElements(g.ports())
	if err != nil {
		return explain("list the ports in the table of "+v.ns.name, err)
	}
	there := map[string]bool{}
	for _, a := range v.ports {
		there[string(a.port().Key)] = true
	}
	stale := slices.DeleteFunc(elements, func(e nftables.SetElement) bool { return there[string(e.Key)] })
	return g.transact(func() error { return g.deleteElements(g.ports(), stale) })
}

// attachment is an interface of this node: what its receipt says.
type attachment struct {
	vpc       *vpc
	eni, task string
	mac       net.HardwareAddr
	addr      netip.Addr
	gone      chan struct{}
}

// portPrefix begins the names of the VPC's ends of interfaces.
const portPrefix = "p"

// portName fits 15 characters: "p" and the last 14 of the ENI's 17 digits.
func portName(eni string) string { return portPrefix + eni[max(0, len(eni)-14):] }

func (a *attachment) port() nftables.SetElement { return port(portName(a.eni), a.mac, a.addr) }

// receipt is the port's alias once all of the interface is there.
func (a *attachment) receipt() string {
	return strings.Join([]string{a.eni, a.addr.String(), a.mac.String(), a.task}, " ")
}

func readReceipt(s string) (*attachment, bool) {
	f := strings.Fields(s)
	if len(f) != 4 {
		return nil, false
	}
	addr, err := netip.ParseAddr(f[1])
	mac, macErr := net.ParseMAC(f[2])
	if err != nil || macErr != nil {
		return nil, false
	}
	return &attachment{eni: f[0], addr: addr, mac: mac, task: f[3]}, true
}

// same says whether an attached interface is the one asked for.
func (a *attachment) same(b *attachment) bool {
	return a.vpc == b.vpc && a.task == b.task && a.addr == b.addr && slices.Equal(a.mac, b.mac)
}
