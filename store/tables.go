package store

import (
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/state"
)

// The tables. A record's path in the engine is
// /berth/v1/<account>/<region>/<service>/<kind>/<id>.
var (
	Clusters          = newTable("ecs/cluster", (*state.Cluster).Key)
	Families          = newTable("ecs/family", (*state.Family).Key)
	TaskDefinitions   = newTable("ecs/task-definition", (*state.TaskDefinition).Key)
	Tasks             = newTable("ecs/task", (*state.Task).Key, TasksByNode, TasksByStarter)
	Instances         = newTable("ecs/container-instance", (*state.ContainerInstance).Key, InstancesByNode, InstancesDraining)
	Services          = newTable("ecs/service", (*state.Service).Key)
	ServiceEvents     = newTable("ecs/service-event", (*state.ServiceEvent).Key)
	Revisions         = newTable("ecs/service-revision", (*state.ServiceRevision).Key)
	Deployments       = newTable("ecs/service-deployment", (*state.Deployment).Key)
	TaskSets          = newTable("ecs/task-set", (*state.TaskSet).Key)
	CapacityProviders = newTable("ecs/capacity-provider", (*state.CapacityProvider).Key)
	AccountSettings   = newTable("ecs/account-setting", (*state.AccountSetting).Key)
	Grants            = newTable("api/grant", (*state.Grant).Key)
	Nodes             = newTable("berth/node", (*state.Node).Key, NodesDown)
	Spots             = newTable("berth/spot", (*state.Spot).Key)
	Changes           = newTable("berth/change", (*state.ChangeSet).Key)

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
	TasksByNode = newIndex("node", func(t *state.Task) []string { return []string{t.Node} })
	// TasksByStarter finds the tasks of a deployment or task set by its ID: those
	// that have not stopped, or whose end is not counted yet.
	TasksByStarter = newIndex("starter", func(t *state.Task) []string {
		if t.Deployment == "" || t.Last == state.Stopped && (t.Counted || t.StopCode == types.TaskStopCodeServiceSchedulerInitiated) {
			return nil
		}
		return []string{t.Deployment}
	})
	// NodesDown and InstancesDraining find what loses its tasks, the latter by
	// cluster.
	NodesDown = newIndex("down", func(n *state.Node) []string {
		if n.Status != state.NodeDown {
			return nil
		}
		return []string{""}
	})
	InstancesDraining = newIndex("draining", func(i *state.ContainerInstance) []string {
		if i.Status != types.ContainerInstanceStatusDraining {
			return nil
		}
		return []string{i.Scope.Key(i.Cluster).String()}
	})
	InstancesByNode = newIndex("node", func(i *state.ContainerInstance) []string { return []string{i.Node} })
	ENIsBySubnet    = newIndex("subnet", func(e *state.ENI) []string { return []string{e.Subnet} })
	ENIsByVPC       = newIndex("vpc", func(e *state.ENI) []string { return []string{e.VPC} })
	ENIsByGroup     = newIndex("group", func(e *state.ENI) []string { return e.Groups })
)

// tables are all descriptors by name.
var tables = named(
	Clusters.d, Families.d, TaskDefinitions.d, Tasks.d, Instances.d, Services.d, ServiceEvents.d, Revisions.d, Deployments.d, TaskSets.d, CapacityProviders.d, AccountSettings.d, Grants.d, Changes.d, Spots.d, Nodes.d,
	VPCs.d, Subnets.d, InternetGateways.d, RouteTables.d, SecurityGroups.d, ENIs.d, Addresses.d,
)
