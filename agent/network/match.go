package network

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// The pieces that nftables rules are put together from. Each is a run of
// expressions that uses register 1; a rule goes on to the next while they match.

var (
	// source and destination load an address of the packet.
	source      = []expr.Any{&expr.Payload{Base: expr.PayloadBaseNetworkHeader, Offset: 12, Len: 4, DestRegister: 1}}
	destination = []expr.Any{&expr.Payload{Base: expr.PayloadBaseNetworkHeader, Offset: 16, Len: 4, DestRegister: 1}}
)

// match joins pieces into a rule.
func match(pieces ...[]expr.Any) []expr.Any {
	var all []expr.Any
	for _, p := range pieces {
		all = append(all, p...)
	}
	return all
}

func verdict(kind expr.VerdictKind, chain string) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: kind, Chain: chain}}
}

// lookupVerdict follows what the map says of the loaded address.
func lookupVerdict(set string) []expr.Any {
	return []expr.Any{&expr.Lookup{SourceRegister: 1, SetName: set, IsDestRegSet: true, DestRegister: unix.NFT_REG_VERDICT}}
}

// translate replaces the loaded address by what the map has for it.
func translate(set string, kind expr.NATType) []expr.Any {
	return []expr.Any{
		&expr.Lookup{SourceRegister: 1, SetName: set, IsDestRegSet: true, DestRegister: 1},
		&expr.NAT{Type: kind, Family: unix.NFPROTO_IPV4, RegAddrMin: 1},
	}
}

// memberOf matches when the loaded address is in the set.
func memberOf(set string) []expr.Any {
	return []expr.Any{&expr.Lookup{SourceRegister: 1, SetName: set}}
}

// within matches when the loaded address is in the range.
func within(p netip.Prefix) []expr.Any {
	mask := make([]byte, 4)
	binary.BigEndian.PutUint32(mask, ^uint32(0)<<(32-p.Bits()))
	return []expr.Any{
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: mask, Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: p.Masked().Addr().AsSlice()},
	}
}

// iifname and oifname match an interface's whole name; with a * at the end,
// the names that begin so.
func iifname(name string) []expr.Any { return ifname(expr.MetaKeyIIFNAME, name) }
func oifname(name string) []expr.Any { return ifname(expr.MetaKeyOIFNAME, name) }

func ifname(key expr.MetaKey, name string) []expr.Any {
	data := make([]byte, unix.IFNAMSIZ)
	copy(data, name)
	if last := len(name) - 1; name[last] == '*' {
		data = []byte(name[:last])
	}
	return []expr.Any{&expr.Meta{Key: key, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: data}}
}

// ctState matches connections in any of the states.
func ctState(bits uint32) []expr.Any {
	return []expr.Any{
		&expr.Ct{Register: 1, Key: expr.CtKeySTATE},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(bits), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
	}
}

// destinationChanged is the kernel's IPS_DST_NAT.
const destinationChanged = 1 << 5

// tcpPort matches TCP to a port.
func tcpPort(port uint16) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{protoTCP}},
		&expr.Payload{Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2, DestRegister: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(port)},
	}
}

// ctStatus matches connections with any of the marks.
func ctStatus(bits uint32) []expr.Any {
	load := ctState(bits)
	load[0] = &expr.Ct{Register: 1, Key: expr.CtKeySTATUS}
	return load
}

// exprs is the rule in nftables' terms; side loads the other side's address.
func (r rule) exprs(side []expr.Any) []expr.Any {
	if r.jump != "" {
		return verdict(expr.VerdictJump, r.jump)
	}
	var all []expr.Any
	switch {
	case r.group != "":
		all = match(side, memberOf(r.group))
	case r.peer.IsValid():
		all = match(side, within(r.peer))
	}
	if r.proto != protoAll {
		all = append(all,
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{byte(r.proto)}})
	}
	transport := func(offset, length uint32) {
		all = append(all, &expr.Payload{Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: length, DestRegister: 1})
	}
	equals := func(data []byte) {
		all = append(all, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: data})
	}
	switch {
	case r.from < 0:
	case r.proto == protoICMP:
		transport(0, 1)
		equals([]byte{byte(r.from)})
		if r.to >= 0 {
			transport(1, 1)
			equals([]byte{byte(r.to)})
		}
	case r.from == r.to:
		transport(2, 2)
		equals(binaryutil.BigEndian.PutUint16(uint16(r.from)))
	default:
		transport(2, 2)
		all = append(all, &expr.Range{Op: expr.CmpOpEq, Register: 1,
			FromData: binaryutil.BigEndian.PutUint16(uint16(r.from)), ToData: binaryutil.BigEndian.PutUint16(uint16(r.to))})
	}
	return append(all, verdict(expr.VerdictAccept, "")...)
}
