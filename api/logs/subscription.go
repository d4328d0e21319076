package logs

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	cwl "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/berth/berth/api/logs/pattern"
	"github.com/berth/berth/internal/arn"
)

// destinations are the services that a subscription filter may send to, and what
// their ARNs' resources begin with (API_PutSubscriptionFilter).
var destinations = map[string]string{"kinesis": "stream/", "firehose": "deliverystream/", "lambda": "function:", "logs": "destination:"}

// PutSubscriptionFilter keeps a subscription filter, which replaces the one of
// its name.
func (s *Service) PutSubscriptionFilter(ctx context.Context, in *cwl.PutSubscriptionFilterInput) (*cwl.PutSubscriptionFilterOutput, error) {
	p, err := pattern.Parse(aws.ToString(in.FilterPattern))
	if err != nil {
		return nil, invalid("%v", err)
	}
	to, err := arn.Parse(aws.ToString(in.DestinationArn))
	prefix := destinations[to.Service]
	if err != nil || prefix == "" || !strings.HasPrefix(to.Resource, prefix) {
		return nil, invalid("destinationArn for vendor %s is not a valid ARN of a Kinesis data stream, a Firehose delivery stream, a Lambda function or a destination: %s", to.Service, aws.ToString(in.DestinationArn))
	}
	scope := scopeOf(ctx)
	if to.Service != "logs" && (to.Account != scope.Account || to.Region != scope.Region) {
		return nil, invalid("destinationArn must be of the log group's account and region; use a destination for other accounts.")
	}
	switch streams := to.Service == "kinesis" || to.Service == "firehose"; {
	case streams && in.RoleArn == nil:
		return nil, invalid("destinationArn for vendor %s cannot be used without roleArn", to.Service)
	case to.Service == "lambda" && in.RoleArn != nil:
		return nil, invalid("destinationArn for vendor lambda cannot be used with roleArn")
	}
	f := types.SubscriptionFilter{
		FilterName: in.FilterName, FilterPattern: in.FilterPattern, LogGroupName: in.LogGroupName,
		DestinationArn: in.DestinationArn, RoleArn: in.RoleArn, Distribution: in.Distribution, CreationTime: aws.Int64(s.now().UnixMilli()),
	}
	if f.Distribution == "" {
		f.Distribution = types.DistributionByLogStream
	}
	return nil, putFilter(ctx, s, aws.ToString(in.LogGroupName), subscriptionFilters, aws.ToString(in.FilterName), p.Regexes() > 0, f)
}

// DeleteSubscriptionFilter deletes a subscription filter.
func (s *Service) DeleteSubscriptionFilter(ctx context.Context, in *cwl.DeleteSubscriptionFilterInput) (*cwl.DeleteSubscriptionFilterOutput, error) {
	return nil, s.deleteFilter(ctx, aws.ToString(in.LogGroupName), subscriptionFilters, aws.ToString(in.FilterName))
}

// DescribeSubscriptionFilters lists a group's subscription filters by name.
func (s *Service) DescribeSubscriptionFilters(ctx context.Context, in *cwl.DescribeSubscriptionFiltersInput) (*cwl.DescribeSubscriptionFiltersOutput, error) {
	_, all, err := filters[types.SubscriptionFilter](s, scopeOf(ctx), in.LogGroupName, subscriptionFilters)
	if err != nil {
		return nil, err
	}
	prefix := aws.ToString(in.FilterNamePrefix)
	all = slices.DeleteFunc(all, func(f types.SubscriptionFilter) bool { return !strings.HasPrefix(*f.FilterName, prefix) })
	list := "DescribeSubscriptionFilters/" + aws.ToString(in.LogGroupName) + "/" + prefix
	all, next, err := cut(all, func(f types.SubscriptionFilter) string { return *f.FilterName }, list, in.NextToken, limitOf(in.Limit, describeLimit))
	if err != nil {
		return nil, err
	}
	return &cwl.DescribeSubscriptionFiltersOutput{SubscriptionFilters: append([]types.SubscriptionFilter{}, all...), NextToken: next}, nil
}
