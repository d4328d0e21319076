package state

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// DefaultPrefix is the range of AWS's default VPCs.
var DefaultPrefix = netip.MustParsePrefix("172.31.0.0/16")

// Zone is an availability zone.
type Zone struct {
	Name string // us-east-1a
	ID   string // use1-az1
}

// Zones are the three zones that each region has here.
func Zones(region string) []Zone {
	zones := make([]Zone, 3)
	for i := range zones {
		zones[i] = Zone{Name: region + string(rune('a'+i)), ID: fmt.Sprintf("%s-az%d", shortRegion(region), i+1)}
	}
	return zones
}

// shortRegion is the region as zone IDs say it: use1 for us-east-1, apse2 for
// ap-southeast-2, usgw1 for us-gov-west-1.
func shortRegion(region string) string {
	parts := strings.Split(region, "-")
	var b strings.Builder
	b.WriteString(parts[0])
	for _, p := range parts[1:] {
		// northeast, southwest … count as two words, anything else as one.
		for _, way := range []string{"north", "south"} {
			if rest, ok := strings.CutPrefix(p, way); ok && rest != "" {
				b.WriteByte(way[0])
				p = rest
			}
		}
		if p != "" {
			b.WriteByte(p[0])
		}
	}
	return b.String()
}

// DefaultVPC is all that a region has of a default VPC.
type DefaultVPC struct {
	VPC             *VPC
	Subnets         []*Subnet // one in each zone
	InternetGateway *InternetGateway
	RouteTable      *RouteTable
	SecurityGroup   *SecurityGroup
}

// Seed makes the records of a scope's default VPC, as AWS makes one in each
// region of a new account (Amazon VPC User Guide, "Default VPCs"): a public
// subnet in each zone that is a sixteenth of the VPC's range, an attached
// internet gateway, a main route table that leads to it, and the group
// "default", whose members accept all from one another and may send anything
// anywhere.
//
// newID makes an ID with a prefix (id.Resource). prefix is the VPC's range: IPv4,
// /8 to /24, so that a subnet is no smaller than AWS's smallest (/28).
func Seed(s Scope, prefix netip.Prefix, now time.Time, newID func(prefix string) string) (*DefaultVPC, error) {
	if !prefix.IsValid() || !prefix.Addr().Is4() || prefix != prefix.Masked() || prefix.Bits() < 8 || prefix.Bits() > 24 {
		return nil, fmt.Errorf("the default VPC's range is %s: it must be an IPv4 network of /8 to /24", prefix)
	}
	vpc := &VPC{Scope: s, ID: newID("vpc"), Prefix: prefix, Default: true, DHCP: newID("dopt"), CreatedAt: now}
	out := &DefaultVPC{VPC: vpc}
	bits := prefix.Bits() + 4
	for i, z := range Zones(s.Region) {
		first := address(number(prefix.Addr()) + uint64(i)<<(32-bits))
		out.Subnets = append(out.Subnets, &Subnet{
			Scope: s, ID: newID("subnet"), VPC: vpc.ID, Zone: z.Name, ZoneID: z.ID,
			Prefix: netip.PrefixFrom(first, bits), DefaultForAZ: true, MapPublic: true,
		})
	}
	out.InternetGateway = &InternetGateway{Scope: s, ID: newID("igw"), VPC: vpc.ID}
	out.RouteTable = &RouteTable{
		Scope: s, ID: newID("rtb"), VPC: vpc.ID, Main: true, MainAssociation: newID("rtbassoc"),
		Routes: []Route{
			{Prefix: prefix, Target: "local", Origin: "CreateRouteTable"},
			{Prefix: netip.PrefixFrom(netip.IPv4Unspecified(), 0), Target: out.InternetGateway.ID, Origin: "CreateRoute"},
		},
	}
	group := newID("sg")
	out.SecurityGroup = &SecurityGroup{
		Scope: s, ID: group, VPC: vpc.ID, Name: "default", Description: "default VPC security group",
		Rules: []SecurityGroupRule{
			{ID: newID("sgr"), Protocol: "-1", FromPort: -1, ToPort: -1, Group: group},
			OutAnywhere(newID("sgr")),
		},
	}
	return out, nil
}

// OutAnywhere is the egress rule that every group of a VPC has when it is made.
func OutAnywhere(id string) SecurityGroupRule {
	return SecurityGroupRule{ID: id, Egress: true, Protocol: "-1", FromPort: -1, ToPort: -1, IPv4: "0.0.0.0/0"}
}
