package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// What a container prints is tailed as it comes, filtered by its properties, and
// queried; filters, retention and queries are there after a kill -9, and the
// query's answer is the same.
func TestLogsOfContainers(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	group := aws.String("e2e")
	first := h.run(t, h.register(t, []ecstypes.ContainerDefinition{container("main",
		`print={"level": "ERROR", "ms": 120, "req": {"path": "/a"}}`, `print={"level": "INFO", "ms": 5, "req": {"path": "/b"}}`,
		`print={"level": "ERROR", "ms": 80, "req": {"path": "/a"}}`, "print=GET /x 503 17", "exit=0")}))
	h.awaitLine(t, *first.TaskArn, "main", "GET /x")

	filtered := func(pattern string) int {
		t.Helper()
		n := 0
		for p := cloudwatchlogs.NewFilterLogEventsPaginator(h.logs, &cloudwatchlogs.FilterLogEventsInput{LogGroupName: group, FilterPattern: &pattern}); p.HasMorePages(); {
			page, err := p.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			n += len(page.Events)
		}
		return n
	}
	for pattern, want := range map[string]int{`{ $.level = "ERROR" && $.ms > 100 }`: 1, `{ $.req.path = %^/a$% }`: 2, "[method, path, status = 5*, size]": 1, "ERROR": 2} {
		if n := filtered(pattern); n != want {
			t.Errorf("%s finds %d events, want %d", pattern, n, want)
		}
	}
	if _, err := h.logs.PutMetricFilter(t.Context(), &cloudwatchlogs.PutMetricFilterInput{LogGroupName: group, FilterName: aws.String("errors"), FilterPattern: aws.String("ERROR"),
		MetricTransformations: []types.MetricTransformation{{MetricName: aws.String("m"), MetricNamespace: aws.String("n"), MetricValue: aws.String("1")}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.logs.PutRetentionPolicy(t.Context(), &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: group, RetentionInDays: aws.Int32(7)}); err != nil {
		t.Fatal(err)
	}
	q, err := h.logs.StartQuery(t.Context(), &cloudwatchlogs.StartQueryInput{LogGroupName: group, StartTime: aws.Int64(time.Now().Add(-time.Hour).Unix()), EndTime: aws.Int64(time.Now().Unix()),
		QueryString: aws.String("filter ispresent(level) | stats count(*) as n, max(ms) as slowest by req.path | sort n desc")})
	if err != nil {
		t.Fatal(err)
	}
	answer := func() {
		t.Helper()
		eventually(t, 20*time.Second, func() error {
			out, err := h.logs.GetQueryResults(t.Context(), &cloudwatchlogs.GetQueryResultsInput{QueryId: q.QueryId})
			if err != nil {
				return err
			}
			var got []string
			for _, row := range out.Results {
				for _, f := range row {
					got = append(got, *f.Field+"="+*f.Value)
				}
			}
			if s := strings.Join(got, " "); s != "req.path=/a n=2 slowest=120 req.path=/b n=1 slowest=5" {
				return fmt.Errorf("the query is %s: %s", out.Status, s)
			}
			return nil
		})
	}
	answer()

	h.kill()
	if err := h.start(); err != nil {
		t.Fatal(err)
	}
	answer()
	groups, err := h.logs.DescribeLogGroups(t.Context(), &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: group})
	if err != nil {
		t.Fatal(err)
	}
	if g := groups.LogGroups[0]; *g.MetricFilterCount != 1 || *g.RetentionInDays != 7 || *g.StoredBytes == 0 {
		t.Errorf("after kill -9: %d metric filters, retention %d, %d bytes", *g.MetricFilterCount, *g.RetentionInDays, *g.StoredBytes)
	}

	// A tail of a container that goes on, by the SDK, which would put "stream-" before
	// the address.
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tail, err := h.logs.StartLiveTail(ctx, &cloudwatchlogs.StartLiveTailInput{
		LogGroupIdentifiers: []string{*groups.LogGroups[0].LogGroupArn}, LogEventFilterPattern: aws.String(`"line 1"`),
	}, cloudwatchlogs.WithAPIOptions(func(stack *middleware.Stack) error {
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("NoHostPrefix", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
			return next.HandleInitialize(smithyhttp.DisableEndpointHostPrefix(ctx, true), in)
		}), middleware.Before)
	}))
	if err != nil {
		t.Fatal(err)
	}
	stream := tail.GetStream()
	defer stream.Close()
	h.run(t, h.register(t, []ecstypes.ContainerDefinition{container("main", "drip=30")}))
	var seen []string
	for e := range stream.Events() {
		if u, ok := e.(*types.StartLiveTailResponseStreamMemberSessionUpdate); ok {
			for _, r := range u.Value.SessionResults {
				seen = append(seen, *r.Message)
			}
		}
		if len(seen) >= 11 { // line 1, 10, 11, … 19
			break
		}
	}
	if want := "line 1 line 10 line 11 line 12 line 13 line 14 line 15 line 16 line 17 line 18 line 19"; len(seen) < 11 || strings.Join(seen[:11], " ") != want {
		t.Errorf("the tail has %q: %v", seen, stream.Err())
	}
}
