package store

import "github.com/berth/berth/state"

// The tables. A record's path in the engine is
// /berth/v1/<account>/<region>/<service>/<kind>/<id>.
var (
	Clusters        = NewTable("ecs/cluster", (*state.Cluster).Key)
	Families        = NewTable("ecs/family", (*state.Family).Key)
	TaskDefinitions = NewTable("ecs/task-definition", (*state.TaskDefinition).Key)
	Tasks           = NewTable("ecs/task", (*state.Task).Key, TasksByNode)
	Grants          = NewTable("api/grant", (*state.Grant).Key)
	Nodes           = NewTable("berth/node", (*state.Node).Key)

	VPCs             = NewTable("ec2/vpc", (*state.VPC).Key)
	Subnets          = NewTable("ec2/subnet", (*state.Subnet).Key)
	InternetGateways = NewTable("ec2/internet-gateway", (*state.InternetGateway).Key)
	RouteTables      = NewTable("ec2/route-table", (*state.RouteTable).Key)
	SecurityGroups   = NewTable("ec2/security-group", (*state.SecurityGroup).Key)
	ENIs             = NewTable("ec2/network-interface", (*state.ENI).Key, ENIsBySubnet, ENIsByVPC, ENIsByGroup)
	Addresses        = NewTable("ec2/address", (*state.Address).Key)
)

// The indexes.
var (
	TasksByNode  = NewIndex("node", func(t *state.Task) []string { return []string{t.Node} })
	ENIsBySubnet = NewIndex("subnet", func(e *state.ENI) []string { return []string{e.Subnet} })
	ENIsByVPC    = NewIndex("vpc", func(e *state.ENI) []string { return []string{e.VPC} })
	ENIsByGroup  = NewIndex("group", func(e *state.ENI) []string { return e.Groups })
)

// NewTable describes a table: its name ("service/kind"), how a record's key is
// found, and its indexes.
func NewTable[T any](name string, key func(*T) state.Key, indexes ...Index[T]) *Table[T] {
	return &Table[T]{}
}

// NewIndex describes an index: values gives what a record is filed under.
func NewIndex[T any](name string, values func(*T) []string) Index[T] { return Index[T]{} }
