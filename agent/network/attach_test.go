package network

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/berth/berth/state"
)

func TestAttachedInterface(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	n := l.open()
	e := newENI(vpcA, "10.0.1.10", "sg-1")
	l.attach(n, e)
	eth0, err := e.ns.link.LinkByName("eth0")
	must(t, err)
	lo, err := e.ns.link.LinkByName("lo")
	must(t, err)
	if got := eth0.Attrs().HardwareAddr.String(); got != e.MAC {
		t.Errorf("eth0 has %s, want %s", got, e.MAC)
	}
	addresses := func(link netlink.Link) (all []string) {
		addrs, err := e.ns.link.AddrList(link, unix.AF_INET)
		must(t, err)
		for _, a := range addrs {
			all = append(all, a.IPNet.String())
		}
		return all
	}
	if got := addresses(eth0); !slices.Equal(got, []string{"10.0.1.10/24"}) {
		t.Errorf("eth0 has %v", got)
	}
	if got := addresses(lo); !slices.Equal(got, []string{"127.0.0.1/8"}) {
		t.Errorf("lo has %v", got)
	}
	routes, err := e.ns.link.RouteList(nil, unix.AF_INET)
	must(t, err)
	if len(routes) != 1 || routes[0].Gw.String() != "10.0.1.1" {
		t.Errorf("routes are %v, want all to 10.0.1.1", routes)
	}
	must(t, e.ns.do(func() error {
		now, err := readSysctl("ipv4/tcp_congestion_control")
		allowed, _ := readSysctl("ipv4/tcp_allowed_congestion_control")
		if now == "bbr" && slices.Contains(strings.Fields(allowed), "cubic") {
			t.Error("tasks send with BBR")
		}
		return err
	}))
}

func TestAttachAndDetachAgain(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	n := l.open()
	e := newENI(vpcA, "10.0.1.10", "sg-1")
	path, err := n.Attach(bg, "task-1", e.Interface)
	must(t, err)
	before, err := os.Stat(path)
	must(t, err)
	again, err := n.Attach(bg, "task-1", e.Interface)
	must(t, err)
	after, err := os.Stat(again)
	must(t, err)
	if path != again || !os.SameFile(before, after) {
		t.Errorf("attached twice: %s and %s are different namespaces", path, again)
	}
	if _, err := n.Attach(bg, "task-2", e.Interface); err == nil || !strings.Contains(err.Error(), "task-1") {
		t.Errorf("attach to another task: %v, want an error that names task-1", err)
	}
	twin := newENI(vpcA, "10.0.1.10", "sg-1")
	if _, err := n.Attach(bg, "task-2", twin.Interface); err == nil || !strings.Contains(err.Error(), e.ENI) {
		t.Errorf("attach the same address twice: %v, want an error that names %s", err, e.ENI)
	}
	if got := n.Attached(); len(got) != 1 || got[e.ENI] != "task-1" {
		t.Errorf("attached: %v", got)
	}
	for range 3 { // detached and attached again while the old one is still going
		must(t, n.Detach(bg, e.ENI))
		must(t, n.Detach(bg, e.ENI))
		if len(n.Attached()) != 0 {
			t.Errorf("attached: %v", n.Attached())
		}
		_, err = n.Attach(bg, "task-2", e.Interface)
		must(t, err)
	}
	must(t, n.Detach(bg, "eni-unknown"))
	for _, bad := range []func(*state.Interface){
		func(i *state.Interface) { i.MAC = "x" },
		func(i *state.Interface) { i.ENI = "../../etc" },
		func(i *state.Interface) { i.Address = netip.MustParseAddr("10.9.9.9") },
		func(i *state.Interface) { i.Gateway = netip.Addr{} },
	} {
		i := twin.Interface
		bad(&i)
		if _, err := n.Attach(bg, "task-3", i); err == nil {
			t.Errorf("attached %+v", i)
		}
	}
}

// TestSomebodyRemovesTheNamespace: what an operator took away is made again.
func TestSomebodyRemovesTheNamespace(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	n := l.open()
	e := newENI(vpcA, "10.0.1.10", "sg-1")
	path, err := n.Attach(bg, "task-1", e.Interface)
	must(t, err)
	must(t, removeNamespace(n.prefix()+e.ENI))
	_, err = n.Attach(bg, "task-1", e.Interface)
	must(t, err)
	ns, err := openNamespace(e.ENI, path)
	must(t, err)
	ns.close()
}

func TestFiftyAtOnce(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	n := l.open()
	var enis []*eni
	for i := range 50 {
		enis = append(enis, newENI([]string{vpcA, vpcB}[i%2], fmt.Sprintf("10.0.%d.%d", i/2, 10+i), "sg-1"))
	}
	inParallel := func(f func(*eni) error) {
		t.Helper()
		var wg sync.WaitGroup
		for _, e := range enis {
			wg.Go(func() {
				if err := f(e); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	inParallel(func(e *eni) error {
		_, err := n.Attach(bg, "task-1", e.Interface)
		return err
	})
	if got := len(n.Attached()); got != 50 {
		t.Errorf("%d attached", got)
	}
	inParallel(func(e *eni) error { return n.Detach(bg, e.ENI) })
	n.behind.Wait()
	for _, vpc := range []string{vpcA, vpcB} {
		links, err := n.vpc(vpc).ns.link.LinkList()
		must(t, err)
		for _, l := range links {
			if strings.HasPrefix(l.Attrs().Name, portPrefix) {
				t.Errorf("port %s of %s is left", l.Attrs().Name, vpc)
			}
		}
	}
	names, err := n.names()
	must(t, err)
	if len(names) != 2 {
		t.Errorf("namespaces left: %v", names)
	}
	must(t, n.Configure(bg, nil))
	if names, _ = n.names(); len(names) != 0 {
		t.Errorf("VPCs left without a plan: %v", names)
	}
}

// footprint lists what a host has, without what belongs to it for good.
func (l *lab) footprint() []string {
	l.t.Helper()
	var all []string
	links, err := l.host.link.LinkList()
	must(l.t, err)
	for _, x := range links {
		all = append(all, "link "+x.Attrs().Name)
	}
	routes, err := l.host.link.RouteListFiltered(unix.AF_INET, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
	must(l.t, err)
	for _, r := range routes {
		all = append(all, "route "+r.String())
	}
	rules, err := l.host.link.RuleList(unix.AF_INET)
	must(l.t, err)
	for _, r := range rules {
		all = append(all, "rule "+r.String())
	}
	c, err := openNFT(l.host)
	must(l.t, err)
	defer c.close()
	tables, err := c.conn.ListTables()
	must(l.t, err)
	for _, x := range tables {
		all = append(all, "table "+x.Name)
	}
	names, err := namesIn(netnsDir)
	must(l.t, err)
	for _, name := range names {
		if strings.Contains(name, l.cfg.Instance) {
			all = append(all, "namespace "+name)
		}
	}
	must(l.t, l.host.do(func() error {
		for _, f := range []string{"ip_forward", "conf/uplink/forwarding", "conf/uplink/rp_filter", "conf/uplink/route_localnet"} {
			b, err := os.ReadFile("/proc/sys/net/ipv4/" + f)
			if err != nil {
				return err
			}
			all = append(all, f+" "+strings.TrimSpace(string(b)))
		}
		return nil
	}))
	slices.Sort(all)
	return all
}

func (l *lab) demandFootprint(want []string) {
	l.t.Helper()
	got := l.footprint()
	for _, x := range got {
		if !slices.Contains(want, x) {
			l.t.Errorf("left on the host: %s", x)
		}
	}
	for _, x := range want {
		if !slices.Contains(got, x) {
			l.t.Errorf("missing on the host: %s", x)
		}
	}
}

func TestDestroyLeavesNothing(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	before := l.footprint()
	n, err := Open(bg, l.cfg)
	must(t, err)
	a, b := newENI(vpcA, "10.0.1.10", "sg-1"), newENI(vpcB, "10.0.1.10", "sg-1")
	a.plan.Public, b.plan.Public = netip.MustParseAddr("127.100.0.5"), netip.MustParseAddr("203.0.113.7")
	l.attach(n, a, b)
	must(t, n.Configure(bg, []state.VPCPlan{plan(vpcA, nil, a), plan(vpcB, nil, b)}))
	if len(l.footprint()) <= len(before)+5 {
		t.Fatal("nothing was made")
	}
	must(t, n.Destroy(bg))
	must(t, n.Close())
	l.demandFootprint(before)
	if _, err := a.ns.link.LinkByName("eth0"); err != nil && !errors.As(err, &netlink.LinkNotFoundError{}) {
		t.Error(err)
	}
}

func TestTwoInstances(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	before := l.footprint()
	open := []state.GroupPlan{{ID: "sg-1", Ingress: []state.RulePlan{all(anywhere)}, Egress: []state.RulePlan{all(anywhere)}}}
	second := *l
	second.cfg.Instance = randomHex(8)
	sweep(t, second.cfg.Instance)
	var nets []*Network
	for i, x := range []*lab{l, &second} {
		n, err := Open(bg, x.cfg)
		must(t, err)
		e := newENI(vpcA, "10.0.1.10", "sg-1") // the same VPC and address in both
		e.plan.Public = netip.AddrFrom4([4]byte{127, 100, byte(i), 5})
		x.attach(n, e)
		must(t, n.Configure(bg, []state.VPCPlan{plan(vpcA, open, e)}))
		serve(t, e.ns, 80+i)
		reaches(t, l.host, e.plan.Public, 80+i)
		nets = append(nets, n)
	}
	private := netip.MustParseAddr("10.0.1.10")
	reaches(t, l.host, private, 80)
	must(t, nets[0].Destroy(bg))
	must(t, nets[0].Close())
	reaches(t, l.host, private, 81)
	reaches(t, l.host, netip.MustParseAddr("127.100.1.5"), 81)
	serve(t, l.world, 443)
	must(t, nets[1].Destroy(bg))
	must(t, nets[1].Close())
	l.demandFootprint(before)
}

func TestNextProcessAdopts(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	n, err := Open(bg, l.cfg)
	must(t, err)
	open := []state.GroupPlan{{ID: "sg-1", Ingress: []state.RulePlan{all(anywhere)}, Egress: []state.RulePlan{all(anywhere)}}}
	a, b := newENI(vpcA, "10.0.1.10", "sg-1"), newENI(vpcA, "10.0.1.11", "sg-1")
	a.plan.Public = netip.MustParseAddr("127.100.0.5")
	l.attach(n, a, b)
	must(t, n.Configure(bg, []state.VPCPlan{plan(vpcA, open, a, b)}))
	serve(t, a.ns, 80)
	c, _, err := dial(b.ns, a.Address, 80, patience(true))
	must(t, err)
	defer c.Close()
	want := n.Attached()
	there := l.footprint()

	// What a killed process leaves: a half-made interface and its routes, a
	// namespace's name without one, a link to a VPC that came no further.
	half := newENI(vpcA, "10.0.1.12", "sg-1")
	must(t, n.build(&attachment{vpc: n.vpc(vpcA), eni: half.ENI, task: "task-1", mac: []byte{2, 0, 0, 0, 0, 1}, addr: half.Address}, half.Interface))
	port, err := n.vpc(vpcA).ns.link.LinkByName(portName(half.ENI))
	must(t, err)
	must(t, n.vpc(vpcA).ns.link.LinkSetAlias(port, "leaving"))
	must(t, os.WriteFile(netnsDir+"/"+n.prefix()+"eni-0000000000000dead", nil, 0o444))
	attrs := netlink.NewLinkAttrs()
	attrs.Name = n.host.linkPrefix() + "0001"
	must(t, l.host.link.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "halfmade"}))
	must(t, n.Close())

	n = l.open()
	if got := n.Attached(); len(got) != len(want) || got[a.ENI] != want[a.ENI] || got[b.ENI] != want[b.ENI] {
		t.Errorf("adopted %v, want %v", got, want)
	}
	l.demandFootprint(there)
	// All works as it did, before the new process is told anything.
	reaches(t, b.ns, a.Address, 80)
	reaches(t, l.host, a.Address, 80)
	reaches(t, l.host, a.plan.Public, 80)
	c.Write([]byte("still there?"))
	if _, err := c.Read(make([]byte, 64)); err != nil {
		t.Error(err)
	}
	third := newENI(vpcA, "10.0.1.13", "sg-1")
	l.attach(n, third)
	l.attach(n, a) // idempotent over processes
	must(t, n.Configure(bg, []state.VPCPlan{plan(vpcA, open, a, b, third)}))
	reaches(t, third.ns, a.Address, 80)
	must(t, n.Configure(bg, []state.VPCPlan{plan(vpcA, nil, a, b, third)}))
	doesNotReach(t, third.ns, a.Address, 80)
	must(t, n.Detach(bg, a.ENI))
	must(t, n.Detach(bg, b.ENI))
	must(t, n.Detach(bg, third.ENI))
}

func TestOpenRefuses(t *testing.T) {
	for _, instance := range []string{"", "1234567", "ABCDEF01", "../../..", "12345678a"} {
		if _, err := Open(context.Background(), Config{Instance: instance}); err == nil {
			t.Errorf("opened as %q", instance)
		}
	}
}
