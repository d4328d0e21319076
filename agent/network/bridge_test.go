package network

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/state"
)

// guest is a container on the bridge.
type guest struct {
	id   string
	addr netip.Addr
	ns   *namespace
}

func (l *lab) join(n *Network, id string, ports ...state.PortBinding) guest {
	l.t.Helper()
	addr, err := n.Join(bg, "task-"+id, id, ports)
	must(l.t, err)
	ns, err := openNamespace(id, n.BridgeNS(id))
	must(l.t, err)
	l.t.Cleanup(ns.close)
	return guest{id, addr, ns}
}

func binding(proto types.TransportProtocol, host, container, count int32) state.PortBinding {
	return state.PortBinding{BindIP: "0.0.0.0", Protocol: proto, HostPort: host, ContainerPort: container, Count: count}
}

var loopback = netip.MustParseAddr("127.0.0.1")

func TestBridge(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	before := l.footprint()
	n, err := Open(bg, l.cfg)
	must(t, err)
	web := l.join(n, "web", binding("tcp", 8080, 80, 1), binding("tcp", 9000, 7000, 3), binding("udp", 8080, 53, 1))
	db := l.join(n, "db")
	for _, port := range []int{80, 81, 7000, 7002} {
		serve(t, web.ns, port)
	}
	serve(t, db.ns, 5432)
	serve(t, l.world, 443)
	serve(t, l.host, 22)

	t.Run("address", func(t *testing.T) {
		if !bridgeRange.Contains(web.addr) || web.addr == db.addr {
			t.Errorf("addresses %s and %s", web.addr, db.addr)
		}
		again, err := n.Join(bg, "task-web", "web", []state.PortBinding{binding("tcp", 8080, 80, 1), binding("tcp", 9000, 7000, 3), binding("udp", 8080, 53, 1)})
		if err != nil || again != web.addr {
			t.Errorf("joined again: %s, %v", again, err)
		}
	})
	t.Run("each other", func(t *testing.T) {
		if seen := reaches(t, web.ns, db.addr, 5432); seen != web.addr {
			t.Errorf("the other saw %s, want %s", seen, web.addr)
		}
	})
	t.Run("ports", func(t *testing.T) {
		reaches(t, l.host, loopback, 8080)
		reaches(t, l.host, labHost, 8080)
		reaches(t, l.host, loopback, 9000)
		reaches(t, l.host, loopback, 9002)
		if seen := reaches(t, l.world, labHost, 8080); seen != labWorld {
			t.Errorf("the container saw %s, want %s", seen, labWorld)
		}
		reaches(t, web.ns, labHost, 8080) // itself, by the host
		reaches(t, db.ns, labHost, 8080)
		for _, port := range []int{8081, 9003} {
			if c, _, err := dial(l.world, labHost, port, denied); err == nil {
				c.Close()
				t.Errorf("port %d leads somewhere", port)
			}
		}
		var got string
		must(t, web.ns.do(func() error { return echoUDP(t, 53) }))
		must(t, l.host.do(func() (err error) { got, err = askUDP("127.0.0.1:8080"); return err }))
		must(t, l.world.do(func() (err error) { got, err = askUDP(labHost.String() + ":8080"); return err }))
		if got != "hello" {
			t.Errorf("by UDP: %q", got)
		}
	})
	t.Run("the world", func(t *testing.T) {
		if seen := reaches(t, web.ns, labWorld, 443); seen != labHost {
			t.Errorf("the world saw %s, want %s", seen, labHost)
		}
		reaches(t, web.ns, labHost, 22)
		if c, _, err := dial(web.ns, loopback, 22, denied); err == nil {
			c.Close()
			t.Error("a container reaches the host's loopback")
		}
		unreachable(t, l.world, web.addr)
	})
	t.Run("tasks of VPCs", func(t *testing.T) {
		e := newENI(vpcA, "10.0.1.10", "sg-1")
		l.attach(n, e)
		open := []state.GroupPlan{{ID: "sg-1", Ingress: []state.RulePlan{all(anywhere)}, Egress: []state.RulePlan{all(anywhere)}}}
		must(t, n.Configure(bg, []state.VPCPlan{plan(vpcA, open, e)})) // which has no plan for the bridge
		reaches(t, e.ns, labHost, 8080)
		unreachable(t, e.ns, web.addr)
		serve(t, e.ns, 80)
		doesNotReach(t, web.ns, e.Address, 80)
	})
	t.Run("taken ports", func(t *testing.T) {
		for what, b := range map[string]state.PortBinding{
			"another container": binding("tcp", 9001, 1, 1),
			"a process":         binding("tcp", 22, 22, 1),
		} {
			if _, err := n.Join(bg, "task-x", "x", []state.PortBinding{b}); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("Bind for 0.0.0.0:%d failed: port is already allocated", b.HostPort)) {
				t.Errorf("port of %s: %v", what, err)
			}
		}
		second := l.cfg
		second.Instance = randomHex(8)
		sweep(t, second.Instance)
		other, err := Open(bg, second)
		must(t, err)
		if _, err := other.Join(bg, "task-y", "y", []state.PortBinding{binding("tcp", 8080, 80, 1)}); err == nil || !strings.Contains(err.Error(), l.cfg.Instance) {
			t.Errorf("port of another instance: %v", err)
		}
		y := (&lab{t: t}).join(other, "y", binding("tcp", 8090, 80, 1))
		serve(t, y.ns, 80)
		reaches(t, l.host, loopback, 8090)
		must(t, other.Destroy(bg))
		must(t, other.Close())
		reaches(t, l.host, loopback, 8080)
	})
	t.Run("next process", func(t *testing.T) {
		must(t, n.Leave(bg, "x"))
		must(t, n.Close())
		reaches(t, l.host, loopback, 8080)
		n, err = Open(bg, l.cfg)
		must(t, err)
		reaches(t, l.world, labHost, 8080)
		reaches(t, l.host, loopback, 9001+1)
		if got := n.Attached(); got[bridgeENI("web")] != "task-web" || got[bridgeENI("db")] != "task-db" {
			t.Errorf("adopted %v", got)
		}
		third := l.join(n, "third", binding("tcp", 8081, 80, 1))
		if third.addr == web.addr || third.addr == db.addr {
			t.Errorf("%s is given twice", third.addr)
		}
		serve(t, third.ns, 80)
		reaches(t, l.host, loopback, 8081)
		// A firewall's restart takes the host's table.
		must(t, n.host.nft.transact(func() error { n.host.nft.conn.DelTable(n.host.table); return nil }))
		must(t, n.Configure(bg, nil))
		reaches(t, l.host, loopback, 8081)
	})
	t.Run("leave", func(t *testing.T) {
		must(t, n.Leave(bg, "web"))
		must(t, n.Leave(bg, "web"))
		if c, _, err := dial(l.host, loopback, 8080, denied); err == nil {
			c.Close()
			t.Error("the port of a container that left leads somewhere")
		}
		next := l.join(n, "next", binding("tcp", 8080, 80, 1))
		serve(t, next.ns, 80)
		reaches(t, l.host, loopback, 8080)
	})
	must(t, n.Destroy(bg))
	must(t, n.Close())
	l.demandFootprint(before)
}

// TestBridgeGoesWhenEmpty: a host without such tasks is as one that never had any.
func TestBridgeGoesWhenEmpty(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	n := l.open()
	idle := l.footprint()
	l.join(n, "a", binding("tcp", 8080, 80, 1))
	must(t, n.Leave(bg, "a"))
	must(t, n.Configure(bg, nil))
	l.demandFootprint(idle)
	a := l.join(n, "a", binding("tcp", 8080, 80, 1))
	serve(t, a.ns, 80)
	reaches(t, l.host, loopback, 8080)
}

// TestDoor: whoever asks at 169.254.170.2 is known by the address that the
// kernel lets it have, whatever it says.
func TestDoor(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	n, err := Open(bg, l.cfg)
	must(t, err)
	answer := func(l net.Listener, owner Owner) {
		go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			from, _ := netip.ParseAddrPort(r.RemoteAddr)
			task, ok := owner(from.Addr())
			fmt.Fprint(w, task, ok)
		}))
	}
	ask := func(ns *namespace) string {
		var got string
		err := ns.do(func() error {
			c, err := net.DialTimeout("tcp4", metadataAddress+":80", time.Second)
			if err != nil {
				return err
			}
			defer c.Close()
			fmt.Fprint(c, "GET / HTTP/1.0\r\n\r\n")
			c.SetDeadline(time.Now().Add(5 * time.Second))
			b, err := io.ReadAll(c)
			_, got, _ = strings.Cut(string(b), "\r\n\r\n")
			return err
		})
		if err != nil {
			return err.Error()
		}
		return got
	}
	e, far := newENI(vpcA, "10.0.1.10"), newENI(vpcB, "10.0.1.10")
	l.attach(n, e) // one before, others after: no plan and no group has a say
	n.Answer(answer)
	l.attach(n, far)
	g := l.join(n, "g")
	serve(t, e.ns, 80) // the port is the task's
	for ns, want := range map[*namespace]string{e.ns: "task-" + e.ENI, far.ns: "task-" + far.ENI, g.ns: "task-g"} {
		if got := ask(ns); got != want+"true" {
			t.Errorf("%s asks as %q, want %s", ns.name, got, want)
		}
	}
	if got := ask(l.host); !strings.Contains(got, "timeout") && !strings.Contains(got, "refused") && !strings.Contains(got, "unreachable") {
		t.Errorf("the host asks as %q", got)
	}
	must(t, n.Close())
	n = l.open()
	n.Answer(answer)
	if got := ask(e.ns); got != "task-"+e.ENI+"true" {
		t.Errorf("asked the next process: %q", got)
	}
}

func echoUDP(t *testing.T, port int) error {
	c, err := net.ListenPacket("udp4", fmt.Sprintf("0.0.0.0:%d", port))
	if err != nil {
		return err
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		b := make([]byte, 64)
		for {
			k, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			c.WriteTo(b[:k], from)
		}
	}()
	return nil
}

func askUDP(addr string) (string, error) {
	c, err := net.Dial("udp4", addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	fmt.Fprint(c, "hello")
	b := make([]byte, 64)
	k, err := c.Read(b)
	if os.IsTimeout(err) {
		err = fmt.Errorf("no answer from %s", addr)
	}
	return string(b[:k]), err
}

func BenchmarkJoin(b *testing.B) {
	l := newLab(b)
	n := l.open()
	took := make([]time.Duration, 0, b.N)
	for i := 0; b.Loop(); i++ {
		start := time.Now()
		_, err := n.Join(bg, "task-1", fmt.Sprint("c", i), []state.PortBinding{binding("tcp", int32(10000+i), 80, 1)})
		took = append(took, time.Since(start))
		must(b, err)
	}
	report(b, took)
}

// unreachable demands that an address is nowhere, or silent.
func unreachable(t *testing.T, ns *namespace, addr netip.Addr) {
	t.Helper()
	if c, _, err := dial(ns, addr, 80, denied); err == nil {
		c.Close()
		t.Errorf("%s reaches %s", ns.name, addr)
	}
}
