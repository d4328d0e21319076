package network

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/berth/berth/state"
)

const (
	vpcA = "vpc-0000000000000000a"
	vpcB = "vpc-0000000000000000b"
)

var bg = context.Background()

// TestBothGates takes a client and a server through every combination of what
// their groups say of TCP port 80.
func TestBothGates(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	n := l.open()
	client := newENI(vpcA, "10.0.1.10", "sg-client")
	server := newENI(vpcA, "10.0.2.10", "sg-server")
	l.attach(n, client, server)
	serve(t, server.ns, 80)
	serve(t, server.ns, 81)

	open := []state.RulePlan{all(anywhere)}
	near := netip.MustParsePrefix("10.0.1.0/28")
	far := netip.MustParsePrefix("10.0.3.0/24")
	tests := []struct {
		name            string
		egress, ingress []state.RulePlan
		want            bool
	}{
		{"everything", open, open, true},
		{"no egress", nil, open, false},
		{"no ingress", open, nil, false},
		{"neither", nil, nil, false},
		{"port by range", open, []state.RulePlan{tcp(80, near)}, true},
		{"other port", open, []state.RulePlan{tcp(81, near)}, false},
		{"other range", open, []state.RulePlan{tcp(80, far)}, false},
		{"range not written as a network", open, []state.RulePlan{tcp(80, netip.MustParsePrefix("10.0.1.13/28"))}, true},
		{"range of ports", open, []state.RulePlan{{Protocol: 6, From: 79, To: 81, Prefix: near}}, true},
		{"below a range of ports", open, []state.RulePlan{{Protocol: 6, From: 81, To: 90, Prefix: near}}, false},
		{"port by group", open, []state.RulePlan{tcpFrom(80, "sg-client")}, true},
		{"by own group, which the client isn't in", open, []state.RulePlan{tcpFrom(80, "sg-server")}, false},
		{"by a group that isn't there", open, []state.RulePlan{tcpFrom(80, "sg-gone")}, false},
		{"egress by group", []state.RulePlan{tcpFrom(80, "sg-server")}, open, true},
		{"egress by other group", []state.RulePlan{tcpFrom(80, "sg-client")}, open, false},
		{"egress by range", []state.RulePlan{tcp(80, netip.PrefixFrom(server.Address, 32))}, open, true},
		{"other protocol", open, []state.RulePlan{{Protocol: 17, From: 80, To: 80, Prefix: anywhere}}, false},
		{"IPv6 only", open, []state.RulePlan{all(netip.MustParsePrefix("::/0"))}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			groups := []state.GroupPlan{{ID: "sg-client", Egress: tt.egress}, {ID: "sg-server", Ingress: tt.ingress}}
			must(t, n.Configure(bg, []state.VPCPlan{plan(vpcA, groups, client, server)}))
			if !tt.want {
				doesNotReach(t, client.ns, server.Address, 80)
				return
			}
			if seen := reaches(t, client.ns, server.Address, 80); seen != client.Address {
				t.Errorf("the server saw %s, want %s", seen, client.Address)
			}
		})
	}
	t.Run("an interface without a plan", func(t *testing.T) {
		groups := []state.GroupPlan{{ID: "sg-client", Egress: open}, {ID: "sg-server", Ingress: open}}
		must(t, n.Configure(bg, []state.VPCPlan{plan(vpcA, groups, client)}))
		doesNotReach(t, client.ns, server.Address, 80)
	})
	t.Run("several groups are one or the other", func(t *testing.T) {
		groups := []state.GroupPlan{{ID: "sg-client", Egress: open},
			{ID: "sg-80", Ingress: []state.RulePlan{tcp(80, near)}}, {ID: "sg-81", Ingress: []state.RulePlan{tcp(81, near)}}}
		server.plan.Groups = []string{"sg-80", "sg-81"}
		must(t, n.Configure(bg, []state.VPCPlan{plan(vpcA, groups, client, server)}))
		reaches(t, client.ns, server.Address, 80)
		reaches(t, client.ns, server.Address, 81)
		server.plan.Groups = []string{"sg-81"}
		must(t, n.Configure(bg, []state.VPCPlan{plan(vpcA, groups, client, server)}))
		doesNotReach(t, client.ns, server.Address, 80)
		reaches(t, client.ns, server.Address, 81)
	})
	t.Run("the default group: its members among themselves", func(t *testing.T) {
		groups := []state.GroupPlan{{ID: "sg-default", Ingress: []state.RulePlan{{Protocol: -1, From: -1, To: -1, Group: "sg-default"}}, Egress: open}}
		client.plan.Groups, server.plan.Groups = []string{"sg-default"}, []string{"sg-default"}
		must(t, n.Configure(bg, []state.VPCPlan{plan(vpcA, groups, client, server)}))
		reaches(t, client.ns, server.Address, 80)
		doesNotReach(t, l.host, server.Address, 80)
	})
}

func TestRevokedRuleLeavesTrackedConnections(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	n := l.open()
	client, server := newENI(vpcA, "10.0.1.10", "sg-1"), newENI(vpcA, "10.0.1.11", "sg-1")
	l.attach(n, client, server)
	serve(t, server.ns, 80)
	group := func(rules ...state.RulePlan) []state.VPCPlan {
		return []state.VPCPlan{plan(vpcA, []state.GroupPlan{{ID: "sg-1", Ingress: rules, Egress: rules}}, client, server)}
	}
	must(t, n.Configure(bg, group(all(anywhere))))
	c, _, err := dial(client.ns, server.Address, 80, 5*time.Second)
	must(t, err)
	defer c.Close()
	must(t, n.Configure(bg, group()))
	doesNotReach(t, client.ns, server.Address, 80)
	c.SetDeadline(time.Now().Add(5 * time.Second))
	_, err = c.Write([]byte("still there?"))
	must(t, err)
	if _, err := c.Read(make([]byte, 64)); err != nil {
		t.Fatalf("the connection from before the change: %v", err)
	}
	// Detached, it ends at once.
	must(t, n.Detach(bg, server.ENI))
	c.SetDeadline(time.Now().Add(denied))
	c.Write([]byte("still there?"))
	if _, err := c.Read(make([]byte, 64)); err == nil {
		t.Fatal("a detached interface still answers")
	}
}

func TestDatagramsAndPings(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	n := l.open()
	a, b := newENI(vpcA, "10.0.1.10", "sg-a"), newENI(vpcA, "10.0.2.10", "sg-b")
	l.attach(n, a, b)
	echo := state.RulePlan{Protocol: 1, From: 8, To: -1, Prefix: anywhere}
	tests := []struct {
		name      string
		ingress   state.RulePlan
		udp, ping bool
	}{
		{"udp", state.RulePlan{Protocol: 17, From: 53, To: 53, Prefix: anywhere}, true, false},
		{"echo requests", echo, false, true},
		{"all of icmp", state.RulePlan{Protocol: 1, From: -1, To: -1, Prefix: anywhere}, false, true},
		{"icmp type and code", state.RulePlan{Protocol: 1, From: 8, To: 0, Prefix: anywhere}, false, true},
		{"another code", state.RulePlan{Protocol: 1, From: 8, To: 1, Prefix: anywhere}, false, false},
		{"another type", state.RulePlan{Protocol: 1, From: 13, To: -1, Prefix: anywhere}, false, false},
		{"another protocol", state.RulePlan{Protocol: 47, From: -1, To: -1, Prefix: anywhere}, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			groups := []state.GroupPlan{{ID: "sg-a", Egress: []state.RulePlan{all(anywhere)}}, {ID: "sg-b", Ingress: []state.RulePlan{tt.ingress}}}
			must(t, n.Configure(bg, []state.VPCPlan{plan(vpcA, groups, a, b)}))
			if got := ping(t, a.ns, b.Address, patience(tt.ping)); got != tt.ping {
				t.Errorf("ping answered: %v, want %v", got, tt.ping)
			}
			if got := datagram(t, a.ns, b.ns, b.Address, 53, patience(tt.udp)); got != tt.udp {
				t.Errorf("datagram answered: %v, want %v", got, tt.udp)
			}
		})
	}
}

// ping says whether an echo request is answered.
func ping(t *testing.T, ns *namespace, to netip.Addr, wait time.Duration) bool {
	t.Helper()
	var c *net.IPConn
	must(t, ns.do(func() (err error) {
		c, err = net.DialIP("ip4:icmp", nil, &net.IPAddr{IP: to.AsSlice()})
		return err
	}))
	defer c.Close()
	id := rand.Uint32() // another each time: replies to a tracked one would pass
	msg := []byte{8, 0, 0, 0, byte(id), byte(id >> 8), byte(id >> 16), byte(id >> 24)}
	binary.BigEndian.PutUint16(msg[2:], checksum(msg))
	_, err := c.Write(msg)
	must(t, err)
	c.SetReadDeadline(time.Now().Add(wait))
	buf := make([]byte, 128)
	size, _, err := c.ReadFrom(buf)
	return err == nil && size >= 8 && buf[0] == 0 && string(buf[4:8]) == string(msg[4:])
}

func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// datagram says whether one is answered.
func datagram(t *testing.T, from, to *namespace, addr netip.Addr, port int, wait time.Duration) bool {
	t.Helper()
	server := listenUDP(t, to, port)
	defer server.Close()
	go func() {
		buf := make([]byte, 64)
		size, far, err := server.ReadFromUDPAddrPort(buf)
		if err == nil {
			server.WriteToUDPAddrPort(buf[:size], far)
		}
	}()
	var c net.Conn
	must(t, from.do(func() (err error) {
		c, err = net.Dial("udp4", netip.AddrPortFrom(addr, uint16(port)).String())
		return err
	}))
	defer c.Close()
	_, err := c.Write([]byte("hello"))
	must(t, err)
	c.SetReadDeadline(time.Now().Add(wait))
	_, err = c.Read(make([]byte, 64))
	return err == nil
}

func listenUDP(t testing.TB, ns *namespace, port int) *net.UDPConn {
	t.Helper()
	var c *net.UDPConn
	must(t, ns.do(func() (err error) {
		c, err = net.ListenUDP("udp4", &net.UDPAddr{Port: port})
		return err
	}))
	return c
}

// TestSpoofing sends as root of a task may: with addresses of others.
func TestSpoofing(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	n := l.open()
	thief, victim, server := newENI(vpcA, "10.0.1.66", "sg-1"), newENI(vpcA, "10.0.1.10", "sg-1"), newENI(vpcA, "10.0.1.11", "sg-1")
	l.attach(n, thief, victim, server)
	groups := []state.GroupPlan{{ID: "sg-1", Ingress: []state.RulePlan{all(anywhere)}, Egress: []state.RulePlan{all(anywhere)}}}
	must(t, n.Configure(bg, []state.VPCPlan{plan(vpcA, groups, thief, victim, server)}))
	in := listenUDP(t, server.ns, 9)
	defer in.Close()
	send := func(source netip.Addr) {
		t.Helper()
		packet := make([]byte, 28+4)
		packet[0], packet[8], packet[9] = 0x45, 64, 17
		copy(packet[12:], source.AsSlice())
		copy(packet[16:], server.Address.AsSlice())
		binary.BigEndian.PutUint16(packet[20:], 4000)
		binary.BigEndian.PutUint16(packet[22:], 9)
		binary.BigEndian.PutUint16(packet[24:], 12)
		must(t, thief.ns.do(func() error {
			s, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW)
			if err != nil {
				return err
			}
			defer unix.Close(s)
			return unix.Sendto(s, packet, 0, &unix.SockaddrInet4{Addr: server.Address.As4()})
		}))
	}
	received := func(want bool) (netip.Addr, bool) {
		in.SetReadDeadline(time.Now().Add(patience(want)))
		_, from, err := in.ReadFromUDPAddrPort(make([]byte, 64))
		return from.Addr().Unmap(), err == nil
	}
	send(thief.Address)
	if from, ok := received(true); !ok || from != thief.Address {
		t.Fatalf("own address: received %v from %v", ok, from)
	}
	for _, source := range []string{"10.0.1.10", "10.0.1.1", "10.0.9.9", "8.8.8.8", "127.0.0.1", "169.254.64.0"} {
		send(netip.MustParseAddr(source))
		if from, ok := received(false); ok {
			t.Errorf("a packet sent as %s arrived, from %s", source, from)
		}
	}
	eth0, err := thief.ns.link.LinkByName("eth0")
	must(t, err)
	mac, _ := net.ParseMAC(victim.MAC)
	must(t, thief.ns.link.LinkSetHardwareAddr(eth0, mac))
	send(thief.Address)
	if from, ok := received(false); ok {
		t.Errorf("a packet sent from another MAC arrived, from %s", from)
	}
}

func TestSameRangeInTwoVPCs(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	n := l.open()
	serve(t, l.world, 443)
	open := []state.GroupPlan{{ID: "sg-1", Ingress: []state.RulePlan{all(anywhere)}, Egress: []state.RulePlan{all(anywhere)}}}
	var plans []state.VPCPlan
	vpcs := map[string][2]*eni{}
	for i, vpc := range []string{vpcA, vpcB} {
		client, server := newENI(vpc, "10.0.1.10", "sg-1"), newENI(vpc, "10.0.1.11", "sg-1")
		only := newENI(vpc, fmt.Sprintf("10.0.2.%d", 10+i), "sg-1")
		l.attach(n, client, server, only)
		vpcs[vpc] = [2]*eni{client, only}
		plans = append(plans, plan(vpc, open, client, server, only))
		serve(t, server.ns, 80+i)
		serve(t, only.ns, 80)
	}
	must(t, n.Configure(bg, plans))
	for i, vpc := range []string{vpcA, vpcB} {
		client := vpcs[vpc][0]
		server := netip.MustParseAddr("10.0.1.11")
		reaches(t, client.ns, server, 80+i)
		if _, _, err := dial(client.ns, server, 81-i, patience(true)); !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("%s: port of the other VPC's server: %v, want refused", vpc, err)
		}
		// Both at once to the same place, from the same address and port.
		c, seen, err := dial(client.ns, labWorld, 443, 5*time.Second)
		must(t, err)
		defer c.Close()
		if seen != labHost {
			t.Errorf("the world saw %s", seen)
		}
		reaches(t, l.host, vpcs[vpc][1].Address, 80)
	}
	// Nothing leads from one VPC to the other, nor to a range nobody has.
	doesNotReach(t, vpcs[vpcA][0].ns, vpcs[vpcB][1].Address, 80)
	doesNotReach(t, vpcs[vpcA][0].ns, netip.MustParseAddr("169.254.169.254"), 80)
	// The host reaches one of the two; when that goes, the other.
	addr := netip.MustParseAddr("10.0.1.11")
	reaches(t, l.host, addr, 80)
	for eni, task := range n.Attached() {
		if n.attached(eni).addr == addr && n.attached(eni).vpc.id == vpcA {
			t.Log("detach", eni, task)
			must(t, n.Detach(bg, eni))
		}
	}
	reaches(t, l.host, addr, 81)
}

// TestRouter looks at what else a task could ask of its router.
func TestRouter(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	n := l.open()
	a := newENI(vpcA, "10.0.1.10", "sg-1")
	l.attach(n, a)
	groups := []state.GroupPlan{{ID: "sg-1", Ingress: []state.RulePlan{all(anywhere)}, Egress: []state.RulePlan{all(anywhere)}}}
	must(t, n.Configure(bg, []state.VPCPlan{plan(vpcA, groups, a)}))
	if ping(t, a.ns, a.Gateway, denied) {
		t.Error("the gateway answers; it has no address to do so")
	}
	v := n.vpc(vpcA)
	if ping(t, a.ns, v.slot.vpc(), denied) {
		t.Error("the router's own address answers")
	}
	// The host's services are to be had at its own address, not on its loopback.
	serve(t, l.host, 4566)
	if seen := reaches(t, a.ns, labHost, 4566); seen != v.slot.vpc() {
		t.Errorf("the host saw %s, want the VPC's link address %s", seen, v.slot.vpc())
	}
	neighbours, err := v.ns.link.NeighList(0, netlink.FAMILY_V4)
	must(t, err)
	for _, e := range neighbours {
		if e.State != netlink.NUD_PERMANENT && e.State != netlink.NUD_NOARP {
			t.Errorf("the router learned a neighbour: %v", e)
		}
	}
}

// TestFlushedHost: a firewall that starts flushes all there is.
func TestFlushedHost(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	n := l.open()
	serve(t, l.world, 443)
	a := newENI(vpcA, "10.0.1.10", "sg-1")
	l.attach(n, a)
	groups := []state.GroupPlan{{ID: "sg-1", Ingress: []state.RulePlan{all(anywhere)}, Egress: []state.RulePlan{all(anywhere)}}}
	a.plan.Public = netip.MustParseAddr("203.0.113.7")
	plans := []state.VPCPlan{plan(vpcA, groups, a)}
	must(t, n.Configure(bg, plans))
	c, err := openNFT(l.host)
	must(t, err)
	defer c.close()
	must(t, c.transact(func() error { c.conn.FlushRuleset(); return nil }))
	must(t, n.Configure(bg, plans))
	serve(t, a.ns, 80)
	reaches(t, l.host, a.plan.Public, 80)
	marks, _, err := n.host.marks()
	must(t, err)
	if len(marks) == 0 {
		t.Error("it is forgotten that forwarding was off")
	}
}

// TestManyGroups writes 30,000 rules in one transaction.
func TestManyGroups(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	n := l.open()
	a, b := newENI(vpcA, "10.0.1.10", "sg-0007"), newENI(vpcA, "10.0.1.11", "sg-0499")
	l.attach(n, a, b)
	serve(t, b.ns, 80)
	var groups []state.GroupPlan
	for i := range 500 {
		g := state.GroupPlan{ID: fmt.Sprintf("sg-%04d", i), Egress: []state.RulePlan{all(anywhere)}}
		for port := range int32(60) {
			g.Ingress = append(g.Ingress, tcpFrom(21+port, "sg-0007"))
		}
		groups = append(groups, g)
	}
	start := time.Now()
	must(t, n.Configure(bg, []state.VPCPlan{plan(vpcA, groups, a, b)}))
	t.Logf("%d rules in %v", 61*len(groups), time.Since(start))
	reaches(t, a.ns, b.Address, 80)
	must(t, n.Configure(bg, []state.VPCPlan{plan(vpcA, groups[:499], a, b)}))
	doesNotReach(t, a.ns, b.Address, 80)
}

// TestHostThatDropsForwarded: no rule of Berth's can help there, so it says so.
func TestHostThatDropsForwarded(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	c, err := openNFT(l.host)
	must(t, err)
	defer c.close()
	must(t, c.transact(func() error {
		table := c.conn.AddTable(&nftables.Table{Name: "filter", Family: nftables.TableFamilyIPv4})
		drop := nftables.ChainPolicyDrop
		c.conn.AddChain(&nftables.Chain{Table: table, Name: "FORWARD", Type: nftables.ChainTypeFilter,
			Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter, Policy: &drop})
		return nil
	}))
	var out strings.Builder
	l.cfg.Log = slog.New(slog.NewTextHandler(&out, nil))
	l.open()
	if !strings.Contains(out.String(), "chain=FORWARD") || !strings.Contains(out.String(), "DOCKER-USER") {
		t.Errorf("no warning that says what to do: %q", out.String())
	}
}
