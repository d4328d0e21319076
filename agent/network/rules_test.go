package network

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"pgregory.net/rapid"

	"github.com/berth/berth/state"
)

// packet is the first one of a connection, as far as groups look at it.
type packet struct {
	src, dst netip.Addr
	proto    int
	a, b     int32 // destination port; ICMP type and code
}

// allowed is the meaning of a plan, in the terms of AWS's documentation: of each
// interface's groups any rule may allow, and both ends must.
func allowed(p state.VPCPlan, k packet) bool {
	groupsOf := func(a netip.Addr) []string {
		for _, i := range p.Interfaces {
			if i.Address == a {
				return i.Groups
			}
		}
		return nil
	}
	matches := func(r state.RulePlan, peer netip.Addr) bool {
		switch {
		case r.Group != "":
			known := slices.ContainsFunc(p.Groups, func(g state.GroupPlan) bool { return g.ID == r.Group })
			if !known || !slices.Contains(groupsOf(peer), r.Group) {
				return false
			}
		case !r.Prefix.Contains(peer):
			return false
		}
		switch r.Protocol {
		case -1:
			return true
		case 6, 17:
			return k.proto == r.Protocol && (r.From == -1 || k.a >= r.From && k.a <= r.To)
		case 1:
			return k.proto == 1 && (r.From == -1 || k.a == r.From && (r.To == -1 || k.b == r.To))
		}
		return k.proto == r.Protocol
	}
	gate := func(self, peer netip.Addr, rules func(state.GroupPlan) []state.RulePlan) bool {
		local := slices.ContainsFunc(p.Interfaces, func(i state.InterfacePlan) bool { return i.Address == self && i.Node == "node-1" })
		if !local {
			return true // another node's, or the world's, business
		}
		for _, g := range p.Groups {
			if slices.Contains(groupsOf(self), g.ID) && slices.ContainsFunc(rules(g), func(r state.RulePlan) bool { return matches(r, peer) }) {
				return true
			}
		}
		return false
	}
	return gate(k.src, k.dst, func(g state.GroupPlan) []state.RulePlan { return g.Egress }) &&
		gate(k.dst, k.src, func(g state.GroupPlan) []state.RulePlan { return g.Ingress })
}

// judge runs a packet through a compiled rule set as the kernel would.
func judge(r *ruleset, p state.VPCPlan, k packet) bool {
	var accepts func(chain string, peer netip.Addr) bool
	accepts = func(chain string, peer netip.Addr) bool {
		for _, x := range r.chains[chain] {
			switch {
			case x.jump != "":
				if _, ok := r.chains[x.jump]; !ok {
					panic("jump to a chain that isn't there: " + x.jump)
				}
				if accepts(x.jump, peer) {
					return true
				}
				continue
			case x.group != "" && !r.members[x.group][peer]:
				continue
			case x.group == "" && x.peer.IsValid() && !x.peer.Contains(peer):
				continue
			case x.proto != -1 && x.proto != k.proto:
				continue
			case x.from >= 0 && x.proto == 1:
				if k.a != x.from || x.to >= 0 && k.b != x.to {
					continue
				}
			case x.from >= 0:
				if k.a < x.from || k.a > x.to {
					continue
				}
			}
			return true
		}
		return false
	}
	gate := func(self, peer netip.Addr, verdicts map[netip.Addr]string) bool {
		local := slices.ContainsFunc(p.Interfaces, func(i state.InterfacePlan) bool { return i.Address == self && i.Node == "node-1" })
		return !local || accepts(verdicts[self], peer)
	}
	return gate(k.src, k.dst, r.egress) && gate(k.dst, k.src, r.ingress)
}

var (
	someAddrs = []string{"10.0.1.10", "10.0.1.11", "10.0.1.12", "10.0.2.10", "10.0.2.11"}
	probed    = []int32{53, 80, 81, 443}
)

func genRule(t *rapid.T) state.RulePlan {
	r := state.RulePlan{Protocol: rapid.SampledFrom([]int{-1, 6, 17, 17, 1, 47}).Draw(t, "protocol"), From: -1, To: -1}
	if rapid.Bool().Draw(t, "by group") {
		r.Group = rapid.SampledFrom([]string{"sg-0", "sg-1", "sg-2", "sg-none"}).Draw(t, "peer group")
	} else {
		r.Prefix = rapid.SampledFrom([]netip.Prefix{anywhere, netip.MustParsePrefix("10.0.1.0/24"), netip.MustParsePrefix("10.0.2.10/32"),
			netip.MustParsePrefix("10.0.1.10/31"), netip.MustParsePrefix("8.0.0.0/5"), netip.MustParsePrefix("::/0")}).Draw(t, "range")
	}
	switch r.Protocol {
	case 6, 17:
		ports := rapid.SampledFrom([][2]int32{{-1, -1}, {0, 65535}, {80, 80}, {80, 81}, {0, 80}, {53, 53}, {443, 65535}}).Draw(t, "ports")
		r.From, r.To = ports[0], ports[1]
	case 1:
		kind := rapid.SampledFrom([][2]int32{{-1, -1}, {8, -1}, {8, 0}, {3, 4}}).Draw(t, "type")
		r.From, r.To = kind[0], kind[1]
	}
	return r
}

var genPlan = rapid.Custom(func(t *rapid.T) state.VPCPlan {
	p := state.VPCPlan{VPC: vpcA, Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")}}
	rules := rapid.SliceOfN(rapid.Custom(genRule), 0, 4)
	for i := range rapid.IntRange(0, 3).Draw(t, "groups") {
		p.Groups = append(p.Groups, state.GroupPlan{ID: fmt.Sprintf("sg-%d", i), Ingress: rules.Draw(t, "ingress"), Egress: rules.Draw(t, "egress")})
	}
	for i, a := range someAddrs {
		x := state.InterfacePlan{ENI: fmt.Sprintf("eni-%017d", i), Node: "node-1", Address: netip.MustParseAddr(a),
			Groups: rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"sg-0", "sg-1", "sg-2"}), 0, 3, rapid.ID).Draw(t, "member of")}
		if i == len(someAddrs)-1 && rapid.Bool().Draw(t, "elsewhere") {
			x.Node = "node-2"
		}
		p.Interfaces = append(p.Interfaces, x)
	}
	return p
})

func TestCompiledRulesMeanWhatThePlanSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := genPlan.Draw(t, "plan")
		r := compile(p, "node-1")
		addr := rapid.Custom(func(t *rapid.T) netip.Addr {
			return netip.MustParseAddr(rapid.SampledFrom(append([]string{"8.8.8.8", "10.0.1.13"}, someAddrs...)).Draw(t, "address"))
		})
		for range 50 {
			k := packet{src: addr.Draw(t, "from"), dst: addr.Draw(t, "to"), proto: rapid.SampledFrom([]int{6, 17, 1, 47}).Draw(t, "protocol"),
				a: rapid.SampledFrom([]int32{0, 3, 8, 53, 79, 80, 81, 82, 443, 65535}).Draw(t, "port"), b: rapid.SampledFrom([]int32{0, 4}).Draw(t, "code")}
			if k.src == k.dst {
				continue
			}
			if got, want := judge(r, p, k), allowed(p, k); got != want {
				t.Fatalf("%+v: %v, want %v", k, got, want)
			}
		}
	})
}

// dump is all that a VPC's table holds beyond its fixed chains, as text.
func dump(t *testing.T, v *vpc) []string {
	t.Helper()
	c := v.gates.conn
	var all []string
	sets, err := c.GetSets(v.gates.table)
	must(t, err)
	for _, s := range sets {
		elements, err := c.GetSetElements(s)
		must(t, err)
		all = append(all, "set "+s.Name)
		for _, e := range elements {
			all = append(all, fmt.Sprintf("set %s %x %x", s.Name, e.Key, e.Val))
		}
	}
	chains, err := c.ListChainsOfTableFamily(nftables.TableFamilyIPv4)
	must(t, err)
	for _, x := range chains {
		rules, err := c.GetRules(v.gates.table, x)
		must(t, err)
		all = append(all, "chain "+x.Name)
		for i, r := range rules {
			text := fmt.Sprintf("chain %s %d:", x.Name, i)
			for _, e := range r.Exprs {
				b, err := expr.Marshal(byte(nftables.TableFamilyIPv4), e)
				must(t, err)
				text += fmt.Sprintf(" %x", b)
			}
			all = append(all, text)
		}
	}
	slices.Sort(all)
	return all
}

// TestKernelMeansWhatThePlanSays walks one VPC through plans that have nothing
// to do with each other. After each step the kernel's table must be the one that
// a new one would be, and sampled datagrams must arrive or not as the plan says.
func TestKernelMeansWhatThePlanSays(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	n := l.open()
	var enis []*eni
	listeners := map[string]*net.UDPConn{}
	for i, a := range someAddrs {
		e := newENI(vpcA, a)
		e.ENI = fmt.Sprintf("eni-%017d", i)
		enis = append(enis, e)
		l.attach(n, e)
		for _, p := range probed {
			c := listenUDP(t, e.ns, int(p))
			defer c.Close()
			listeners[netip.AddrPortFrom(e.Address, uint16(p)).String()] = c
		}
	}
	for seed := range 25 {
		p := genPlan.Example(seed)
		must(t, n.Configure(bg, []state.VPCPlan{p}))
		v := n.vpc(vpcA)
		changed := dump(t, v)
		v.mu.Lock()
		must(t, v.rebuild(compile(p, "node-1")))
		v.mu.Unlock()
		if fresh := dump(t, v); !slices.Equal(changed, fresh) {
			t.Fatalf("seed %d: after a change the table isn't as a new one:\n%q\n%q", seed, changed, fresh)
		}
		for from, e := range enis {
			for to, far := range enis {
				if from != to && (from+to+seed)%3 == 0 {
					for i, port := range probed {
						probe(t, seed, p, e, far, port, listeners, byte(seed), byte(from), byte(to), byte(i))
					}
				}
			}
		}
		// What arrived without being allowed has had the time of all the rest.
		for at, c := range listeners {
			c.SetReadDeadline(time.Now().Add(time.Millisecond))
			if size, from, err := c.ReadFromUDPAddrPort(make([]byte, 64)); err == nil {
				t.Fatalf("seed %d: %d bytes from %s arrived at %s, which the plan denies: %+v", seed, size, from, at, p)
			}
		}
	}
}

// probe sends a datagram and takes it in if it is allowed.
func probe(t *testing.T, seed int, p state.VPCPlan, from, to *eni, port int32, listeners map[string]*net.UDPConn, body ...byte) {
	t.Helper()
	at := netip.AddrPortFrom(to.Address, uint16(port)).String()
	var c net.Conn
	must(t, from.ns.do(func() (err error) {
		c, err = net.Dial("udp4", at)
		return err
	}))
	defer c.Close()
	_, err := c.Write(body)
	must(t, err)
	// What the plan has on another node is here in this test: its gates are not.
	if plan := p.Interfaces[len(p.Interfaces)-1]; plan.Node != "node-1" && (plan.Address == from.Address || plan.Address == to.Address) {
		return
	}
	if !allowed(p, packet{src: from.Address, dst: to.Address, proto: 17, a: port}) {
		return
	}
	in := listeners[at]
	in.SetReadDeadline(time.Now().Add(5 * time.Second))
	buf := make([]byte, 64)
	size, _, err := in.ReadFromUDPAddrPort(buf)
	if err != nil || !slices.Equal(buf[:size], body) {
		t.Fatalf("seed %d: %s to %s: got %v %v, want %v: %+v", seed, from.Address, at, buf[:size], err, body, p)
	}
}
