package store

import "github.com/berth/berth/state"

// The tables. A record's path in the engine is
// /berth/v1/<account>/<region>/<service>/<kind>/<id>.
var (
	Clusters        = newTable("ecs/cluster", (*state.Cluster).Key)
	Families        = newTable("ecs/family", (*state.Family).Key)
	TaskDefinitions = newTable("ecs/task-definition", (*state.TaskDefinition).Key)
	Tasks           = newTable("ecs/task", (*state.Task).Key, TasksByNode)
	Instances       = newTable("ecs/container-instance", (*state.ContainerInstance).Key, InstancesByNode)
	Grants          = newTable("api/grant", (*state.Grant).Key)
	Nodes           = newTable("berth/node", (*state.Node).Key)

	VPCs             = newTable("ec2/vpc", (*state.VPC).Key)
	Subnets          = newTable("ec2/subnet", (*state.Subnet).Key)
	InternetGateways = newTable("ec2/internet-gateway", (*state.InternetGateway).Key)
	RouteTables      = newTable("ec2/route-table", (*state.RouteTable).Key)
	SecurityGroups   = newTable("ec2/security-group", (*state.SecurityGroup).Key)
	ENIs             = newTable("ec2/network-interface", (*state.ENI).Key, ENIsBySubnet, ENIsByVPC, ENIsByGroup)
	Addresses        = newTable("ec2/address", (*state.Address).Key)
)

// The indexes.
var (
	TasksByNode     = newIndex("node", func(t *state.Task) []string { return []string{t.Node} })
	InstancesByNode = newIndex("node", func(i *state.ContainerInstance) []string { return []string{i.Node} })
	ENIsBySubnet    = newIndex("subnet", func(e *state.ENI) []string { return []string{e.Subnet} })
	ENIsByVPC       = newIndex("vpc", func(e *state.ENI) []string { return []string{e.VPC} })
	ENIsByGroup     = newIndex("group", func(e *state.ENI) []string { return e.Groups })
)

// tables are all descriptors by name.
var tables = named(
	Clusters.d, Families.d, TaskDefinitions.d, Tasks.d, Instances.d, Grants.d, Nodes.d,
	VPCs.d, Subnets.d, InternetGateways.d, RouteTables.d, SecurityGroups.d, ENIs.d, Addresses.d,
)
