// Package network is the data plane of VPCs on one node: it gives each task a
// network interface of its own and carries packets between them, the host and
// the world, as security groups allow. Everything is in the kernel; no packet
// passes through Berth, and nothing stops when Berth does.
//
// It is told what to do by values of package state: an Interface to attach, and
// a VPCPlan with all groups and interfaces of a VPC. It must not know of tasks
// beyond their ID, nor of the store or any API. It runs no other program.
//
// # Namespaces
//
//	        host namespace                      VPC namespace, a router             task namespace
//	┌─────────────────────────────┐      ┌──────────────────────────────────┐     ┌─────────────────┐
//	│ table ip berth-INSTANCE     │ veth │ table ip berth-2                 │veth │ eth0 10.0.1.10  │
//	│ eth0 ── bvINSTANCE-SLOT ════╪══════╪═ host0      p<eni> ══════════════╪═════╪═    02:…        │
//	│         169.254.64.0        │      │  169.254.64.1                    │     │ lo 127.0.0.1    │
//	│ 10.0.1.10/32 via …64.1      │      │ 10.0.1.10/32 dev p<eni>          │     │ default via     │
//	│ 127.100.0.5/32 via …64.1    │      │ 10.0.0.0/16 blackhole            │     │   10.0.1.1      │
//	│                             │      │ default via 169.254.64.0         │     │                 │
//	│                             │      │ lo 169.254.170.2                 │     │                 │
//	└─────────────────────────────┘      └──────────────────────────────────┘     └─────────────────┘
//
// A VPC is a namespace that routes, so two VPCs may have the same ranges. An
// interface is a veth pair: one end is the task's eth0, with the interface's
// MAC and its address as AWS shows it (with the subnet's prefix, yet without a
// route to the subnet: everything goes to the router); the other is a port of
// the router, with a /32 route to it. Neighbours are fixed on both ends: nobody
// asks by ARP, nobody can answer wrongly. What is in the VPC's ranges but has no
// interface is dropped, and so is 169.254.0.0/16.
//
// # Names
//
//	/run/netns/berth-INSTANCE-vpc-…   a VPC (ip netns exec works on it)
//	/run/netns/berth-INSTANCE-eni-…   a task's namespace
//	bvINSTANCE-SLOT                   host's end of a VPC's link; the alias is the VPC's ID
//	host0                             the other end, in the VPC's namespace
//	pDDDDDDDDDDDDDD                   a port: the last 14 digits of the ENI; the alias is its receipt
//	table ip berth-INSTANCE           on the host
//	table ip berth-2                  in a VPC's namespace
//	routes with proto 190             on the host, in the tables main (private) and local (public)
//
// INSTANCE is 8 hexadecimal digits, so a bv name has 15 characters, the most
// that there may be. SLOT is the place of the link's two addresses in
// 169.254.64.0/18: whichever is free on the host when the link is made.
//
// # The way of a packet
//
// In the VPC's namespace, in this order:
//
//	source        from a port: only with the interface's own MAC and address
//	from-public   from the host, to a public address: becomes the private one
//	egress-gate   from a port: established, or a rule of the sender's groups
//	ingress-gate  to a port: established, or a rule of the receiver's groups
//	to-public     to the host: from the public address, else from the link's
//
// The gates are two base chains on one hook: an accept in the first only leads
// to the second, and both drop by default. Each looks the interface's address
// up in a map that leads to its group's chain (in-sg-…, out-sg-…), or to a chain
// that tries several groups in turn. A rule that names a group looks the other
// side up in the set of the group's members. So one more interface is a few
// elements more, and costs the same with ten as with thousands.
//
// Connections that were let in stay when a rule is revoked, as on AWS (EC2 User
// Guide, "Security group connection tracking"); they end when an interface is
// detached. Unlike AWS's, every connection is tracked: there they are cut at
// once where a rule for everything from everywhere made tracking unnecessary.
//
// On the host, what leaves a VPC gets the host's address unless it has a public
// one. Packets are forwarded into a VPC only to public addresses and as
// replies: neither another VPC nor the host's neighbours reach private
// addresses. The host itself does, from its link's address, as far as rules by
// range allow it (169.254.64.0/18, so usually 0.0.0.0/0).
//
// A public address is a route on the host and a pair of map entries in the VPC.
// The route is in the table "local", which is asked before 127.0.0.0/8 is taken
// for the host's own: so it may be a loopback address, which only the host can
// reach, or one that the network around sends to the host.
//
// # The bridge
//
// Containers of tasks of network mode bridge have interfaces on one more such
// router, named vpc-bridge, with Docker's range 172.17.0.0/16. The range is seen
// inside that namespace only, so instances and the host's own networks don't
// collide with it, and nothing is to be chosen or recorded. There are no gates
// but this: its containers reach each other and whatever the host reaches, and
// are reached by ports that are mapped to them.
//
//	host      ports-in, ports-local   a mapped port of one of the host's addresses:
//	                                  to the bridge's end of its link, same port
//	bridge    from-host               the port's container and its port there
//
// So the host knows which ports are mapped (the set ports), the bridge where they
// lead (the map mapped), and a container's address is in one place. The caller's
// address stays; one on the host's loopback becomes the link's. A container that
// asks for a mapped port of the host, be it its own, comes in by the same way.
//
// A port that a process of the host listens on, or that another instance maps, is
// refused: it would be taken from them. Mode host has the host's namespace, and
// mode none one that the runtime makes: neither is known here.
//
// # Metadata
//
// Each router has 169.254.170.2, and listens there on port 80 (Answer). Who asks is
// known by the address, which the source chain has checked.
//
// # Order of calls
//
// Open, then Configure with the plans of all VPCs that have interfaces on the
// node, then Attach and Detach as tasks come and go, Join and Leave as
// containers on the bridge do, and Configure again whenever a plan changes. Configure may come before or after the Attach of an
// interface; until both are done no packet passes it. Configure also writes the
// host's table anew where a firewall has flushed it, so call it now and then.
// Close leaves everything running for the next Open; Destroy removes it.
//
// # Crashes
//
// All state is in the kernel, so it goes when the kernel's does. An interface
// is there when its port has its receipt, which is written last and removed
// first; a VPC's link when it has its alias. Open adopts these and removes the
// rest. nftables changes in transactions, never by halves. What a table held
// when its process died is not read back: it stays in force until the first
// Configure replaces it, in one transaction, by what is wanted now.
//
// Settings of the host that Berth changes (net.ipv4.ip_forward; and
// tcp_allowed_congestion_control where BBR is the default) are marked in the
// instance's table before they are changed: see settings.go.
//
// # Tests
//
// They need root and a kernel with nftables. Each makes a namespace to be its
// host (Config.HostNS) and another to be the world, so they can run side by
// side, and leave the machine as it is.
package network
