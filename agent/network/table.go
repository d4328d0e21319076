package network

import (
	"errors"
	"net"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// tableName is of a VPC's table in its namespace. The number changes with the
// fixed chains: a table of another number is replaced by the first Configure.
const tableName = "berth-2"

// hostLink is the VPC's end of its link to the host.
const hostLink = "host0"

// elementsAtOnce is how many set elements go in one netlink message, whose
// attributes are limited to 64 KiB.
const elementsAtOnce = 256

// gates writes a VPC's table: what doc.go draws. Its methods add to a
// transaction.
type gates struct {
	*nft
	table  *nftables.Table
	sets   uint32 // IDs given out
	bridge bool   // it is the bridge, which has no groups: see bridgeChains
}

func newGates(ns *namespace, bridge bool) (*gates, error) {
	f, err := openNFT(ns)
	return &gates{nft: f, bridge: bridge, table: &nftables.Table{Name: tableName, Family: nftables.TableFamilyIPv4}}, err
}

// The sets with fixed names.
func (g *gates) ports() *nftables.Set {
	return &nftables.Set{Table: g.table, Name: "ports", Concatenation: true,
		KeyType: nftables.MustConcatSetType(nftables.TypeIFName, nftables.TypeEtherAddr, nftables.TypeIPAddr)}
}

func (g *gates) verdicts(name string) *nftables.Set {
	return &nftables.Set{Table: g.table, Name: name, IsMap: true, KeyType: nftables.TypeIPAddr, DataType: nftables.TypeVerdict}
}

func (g *gates) addresses(name string) *nftables.Set {
	return &nftables.Set{Table: g.table, Name: name, IsMap: true, KeyType: nftables.TypeIPAddr, DataType: nftables.TypeIPAddr}
}

func (g *gates) members(group string) *nftables.Set {
	return &nftables.Set{Table: g.table, Name: group, KeyType: nftables.TypeIPAddr}
}

func (g *gates) addSet(s *nftables.Set) error {
	g.sets++
	s.ID = g.sets
	s.KeyByteOrder = binaryutil.BigEndian
	return g.conn.AddSet(s, nil)
}

func (g *gates) addElements(s *nftables.Set, e []nftables.SetElement) error {
	for part := range slices.Chunk(e, elementsAtOnce) {
		if err := g.conn.SetAddElements(s, part); err != nil {
			return err
		}
	}
	return nil
}

func (g *gates) deleteElements(s *nftables.Set, e []nftables.SetElement) error {
	for part := range slices.Chunk(e, elementsAtOnce) {
		if err := g.conn.SetDeleteElements(s, part); err != nil {
			return err
		}
	}
	return nil
}

// reset replaces the table, and those in old, by one that has the fixed chains
// and nothing else.
func (g *gates) reset(old []*nftables.Table) error {
	for _, t := range old {
		g.conn.DelTable(&nftables.Table{Name: t.Name, Family: t.Family})
	}
	g.conn.AddTable(g.table)
	for _, s := range []*nftables.Set{g.ports(), g.verdicts("egress"), g.verdicts("ingress"), g.addresses("inbound"), g.addresses("outbound")} {
		if err := g.addSet(s); err != nil {
			return err
		}
	}
	drop, accept := nftables.ChainPolicyDrop, nftables.ChainPolicyAccept
	chain := func(name string, kind nftables.ChainType, hook *nftables.ChainHook, prio nftables.ChainPriority, policy nftables.ChainPolicy, rules ...[]expr.Any) {
		c := g.conn.AddChain(&nftables.Chain{Table: g.table, Name: name, Type: kind, Hooknum: hook, Priority: &prio, Policy: &policy})
		for _, r := range rules {
			g.conn.AddRule(&nftables.Rule{Table: g.table, Chain: c, Exprs: r})
		}
	}
	chain("source", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, -300, drop,
		match(iifname(hostLink), verdict(expr.VerdictAccept, "")),
		match(iifname("lo"), verdict(expr.VerdictAccept, "")),
		match([]expr.Any{
			&expr.Meta{Key: expr.MetaKeyIIFTYPE, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint16(unix.ARPHRD_ETHER)},
			&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: unix.NFT_REG32_00},
			&expr.Payload{Base: expr.PayloadBaseLLHeader, Offset: 6, Len: 6, DestRegister: unix.NFT_REG32_04},
			&expr.Payload{Base: expr.PayloadBaseNetworkHeader, Offset: 12, Len: 4, DestRegister: unix.NFT_REG32_06},
			&expr.Lookup{SourceRegister: unix.NFT_REG32_00, SetName: "ports"},
		}, verdict(expr.VerdictAccept, "")))
	chain("local", nftables.ChainTypeFilter, nftables.ChainHookInput, 0, drop,
		match(iifname("lo"), verdict(expr.VerdictAccept, "")),
		match(iifname(portPrefix+"*"), destination, within(netip.PrefixFrom(netip.MustParseAddr(metadataAddress), 32)),
			tcpPort(metadataPort), verdict(expr.VerdictAccept, "")))
	if g.bridge {
		return g.bridgeChains(chain)
	}
	chain("egress-gate", nftables.ChainTypeFilter, nftables.ChainHookForward, 0, drop,
		match(iifname(hostLink), oifname(hostLink), verdict(expr.VerdictDrop, "")),
		match(iifname(hostLink), verdict(expr.VerdictAccept, "")),
		match(ctState(expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED), verdict(expr.VerdictAccept, "")),
		match(source, lookupVerdict("egress")))
	chain("ingress-gate", nftables.ChainTypeFilter, nftables.ChainHookForward, 10, drop,
		match(oifname(hostLink), verdict(expr.VerdictAccept, "")),
		match(ctState(expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED), verdict(expr.VerdictAccept, "")),
		match(destination, lookupVerdict("ingress")))
	chain("from-public", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, -100, accept,
		match(iifname(hostLink), destination, translate("inbound", expr.NATTypeDestNAT)))
	chain("to-public", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, 100, accept,
		match(oifname(hostLink), source, translate("outbound", expr.NATTypeSourceNAT)),
		match(oifname(hostLink), []expr.Any{&expr.Masq{}}))
	return nil
}

// bridgeChains are the bridge's: its containers reach each other and all that
// the host does; they are reached by the ports that are mapped to them.
func (g *gates) bridgeChains(chain func(string, nftables.ChainType, *nftables.ChainHook, nftables.ChainPriority, nftables.ChainPolicy, ...[]expr.Any)) error {
	if err := g.addSet(g.mapped()); err != nil {
		return err
	}
	chain("forward", nftables.ChainTypeFilter, nftables.ChainHookForward, 0, nftables.ChainPolicyDrop,
		match(iifname(portPrefix+"*"), verdict(expr.VerdictAccept, "")),
		match(ctState(expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED), verdict(expr.VerdictAccept, "")),
		match(oifname(portPrefix+"*"), ctStatus(destinationChanged), verdict(expr.VerdictAccept, "")))
	chain("from-host", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, -100, nftables.ChainPolicyAccept,
		match(iifname(hostLink), loadPort(), []expr.Any{
			&expr.Lookup{SourceRegister: unix.NFT_REG32_00, SetName: "mapped", IsDestRegSet: true, DestRegister: 1},
			&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: unix.NFT_REG32_00, RegProtoMin: unix.NFT_REG32_01, Specified: true},
		}))
	chain("to-host", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, 100, nftables.ChainPolicyAccept,
		match(oifname(hostLink), []expr.Any{&expr.Masq{}}))
	return nil
}

// port lets an interface send with its own addresses.
func port(name string, mac net.HardwareAddr, addr netip.Addr) nftables.SetElement {
	key := make([]byte, 28)
	copy(key, name)
	copy(key[16:], mac)
	copy(key[24:], addr.AsSlice())
	return nftables.SetElement{Key: key}
}

// change adds to the transaction what makes have into want.
func (g *gates) change(have, want *ruleset) error {
	// What is new comes first, so that it can be referred to.
	for name := range want.chains {
		if _, ok := have.chains[name]; !ok {
			g.conn.AddChain(&nftables.Chain{Table: g.table, Name: name})
		}
	}
	for group, members := range want.members {
		s := g.members(group)
		old, ok := have.members[group]
		if !ok {
			if err := g.addSet(s); err != nil {
				return err
			}
		}
		if err := changeElements(g, s, old, members, func(a netip.Addr, _ bool) nftables.SetElement {
			return nftables.SetElement{Key: a.AsSlice()}
		}); err != nil {
			return err
		}
	}
	for name, rules := range want.chains {
		old, ok := have.chains[name]
		if ok && slices.Equal(old, rules) {
			continue
		}
		c := &nftables.Chain{Table: g.table, Name: name}
		if ok {
			g.conn.FlushChain(c)
		}
		side := destination
		if name[:3] == "in-" {
			side = source
		}
		for _, r := range rules {
			g.conn.AddRule(&nftables.Rule{Table: g.table, Chain: c, Exprs: r.exprs(side)})
		}
	}
	goTo := func(a netip.Addr, chain string) nftables.SetElement {
		return nftables.SetElement{Key: a.AsSlice(), VerdictData: &expr.Verdict{Kind: expr.VerdictGoto, Chain: chain}}
	}
	pair := func(from, to netip.Addr) nftables.SetElement {
		return nftables.SetElement{Key: from.AsSlice(), Val: to.AsSlice()}
	}
	if err := errors.Join(
		changeElements(g, g.verdicts("egress"), have.egress, want.egress, goTo),
		changeElements(g, g.verdicts("ingress"), have.ingress, want.ingress, goTo),
		changeElements(g, g.addresses("inbound"), have.inbound, want.inbound, pair),
		changeElements(g, g.addresses("outbound"), have.outbound, want.outbound, pair),
	); err != nil {
		return err
	}
	// What is old goes last, when nothing refers to it any more.
	var gone []*nftables.Chain
	for name := range have.chains {
		if _, ok := want.chains[name]; !ok {
			gone = append(gone, &nftables.Chain{Table: g.table, Name: name})
		}
	}
	for _, c := range gone {
		g.conn.FlushChain(c)
	}
	for _, c := range gone {
		g.conn.DelChain(c)
	}
	for group := range have.members {
		if _, ok := want.members[group]; !ok {
			g.conn.DelSet(g.members(group))
		}
	}
	return nil
}

// changeElements brings one set or map from have to want.
func changeElements[V comparable](g *gates, s *nftables.Set, have, want map[netip.Addr]V, element func(netip.Addr, V) nftables.SetElement) error {
	var gone, more []nftables.SetElement
	for k, v := range have {
		if w, ok := want[k]; !ok || w != v {
			gone = append(gone, element(k, v))
		}
	}
	for k, v := range want {
		if w, ok := have[k]; !ok || w != v {
			more = append(more, element(k, v))
		}
	}
	if err := g.deleteElements(s, gone); err != nil {
		return err
	}
	return g.addElements(s, more)
}
