package ec2

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
)

// Limits of tags (SDK, types.Tag; Amazon EC2 User Guide, "Tag restrictions").
const (
	maxTags     = 50
	maxTagKey   = 127
	maxTagValue = 256
)

// resource is something that has tags, found in a transaction.
type resource struct {
	// tags are its tags: in a copy of its record, so that they may be replaced.
	tags *[]state.Tag
	put  func()
}

// find finds a resource by its ID, whatever its kind.
func find(tx *store.Tx, scope state.Scope, id string) (resource, error) {
	prefix, _, _ := strings.Cut(id, "-")
	switch prefix {
	case kindVPC.prefix:
		return tagged(tx, store.VPCs, scope, kindVPC, id, func(r *state.VPC) *[]state.Tag { return &r.Tags })
	case kindSubnet.prefix:
		return tagged(tx, store.Subnets, scope, kindSubnet, id, func(r *state.Subnet) *[]state.Tag { return &r.Tags })
	case kindGateway.prefix:
		return tagged(tx, store.InternetGateways, scope, kindGateway, id, func(r *state.InternetGateway) *[]state.Tag { return &r.Tags })
	case kindRoutes.prefix:
		return tagged(tx, store.RouteTables, scope, kindRoutes, id, func(r *state.RouteTable) *[]state.Tag { return &r.Tags })
	case kindENI.prefix:
		return tagged(tx, store.ENIs, scope, kindENI, id, func(r *state.ENI) *[]state.Tag { return &r.Tags })
	case kindGroup.prefix:
		return tagged(tx, store.SecurityGroups, scope, kindGroup, id, func(r *state.SecurityGroup) *[]state.Tag { return &r.Tags })
	case kindRule.prefix:
		return findRule(tx, scope, id)
	case kindACL.prefix:
		return ofVPC(tx, scope, kindACL, id, aclID, func(v *state.VPC) *[]state.Tag { return &v.ACLTags })
	case kindDHCP.prefix:
		return ofVPC(tx, scope, kindDHCP, id, dhcpID, func(v *state.VPC) *[]state.Tag { return &v.DHCPTags })
	}
	for _, k := range []kind{kindInstance, kindNAT, kindEIP, kindEndpoint, kindPeering, kindPrefixes} {
		if prefix == k.prefix {
			if err := k.check(id); err != nil {
				return resource{}, err
			}
			return resource{}, k.notFound(id)
		}
	}
	return resource{}, fail("InvalidID", "The ID '%s' is not valid", id)
}

func tagged[R any](tx *store.Tx, t *store.Table[R], scope state.Scope, k kind, id string, tags func(*R) *[]state.Tag) (resource, error) {
	r, err := record(tx, t, scope, k, id)
	if err != nil {
		return resource{}, err
	}
	c := *r
	return resource{tags(&c), func() { t.Put(tx, &c) }}, nil
}

func ofVPC(tx *store.Tx, scope state.Scope, k kind, id string, of func(*state.VPC) string, tags func(*state.VPC) *[]state.Tag) (resource, error) {
	found, err := ofVPCs(tx, scope, k, []string{id}, of)
	if err != nil {
		return resource{}, err
	}
	c := *found[0]
	return resource{tags(&c), func() { store.VPCs.Put(tx, &c) }}, nil
}

func findRule(tx *store.Tx, scope state.Scope, id string) (resource, error) {
	if err := kindRule.check(id); err != nil {
		return resource{}, err
	}
	for g := range store.SecurityGroups.List(tx, scope, "") {
		if i := slices.IndexFunc(g.Rules, func(r state.SecurityGroupRule) bool { return r.ID == id }); i >= 0 {
			c := *g
			c.Rules = slices.Clone(g.Rules)
			return resource{&c.Rules[i].Tags, func() { store.SecurityGroups.Put(tx, &c) }}, nil
		}
	}
	return resource{}, kindRule.notFound(id)
}

// CreateTags adds tags to resources, or overwrites those with the same keys.
func (s *Service) CreateTags(ctx context.Context, in *CreateTagsInput) (*CreateTagsOutput, error) {
	if len(in.Tags) == 0 {
		return nil, missing("Tag")
	}
	tags, err := takeTags(in.Tags)
	if err != nil {
		return nil, err
	}
	return &CreateTagsOutput{}, s.retag(ctx, in.Resources, in.DryRun, func(old []state.Tag) ([]state.Tag, error) {
		out := slices.Clone(old)
		for _, t := range tags {
			if i := slices.IndexFunc(out, func(o state.Tag) bool { return o.Key == t.Key }); i >= 0 {
				out[i].Value = t.Value
			} else {
				out = append(out, t)
			}
		}
		return out, tooManyTags(out)
	})
}

// DeleteTags removes tags: with the key, or with key and value where the request
// has a value too. Without tags it removes all of the user's.
func (s *Service) DeleteTags(ctx context.Context, in *DeleteTagsInput) (*DeleteTagsOutput, error) {
	for i, t := range in.Tags {
		switch key := aws.ToString(t.Key); {
		case key == "":
			return nil, missing("Tag." + strconv.Itoa(i+1) + ".Key")
		case reservedTag(key):
			return nil, invalidValue("Tag keys starting with 'aws:' are reserved for internal use")
		}
	}
	return &DeleteTagsOutput{}, s.retag(ctx, in.Resources, in.DryRun, func(old []state.Tag) ([]state.Tag, error) {
		return slices.DeleteFunc(slices.Clone(old), func(o state.Tag) bool {
			if len(in.Tags) == 0 {
				return !reservedTag(o.Key)
			}
			return slices.ContainsFunc(in.Tags, func(t types.Tag) bool {
				return *t.Key == o.Key && (t.Value == nil || *t.Value == o.Value)
			})
		}), nil
	})
}

// retag replaces the tags of all resources, or of none.
func (s *Service) retag(ctx context.Context, ids []string, dry *bool, change func([]state.Tag) ([]state.Tag, error)) error {
	if len(ids) == 0 {
		return missing("ResourceId")
	}
	if len(ids) > 1000 {
		return invalidValue("At most 1000 resources can be tagged in one call, not %d.", len(ids))
	}
	scope := scopeOf(ctx)
	return s.store.Update(ctx, func(tx *store.Tx) error {
		for _, id := range ids {
			r, err := find(tx, scope, id)
			if err != nil {
				return err
			}
			if *r.tags, err = change(*r.tags); err != nil {
				return err
			}
			r.put()
		}
		return dryRun(dry)
	})
}

// takeTags checks tags that a user gives.
func takeTags(in []types.Tag) ([]state.Tag, error) {
	var out []state.Tag
	for _, t := range in {
		key, value := aws.ToString(t.Key), aws.ToString(t.Value)
		switch {
		case key == "":
			return nil, invalidValue("Tag key cannot be null or empty.")
		case reservedTag(key):
			return nil, invalidValue("Tag keys starting with 'aws:' are reserved for internal use")
		case utf8.RuneCountInString(key) > maxTagKey:
			return nil, invalidValue("Tag key exceeds the maximum length of %d characters", maxTagKey)
		case utf8.RuneCountInString(value) > maxTagValue:
			return nil, invalidValue("Tag value exceeds the maximum length of %d characters", maxTagValue)
		case slices.ContainsFunc(out, func(o state.Tag) bool { return o.Key == key }):
			return nil, invalidValue("Duplicate tag key '%s' specified.", key)
		}
		out = append(out, state.Tag{Key: key, Value: value})
	}
	return out, tooManyTags(out)
}

// specified are the tags of a TagSpecifications parameter, all of which must be
// for the one type of resource that the operation makes.
func specified(in []types.TagSpecification, typ types.ResourceType) ([]state.Tag, error) {
	var all []types.Tag
	for _, spec := range in {
		switch spec.ResourceType {
		case typ:
		case "":
			return nil, invalidValue("Tag specification resource type must have a value")
		default:
			return nil, invalidValue("'%s' is not a valid taggable resource type for this operation.", spec.ResourceType)
		}
		if len(spec.Tags) == 0 {
			return nil, invalidValue("Tag specification must have at least one tag")
		}
		all = append(all, spec.Tags...)
	}
	return takeTags(all)
}

func reservedTag(key string) bool { return strings.HasPrefix(strings.ToLower(key), "aws:") }

// tooManyTags counts the user's own tags: AWS's don't count.
func tooManyTags(tags []state.Tag) error {
	n := 0
	for _, t := range tags {
		if !reservedTag(t.Key) {
			n++
		}
	}
	if n > maxTags {
		return fail("TagLimitExceeded", "The maximum number of Tags for a resource has been reached.")
	}
	return nil
}

// showTagSet shows tags; a resource without any has an empty list.
func showTagSet(tags []state.Tag) []types.Tag {
	out := make([]types.Tag, len(tags))
	for i, t := range tags {
		out[i] = types.Tag{Key: &t.Key, Value: &t.Value}
	}
	return out
}

// showTags is showTagSet for the kinds of which EC2 shows no list when it is empty.
func showTags(tags []state.Tag) []types.Tag {
	if len(tags) == 0 {
		return nil
	}
	return showTagSet(tags)
}

var tagRows = listing[types.TagDescription]{
	operation: "DescribeTags",
	id:        func(t types.TagDescription) *string { return aws.String(*t.ResourceId + "/" + *t.Key) },
	fields: fields[types.TagDescription]{
		"key":           func(t types.TagDescription) []string { return text(t.Key) },
		"resource-id":   func(t types.TagDescription) []string { return text(t.ResourceId) },
		"resource-type": func(t types.TagDescription) []string { return word(t.ResourceType) },
		"value":         func(t types.TagDescription) []string { return text(t.Value) },
	},
	tags: func(t types.TagDescription) []types.Tag { return []types.Tag{{Key: t.Key, Value: t.Value}} },
}

// DescribeTags returns the tags of all resources.
func (s *Service) DescribeTags(ctx context.Context, in *DescribeTagsInput) (*DescribeTagsOutput, error) {
	rows, next, err := tagRows.run(ctx, query{in.DryRun, in.Filters, in.MaxResults, in.NextToken, 5, 1000}, func() ([]types.TagDescription, error) {
		return allTags(s.store.View(), scopeOf(ctx)), nil
	})
	return &DescribeTagsOutput{Tags: rows, NextToken: next}, err
}

func allTags(v store.View, scope state.Scope) []types.TagDescription {
	var out []types.TagDescription
	add := func(k kind, id string, tags []state.Tag) {
		for _, t := range tags {
			out = append(out, types.TagDescription{ResourceId: &id, ResourceType: k.typ, Key: &t.Key, Value: &t.Value})
		}
	}
	for r := range store.VPCs.List(v, scope, "") {
		add(kindVPC, r.ID, r.Tags)
		add(kindACL, aclID(r), r.ACLTags)
		add(kindDHCP, dhcpID(r), r.DHCPTags)
	}
	for r := range store.Subnets.List(v, scope, "") {
		add(kindSubnet, r.ID, r.Tags)
	}
	for r := range store.InternetGateways.List(v, scope, "") {
		add(kindGateway, r.ID, r.Tags)
	}
	for r := range store.RouteTables.List(v, scope, "") {
		add(kindRoutes, r.ID, r.Tags)
	}
	for r := range store.ENIs.List(v, scope, "") {
		add(kindENI, r.ID, r.Tags)
	}
	for r := range store.SecurityGroups.List(v, scope, "") {
		add(kindGroup, r.ID, r.Tags)
		for _, rule := range r.Rules {
			add(kindRule, rule.ID, rule.Tags)
		}
	}
	return out
}
