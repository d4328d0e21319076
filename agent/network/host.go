package network

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Links between host and VPCs have 169.254.64.0/18, two addresses each: the
// host's, then the VPC's. It keeps clear of AWS's 169.254.169.0/24 and
// 169.254.170.0/24.
const linkSlots = 8192

var linkRange = netip.MustParsePrefix("169.254.64.0/18")

// routeProtocol marks our routes on the host.
const routeProtocol = 190

// tablePrefix begins the names of all instances' tables on the host.
const tablePrefix = "berth-"

// host is what the instance has in the host's own namespace: a table, an end of
// each VPC's link, and routes over those.
type host struct {
	instance string
	log      *slog.Logger
	ns       *namespace
	mtu      int
	table    *nftables.Table

	mu     sync.Mutex
	nft    *nft
	public map[netip.Addr]int // public address → link that it is routed over
	kept   []string           // marks in the table
	// bridged: the bridge is there, its link has the slot bridge, and the ports in
	// mapped lead to it.
	bridged bool
	bridge  slot
	mapped  map[hostPort]bool
}

// slot is one host–VPC link's place in linkRange.
type slot int

func (s slot) host() netip.Addr { return s.address(0) }
func (s slot) vpc() netip.Addr  { return s.address(1) }

func (s slot) address(n int) netip.Addr {
	base := linkRange.Addr().As4()
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, binary.BigEndian.Uint32(base[:])+2*uint32(s)+uint32(n))))
}

// linkPrefix begins the names of the instance's links on the host.
func (h *host) linkPrefix() string { return "bv" + h.instance + "-" }

// openHost makes or adopts what the instance has on the host.
func openHost(cfg Config) (*host, error) {
	path := cfg.HostNS
	if path == "" {
		path = "/proc/self/ns/net"
	}
	ns, err := openNamespace("", path)
	if err != nil {
		return nil, err
	}
	h := &host{instance: cfg.Instance, log: cfg.Log, ns: ns,
		table:  &nftables.Table{Name: tablePrefix + cfg.Instance, Family: nftables.TableFamilyIPv4},
		public: map[netip.Addr]int{}, mapped: map[hostPort]bool{}}
	if h.nft, err = openNFT(ns); err != nil {
		ns.close()
		return nil, err
	}
	err = h.prepare()
	if err != nil {
		h.close()
		return nil, err
	}
	return h, nil
}

func (h *host) close() {
	h.nft.close()
	h.ns.close()
}

func (h *host) prepare() error {
	unlock, err := lockHost(unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer unlock()
	if h.mtu, err = h.uplinkMTU(); err != nil {
		return err
	}
	links, err := h.links()
	if err != nil {
		return err
	}
	for _, l := range links {
		routes, err := h.routes(unix.RT_TABLE_LOCAL, l.Attrs().Index)
		if err != nil {
			return err
		}
		for _, a := range routes {
			h.public[a] = l.Attrs().Index
		}
	}
	if err := h.readPorts(); err != nil {
		return err
	}
	return h.set(h.writeTable)
}

func (h *host) publicSet() *nftables.Set {
	return &nftables.Set{Table: h.table, Name: "public", KeyType: nftables.TypeIPAddr, ID: 1}
}

// writeTable replaces the instance's table on the host in one transaction.
func (h *host) writeTable(marks []string) error {
	h.kept = marks
	return h.nft.transact(func() error { return h.layOut(marks) })
}

// layOut adds the whole table to a transaction.
func (h *host) layOut(marks []string) error {
	c := h.nft.conn
	c.AddTable(h.table) // so that there is one to delete
	c.DelTable(h.table)
	c.AddTable(h.table)
	var known []nftables.SetElement
	for a := range h.public {
		known = append(known, nftables.SetElement{Key: a.AsSlice()})
	}
	if err := c.AddSet(h.publicSet(), nil); err != nil {
		return err
	}
	for part := range slices.Chunk(known, elementsAtOnce) {
		if err := c.SetAddElements(h.publicSet(), part); err != nil {
			return err
		}
	}
	accept := nftables.ChainPolicyAccept
	chain := func(name string, kind nftables.ChainType, hook *nftables.ChainHook, prio *nftables.ChainPriority, rules ...[]expr.Any) {
		x := c.AddChain(&nftables.Chain{Table: h.table, Name: name, Type: kind, Hooknum: hook, Priority: prio, Policy: &accept})
		for _, r := range rules {
			c.AddRule(&nftables.Rule{Table: h.table, Chain: x, Exprs: r})
		}
	}
	ours := h.linkPrefix() + "*"
	loopback, links := within(netip.MustParsePrefix("127.0.0.0/8")), within(linkRange)
	// A VPC's link takes loopback addresses so that public ones can be in
	// 127.0.0.0/8: its tasks must not reach the host's loopback by that.
	chain("guard", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, nftables.ChainPriorityRaw,
		match(iifname(ours), destination, loopback, verdict(expr.VerdictDrop, "")))
	// Private addresses are reached from the host itself, never through it:
	// not from its neighbours, not from another VPC.
	chain("forward", nftables.ChainTypeFilter, nftables.ChainHookForward, nftables.ChainPriorityFilter,
		match(oifname(ours), ctState(expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED), verdict(expr.VerdictAccept, "")),
		match(oifname(ours), destination, memberOf("public"), verdict(expr.VerdictAccept, "")),
		match(oifname(ours), ctStatus(destinationChanged), verdict(expr.VerdictAccept, "")),
		match(oifname(ours), verdict(expr.VerdictDrop, "")))
	chain("leave", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource,
		match(iifname(ours), source, links, []expr.Any{&expr.Masq{}}),
		match(oifname(ours), source, loopback, []expr.Any{&expr.Masq{}}))
	if err := h.layOutPorts(chain); err != nil {
		return err
	}
	for _, m := range marks {
		c.AddChain(&nftables.Chain{Table: h.table, Name: m})
	}
	return nil
}

// ensure writes the table again if somebody flushed the host's rule set, as
// firewalls do when they start.
func (h *host) ensure() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := h.nft.conn.ListTableOfFamily(h.table.Name, h.table.Family)
	if !errors.Is(err, unix.ENOENT) {
		return explain("find nftables table "+h.table.Name+" on the host", err)
	}
	h.log.Warn("somebody removed the nftables table from the host; writing it again", "table", h.table.Name)
	return h.writeTable(h.kept)
}

// uplinkMTU is the size of packets that the host's default route takes.
func (h *host) uplinkMTU() (int, error) {
	const ethernet = 1500
	routes, err := h.ns.link.RouteListFiltered(unix.AF_INET, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return 0, explain("list the host's routes", err)
	}
	for _, r := range routes {
		if r.Dst != nil {
			if ones, _ := r.Dst.Mask.Size(); ones != 0 {
				continue
			}
		}
		if l, err := h.ns.link.LinkByIndex(r.LinkIndex); err == nil {
			return l.Attrs().MTU, nil
		}
	}
	return ethernet, nil
}

// links lists the instance's links. A link's alias is its VPC; half-made ones
// have none.
func (h *host) links() ([]netlink.Link, error) {
	all, err := h.ns.link.LinkList()
	if err != nil {
		return nil, explain("list the host's links", err)
	}
	return slices.DeleteFunc(all, func(l netlink.Link) bool {
		return !strings.HasPrefix(l.Attrs().Name, h.linkPrefix())
	}), nil
}

// slotOf reads a link's slot from its name.
func (h *host) slotOf(l netlink.Link) (slot, error) {
	var s slot
	if _, err := fmt.Sscanf(strings.TrimPrefix(l.Attrs().Name, h.linkPrefix()), "%04x", (*int)(&s)); err != nil {
		return 0, fmt.Errorf("link %s has a name that is not of Berth's: %w", l.Attrs().Name, err)
	}
	return s, nil
}

// freeSlot finds addresses that no link of the host has. The caller holds the
// host's lock.
func (h *host) freeSlot(vpc string) (slot, error) {
	addrs, err := h.ns.link.AddrList(nil, unix.AF_INET)
	if err != nil {
		return 0, explain("list the host's addresses", err)
	}
	taken := map[netip.Addr]bool{}
	for _, a := range addrs {
		if ip, ok := netip.AddrFromSlice(a.IP.To4()); ok {
			taken[ip] = true
		}
	}
	f := fnv.New32a()
	f.Write([]byte(h.instance + vpc))
	first := int(f.Sum32() % linkSlots)
	for i := range linkSlots {
		s := slot((first + i) % linkSlots)
		if !taken[s.host()] && !taken[s.vpc()] {
			return s, nil
		}
	}
	return 0, fmt.Errorf("no free link addresses in %s for %s: remove VPCs or instances of Berth that are not used", linkRange, vpc)
}

// MACs of links that have only two ends, where any will do.
var (
	routerMAC = net.HardwareAddr{0x0a, 0xbe, 0, 0, 0, 0x01}
	vpcMAC    = net.HardwareAddr{0x0a, 0xbe, 0, 0, 0, 0x02}
)

// connect makes the link between the host and a VPC's namespace, and returns
// its index on the host.
func (h *host) connect(vpc string, ns *namespace) (int, slot, error) {
	unlock, err := lockHost(unix.LOCK_EX)
	if err != nil {
		return 0, 0, err
	}
	defer unlock()
	s, err := h.freeSlot(vpc)
	if err != nil {
		return 0, 0, err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = fmt.Sprintf("%s%04x", h.linkPrefix(), int(s))
	attrs.MTU, attrs.HardwareAddr = h.mtu, routerMAC
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: hostLink, PeerHardwareAddr: vpcMAC, PeerNamespace: netlink.NsFd(ns.fd())}
	if err := h.ns.link.LinkAdd(veth); err != nil {
		return 0, 0, explain("make link "+attrs.Name+" between host and "+vpc, err)
	}
	index := veth.Attrs().Index
	err = h.ns.do(func() error {
		conf := "ipv4/conf/" + attrs.Name + "/"
		return errors.Join(sysctl(conf+"route_localnet", "1"), sysctl(conf+"send_redirects", "0"), quietIPv6(attrs.Name))
	})
	if err != nil {
		return 0, 0, err
	}
	inside, err := ns.link.LinkByName(hostLink)
	if err != nil {
		return 0, 0, explain("find "+hostLink+" in "+ns.name, err)
	}
	for _, end := range []struct {
		on        *netlink.Handle
		link      netlink.Link
		self, far netip.Addr
		farMAC    net.HardwareAddr
	}{
		{ns.link, inside, s.vpc(), s.host(), routerMAC},
		{h.ns.link, veth, s.host(), s.vpc(), vpcMAC},
	} {
		if err := end.on.AddrAdd(end.link, &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(end.self, 31))}); err != nil {
			return 0, 0, explain(fmt.Sprintf("give %s to %s", end.self, end.link.Attrs().Name), err)
		}
		if err := end.on.LinkSetUp(end.link); err != nil {
			return 0, 0, explain("bring up "+end.link.Attrs().Name, err)
		}
		if err := end.on.NeighSet(neighbour(end.link.Attrs().Index, end.far, end.farMAC)); err != nil {
			return 0, 0, explain("set neighbour of "+end.link.Attrs().Name, err)
		}
	}
	if err := ns.link.RouteReplace(&netlink.Route{LinkIndex: inside.Attrs().Index, Gw: s.host().AsSlice()}); err != nil {
		return 0, 0, explain("set the default route of "+ns.name, err)
	}
	// The alias is the receipt: a link without it is half-made.
	if err := h.ns.link.LinkSetAlias(veth, vpc); err != nil {
		return 0, 0, explain("name link "+attrs.Name, err)
	}
	return index, s, nil
}

// ipNet and neighbour are netip's values in netlink's terms.
func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func hostNet(a netip.Addr) *net.IPNet { return ipNet(netip.PrefixFrom(a, a.BitLen())) }

func neighbour(link int, addr netip.Addr, mac net.HardwareAddr) *netlink.Neigh {
	return &netlink.Neigh{LinkIndex: link, Family: unix.AF_INET, State: netlink.NUD_PERMANENT, IP: addr.AsSlice(), HardwareAddr: mac}
}

// route is the host's way to an address of a VPC.
func (h *host) route(table int, addr netip.Addr, link int, s slot) *netlink.Route {
	return &netlink.Route{Table: table, Dst: hostNet(addr), LinkIndex: link, Gw: s.vpc().AsSlice(), Src: s.host().AsSlice(), Protocol: routeProtocol}
}

// addPrivate lets the host reach an interface. Where the host has that address
// already, in another VPC or instance, the first keeps it.
func (h *host) addPrivate(addr netip.Addr, link int, s slot) error {
	const most = 64 // VPCs on one host that have an address in common
	r := h.route(unix.RT_TABLE_MAIN, addr, link, s)
	for r.Priority = 0; r.Priority < most; r.Priority++ {
		err := h.ns.link.RouteAdd(r)
		switch {
		case err == nil:
			if r.Priority > 0 {
				h.log.Warn("the host reaches another interface at this address first", "address", addr, "metric", r.Priority)
			}
			return nil
		case !errors.Is(err, unix.EEXIST):
			return explain(fmt.Sprintf("route %s on the host", addr), err)
		}
	}
	return fmt.Errorf("route %s on the host: %d routes to it are there already", addr, most)
}

// removePrivate takes back what addPrivate did.
func (h *host) removePrivate(addr netip.Addr, link int) error {
	if link == 0 { // the VPC never came to be
		return nil
	}
	return h.removeRoute(unix.RT_TABLE_MAIN, addr, link)
}

func (h *host) removeRoute(table int, addr netip.Addr, link int) error {
	err := h.ns.link.RouteDel(&netlink.Route{Table: table, Dst: hostNet(addr), LinkIndex: link, Protocol: routeProtocol})
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return explain(fmt.Sprintf("remove the route to %s on the host", addr), err)
}

// routes lists the addresses in a table that the host sends over a link of ours.
func (h *host) routes(table, link int) ([]netip.Addr, error) {
	routes, err := h.ns.link.RouteListFiltered(unix.AF_INET,
		&netlink.Route{Table: table, LinkIndex: link, Protocol: routeProtocol},
		netlink.RT_FILTER_TABLE|netlink.RT_FILTER_OIF|netlink.RT_FILTER_PROTOCOL)
	if err != nil {
		return nil, explain("list routes on the host", err)
	}
	var found []netip.Addr
	for _, r := range routes {
		if a, ok := netip.AddrFromSlice(r.Dst.IP.To4()); ok {
			found = append(found, a)
		}
	}
	return found, nil
}

// setPublic makes want the public addresses that lead over a link. They are
// routed in the table "local", which alone is asked before 127.0.0.0/8. An
// address may come from another VPC, whose own call then leaves it be.
func (h *host) setPublic(want map[netip.Addr]netip.Addr, link int, s slot) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var gone, more []nftables.SetElement
	for a, l := range h.public {
		if _, ok := want[a]; !ok && l == link {
			gone = append(gone, nftables.SetElement{Key: a.AsSlice()})
		}
	}
	for a := range want {
		if h.public[a] != link {
			more = append(more, nftables.SetElement{Key: a.AsSlice()})
		}
	}
	err := h.nft.transact(func() error {
		for part := range slices.Chunk(gone, elementsAtOnce) {
			if err := h.nft.conn.SetDeleteElements(h.publicSet(), part); err != nil {
				return err
			}
		}
		for part := range slices.Chunk(more, elementsAtOnce) {
			if err := h.nft.conn.SetAddElements(h.publicSet(), part); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, e := range gone {
		a, _ := netip.AddrFromSlice(e.Key)
		if err := h.removeRoute(unix.RT_TABLE_LOCAL, a, link); err != nil {
			return err
		}
		delete(h.public, a)
	}
	for _, e := range more {
		a, _ := netip.AddrFromSlice(e.Key)
		add := h.ns.link.RouteAdd
		if _, ours := h.public[a]; ours {
			add = h.ns.link.RouteReplace
		}
		err := add(h.route(unix.RT_TABLE_LOCAL, a, link, s))
		if errors.Is(err, unix.EEXIST) {
			err = fmt.Errorf("%w (the host has this address itself, or another instance maps it: use another pool of public addresses)", err)
		}
		if err != nil {
			return explain(fmt.Sprintf("map public address %s", a), err)
		}
		h.public[a] = link
	}
	return nil
}

// remove takes the table away and restores forwarding if no instance is left.
func (h *host) remove() error {
	unlock, err := lockHost(unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer unlock()
	if err := h.restore(); err != nil {
		return err
	}
	return h.nft.transact(func() error {
		h.nft.conn.AddTable(h.table)
		h.nft.conn.DelTable(h.table)
		return nil
	})
}
