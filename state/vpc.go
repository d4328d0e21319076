package state

import (
	"net/netip"
	"time"

	"github.com/berth/berth/internal/arn"
)

// VPC is a virtual network.
type VPC struct {
	Scope
	ID        string
	Prefix    netip.Prefix
	Default   bool
	DHCP      string // dopt-…
	Tags      []Tag  `json:",omitempty"`
	CreatedAt time.Time
	// ACLTags and DHCPTags are the tags of its default network ACL and of its
	// DHCP options, which have no records of their own.
	ACLTags  []Tag `json:",omitempty"`
	DHCPTags []Tag `json:",omitempty"`
}

// Key is the VPC's ID.
func (v *VPC) Key() Key { return v.Scope.Key(v.ID) }

// Subnet is a range of a VPC in one availability zone.
type Subnet struct {
	Scope
	ID     string
	VPC    string
	Zone   string // us-east-1a
	ZoneID string // use1-az1
	Prefix netip.Prefix
	// DefaultForAZ: the default VPC's subnet of its zone. MapPublic: interfaces
	// get a public address when the call doesn't say.
	DefaultForAZ bool
	MapPublic    bool
	Tags         []Tag `json:",omitempty"`
}

// Key is the subnet's ID.
func (s *Subnet) Key() Key { return s.Scope.Key(s.ID) }

// ARN returns the subnet's ARN.
func (s *Subnet) ARN() string {
	return arn.ARN{Partition: arn.Partition(s.Region), Service: "ec2", Region: s.Region, Account: s.Account, Resource: "subnet/" + s.ID}.String()
}

// InternetGateway joins a VPC to the outside.
type InternetGateway struct {
	Scope
	ID   string
	VPC  string // empty when detached
	Tags []Tag  `json:",omitempty"`
}

// Key is the gateway's ID.
func (g *InternetGateway) Key() Key { return g.Scope.Key(g.ID) }

// RouteTable holds the routes of a VPC's subnets.
type RouteTable struct {
	Scope
	ID   string
	VPC  string
	Main bool
	// MainAssociation is the ID of the association with the VPC (rtbassoc-…).
	MainAssociation string
	Routes          []Route
	Tags            []Tag `json:",omitempty"`
}

// Route sends a range to a target: "local" or igw-….
type Route struct {
	Prefix netip.Prefix
	Target string
	Origin string // CreateRouteTable, CreateRoute
}

// Key is the table's ID.
func (r *RouteTable) Key() Key { return r.Scope.Key(r.ID) }

// SecurityGroup is a set of interfaces and what they may send and receive.
type SecurityGroup struct {
	Scope
	ID          string
	VPC         string
	Name        string
	Description string
	Rules       []SecurityGroupRule
	Tags        []Tag `json:",omitempty"`
}

// SecurityGroupRule allows one protocol, port range and peer.
type SecurityGroupRule struct {
	ID       string // sgr-…
	Egress   bool
	Protocol string // as AWS says it: "tcp", "udp", "icmp", "icmpv6", "-1" or a number
	// FromPort and ToPort: ports, or ICMP type and code; -1 for all.
	FromPort, ToPort int32
	// One of the four is set. Prefix lists are refused until they exist.
	IPv4        string `json:",omitempty"` // CIDR
	IPv6        string `json:",omitempty"` // CIDR
	Group       string `json:",omitempty"` // sg-…
	Description string `json:",omitempty"`
	Tags        []Tag  `json:",omitempty"`
}

// Key is the group's ID.
func (g *SecurityGroup) Key() Key { return g.Scope.Key(g.ID) }

// ARN returns the group's ARN.
func (g *SecurityGroup) ARN() string {
	return arn.ARN{Partition: arn.Partition(g.Region), Service: "ec2", Region: g.Region, Account: g.Account, Resource: "security-group/" + g.ID}.String()
}

// ENI is an elastic network interface.
type ENI struct {
	Scope
	ID          string
	VPC         string
	Subnet      string
	Zone        string
	Description string
	MAC         string
	Address     netip.Addr
	Public      netip.Addr `json:",omitzero"`
	Groups      []string   // sg-…, at least one
	// Task is the ARN of the task it belongs to, Node where that runs.
	Task         string
	TaskID       string
	Node         string
	AttachmentID string // eni-attach-…
	// Attached is when the node had built it; zero before.
	AttachedAt time.Time `json:",omitzero"`
	CreatedAt  time.Time
	Tags       []Tag `json:",omitempty"`
}

// Key is the interface's ID.
func (e *ENI) Key() Key { return e.Scope.Key(e.ID) }

// Address holds one address so that no two interfaces can have it, whoever
// writes: its key must not exist when it is taken.
type Address struct {
	Scope
	// Space is the VPC's ID, or "public" for the installation's pool (which is
	// in no scope).
	Space string
	Addr  netip.Addr
	ENI   string
}

// Key is "space/address".
func (a *Address) Key() Key { return a.Scope.Key(a.Space + "/" + a.Addr.String()) }
