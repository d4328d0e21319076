package network

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// portSet holds the ports of the host that lead to the bridge.
func portSet(table *nftables.Table) *nftables.Set {
	return &nftables.Set{Table: table, Name: "ports", Concatenation: true, KeyType: portKeyType, ID: 2}
}

// layOutPorts adds to a transaction what leads ports to the bridge: whoever asks
// for one at an address of the host's gets to the bridge's end of its link. The
// bridge itself knows which container it is.
func (h *host) layOutPorts(chain func(name string, kind nftables.ChainType, hook *nftables.ChainHook, prio *nftables.ChainPriority, rules ...[]expr.Any)) error {
	if err := h.nft.conn.AddSet(portSet(h.table), nil); err != nil {
		return err
	}
	if !h.bridged {
		return nil
	}
	var elements []nftables.SetElement
	for p := range h.mapped {
		elements = append(elements, nftables.SetElement{Key: portKey(p)})
	}
	for part := range slices.Chunk(elements, elementsAtOnce) {
		if err := h.nft.conn.SetAddElements(portSet(h.table), part); err != nil {
			return err
		}
	}
	lead := match(
		[]expr.Any{
			&expr.Fib{Register: 1, ResultADDRTYPE: true, FlagDADDR: true},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.RTN_LOCAL, 0, 0, 0}},
		},
		loadPort(),
		[]expr.Any{
			&expr.Lookup{SourceRegister: unix.NFT_REG32_00, SetName: "ports"},
			&expr.Immediate{Register: 1, Data: h.bridge.vpc().AsSlice()},
			&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: 1},
		})
	chain("ports-in", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest, lead)
	chain("ports-local", nftables.ChainTypeNAT, nftables.ChainHookOutput, nftables.ChainPriorityNATDest, lead)
	return nil
}

// loadPort loads the packet's protocol and destination port as portKey has them.
func loadPort() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: unix.NFT_REG32_00},
		&expr.Payload{Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2, DestRegister: unix.NFT_REG32_01},
	}
}

// leads says whether the host leads these ports to the bridge already.
func (h *host) leads(s slot, ports map[hostPort]netip.AddrPort) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.bridged && h.bridge == s && maps.EqualFunc(h.mapped, ports, func(bool, netip.AddrPort) bool { return true })
}

// setPorts makes these the ports that lead to the bridge, which has the slot.
func (h *host) setPorts(s slot, ports map[hostPort]netip.AddrPort) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	next := map[hostPort]bool{}
	for p := range ports {
		next[p] = true
	}
	if !h.bridged || h.bridge != s {
		h.bridged, h.bridge, h.mapped = true, s, next
		return h.writeTable(h.kept)
	}
	var gone, more []nftables.SetElement
	for p := range h.mapped {
		if !next[p] {
			gone = append(gone, nftables.SetElement{Key: portKey(p)})
		}
	}
	for p := range next {
		if !h.mapped[p] {
			more = append(more, nftables.SetElement{Key: portKey(p)})
		}
	}
	if len(gone)+len(more) == 0 {
		return nil
	}
	err := h.nft.transact(func() error {
		for part := range slices.Chunk(gone, elementsAtOnce) {
			if err := h.nft.conn.SetDeleteElements(portSet(h.table), part); err != nil {
				return err
			}
		}
		for part := range slices.Chunk(more, elementsAtOnce) {
			if err := h.nft.conn.SetAddElements(portSet(h.table), part); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		h.mapped = next
	}
	return err
}

// dropPorts is for when the bridge is gone.
func (h *host) dropPorts() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bridged, h.mapped = false, map[hostPort]bool{}
	return h.writeTable(h.kept)
}

// readPorts takes over the ports of an earlier process, so that none is cut off
// while this one starts.
func (h *host) readPorts() error {
	links, err := h.links()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(links, func(l netlink.Link) bool { return l.Attrs().Alias == bridgeID })
	if i < 0 {
		return nil
	}
	if h.bridge, err = h.slotOf(links[i]); err != nil {
		return err
	}
	h.bridged = true
	tables, err := h.nft.conn.ListTablesOfFamily(h.table.Family)
	if err != nil {
		return explain("list the nftables tables of the host", err)
	}
	if !slices.ContainsFunc(tables, func(t *nftables.Table) bool { return t.Name == h.table.Name }) {
		return nil // a firewall flushed it; who has ports is asked for when the containers' interfaces are adopted
	}
	ports, err := h.portsOf(h.table)
	for _, p := range ports {
		h.mapped[p] = true
	}
	return err
}

// portsOf lists the ports that an instance's table leads to its bridge. A table of
// an earlier Berth has none.
func (h *host) portsOf(table *nftables.Table) ([]hostPort, error) {
	sets, err := h.nft.conn.GetSets(table)
	if err == nil && !slices.ContainsFunc(sets, func(s *nftables.Set) bool { return s.Name == portSet(table).Name }) {
		return nil, nil
	}
	var elements []nftables.SetElement
	if err == nil {
		elements, err = h.nft.conn.GetSetElements(portSet(table))
	}
	if err != nil {
		return nil, explain("list the mapped ports in nftables table "+table.Name, err)
	}
	var ports []hostPort
	for _, e := range elements {
		if len(e.Key) >= 6 {
			ports = append(ports, hostPort{e.Key[0], binary.BigEndian.Uint16(e.Key[4:])})
		}
	}
	return ports, nil
}

// vacant refuses ports that another instance maps, or a process of the host
// listens on: they would be taken from it. The caller holds the host's lock.
func (h *host) vacant(ports []hostPort) error {
	h.mu.Lock()
	tables, err := h.nft.conn.ListTablesOfFamily(nftables.TableFamilyIPv4)
	taken := map[hostPort]string{}
	for _, t := range tables {
		if !strings.HasPrefix(t.Name, tablePrefix) || t.Name == h.table.Name || err != nil {
			continue
		}
		var theirs []hostPort
		theirs, err = h.portsOf(t)
		for _, p := range theirs {
			taken[p] = "the instance of Berth with the nftables table " + t.Name
		}
	}
	h.mu.Unlock()
	if err != nil {
		return explain("look for mapped ports of other instances", err)
	}
	err = h.ns.do(func() error {
		for _, proto := range []byte{protoTCP, protoUDP} {
			if !slices.ContainsFunc(ports, func(p hostPort) bool { return p.proto == proto }) {
				continue
			}
			for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
				open, err := listening(proto, family)
				if err != nil {
					return err
				}
				for port := range open {
					taken[hostPort{proto, port}] = "a process of the host ('ss -lntup' shows which)"
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, p := range ports {
		if by := taken[p]; by != "" {
			return fmt.Errorf("Bind for 0.0.0.0:%d failed: port is already allocated to %s", p.port, by)
		}
	}
	return nil
}

// dumpSockets asks for sockets in the calling thread's namespace.
func dumpSockets(d inetDiag) ([][]byte, error) {
	s, err := nl.Subscribe(unix.NETLINK_INET_DIAG)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	req := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP)
	req.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_INET_DIAG: {Socket: s}}
	req.AddData(d)
	messages, err := req.Execute(unix.NETLINK_INET_DIAG, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil, nil // the kernel has no such family
	}
	return messages, err
}
