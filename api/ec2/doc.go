// Package ec2 is the part of the EC2 API that a container platform's clients
// need: the VPC that tasks run in, read; security groups, in full; tags; and
// true, empty answers about kinds of things that cannot exist here, for clients
// that ask anyway. Operations without a method answer 501 (package wire).
//
// It owns the records VPC, Subnet, InternetGateway, RouteTable and SecurityGroup
// of package state; ENIs are made by api/ecs and shown here. It may know state,
// store, wire and internal; it knows no loop, no node and no other API.
//
// The files:
//
//	shapes_*.go     inputs and outputs, as in the SDK (the client itself takes too long to compile)
//	list.go         what Describe operations have in common: IDs, filters, pages, dry runs
//	filter.go       filters: names, wildcards
//	resource.go     kinds of resources: IDs and the errors about them
//	tags.go         CreateTags, DeleteTags, DescribeTags and TagSpecifications
//	vpc.go …        one file for each kind
//	rule_parse.go   IpPermissions → state's rules; rule_show.go the other way
//
// Error codes and messages are EC2's (Amazon EC2 API Reference, "Error codes",
// and messages seen in the wild); fidelity.txt says what becomes of each field.
//
// A Describe operation shows records as EC2's types and filters those, so a
// filter sees what the user sees. A change is one store.Update whose last step
// fails for a dry run: then everything was checked and nothing is written.
//
// Tests call the methods over a store in memory, and the AWS CLI over wire.
package ec2
