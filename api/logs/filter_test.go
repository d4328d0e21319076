package logs_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cwl "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
)

// TestTestMetricFilter has the examples of API_TestMetricFilter.
func TestTestMetricFilter(t *testing.T) {
	client, _, _ := serve(t, time.Now)
	ctx := t.Context()
	apache := []string{
		`127.0.0.1 - frank [10/Oct/2000:13:25:15 -0700] "GET /apache_pb.gif HTTP/1.0" 200 1534`,
		`127.0.0.1 - frank [10/Oct/2000:13:35:22 -0700] "GET /apache_pb.gif HTTP/1.0" 500 5324`,
		`127.0.0.1 - frank [10/Oct/2000:13:50:35 -0700] "GET /apache_pb.gif HTTP/1.0" 200 4355`,
	}
	for _, c := range []struct {
		pattern string
		want    []int64
		bytes   string // of the first match
	}{
		{"[ip, identity, user_id, timestamp, request, status_code, size]", []int64{1, 2, 3}, "1534"},
		{"[..., size]", []int64{1, 2, 3}, "1534"},
		{"[..., status_code=500, size]", []int64{2}, "5324"},
		{"[..., size > 1600]", []int64{2, 3}, "5324"},
		{`"GET /apache"`, []int64{1, 2, 3}, ""},
	} {
		out := ok[*cwl.TestMetricFilterOutput](t)(client.TestMetricFilter(ctx, &cwl.TestMetricFilterInput{FilterPattern: &c.pattern, LogEventMessages: apache}))
		var got []int64
		for _, m := range out.Matches {
			got = append(got, m.EventNumber)
			if *m.EventMessage != apache[m.EventNumber-1] {
				t.Errorf("%s: event %d is %s", c.pattern, m.EventNumber, *m.EventMessage)
			}
		}
		if !slices.Equal(got, c.want) || out.Matches[0].ExtractedValues["$size"] != c.bytes {
			t.Errorf("%s matches %v: %v", c.pattern, got, out.Matches[0].ExtractedValues)
		}
	}
}

func TestMetricFilters(t *testing.T) {
	client, _, _ := serve(t, time.Now)
	ctx := t.Context()
	for _, g := range []string{"a", "b"} {
		ok[*cwl.CreateLogGroupOutput](t)(client.CreateLogGroup(ctx, &cwl.CreateLogGroupInput{LogGroupName: &g}))
	}
	put := func(group, name, pattern string, change func(*types.MetricTransformation)) error {
		tr := types.MetricTransformation{MetricName: aws.String("m"), MetricNamespace: aws.String("n"), MetricValue: aws.String("1")}
		if change != nil {
			change(&tr)
		}
		_, err := client.PutMetricFilter(ctx, &cwl.PutMetricFilterInput{LogGroupName: &group, FilterName: &name, FilterPattern: &pattern, MetricTransformations: []types.MetricTransformation{tr}})
		return err
	}
	value := func(v string) func(*types.MetricTransformation) {
		return func(tr *types.MetricTransformation) { tr.MetricValue = &v }
	}
	dimension := func(v string) func(*types.MetricTransformation) {
		return func(tr *types.MetricTransformation) { tr.Dimensions = map[string]string{"d": v} }
	}
	both := func(tr *types.MetricTransformation) {
		dimension("$.a")(tr)
		tr.DefaultValue = aws.Float64(0)
	}
	for _, c := range []struct {
		what string
		err  error
		want string
	}{
		{"pattern", put("a", "x", "{ $.a", nil), "InvalidParameterException: If a filter pattern starts with '{' it must end with '}'"},
		{"group", put("c", "x", "a", nil), "ResourceNotFoundException: The specified log group does not exist."},
		{"value", put("a", "x", "a", value("$.a")), "InvalidParameterException: Invalid metric transformation: the metric value '$.a'"},
		{"value of fields", put("a", "x", "[a, b]", value("$c")), "InvalidParameterException: Invalid metric transformation: the metric value '$c'"},
		{"dimension of terms", put("a", "x", "a", dimension("$a")), "InvalidParameterException: The specified filter pattern does not support dimensions"},
		{"dimension", put("a", "x", "[a, b]", dimension("$c")), "InvalidParameterException: Invalid metric transformation: the dimension 'd'"},
		{"default", put("a", "x", "{ $.a = 1 }", both), "InvalidParameterException: Invalid metric transformation: dimensions and default value are mutually exclusive properties."},
		{"namespace", put("a", "x", "a", func(tr *types.MetricTransformation) { tr.MetricNamespace = aws.String("AWS/ECS") }), "InvalidParameterException: Invalid metric transformation: the metric namespace"},
		{"name", put("a", "x:y", "a", nil), "InvalidParameterException: 1 validation error detected"},
		{"none to delete", second(client.DeleteMetricFilter(ctx, &cwl.DeleteMetricFilterInput{LogGroupName: aws.String("a"), FilterName: aws.String("x")})), "ResourceNotFoundException: The specified metric filter does not exist."},
		{"names without group", second(client.DescribeMetricFilters(ctx, &cwl.DescribeMetricFiltersInput{FilterNamePrefix: aws.String("x")})), "InvalidParameterException: "},
		{"regular expressions", func() error {
			for i := range 6 {
				if err := put("b", fmt.Sprint("r", i), "%a%", nil); err != nil {
					return fmt.Errorf("%d: %w", i, err)
				}
			}
			return nil
		}(), "LimitExceededException: Resource limit exceeded."},
		{"good ones", errors.Join(put("a", "1", "[a, b]", value("$b")), put("a", "2", "{ $.a = 1 }", dimension("$.a.b[0]")), put("a", "3", "a", value("2.5")), put("a", "1", "[a, c]", value("$1"))), "<nil>"},
	} {
		if got := problem(c.err); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %s\nwant %s", c.what, got, c.want)
		}
	}
	var names []string
	pages := cwl.NewDescribeMetricFiltersPaginator(client, &cwl.DescribeMetricFiltersInput{Limit: aws.Int32(2)})
	for pages.HasMorePages() {
		for _, f := range ok[*cwl.DescribeMetricFiltersOutput](t)(pages.NextPage(ctx)).MetricFilters {
			names = append(names, *f.LogGroupName+*f.FilterName)
		}
	}
	if want := []string{"a1", "a2", "a3", "br0", "br1", "br2", "br3", "br4"}; !slices.Equal(names, want) {
		t.Errorf("filters %v, want %v", names, want)
	}
	one := ok[*cwl.DescribeMetricFiltersOutput](t)(client.DescribeMetricFilters(ctx, &cwl.DescribeMetricFiltersInput{LogGroupName: aws.String("a"), FilterNamePrefix: aws.String("1")}))
	if len(one.MetricFilters) != 1 || *one.MetricFilters[0].FilterPattern != "[a, c]" || *one.MetricFilters[0].MetricTransformations[0].MetricValue != "$1" || one.MetricFilters[0].CreationTime == nil {
		t.Errorf("filter 1 is %+v", one.MetricFilters)
	}
	groups := ok[*cwl.DescribeLogGroupsOutput](t)(client.DescribeLogGroups(ctx, &cwl.DescribeLogGroupsInput{LogGroupNamePrefix: aws.String("a")}))
	if *groups.LogGroups[0].MetricFilterCount != 3 {
		t.Errorf("%d metric filters are counted", *groups.LogGroups[0].MetricFilterCount)
	}
	ok[*cwl.DeleteMetricFilterOutput](t)(client.DeleteMetricFilter(ctx, &cwl.DeleteMetricFilterInput{LogGroupName: aws.String("a"), FilterName: aws.String("1")}))
	by := ok[*cwl.DescribeMetricFiltersOutput](t)(client.DescribeMetricFilters(ctx, &cwl.DescribeMetricFiltersInput{MetricName: aws.String("m"), MetricNamespace: aws.String("n"), LogGroupName: aws.String("a")}))
	if len(by.MetricFilters) != 2 {
		t.Errorf("%d filters after one was deleted", len(by.MetricFilters))
	}
}

// second drops the first result.
func second(_ any, err error) error { return err }

func TestSubscriptionFilters(t *testing.T) {
	client, _, _ := serve(t, time.Now)
	ctx := t.Context()
	g := aws.String("g")
	ok[*cwl.CreateLogGroupOutput](t)(client.CreateLogGroup(ctx, &cwl.CreateLogGroupInput{LogGroupName: g}))
	const stream, function, role = "arn:aws:kinesis:eu-central-1:123456789012:stream/s", "arn:aws:lambda:eu-central-1:123456789012:function:f", "arn:aws:iam::123456789012:role/r"
	put := func(name, pattern, to, as string) error {
		in := &cwl.PutSubscriptionFilterInput{LogGroupName: g, FilterName: &name, FilterPattern: &pattern, DestinationArn: &to}
		if as != "" {
			in.RoleArn = &as
		}
		_, err := client.PutSubscriptionFilter(ctx, in)
		return err
	}
	for _, c := range []struct {
		what string
		err  error
		want string
	}{
		{"stream", put("1", "ERROR", stream, role), "<nil>"},
		{"function", put("2", "", function, ""), "<nil>"},
		{"again", put("2", "WARN", function, ""), "<nil>"},
		{"third", put("3", "", function, ""), "LimitExceededException: Resource limit exceeded."},
		{"no role", put("1", "", stream, ""), "InvalidParameterException: destinationArn for vendor kinesis cannot be used without roleArn"},
		{"role", put("2", "", function, role), "InvalidParameterException: destinationArn for vendor lambda cannot be used with roleArn"},
		{"other account", put("2", "", "arn:aws:lambda:eu-central-1:999999999999:function:f", ""), "InvalidParameterException: destinationArn must be"},
		{"bucket", put("2", "", "arn:aws:s3:::b", ""), "InvalidParameterException: destinationArn for vendor s3"},
		{"pattern", put("2", "[", function, ""), "InvalidParameterException: If a filter pattern starts with '['"},
		{"none", second(client.DeleteSubscriptionFilter(ctx, &cwl.DeleteSubscriptionFilterInput{LogGroupName: g, FilterName: aws.String("3")})), "ResourceNotFoundException: The specified subscription filter does not exist."},
	} {
		if got := problem(c.err); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %s\nwant %s", c.what, got, c.want)
		}
	}
	out := ok[*cwl.DescribeSubscriptionFiltersOutput](t)(client.DescribeSubscriptionFilters(ctx, &cwl.DescribeSubscriptionFiltersInput{LogGroupName: g}))
	if len(out.SubscriptionFilters) != 2 || *out.SubscriptionFilters[1].FilterPattern != "WARN" || out.SubscriptionFilters[0].Distribution != types.DistributionByLogStream || *out.SubscriptionFilters[0].RoleArn != role {
		t.Errorf("filters %+v", out.SubscriptionFilters)
	}
	ok[*cwl.DeleteSubscriptionFilterOutput](t)(client.DeleteSubscriptionFilter(ctx, &cwl.DeleteSubscriptionFilterInput{LogGroupName: g, FilterName: aws.String("1")}))
}
