package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// metadataAddress is where tasks find the metadata and credentials endpoints that
// AWS documents there. It is the router's: a task that listened to it itself
// would have port 80 taken.
const (
	metadataAddress = "169.254.170.2"
	metadataPort    = 80
)

// Owner says which task has an address of a network.
type Owner = func(netip.Addr) (task string, ok bool)

// Answer has serve called with the listener for 169.254.170.2:80 of each network
// of tasks that there is and will be, and with who has which address there. A
// caller's address is its own: routers drop packets with another's. serve must
// not block; a listener is closed when its network goes.
func (n *Network) Answer(serve func(l net.Listener, owner Owner)) {
	n.mu.Lock()
	n.answer = serve
	var all []*vpc
	for _, v := range n.vpcs {
		all = append(all, v)
	}
	n.mu.Unlock()
	for _, v := range all {
		v.mu.Lock()
		if v.door != nil {
			serve(v.door, v.owner)
		}
		v.mu.Unlock()
	}
}

// openDoor listens in the VPC's namespace. Until Answer is called, callers wait.
// The caller holds v.mu.
func (n *Network) openDoor(v *vpc) error {
	lo := &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: 1, Name: "lo"}}
	at := netip.MustParseAddr(metadataAddress)
	err := v.ns.link.AddrAdd(lo, &netlink.Addr{IPNet: hostNet(at), Scope: int(netlink.SCOPE_HOST)})
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return explain("give "+metadataAddress+" to lo in "+v.ns.name, err)
	}
	if err := v.ns.do(func() (err error) {
		v.door, err = net.Listen("tcp4", netip.AddrPortFrom(at, metadataPort).String())
		return err
	}); err != nil {
		return explain(fmt.Sprintf("listen on %s:%d in %s", metadataAddress, metadataPort, v.ns.name), err)
	}
	n.mu.Lock()
	serve := n.answer
	n.mu.Unlock()
	if serve != nil {
		serve(v.door, v.owner)
	}
	return nil
}

// owner is the VPC's Owner.
func (v *vpc) owner(a netip.Addr) (task string, ok bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, p := range v.ports {
		if p.addr == a.Unmap() {
			return p.task, true
		}
	}
	return "", false
}
