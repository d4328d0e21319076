package logs

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	cwl "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/berth/berth/logstore"
)

const maxTags = 50

// checkTags refuses keys that are AWS's own.
func checkTags(tags map[string]string) error {
	for k := range tags {
		if strings.HasPrefix(strings.ToLower(k), "aws:") {
			return invalid("aws: prefixed tag key names are not allowed for external use.")
		}
	}
	return nil
}

// TagResource tags a group by its ARN.
func (s *Service) TagResource(ctx context.Context, in *cwl.TagResourceInput) (*cwl.TagResourceOutput, error) {
	group, err := groupOfARN(ctx, aws.ToString(in.ResourceArn))
	if err != nil {
		return nil, err
	}
	return nil, s.tag(ctx, group, in.Tags, &types.TooManyTagsException{
		Message: aws.String(fmt.Sprintf("A resource can have no more than %d tags.", maxTags)), ResourceName: in.ResourceArn,
	})
}

// TagLogGroup tags a group by its name.
func (s *Service) TagLogGroup(ctx context.Context, in *cwl.TagLogGroupInput) (*cwl.TagLogGroupOutput, error) {
	return nil, s.tag(ctx, aws.ToString(in.LogGroupName), in.Tags, invalid("A log group can have no more than %d tags.", maxTags))
}

func (s *Service) tag(ctx context.Context, group string, tags map[string]string, tooMany error) error {
	if err := checkTags(tags); err != nil {
		return err
	}
	return s.update(ctx, group, func(g *logstore.Group) error {
		if g.Tags == nil {
			g.Tags = map[string]string{}
		}
		maps.Copy(g.Tags, tags)
		if len(g.Tags) > maxTags {
			return tooMany
		}
		return nil
	})
}

// UntagResource removes tags of a group, by its ARN.
func (s *Service) UntagResource(ctx context.Context, in *cwl.UntagResourceInput) (*cwl.UntagResourceOutput, error) {
	group, err := groupOfARN(ctx, aws.ToString(in.ResourceArn))
	if err != nil {
		return nil, err
	}
	return nil, s.untag(ctx, group, in.TagKeys)
}

// UntagLogGroup removes tags of a group, by its name.
func (s *Service) UntagLogGroup(ctx context.Context, in *cwl.UntagLogGroupInput) (*cwl.UntagLogGroupOutput, error) {
	return nil, s.untag(ctx, aws.ToString(in.LogGroupName), in.Tags)
}

func (s *Service) untag(ctx context.Context, group string, keys []string) error {
	return s.update(ctx, group, func(g *logstore.Group) error {
		for _, k := range keys {
			delete(g.Tags, k)
		}
		return nil
	})
}

// ListTagsForResource returns a group's tags, by its ARN.
func (s *Service) ListTagsForResource(ctx context.Context, in *cwl.ListTagsForResourceInput) (*cwl.ListTagsForResourceOutput, error) {
	group, err := groupOfARN(ctx, aws.ToString(in.ResourceArn))
	if err != nil {
		return nil, err
	}
	tags, err := s.tags(ctx, group)
	return &cwl.ListTagsForResourceOutput{Tags: tags}, err
}

// ListTagsLogGroup returns a group's tags, by its name.
func (s *Service) ListTagsLogGroup(ctx context.Context, in *cwl.ListTagsLogGroupInput) (*cwl.ListTagsLogGroupOutput, error) {
	tags, err := s.tags(ctx, aws.ToString(in.LogGroupName))
	return &cwl.ListTagsLogGroupOutput{Tags: tags}, err
}

// tags are never nil: AWS answers {"tags": {}}.
func (s *Service) tags(ctx context.Context, group string) (map[string]string, error) {
	g, err := s.store.Group(scopeOf(ctx), group)
	if err != nil {
		return nil, answer(err)
	}
	if g.Tags == nil {
		return map[string]string{}, nil
	}
	return g.Tags, nil
}
