package logs

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	cwl "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/berth/berth/internal/page"
	"github.com/berth/berth/logstore"
)

// retentions are the values of retentionInDays (API_PutRetentionPolicy).
var retentions = []int32{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}

// describeLimit is AWS's default for lists of groups and streams.
const describeLimit = 50

// CreateLogGroup makes a group.
func (s *Service) CreateLogGroup(ctx context.Context, in *cwl.CreateLogGroupInput) (*cwl.CreateLogGroupOutput, error) {
	class := in.LogGroupClass
	if class == "" {
		class = types.LogGroupClassStandard
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	return nil, answer(s.store.CreateGroup(scopeOf(ctx), logstore.Group{
		Name: aws.ToString(in.LogGroupName), Class: string(class), Tags: in.Tags, Protected: aws.ToBool(in.DeletionProtectionEnabled),
	}))
}

// DeleteLogGroup deletes a group and all in it.
func (s *Service) DeleteLogGroup(ctx context.Context, in *cwl.DeleteLogGroupInput) (*cwl.DeleteLogGroupOutput, error) {
	name := aws.ToString(in.LogGroupName)
	g, err := s.store.Group(scopeOf(ctx), name)
	if err == nil && g.Protected {
		return nil, &types.ValidationException{Message: aws.String("The log group " + name + " cannot be deleted because deletion protection is enabled.")}
	}
	if err == nil {
		err = s.store.DeleteGroup(scopeOf(ctx), name)
	}
	return nil, answer(err)
}

// PutLogGroupDeletionProtection switches a group's protection on and off.
func (s *Service) PutLogGroupDeletionProtection(ctx context.Context, in *cwl.PutLogGroupDeletionProtectionInput) (*cwl.PutLogGroupDeletionProtectionOutput, error) {
	name, err := groupName(ctx, nil, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	return nil, s.update(ctx, name, func(g *logstore.Group) error {
		g.Protected = aws.ToBool(in.DeletionProtectionEnabled)
		return nil
	})
}

// PutRetentionPolicy says how long a group's events are kept.
func (s *Service) PutRetentionPolicy(ctx context.Context, in *cwl.PutRetentionPolicyInput) (*cwl.PutRetentionPolicyOutput, error) {
	days := aws.ToInt32(in.RetentionInDays)
	if !slices.Contains(retentions, days) {
		return nil, invalid("1 validation error detected: Value '%d' at 'retentionInDays' failed to satisfy constraint: Member must satisfy enum value set: %s",
			days, strings.ReplaceAll(fmt.Sprint(retentions), " ", ", "))
	}
	return nil, s.update(ctx, aws.ToString(in.LogGroupName), func(g *logstore.Group) error {
		g.RetentionDays = days
		return nil
	})
}

// DeleteRetentionPolicy keeps a group's events for ever.
func (s *Service) DeleteRetentionPolicy(ctx context.Context, in *cwl.DeleteRetentionPolicyInput) (*cwl.DeleteRetentionPolicyOutput, error) {
	return nil, s.update(ctx, aws.ToString(in.LogGroupName), func(g *logstore.Group) error {
		g.RetentionDays = 0
		return nil
	})
}

func (s *Service) update(ctx context.Context, group string, change func(*logstore.Group) error) error {
	return answer(s.store.UpdateGroup(scopeOf(ctx), group, change))
}

// DescribeLogGroups lists groups by name.
func (s *Service) DescribeLogGroups(ctx context.Context, in *cwl.DescribeLogGroupsInput) (*cwl.DescribeLogGroupsOutput, error) {
	prefix, pattern := aws.ToString(in.LogGroupNamePrefix), aws.ToString(in.LogGroupNamePattern)
	if prefix != "" && pattern != "" {
		return nil, invalid("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
	}
	if len(in.LogGroupIdentifiers) > 0 && (prefix != "" || pattern != "" || in.LogGroupClass != "") {
		return nil, invalid("logGroupIdentifiers cannot be specified with other filters.")
	}
	var named []string
	for _, id := range in.LogGroupIdentifiers {
		name, err := groupName(ctx, nil, &id)
		if err != nil {
			return nil, err
		}
		named = append(named, name)
	}
	groups := slices.DeleteFunc(s.store.Groups(scopeOf(ctx)), func(g logstore.Group) bool {
		return !strings.HasPrefix(g.Name, prefix) || !strings.Contains(g.Name, pattern) || !ofClass(g, in.LogGroupClass) ||
			named != nil && !slices.Contains(named, g.Name)
	})
	list := fmt.Sprintf("DescribeLogGroups/%s/%s/%s", prefix, pattern, in.LogGroupClass)
	groups, next, err := cut(groups, func(g logstore.Group) string { return g.Name }, list, in.NextToken, limitOf(in.Limit, describeLimit))
	if err != nil {
		return nil, err
	}
	out := &cwl.DescribeLogGroupsOutput{LogGroups: []types.LogGroup{}, NextToken: next}
	for _, g := range groups {
		d := groupARN(scopeOf(ctx), g.Name)
		row := types.LogGroup{Arn: aws.String(d + ":*"), CreationTime: &g.Created, LogGroupName: &g.Name}
		if pattern == "" { // with a pattern, only those three
			bytes, err := s.store.StoredBytes(scopeOf(ctx), g.Name)
			filters := map[string][]byte{}
			if err == nil {
				filters, err = s.store.Docs(scopeOf(ctx), g.Name, metricFilters)
			}
			if errors.Is(err, logstore.ErrNoGroup) {
				continue // deleted meanwhile
			}
			if err != nil {
				return nil, err
			}
			row.LogGroupArn, row.LogGroupClass = &d, types.LogGroupClass(g.Class)
			row.MetricFilterCount, row.StoredBytes = aws.Int32(int32(len(filters))), &bytes
			row.DeletionProtectionEnabled = &g.Protected
			if g.RetentionDays != 0 {
				row.RetentionInDays = &g.RetentionDays
			}
		}
		out.LogGroups = append(out.LogGroups, row)
	}
	return out, nil
}

// ListLogGroups lists groups by name, shortly.
func (s *Service) ListLogGroups(ctx context.Context, in *cwl.ListLogGroupsInput) (*cwl.ListLogGroupsOutput, error) {
	pattern, err := regexp.Compile(aws.ToString(in.LogGroupNamePattern))
	if err != nil {
		return nil, invalid("Invalid logGroupNamePattern: %v", err)
	}
	groups := slices.DeleteFunc(s.store.Groups(scopeOf(ctx)), func(g logstore.Group) bool {
		return !pattern.MatchString(g.Name) || !ofClass(g, in.LogGroupClass)
	})
	list := fmt.Sprintf("ListLogGroups/%s/%s", pattern, in.LogGroupClass)
	groups, next, err := cut(groups, func(g logstore.Group) string { return g.Name }, list, in.NextToken, limitOf(in.Limit, describeLimit))
	if err != nil {
		return nil, err
	}
	out := &cwl.ListLogGroupsOutput{LogGroups: []types.LogGroupSummary{}, NextToken: next}
	for _, g := range groups {
		out.LogGroups = append(out.LogGroups, types.LogGroupSummary{
			LogGroupArn: aws.String(groupARN(scopeOf(ctx), g.Name)), LogGroupClass: types.LogGroupClass(g.Class), LogGroupName: &g.Name,
		})
	}
	return out, nil
}

// ofClass reports whether the group is of the class asked for. The two cheaper
// classes are shown together (API_DescribeLogGroups).
func ofClass(g logstore.Group, class types.LogGroupClass) bool {
	cheap := func(c types.LogGroupClass) bool {
		return c == types.LogGroupClassInfrequentAccess || c == types.LogGroupClassEssentials
	}
	return class == "" || types.LogGroupClass(g.Class) == class || cheap(class) && cheap(types.LogGroupClass(g.Class))
}

// cut is page.Cut with AWS's error.
func cut[T any](items []T, key func(T) string, list string, token *string, limit int) ([]T, *string, error) {
	items, next, err := page.Cut(items, key, list, aws.ToString(token), limit)
	if err != nil {
		return nil, nil, invalid("The specified nextToken is invalid.")
	}
	if next == "" {
		return items, nil, nil
	}
	return items, &next, nil
}
