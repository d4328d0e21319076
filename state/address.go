package state

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
)

// PickAddress returns an address of a subnet that is not taken, or false when
// all are. Out of bounds are the five that AWS reserves in each subnet: the
// first four and the last (Amazon VPC User Guide, "Subnet CIDR blocks").
//
// The search begins at a place made of start, so that callers who come with
// random numbers seldom want the same address, and visits each address once:
// taken is asked about once where most are free.
func PickAddress(subnet netip.Prefix, taken func(netip.Addr) bool, start uint64) (netip.Addr, bool) {
	first, size, ok := span(subnet)
	if !ok || size <= 5 {
		return netip.Addr{}, false
	}
	return pick(first+4, size-5, taken, start)
}

// PickPublic returns an address of the pool of public addresses that is not
// taken, or false when all are. Out of bounds are the pool's network and
// broadcast addresses, unless it is too small to have them (RFC 3021), and
// 127.0.0.0/23: there live localhost, Debian's name for the host (127.0.1.1) and
// local resolvers (127.0.0.53).
func PickPublic(pool netip.Prefix, taken func(netip.Addr) bool, start uint64) (netip.Addr, bool) {
	first, size, ok := span(pool)
	if !ok {
		return netip.Addr{}, false
	}
	if size > 2 {
		first, size = first+1, size-2
	}
	const localFirst, localEnd = 127 << 24, 127<<24 + 2<<8
	end := first + size
	switch {
	case end <= localFirst || first >= localEnd: // apart
	case end <= localEnd && first >= localFirst: // nothing is left
		return netip.Addr{}, false
	case first >= localFirst: // the pool begins in there
		first, size = localEnd, end-localEnd
	default: // the pool is larger than 127.0.0.0/8
		return pick(first, size, func(a netip.Addr) bool {
			n := number(a)
			return n >= localFirst && n < localEnd || taken(a)
		}, start)
	}
	return pick(first, size, taken, start)
}

// pick probes the size addresses from first on in steps that have no divisor in
// common with size, and so come by each exactly once.
func pick(first, size uint64, taken func(netip.Addr) bool, start uint64) (netip.Addr, bool) {
	at := mix(start) % size
	step := mix(start+1)%size | 1
	for gcd(step, size) != 1 {
		step += 2
	}
	step %= size
	for range size {
		if a := address(first + at); !taken(a) {
			return a, true
		}
		at = (at + step) % size
	}
	return netip.Addr{}, false
}

// span is an IPv4 range as its first address and its size.
func span(p netip.Prefix) (first, size uint64, ok bool) {
	if !p.IsValid() || !p.Addr().Is4() {
		return 0, 0, false
	}
	return number(p.Masked().Addr()), 1 << (32 - p.Bits()), true
}

func number(a netip.Addr) uint64 {
	b := a.As4()
	return uint64(binary.BigEndian.Uint32(b[:]))
}

func address(n uint64) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(n))
	return netip.AddrFrom4(b)
}

// mix is the finalizer of SplitMix64: neighbours become far apart.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// MAC is the hardware address of a network interface, made of its ID: unicast
// and locally administered.
func MAC(eni string) string {
	h := sha256.Sum256([]byte(eni))
	return fmt.Sprintf("02:%02x:%02x:%02x:%02x:%02x", h[0], h[1], h[2], h[3], h[4])
}

// PrivateDNS is the name that AWS gives to a private address:
// ip-172-31-5-6.ec2.internal, or with the region outside us-east-1.
func PrivateDNS(region string, a netip.Addr) string {
	return "ip-" + strings.ReplaceAll(a.String(), ".", "-") + "." + PrivateDomain(region)
}

// PrivateDomain is the domain of a region's private names.
func PrivateDomain(region string) string {
	if region == "us-east-1" {
		return "ec2.internal"
	}
	return region + ".compute.internal"
}

// PublicDNS is the name that AWS gives to a public address:
// ec2-203-0-113-9.compute-1.amazonaws.com, or with the region outside us-east-1.
func PublicDNS(region string, a netip.Addr) string {
	domain := region + ".compute.amazonaws.com"
	switch {
	case region == "us-east-1":
		domain = "compute-1.amazonaws.com"
	case strings.HasPrefix(region, "cn-"):
		domain += ".cn"
	}
	return "ec2-" + strings.ReplaceAll(a.String(), ".", "-") + "." + domain
}
