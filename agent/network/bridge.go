package network

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"golang.org/x/sys/unix"

	"github.com/berth/berth/state"
)

// bridgeID names the network of containers outside awsvpc. It is built as a VPC
// is, and no VPC has this ID.
const bridgeID = "vpc-bridge"

// Bridge's range is Docker's. It is in sight only inside the bridge's namespace,
// so every instance can have the same, whatever networks the host is in.
var (
	bridgeRange   = netip.MustParsePrefix("172.17.0.0/16")
	bridgeGateway = netip.MustParseAddr("172.17.0.1")
)

// hostPort is a port of the host that leads to a container.
type hostPort struct {
	proto byte
	port  uint16
}

// bridgeENI stands for a container's interface on the bridge.
func bridgeENI(container string) string {
	sum := sha256.Sum256([]byte(container))
	return "eni-b" + hex.EncodeToString(sum[:8])
}

// BridgeNS is the path of the namespace that Join makes for a container.
func (n *Network) BridgeNS(container string) string {
	return filepath.Join(netnsDir, n.prefix()+bridgeENI(container))
}

// Join gives a container of a task an interface on the bridge, in a namespace of
// its own, and leads ports of the host to it: of all of the host's addresses,
// 127.0.0.1 too. It returns the container's address. Joining again brings the
// ports to those given and does nothing else.
func (n *Network) Join(ctx context.Context, task, container string, ports []state.PortBinding) (netip.Addr, error) {
	want, err := mappings(ports)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("join %s to the bridge: %w", container, err)
	}
	v := n.vpc(bridgeID)
	i := state.Interface{ENI: bridgeENI(container), VPC: bridgeID, SubnetPrefix: bridgeRange, Gateway: bridgeGateway}
	if have := n.attached(i.ENI); have != nil {
		i.Address = have.addr
	} else if i.Address, err = v.freeAddress(i.ENI); err != nil {
		return netip.Addr{}, fmt.Errorf("join %s to the bridge: %w", container, err)
	}
	a := i.Address.As4()
	i.MAC = fmt.Sprintf("02:42:%02x:%02x:%02x:%02x", a[0], a[1], a[2], a[3])
	if _, err := n.Attach(ctx, task, i); err != nil {
		v.release(i.ENI)
		return netip.Addr{}, err
	}
	v.release(i.ENI)
	if err := n.setPorts(v, i.Address, want); err != nil {
		return netip.Addr{}, fmt.Errorf("map ports to container %s: %w", container, err)
	}
	return i.Address, nil
}

// Leave takes a container off the bridge, and its ports. It is no error that it
// isn't there.
func (n *Network) Leave(ctx context.Context, container string) error {
	return n.Detach(ctx, bridgeENI(container))
}

// mappings are bindings port by port: from the host's to the container's.
func mappings(bindings []state.PortBinding) (map[hostPort]uint16, error) {
	m := map[hostPort]uint16{}
	for _, b := range bindings {
		proto := byte(protoTCP)
		switch b.Protocol {
		case "tcp", "":
		case "udp":
			proto = protoUDP
		default:
			return nil, fmt.Errorf("protocol %q of host port %d is neither tcp nor udp", b.Protocol, b.HostPort)
		}
		count := max(b.Count, 1)
		if b.HostPort < 1 || b.ContainerPort < 1 || b.HostPort+count > 1<<16 || b.ContainerPort+count > 1<<16 {
			return nil, fmt.Errorf("no ports: %d from %d on the host to %d in the container", count, b.HostPort, b.ContainerPort)
		}
		for i := range count {
			p := hostPort{proto, uint16(b.HostPort + i)}
			if _, twice := m[p]; twice {
				return nil, fmt.Errorf("host port %d is mapped twice", p.port)
			}
			m[p] = uint16(b.ContainerPort + i)
		}
	}
	return m, nil
}

// freeAddress keeps an address of the bridge for a container, the one after the
// last given if it is free, until release.
func (v *vpc) freeAddress(eni string) (netip.Addr, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if a, ok := v.kept[eni]; ok {
		return a, nil
	}
	taken := map[netip.Addr]bool{bridgeGateway: true}
	for _, a := range v.ports {
		taken[a.addr] = true
	}
	for a := range v.coming {
		taken[a] = true
	}
	for _, a := range v.kept {
		taken[a] = true
	}
	first := v.last
	if !first.IsValid() {
		first = bridgeGateway
	}
	base := binary.BigEndian.Uint32(bridgeRange.Addr().AsSlice())
	size := uint32(1) << (32 - bridgeRange.Bits())
	at := binary.BigEndian.Uint32(first.AsSlice()) - base
	for range size {
		at = (at + 1) % size
		a := netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, base+at)))
		if _, leaving := v.leaving[a.String()]; at == 0 || at == size-1 || leaving || taken[a] {
			continue
		}
		v.last, v.kept[eni] = a, a
		return a, nil
	}
	return netip.Addr{}, fmt.Errorf("no free address in %s: stop tasks of network mode bridge", bridgeRange)
}

func (v *vpc) release(eni string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.kept, eni)
}

// setPorts makes want the ports that lead to an address of the bridge.
func (n *Network) setPorts(v *vpc, addr netip.Addr, want map[hostPort]uint16) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ns == nil {
		return errors.New("the bridge is gone: somebody removed its namespace")
	}
	if !v.written {
		if err := v.rebuild(&ruleset{}); err != nil {
			return err
		}
	}
	next := maps.Clone(v.mapped)
	maps.DeleteFunc(next, func(_ hostPort, to netip.AddrPort) bool { return to.Addr() == addr })
	var fresh []hostPort
	for p, port := range want {
		to := netip.AddrPortFrom(addr, port)
		if other, taken := next[p]; taken {
			return fmt.Errorf("Bind for 0.0.0.0:%d failed: port is already allocated (to %s)", p.port, other.Addr())
		}
		if v.mapped[p] != to {
			fresh = append(fresh, p)
		}
		next[p] = to
	}
	if maps.Equal(next, v.mapped) && n.host.leads(v.slot, next) {
		return nil
	}
	if len(fresh) > 0 {
		unlock, err := lockHost(unix.LOCK_EX)
		if err != nil {
			return err
		}
		defer unlock()
		if err := n.host.vacant(fresh); err != nil {
			return err
		}
	}
	g := v.gates
	err := g.transact(func() error {
		var gone, more []nftables.SetElement
		for p, to := range v.mapped {
			if next[p] != to {
				gone = append(gone, portElement(p, to))
			}
		}
		for p, to := range next {
			if v.mapped[p] != to {
				more = append(more, portElement(p, to))
			}
		}
		if err := g.deleteElements(g.mapped(), gone); err != nil {
			return err
		}
		return g.addElements(g.mapped(), more)
	})
	if err != nil {
		v.written = false
		return err
	}
	v.mapped = next
	return n.host.setPorts(v.slot, next)
}

// portKeyType is how nftables knows a hostPort.
var portKeyType = nftables.MustConcatSetType(nftables.TypeInetProto, nftables.TypeInetService)

// portKey is a hostPort in nftables' registers: each field has four bytes.
func portKey(p hostPort) []byte {
	return []byte{p.proto, 0, 0, 0, byte(p.port >> 8), byte(p.port), 0, 0}
}

// portElement leads a port of the host to one of a container.
func portElement(p hostPort, to netip.AddrPort) nftables.SetElement {
	return nftables.SetElement{Key: portKey(p), Val: append(to.Addr().AsSlice(), byte(to.Port()>>8), byte(to.Port()), 0, 0)}
}

// mapped is where the bridge sends what comes to a port of the host.
func (g *gates) mapped() *nftables.Set {
	return &nftables.Set{Table: g.table, Name: "mapped", IsMap: true, Concatenation: true, KeyType: portKeyType,
		DataType: nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeInetService)}
}

// readMapped reads back which ports lead where.
func (g *gates) readMapped() (map[hostPort]netip.AddrPort, error) {
	elements, err := g.conn.GetSetElements(g.mapped())
	if err != nil {
		return nil, explain("list the mapped ports in "+g.ns.name, err)
	}
	m := map[hostPort]netip.AddrPort{}
	for _, e := range elements {
		if len(e.Key) < 6 || len(e.Val) < 6 {
			return nil, fmt.Errorf("the mapped ports in %s are not of Berth's making: %x to %x", g.ns.name, e.Key, e.Val)
		}
		addr, _ := netip.AddrFromSlice(e.Val[:4])
		m[hostPort{e.Key[0], binary.BigEndian.Uint16(e.Key[4:])}] = netip.AddrPortFrom(addr, binary.BigEndian.Uint16(e.Val[4:]))
	}
	return m, nil
}

// adoptPorts takes over the ports of adopted containers. The caller holds v.mu.
func (n *Network) adoptPorts(v *vpc) error {
	v.mapped = map[hostPort]netip.AddrPort{}
	if v.written {
		have, err := v.gates.readMapped()
		if err != nil {
			return err
		}
		there := map[netip.Addr]bool{}
		for _, a := range v.ports {
			there[a.addr] = true
		}
		var stale []nftables.SetElement
		for p, to := range have {
			if there[to.Addr()] {
				v.mapped[p] = to
			} else {
				stale = append(stale, portElement(p, to))
			}
		}
		if err := v.gates.transact(func() error { return v.gates.deleteElements(v.gates.mapped(), stale) }); err != nil {
			return err
		}
	}
	return n.host.setPorts(v.slot, v.mapped)
}

// forgetPorts takes the ports from an address. The caller holds v.mu.
func (n *Network) forgetPorts(v *vpc, addr netip.Addr) error {
	next := maps.Clone(v.mapped)
	var gone []nftables.SetElement
	for p, to := range v.mapped {
		if to.Addr() == addr {
			gone = append(gone, portElement(p, to))
			delete(next, p)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	if err := n.host.setPorts(v.slot, next); err != nil {
		return err
	}
	if v.written {
		if err := v.gates.transact(func() error { return v.gates.deleteElements(v.gates.mapped(), gone) }); err != nil {
			v.written = false
			return err
		}
	}
	v.mapped = next
	return nil
}

// listening lists the ports that processes of the calling thread's namespace
// listen on, or have bound without a peer.
func listening(proto byte, family byte) (map[uint16]bool, error) {
	const tcpListen, udpUnconnected = 10, 7
	states := uint32(1) << tcpListen
	if proto == protoUDP {
		states = 1 << udpUnconnected
	}
	found := map[uint16]bool{}
	messages, err := dumpSockets(inetDiag{family: family, proto: proto, states: states})
	if err != nil {
		return nil, explain("list the host's sockets", err)
	}
	for _, m := range messages {
		if len(m) >= 6 {
			found[binary.BigEndian.Uint16(m[4:])] = true
		}
	}
	return found, nil
}

// inetDiag is the kernel's struct inet_diag_req_v2, as far as it is used.
type inetDiag struct {
	family, proto byte
	states        uint32
}

func (d inetDiag) Len() int { return 56 }

func (d inetDiag) Serialize() []byte {
	b := make([]byte, d.Len())
	b[0], b[1] = d.family, d.proto
	copy(b[4:], binaryutil.NativeEndian.PutUint32(d.states))
	return b
}
