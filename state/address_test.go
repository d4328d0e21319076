package state

import (
	"net/netip"
	"regexp"
	"testing"

	"pgregory.net/rapid"
)

// reserved says, by AWS's words and not by our arithmetic, whether a is one of
// the subnet's first four or its last.
func reserved(subnet netip.Prefix, a netip.Addr) bool {
	first := subnet.Masked().Addr()
	for range 4 {
		if a == first {
			return true
		}
		first = first.Next()
	}
	return !subnet.Contains(a.Next())
}

func TestPickAddressUsesEachUsableAddressOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bits := rapid.IntRange(22, 32).Draw(t, "bits")
		subnet := netip.PrefixFrom(address(rapid.Uint64Range(0, 1<<32-1).Draw(t, "address")), bits).Masked()
		taken := map[netip.Addr]bool{}
		var order []netip.Addr
		usable := max(0, 1<<(32-bits)-5)
		steps := rapid.IntRange(0, 30).Draw(t, "releases")
		for {
			a, ok := PickAddress(subnet, func(a netip.Addr) bool { return taken[a] }, rapid.Uint64().Draw(t, "start"))
			if !ok {
				if len(taken) != usable {
					t.Fatalf("%s is called full with %d of %d addresses taken", subnet, len(taken), usable)
				}
				return
			}
			switch {
			case taken[a]:
				t.Fatalf("%s was given out twice", a)
			case !subnet.Contains(a):
				t.Fatalf("%s is not in %s", a, subnet)
			case reserved(subnet, a):
				t.Fatalf("%s is reserved in %s", a, subnet)
			}
			taken[a] = true
			order = append(order, a)
			if steps > 0 && len(order) > 1 && rapid.Bool().Draw(t, "release") {
				steps--
				i := rapid.IntRange(0, len(order)-1).Draw(t, "which")
				delete(taken, order[i])
				order = append(order[:i], order[i+1:]...)
			}
		}
	})
}

func TestPickAsksSeldomWhileMostAreFree(t *testing.T) {
	subnet := netip.MustParsePrefix("172.31.0.0/20")
	taken := map[netip.Addr]bool{}
	asked := 0
	for i := range uint64(2000) { // of 4091: half full at the end
		a, ok := PickAddress(subnet, func(a netip.Addr) bool { asked++; return taken[a] }, i)
		if !ok {
			t.Fatal("full")
		}
		taken[a] = true
	}
	if asked > 2*2000 {
		t.Errorf("asked %d times for 2000 addresses", asked)
	}
}

func TestPickPublic(t *testing.T) {
	for pool, usable := range map[string]int{
		"127.0.0.0/24":   0,
		"127.0.0.0/23":   0,
		"127.0.0.0/22":   511, // 127.0.2.0 to 127.0.3.254
		"127.127.0.0/24": 254,
		"203.0.113.8/29": 6,
		"203.0.113.8/31": 2,
		"203.0.113.8/32": 1,
		"127.0.0.1/32":   0,
		"fd00::/120":     0,
	} {
		p := netip.MustParsePrefix(pool)
		taken := map[netip.Addr]bool{}
		for start := uint64(0); ; start++ {
			a, ok := PickPublic(p, func(a netip.Addr) bool { return taken[a] }, start)
			if !ok {
				break
			}
			if taken[a] || !p.Contains(a) || netip.MustParsePrefix("127.0.0.0/23").Contains(a) {
				t.Fatalf("%s gave %s", pool, a)
			}
			taken[a] = true
		}
		if len(taken) != usable {
			t.Errorf("%s has %d addresses, want %d", pool, len(taken), usable)
		}
	}
	all := netip.MustParsePrefix("0.0.0.0/0")
	if _, ok := PickPublic(all, func(a netip.Addr) bool { return a.Is4() && a.As4()[0] < 200 }, 7); !ok {
		t.Error("no address in the whole of IPv4")
	}
}

func TestNames(t *testing.T) {
	a := netip.MustParseAddr("172.31.5.6")
	for _, c := range [][2]string{
		{PrivateDNS("us-east-1", a), "ip-172-31-5-6.ec2.internal"},
		{PrivateDNS("eu-central-1", a), "ip-172-31-5-6.eu-central-1.compute.internal"},
		{PublicDNS("us-east-1", a), "ec2-172-31-5-6.compute-1.amazonaws.com"},
		{PublicDNS("eu-central-1", a), "ec2-172-31-5-6.eu-central-1.compute.amazonaws.com"},
		{PublicDNS("cn-north-1", a), "ec2-172-31-5-6.cn-north-1.compute.amazonaws.com.cn"},
	} {
		if c[0] != c[1] {
			t.Errorf("got %s, want %s", c[0], c[1])
		}
	}
	m := MAC("eni-0123456789abcdef0")
	if !regexp.MustCompile(`^02(:[0-9a-f]{2}){5}$`).MatchString(m) || m != MAC("eni-0123456789abcdef0") || m == MAC("eni-0123456789abcdef1") {
		t.Errorf("MAC %s", m)
	}
}
