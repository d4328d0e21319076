package launch

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/internal/arn"
	"github.com/berth/berth/internal/id"
	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
)

// Network is an awsvpcConfiguration, resolved.
type Network struct {
	VPC     *state.VPC
	Subnets []*state.Subnet // of one VPC; at least one
	Groups  []string
	Public  bool // assignPublicIp
}

// invalid is ECS's InvalidParameterException.
func invalid(format string, args ...any) error {
	return &types.InvalidParameterException{Message: aws.String(fmt.Sprintf(format, args...))}
}

// Resolve checks and resolves a network configuration. Its errors are AWS's. The
// limits are the SDK's, types.AwsVpcConfiguration: 16 subnets and 5 security
// groups.
func Resolve(v store.View, scope state.Scope, in *types.NetworkConfiguration) (Network, error) {
	var n Network
	if in == nil || in.AwsvpcConfiguration == nil {
		return n, invalid("Network Configuration must be provided when networkMode 'awsvpc' is specified.")
	}
	c := in.AwsvpcConfiguration
	if len(c.Subnets) == 0 {
		return n, invalid("subnets can not be empty.")
	}
	if len(c.Subnets) > 16 {
		return n, invalid("subnets can have at most 16 items.")
	}
	if len(c.SecurityGroups) > 5 {
		return n, invalid("securityGroups can have at most 5 items.")
	}
	switch c.AssignPublicIp {
	case "", types.AssignPublicIpDisabled:
	case types.AssignPublicIpEnabled:
		n.Public = true
	default:
		return n, invalid("assignPublicIp must be ENABLED or DISABLED, not %q.", c.AssignPublicIp)
	}
	for _, ref := range c.Subnets {
		subnet, ok := store.Subnets.Get(v, scope.Key(ref))
		if !ok {
			return n, invalid("Error retrieving subnet information for [%s]: The subnet ID '%s' does not exist (ErrorCode: InvalidSubnetID.NotFound)", ref, ref)
		}
		if len(n.Subnets) > 0 && n.Subnets[0].VPC != subnet.VPC {
			return n, invalid("The subnets must all belong to the same VPC: %s is in %s and %s in %s.", n.Subnets[0].ID, n.Subnets[0].VPC, subnet.ID, subnet.VPC)
		}
		if !slices.Contains(n.Subnets, subnet) {
			n.Subnets = append(n.Subnets, subnet)
		}
	}
	vpc, ok := store.VPCs.Get(v, scope.Key(n.Subnets[0].VPC))
	if !ok {
		return n, fmt.Errorf("subnet %s is of VPC %s, which has no record", n.Subnets[0].ID, n.Subnets[0].VPC)
	}
	n.VPC = vpc
	for _, ref := range c.SecurityGroups {
		group, ok := store.SecurityGroups.Get(v, scope.Key(ref))
		switch {
		case ref == "":
			return n, invalid("security group cannot be blank")
		case !ok:
			return n, invalid("Error retrieving security group information for [%s]: The security group '%s' does not exist (ErrorCode: InvalidGroup.NotFound)", ref, ref)
		case group.VPC != vpc.ID:
			return n, invalid("Security group %s does not belong to VPC %s of the subnets.", ref, vpc.ID)
		}
		if !slices.Contains(n.Groups, ref) {
			n.Groups = append(n.Groups, ref)
		}
	}
	if len(n.Groups) == 0 {
		for g := range store.SecurityGroups.List(v, scope, "") {
			if g.VPC == vpc.ID && g.Name == "default" {
				n.Groups = []string{g.ID}
			}
		}
	}
	return n, nil
}

// takeInterface makes the task's ENI with its addresses, or says which of them
// there was none of.
func (l *Launcher) takeInterface(tx *store.Tx, o *Order, subnet *state.Subnet, taskID, node string, seed uint64) (*state.ENI, string) {
	eni := &state.ENI{
		Scope: o.Scope, ID: id.Resource("eni"), VPC: subnet.VPC, Subnet: subnet.ID, Zone: subnet.Zone,
		Groups: o.Network.Groups, TaskID: taskID, Node: node, AttachmentID: id.Resource("eni-attach"), CreatedAt: l.Now(),
		Task: (&state.Task{Scope: o.Scope, Cluster: o.Cluster.Name, ID: taskID}).ARN(),
	}
	taken := func(space string, in state.Scope) func(netip.Addr) bool {
		return func(a netip.Addr) bool {
			_, ok := store.Addresses.Get(tx, (&state.Address{Scope: in, Space: space, Addr: a}).Key())
			return ok
		}
	}
	var ok bool
	if eni.Address, ok = state.PickAddress(subnet.Prefix, taken(subnet.VPC, o.Scope), seed); !ok {
		return nil, fmt.Sprintf("subnet %s (%s) has no free address left", subnet.ID, subnet.Prefix)
	}
	store.Addresses.Put(tx, &state.Address{Scope: o.Scope, Space: subnet.VPC, Addr: eni.Address, ENI: eni.ID})
	if o.Network.Public {
		if eni.Public, ok = state.PickPublic(l.PublicPool, taken("public", state.Scope{}), seed); !ok {
			store.Addresses.Delete(tx, (&state.Address{Scope: o.Scope, Space: subnet.VPC, Addr: eni.Address}).Key())
			return nil, fmt.Sprintf("the pool of public addresses, %s, has no free address left: give 'berth up' a larger --public-pool", l.PublicPool)
		}
		store.Addresses.Put(tx, &state.Address{Space: "public", Addr: eni.Public, ENI: eni.ID})
	}
	eni.MAC = state.MAC(eni.ID)
	eni.Description = arn.ECS(o.Scope.Region, o.Scope.Account, "attachment/"+attachmentID(taskID))
	store.ENIs.Put(tx, eni)
	return eni, ""
}

// attachmentID is the UUID of a task's network attachment, made of its ID.
func attachmentID(taskID string) string {
	return taskID[:8] + "-" + taskID[8:12] + "-4" + taskID[13:16] + "-a" + taskID[17:20] + "-" + taskID[20:]
}

// attach gives the task its interface.
func attach(t *state.Task, subnet *state.Subnet, eni *state.ENI) {
	t.ENI, t.AttachmentID = eni.ID, attachmentID(t.ID)
	t.Interface = state.Interface{
		ENI: eni.ID, VPC: eni.VPC, Subnet: eni.Subnet, MAC: eni.MAC, Address: eni.Address,
		SubnetPrefix: subnet.Prefix, Gateway: subnet.Prefix.Masked().Addr().Next(), Public: eni.Public,
		PrivateDNS: state.PrivateDNS(subnet.Region, eni.Address),
	}
}
