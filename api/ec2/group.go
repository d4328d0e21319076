package ec2

import (
	"context"
	"iter"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/berth/berth/internal/id"
	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
)

// maxGroups is the quota of groups in a region (Amazon VPC User Guide, "Amazon
// VPC quotas").
const maxGroups = 2500

// description is what a name or description in a VPC may be made of (SDK,
// CreateSecurityGroupInput). EC2 itself says "a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*".
var description = regexp.MustCompile(`^[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]*$`)

const descriptionSet = "from the following set:  a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*"

// theGroup finds the group of a call by ID, or by its name in the default VPC.
func theGroup(v store.View, scope state.Scope, groupID, name *string) (*state.SecurityGroup, error) {
	switch {
	case aws.ToString(groupID) != "" && aws.ToString(name) != "":
		return nil, invalidCombination("The parameter groupName cannot be used with the parameter groupId")
	case aws.ToString(groupID) != "":
		return record(v, store.SecurityGroups, scope, kindGroup, *groupID)
	case aws.ToString(name) != "":
		return groupNamed(v, scope, *name)
	}
	return nil, missing("groupName or groupId")
}

// groupNamed finds a group of the default VPC.
func groupNamed(v store.View, scope state.Scope, name string) (*state.SecurityGroup, error) {
	vpc := defaultVPC(v, scope)
	if vpc == nil {
		return nil, fail("InvalidGroup.NotFound", "The security group '%s' does not exist", name)
	}
	for g := range store.SecurityGroups.List(v, scope, "") {
		if g.VPC == vpc.ID && strings.EqualFold(g.Name, name) {
			return g, nil
		}
	}
	return nil, fail("InvalidGroup.NotFound", "The security group '%s' does not exist in default VPC '%s'", name, vpc.ID)
}

var groups = listing[types.SecurityGroup]{
	operation: "DescribeSecurityGroups",
	id:        func(g types.SecurityGroup) *string { return g.GroupId },
	tags:      func(g types.SecurityGroup) []types.Tag { return g.Tags },
	fields: withPermissions(fields[types.SecurityGroup]{
		"description": func(g types.SecurityGroup) []string { return text(g.Description) },
		"group-id":    func(g types.SecurityGroup) []string { return text(g.GroupId) },
		"group-name":  func(g types.SecurityGroup) []string { return text(g.GroupName) },
		"owner-id":    func(g types.SecurityGroup) []string { return text(g.OwnerId) },
		"vpc-id":      func(g types.SecurityGroup) []string { return text(g.VpcId) },
	}),
}

// withPermissions adds the filters on rules, in both directions, but for those on
// the names of groups in rules: rows have only their IDs, see withNames.
func withPermissions(f fields[types.SecurityGroup]) fields[types.SecurityGroup] {
	for direction, of := range map[string]func(types.SecurityGroup) []types.IpPermission{
		"":        func(g types.SecurityGroup) []types.IpPermission { return g.IpPermissions },
		"egress.": func(g types.SecurityGroup) []types.IpPermission { return g.IpPermissionsEgress },
	} {
		for name, values := range map[string]func(types.IpPermission) []string{
			"protocol":  func(p types.IpPermission) []string { return text(p.IpProtocol) },
			"from-port": func(p types.IpPermission) []string { return number(p.FromPort) },
			"to-port":   func(p types.IpPermission) []string { return number(p.ToPort) },
			"cidr": func(p types.IpPermission) []string {
				return each(p.IpRanges, func(r types.IpRange) []string { return text(r.CidrIp) })
			},
			"ipv6-cidr": func(p types.IpPermission) []string {
				return each(p.Ipv6Ranges, func(r types.Ipv6Range) []string { return text(r.CidrIpv6) })
			},
			"group-id": func(p types.IpPermission) []string {
				return each(p.UserIdGroupPairs, func(r types.UserIdGroupPair) []string { return text(r.GroupId) })
			},
			"user-id": func(p types.IpPermission) []string {
				return each(p.UserIdGroupPairs, func(r types.UserIdGroupPair) []string { return text(r.UserId) })
			},
			"prefix-list-id": never[types.IpPermission],
		} {
			f[direction+"ip-permission."+name] = func(g types.SecurityGroup) []string { return each(of(g), values) }
		}
	}
	return f
}

const byGroupName = "ip-permission.group-name"

// withNames is the listing with the filters on the names of groups in rules.
func withNames(l listing[types.SecurityGroup], all iter.Seq[*state.SecurityGroup]) listing[types.SecurityGroup] {
	names := map[string]string{}
	for g := range all {
		names[g.ID] = g.Name
	}
	l.fields = maps.Clone(l.fields)
	for _, direction := range []string{"", "egress."} {
		ids := l.fields[direction+"ip-permission.group-id"]
		l.fields[direction+byGroupName] = func(g types.SecurityGroup) []string {
			return each(ids(g), func(id string) []string { return word(names[id]) })
		}
	}
	return l
}

// DescribeSecurityGroups returns groups by ID, by name in the default VPC, or all.
func (s *Service) DescribeSecurityGroups(ctx context.Context, in *DescribeSecurityGroupsInput) (*DescribeSecurityGroupsOutput, error) {
	v, scope := s.store.View(), scopeOf(ctx)
	q := query{in.DryRun, in.Filters, in.MaxResults, in.NextToken, 5, 1000}
	known := groups
	if slices.ContainsFunc(in.Filters, func(f types.Filter) bool { return strings.HasSuffix(aws.ToString(f.Name), byGroupName) }) {
		known = withNames(groups, store.SecurityGroups.List(v, scope, ""))
	}
	rows, next, err := known.run(ctx, q, func() ([]types.SecurityGroup, error) {
		ids := slices.Clone(in.GroupIds)
		for _, name := range in.GroupNames {
			g, err := groupNamed(v, scope, name)
			if err != nil {
				return nil, err
			}
			ids = append(ids, g.ID)
		}
		rs, err := records(v, store.SecurityGroups, scope, kindGroup, ids)
		return show(rs, showGroup), err
	})
	return &DescribeSecurityGroupsOutput{SecurityGroups: rows, NextToken: next}, err
}

// CreateSecurityGroup makes a group without ingress rules and with one egress
// rule, which allows all.
func (s *Service) CreateSecurityGroup(ctx context.Context, in *CreateSecurityGroupInput) (*CreateSecurityGroupOutput, error) {
	name, about := aws.ToString(in.GroupName), aws.ToString(in.Description)
	if err := checkName(name); err != nil {
		return nil, err
	}
	if err := checkGroupDescription(about); err != nil {
		return nil, err
	}
	tags, err := specified(in.TagSpecifications, types.ResourceTypeSecurityGroup)
	if err != nil {
		return nil, err
	}
	scope := scopeOf(ctx)
	var out *CreateSecurityGroupOutput
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		vpc := defaultVPC(tx, scope)
		if ref := aws.ToString(in.VpcId); ref != "" {
			if vpc, err = record(tx, store.VPCs, scope, kindVPC, ref); err != nil {
				return err
			}
		} else if vpc == nil {
			return fail("VPCIdNotSpecified", "No default VPC for this user")
		}
		count := 0
		for g := range store.SecurityGroups.List(tx, scope, "") {
			if g.VPC == vpc.ID && strings.EqualFold(g.Name, name) {
				return fail("InvalidGroup.Duplicate", "The security group '%s' already exists for VPC '%s'", name, vpc.ID)
			}
			count++
		}
		if count >= maxGroups {
			return fail("SecurityGroupLimitExceeded", "The maximum number of security groups for this region, %d, has been reached.", maxGroups)
		}
		g := &state.SecurityGroup{
			Scope: scope, ID: id.Resource("sg"), VPC: vpc.ID, Name: name, Description: about, Tags: tags,
			Rules: []state.SecurityGroupRule{state.OutAnywhere(id.Resource("sgr"))},
		}
		store.SecurityGroups.Put(tx, g)
		out = &CreateSecurityGroupOutput{GroupId: &g.ID, SecurityGroupArn: aws.String(g.ARN()), Tags: showTags(tags)}
		return dryRun(in.DryRun)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func checkName(name string) error {
	switch {
	case name == "":
		return missing("GroupName")
	case !ascii(name):
		return invalidValue("Value (%s) for parameter GroupName is invalid. Character sets beyond ASCII are not supported.", name)
	case utf8.RuneCountInString(name) > 255 || !description.MatchString(name):
		return invalidValue("Invalid security group name. Valid names are non-empty strings less than 256 characters " + descriptionSet)
	case strings.HasPrefix(strings.ToLower(name), "sg-"):
		return invalidValue("Value (%s) for parameter GroupName is invalid. Group names may not be in the format sg-*.", name)
	case strings.EqualFold(name, "default"):
		return invalidValue("Cannot use reserved security group name: %s", name)
	}
	return nil
}

func checkGroupDescription(about string) error {
	switch {
	case about == "":
		return missing("GroupDescription")
	case !ascii(about):
		return invalidValue("Value (%s) for parameter GroupDescription is invalid. Character sets beyond ASCII are not supported.", about)
	case len(about) > 255 || !description.MatchString(about):
		return invalidValue("Invalid security group description. Valid descriptions are strings less than 256 characters " + descriptionSet)
	}
	return nil
}

func ascii(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}

// DeleteSecurityGroup deletes a group that no interface has and no other group's
// rule names.
func (s *Service) DeleteSecurityGroup(ctx context.Context, in *DeleteSecurityGroupInput) (*DeleteSecurityGroupOutput, error) {
	scope := scopeOf(ctx)
	var out *DeleteSecurityGroupOutput
	err := s.store.Update(ctx, func(tx *store.Tx) error {
		g, err := theGroup(tx, scope, in.GroupId, in.GroupName)
		if err != nil {
			return err
		}
		if g.Name == "default" {
			return fail("CannotDelete", "the specified group: \"%s\" name: \"%s\" cannot be deleted by a user", g.ID, g.Name)
		}
		if used(tx, g) {
			return fail("DependencyViolation", "resource %s has a dependent object", g.ID)
		}
		store.SecurityGroups.Delete(tx, g.Key())
		out = &DeleteSecurityGroupOutput{GroupId: &g.ID, Return: aws.Bool(true)}
		return dryRun(in.DryRun)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func used(v store.View, g *state.SecurityGroup) bool {
	for range store.ENIs.By(v, store.ENIsByGroup, g.ID) {
		return true
	}
	for other := range store.SecurityGroups.List(v, g.Scope, "") {
		if other.ID != g.ID && slices.ContainsFunc(other.Rules, func(r state.SecurityGroupRule) bool { return r.Group == g.ID }) {
			return true
		}
	}
	return false
}

var groupsForVPC = listing[types.SecurityGroupForVpc]{
	operation: "GetSecurityGroupsForVpc",
	id:        func(g types.SecurityGroupForVpc) *string { return g.GroupId },
	fields: fields[types.SecurityGroupForVpc]{
		"group-id":       func(g types.SecurityGroupForVpc) []string { return text(g.GroupId) },
		"description":    func(g types.SecurityGroupForVpc) []string { return text(g.Description) },
		"group-name":     func(g types.SecurityGroupForVpc) []string { return text(g.GroupName) },
		"owner-id":       func(g types.SecurityGroupForVpc) []string { return text(g.OwnerId) },
		"primary-vpc-id": func(g types.SecurityGroupForVpc) []string { return text(g.PrimaryVpcId) },
	},
}

// GetSecurityGroupsForVpc returns the groups that interfaces in a VPC can have:
// those of the VPC, since groups cannot be shared here.
func (s *Service) GetSecurityGroupsForVpc(ctx context.Context, in *GetSecurityGroupsForVpcInput) (*GetSecurityGroupsForVpcOutput, error) {
	if aws.ToString(in.VpcId) == "" {
		return nil, missing("VpcId")
	}
	rows, next, err := groupsForVPC.run(ctx, query{in.DryRun, in.Filters, in.MaxResults, in.NextToken, 5, 1000}, func() ([]types.SecurityGroupForVpc, error) {
		v, scope := s.store.View(), scopeOf(ctx)
		if _, err := record(v, store.VPCs, scope, kindVPC, *in.VpcId); err != nil {
			return nil, err
		}
		var out []types.SecurityGroupForVpc
		for g := range store.SecurityGroups.List(v, scope, "") {
			if g.VPC == *in.VpcId {
				out = append(out, types.SecurityGroupForVpc{
					GroupId: &g.ID, GroupName: &g.Name, Description: &g.Description, OwnerId: &g.Account, PrimaryVpcId: &g.VPC, Tags: showTagSet(g.Tags),
				})
			}
		}
		return out, nil
	})
	return &GetSecurityGroupsForVpcOutput{SecurityGroupForVpcs: rows, NextToken: next}, err
}

// DescribeSecurityGroupReferences returns the VPCs at the other side of peerings
// whose groups name the given ones. There are no peerings here.
func (s *Service) DescribeSecurityGroupReferences(ctx context.Context, in *DescribeSecurityGroupReferencesInput) (*DescribeSecurityGroupReferencesOutput, error) {
	if len(in.GroupId) == 0 {
		return nil, missing("GroupId")
	}
	if _, err := records(s.store.View(), store.SecurityGroups, scopeOf(ctx), kindGroup, in.GroupId); err != nil {
		return nil, err
	}
	return &DescribeSecurityGroupReferencesOutput{SecurityGroupReferenceSet: []types.SecurityGroupReference{}}, dryRun(in.DryRun)
}
