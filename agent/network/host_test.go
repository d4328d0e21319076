package network

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/berth/berth/state"
)

// lab is a host in a namespace of its own, so that the machine's own settings,
// routes and tables stay out of it, with a world behind its uplink.
type lab struct {
	t     testing.TB
	host  *namespace
	world *namespace
	cfg   Config
}

var (
	labHost  = netip.MustParseAddr("198.51.100.1")
	labWorld = netip.MustParseAddr("198.51.100.2")
)

func randomHex(digits int) string {
	b := make([]byte, (digits+1)/2)
	rand.Read(b)
	return hex.EncodeToString(b)[:digits]
}

func newLab(t testing.TB) *lab {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("these tests make network namespaces: run them as root")
	}
	must(t, prepareNetnsDir())
	id := randomHex(8)
	up := func(ns *namespace) error {
		return ns.link.LinkSetUp(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: 1}})
	}
	name := "netlab-" + id
	host, err := createNamespace(name+"-host", up)
	must(t, err)
	t.Cleanup(func() { host.close(); removeNamespace(host.name); tidyNetnsDir() })
	world, err := createNamespace(name+"-world", up)
	must(t, err)
	t.Cleanup(func() { world.close(); removeNamespace(world.name) })
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "uplink"
	must(t, host.link.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(world.fd())}))
	for _, end := range []struct {
		ns   *namespace
		name string
		addr netip.Addr
	}{{host, "uplink", labHost}, {world, "eth0", labWorld}} {
		l, err := end.ns.link.LinkByName(end.name)
		must(t, err)
		must(t, end.ns.link.AddrAdd(l, &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(end.addr, 24))}))
		must(t, end.ns.link.LinkSetUp(l))
	}
	must(t, host.link.RouteAdd(&netlink.Route{Gw: labWorld.AsSlice()}))
	must(t, host.do(func() error {
		return errors.Join(
			sysctl("ipv4/conf/all/rp_filter", "1"), // as strict as hosts are
			sysctl("ipv4/ip_forward", "0"),         // a new namespace has the machine's, which a Berth beside may have changed
		)
	}))
	log := slog.New(slog.NewTextHandler(testWriter{t}, nil))
	sweep(t, id)
	return &lab{t: t, host: host, world: world, cfg: Config{Instance: id, Node: "node-1", HostNS: host.path(), Log: log}}
}

// sweep removes what a failed test of an instance leaves.
func sweep(t testing.TB, instance string) {
	t.Cleanup(func() {
		n := &Network{cfg: Config{Instance: instance}}
		names, _ := n.names()
		for _, name := range names {
			t.Error("left: ", n.prefix()+name)
			must(t, removeNamespace(n.prefix()+name))
		}
	})
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// open opens the lab's network; the test's end destroys it.
func (l *lab) open() *Network {
	l.t.Helper()
	n, err := Open(context.Background(), l.cfg)
	must(l.t, err)
	l.t.Cleanup(func() {
		if err := n.Destroy(context.Background()); err != nil {
			l.t.Error(err)
		}
		must(l.t, n.Close())
	})
	return n
}

// eni is an interface of a test and its namespace once attached.
type eni struct {
	state.Interface
	plan state.InterfacePlan
	ns   *namespace
}

// newENI makes an interface at an address of 10.0.0.0/16, in the subnet of its /24.
func newENI(vpc, addr string, groups ...string) *eni {
	a := netip.MustParseAddr(addr)
	b := a.As4()
	e := &eni{Interface: state.Interface{
		ENI: "eni-" + randomHex(17), VPC: vpc, Subnet: "subnet-" + randomHex(17),
		MAC:     fmt.Sprintf("02:00:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3]),
		Address: a, SubnetPrefix: netip.PrefixFrom(a, 24).Masked(),
	}}
	e.Gateway = e.SubnetPrefix.Addr().Next()
	e.plan = state.InterfacePlan{ENI: e.ENI, Node: "node-1", MAC: e.MAC, Address: a, Subnet: e.SubnetPrefix, Groups: groups}
	return e
}

// attach attaches interfaces and opens their namespaces.
func (l *lab) attach(n *Network, all ...*eni) {
	l.t.Helper()
	for _, e := range all {
		path, err := n.Attach(context.Background(), "task-"+e.ENI, e.Interface)
		must(l.t, err)
		e.ns, err = openNamespace(e.ENI, path)
		must(l.t, err)
		l.t.Cleanup(e.ns.close)
	}
}

// plan is a VPC of 10.0.0.0/16 with the interfaces and groups.
func plan(vpc string, groups []state.GroupPlan, all ...*eni) state.VPCPlan {
	p := state.VPCPlan{VPC: vpc, Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")}, Groups: groups}
	for _, e := range all {
		p.Interfaces = append(p.Interfaces, e.plan)
	}
	return p
}

var anywhere = netip.MustParsePrefix("0.0.0.0/0")

// all allows everything to or from a range; tcp one port.
func all(p netip.Prefix) state.RulePlan {
	return state.RulePlan{Protocol: -1, From: -1, To: -1, Prefix: p}
}

func tcp(port int32, p netip.Prefix) state.RulePlan {
	return state.RulePlan{Protocol: 6, From: port, To: port, Prefix: p}
}

func tcpFrom(port int32, group string) state.RulePlan {
	return state.RulePlan{Protocol: 6, From: port, To: port, Group: group}
}

// serve answers TCP connections to a port in a namespace with the caller's address.
func serve(t testing.TB, ns *namespace, port int) {
	t.Helper()
	var l net.Listener
	must(t, ns.do(func() (err error) {
		l, err = net.Listen("tcp4", fmt.Sprintf("0.0.0.0:%d", port))
		return err
	}))
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				fmt.Fprintf(c, "%s\n", c.RemoteAddr())
				buf := make([]byte, 64)
				for { // echo until the other side ends it
					n, err := c.Read(buf)
					if err != nil {
						return
					}
					c.Write(buf[:n])
				}
			}()
		}
	}()
}

// denied is how long a connection that must not come about is waited for. The
// first SYN decides: the kernel repeats it only after a second.
const denied = 250 * time.Millisecond

// patience is how long to wait for what must come about, or must not.
func patience(want bool) time.Duration {
	if want {
		return 5 * time.Second
	}
	return denied
}

// dial connects from a namespace and returns the address that the server saw.
func dial(ns *namespace, addr netip.Addr, port int, wait time.Duration) (net.Conn, netip.Addr, error) {
	var c net.Conn
	err := ns.do(func() (err error) {
		c, err = net.DialTimeout("tcp4", netip.AddrPortFrom(addr, uint16(port)).String(), wait)
		return err
	})
	if err != nil {
		return nil, netip.Addr{}, err
	}
	buf := make([]byte, 64)
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	n, err := c.Read(buf)
	if err != nil {
		c.Close()
		return nil, netip.Addr{}, err
	}
	seen, err := netip.ParseAddrPort(strings.TrimSpace(string(buf[:n])))
	return c, seen.Addr(), err
}

// reaches demands a connection and returns the address that the server saw.
func reaches(t testing.TB, ns *namespace, addr netip.Addr, port int) netip.Addr {
	t.Helper()
	c, seen, err := dial(ns, addr, port, 5*time.Second)
	if err != nil {
		t.Fatalf("%s doesn't reach %s:%d: %v", ns.name, addr, port, err)
	}
	c.Close()
	return seen
}

// doesNotReach demands that there is no connection.
func doesNotReach(t testing.TB, ns *namespace, addr netip.Addr, port int) {
	t.Helper()
	c, _, err := dial(ns, addr, port, denied)
	if err == nil {
		c.Close()
		t.Fatalf("%s reaches %s:%d, which nothing allows", ns.name, addr, port)
	}
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Fatalf("%s to %s:%d: %v, want silence", ns.name, addr, port, err)
	}
}
