package network

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/berth/berth/state"
)

// crashing is set for the process that is to be killed; its value is the lab's
// Config and interfaces.
const crashing = "BERTH_TEST_NETWORK_CRASHING"

type crashWork struct {
	Config     Config
	Interfaces []state.Interface
	Plans      [2][]state.VPCPlan
}

func TestMain(m *testing.M) {
	if work := os.Getenv(crashing); work != "" {
		if err := workUntilKilled(work); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// workUntilKilled attaches, configures and detaches in random order for ever,
// with a line before each step.
func workUntilKilled(work string) error {
	var w crashWork
	if err := json.Unmarshal([]byte(work), &w); err != nil {
		return err
	}
	w.Config.Log = slog.New(slog.DiscardHandler)
	fmt.Println("open")
	n, err := Open(bg, w.Config)
	if err != nil {
		return err
	}
	errs := make(chan error)
	for range 2 { // two at once, as the agent does
		go func() {
			for {
				i := w.Interfaces[rand.IntN(len(w.Interfaces))]
				var err error
				switch rand.IntN(8) {
				case 0, 1, 2:
					fmt.Println("attach", i.ENI)
					_, err = n.Attach(bg, "task-"+i.ENI, i)
				case 3:
					fmt.Println("detach", i.ENI)
					err = n.Detach(bg, i.ENI)
				case 4, 5:
					fmt.Println("join", i.ENI)
					_, err = n.Join(bg, "task-"+i.ENI, i.ENI, guestPorts(w.Interfaces, i.ENI))
				case 6:
					fmt.Println("leave", i.ENI)
					err = n.Leave(bg, i.ENI)
				default:
					fmt.Println("configure")
					err = n.Configure(bg, w.Plans[rand.IntN(2)])
				}
				if err != nil {
					errs <- err
					return
				}
			}
		}()
	}
	return <-errs
}

// guestPorts is the port of a container that has the name of an interface.
func guestPorts(all []state.Interface, eni string) []state.PortBinding {
	i := slices.IndexFunc(all, func(i state.Interface) bool { return i.ENI == eni })
	return []state.PortBinding{binding("tcp", int32(8000+i), 80, 1)}
}

// TestKilledAnywhere kills processes in the middle of their work; each next one
// goes on with what the last left. In the end all is as a process would have it
// that was never killed.
func TestKilledAnywhere(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	before := l.footprint()
	open := []state.GroupPlan{{ID: "sg-1", Ingress: []state.RulePlan{all(anywhere)}, Egress: []state.RulePlan{all(anywhere)}}}
	a, b := newENI(vpcA, "10.0.1.10", "sg-1"), newENI(vpcA, "10.0.1.11", "sg-1")
	far := newENI(vpcB, "10.0.1.10", "sg-1")
	a.plan.Public, far.plan.Public = netip.MustParseAddr("127.100.0.5"), netip.MustParseAddr("203.0.113.7")
	work := crashWork{Config: l.cfg, Interfaces: []state.Interface{a.Interface, b.Interface, far.Interface}}
	work.Config.Log = nil
	final := []state.VPCPlan{plan(vpcA, open, a, b), plan(vpcB, open, far)}
	work.Plans = [2][]state.VPCPlan{final, {plan(vpcA, nil, a)}} // the second has no use for vpcB
	body, err := json.Marshal(work)
	must(t, err)
	for round := range 30 {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), crashing+"="+string(body))
		out, err := child.StdoutPipe()
		must(t, err)
		must(t, child.Start())
		lines := bufio.NewScanner(out)
		var last []string
		for range 1 + rand.IntN(12) {
			if !lines.Scan() {
				break
			}
			last = append(last, lines.Text())
		}
		must(t, child.Process.Kill())
		child.Wait()
		if i := slices.IndexFunc(last, func(s string) bool { return strings.HasPrefix(s, "error:") }); i >= 0 {
			t.Fatalf("round %d: %q", round, last)
		}
		if round%5 != 4 {
			continue // the next child takes over as it is
		}
		n, err := Open(bg, l.cfg)
		if err != nil {
			t.Fatalf("round %d, after %q: %v", round, last, err)
		}
		demandConsistent(t, n)
		l.attach(n, a, b, far)
		must(t, n.Configure(bg, final))
		guests := map[string]guest{}
		for _, i := range work.Interfaces {
			guests[i.ENI] = l.join(n, i.ENI, guestPorts(work.Interfaces, i.ENI)...)
			serve(t, guests[i.ENI].ns, 80)
		}
		for _, i := range work.Interfaces {
			reaches(t, l.host, loopback, int(guestPorts(work.Interfaces, i.ENI)[0].HostPort))
			must(t, n.Leave(bg, i.ENI))
		}
		serve(t, a.ns, 80)
		serve(t, far.ns, 80)
		reaches(t, b.ns, a.Address, 80)
		reaches(t, l.host, a.plan.Public, 80)
		reaches(t, l.host, far.plan.Public, 80)
		for _, e := range []*eni{a, b, far} {
			must(t, n.Detach(bg, e.ENI))
		}
		must(t, n.Configure(bg, nil))
		must(t, n.Close())
		names, err := n.names()
		must(t, err)
		if len(names) > 0 {
			t.Fatalf("round %d: namespaces left: %v", round, names)
		}
	}
	n, err := Open(bg, l.cfg)
	must(t, err)
	must(t, n.Destroy(bg))
	must(t, n.Close())
	l.demandFootprint(before)
}

// demandConsistent compares what a new process has adopted with all there is.
func demandConsistent(t *testing.T, n *Network) {
	t.Helper()
	want := map[string]bool{}
	for eni, a := range n.enis {
		want[eni], want[a.vpc.id] = true, true
	}
	names, err := n.names()
	must(t, err)
	for _, name := range names {
		if !want[name] && !strings.HasPrefix(name, "vpc-") {
			t.Errorf("namespace %s has no interface", name)
		}
		delete(want, name)
	}
	for name := range want {
		t.Errorf("%s has no namespace", name)
	}
	for _, v := range n.vpcs {
		links, err := v.ns.link.LinkList()
		must(t, err)
		if len(links) != len(v.ports)+2 { // lo and host0
			t.Errorf("%s has %d links for %d interfaces", v.id, len(links), len(v.ports))
		}
		elements, err := v.gates.conn.GetSetElements(v.gates.ports())
		must(t, err)
		if len(elements) != len(v.ports) {
			t.Errorf("%s lets %d interfaces send, there are %d", v.id, len(elements), len(v.ports))
		}
		routes, err := v.ns.link.RouteListFiltered(unix.AF_INET, &netlink.Route{Scope: netlink.SCOPE_LINK, Type: unix.RTN_UNICAST, Table: unix.RT_TABLE_MAIN},
			netlink.RT_FILTER_SCOPE|netlink.RT_FILTER_TYPE|netlink.RT_FILTER_TABLE)
		must(t, err)
		if len(routes) != len(v.ports)+1 { // and the link to the host
			t.Errorf("%s routes %d addresses, there are %d interfaces", v.id, len(routes)-1, len(v.ports))
		}
		private, err := n.host.routes(unix.RT_TABLE_MAIN, v.link)
		must(t, err)
		reached := len(v.ports)
		if v.id == bridgeID {
			reached = 0
			mapped, err := v.gates.readMapped()
			must(t, err)
			lead, err := n.host.portsOf(n.host.table)
			must(t, err)
			if len(lead) != len(mapped) || len(mapped) > len(v.ports) {
				t.Errorf("the host leads ports %v to the bridge, which sends %v to %d containers", lead, mapped, len(v.ports))
			}
		}
		if len(private) != reached {
			t.Errorf("the host routes %d addresses of %s, there are %d interfaces", len(private), v.id, len(v.ports))
		}
	}
}
