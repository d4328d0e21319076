package logs_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	cwl "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/smithy-go"

	"github.com/berth/berth/agent/logdriver"
	"github.com/berth/berth/api/logs"
	"github.com/berth/berth/logstore"
	"github.com/berth/berth/state"
	"github.com/berth/berth/wire"
	"github.com/berth/berth/wire/wiretest"
)

var _ logdriver.Sink = logs.Sink{}

// serve serves the API on an empty store, to the SDK's client.
func serve(t *testing.T, now func() time.Time) (*cwl.Client, string, *logstore.Store) {
	t.Helper()
	store, err := logstore.Open(t.TempDir(), now, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	api := logs.New(store, now, slog.New(slog.NewTextHandler(io.Discard, nil)))
	t.Cleanup(func() {
		if err := api.Close(); err != nil {
			t.Error(err)
		}
	})
	service, err := wire.NewService(wire.Logs, api)
	if err != nil {
		t.Fatal(err)
	}
	url, cfg := wiretest.Serve(t, service)
	cfg.HTTPClient = near{awshttp.NewBuildableClient()}
	return cwl.NewFromConfig(cfg), url, store
}

// near hides the WriteTo of the SDK's request bodies, which fails once an answer
// has begun: a server as near as this one then loses its connection (package
// client has the whole story).
type near struct{ *awshttp.BuildableClient }

func (n near) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	return n.BuildableClient.Do(r)
}

// ok fails the test for an error.
func ok[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func problem(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode() + ": " + api.ErrorMessage()
	}
	return fmt.Sprint(err)
}

func TestErrorsAreAWSs(t *testing.T) {
	client, _, _ := serve(t, time.Now)
	ctx := t.Context()
	a, st, now := aws.String("a"), aws.String("s"), time.Now().UnixMilli()
	ok[*cwl.CreateLogGroupOutput](t)(client.CreateLogGroup(ctx, &cwl.CreateLogGroupInput{LogGroupName: a, DeletionProtectionEnabled: aws.Bool(true)}))
	ok[*cwl.CreateLogStreamOutput](t)(client.CreateLogStream(ctx, &cwl.CreateLogStreamInput{LogGroupName: a, LogStreamName: st}))
	put := func(events ...types.InputLogEvent) error {
		_, err := client.PutLogEvents(ctx, &cwl.PutLogEventsInput{LogGroupName: a, LogStreamName: st, LogEvents: events})
		return err
	}
	event := func(at int64, m string) types.InputLogEvent {
		return types.InputLogEvent{Timestamp: &at, Message: &m}
	}
	filter := func(pattern string) error {
		_, err := client.FilterLogEvents(ctx, &cwl.FilterLogEventsInput{LogGroupName: a, FilterPattern: &pattern})
		return err
	}
	for _, c := range []struct {
		what string
		err  error
		want string
	}{
		{"group exists", second(client.CreateLogGroup(ctx, &cwl.CreateLogGroupInput{LogGroupName: a})), "ResourceAlreadyExistsException: The specified log group already exists"},
		{"stream exists", second(client.CreateLogStream(ctx, &cwl.CreateLogStreamInput{LogGroupName: a, LogStreamName: st})), "ResourceAlreadyExistsException: The specified log stream already exists"},
		{"no group", second(client.DeleteLogGroup(ctx, &cwl.DeleteLogGroupInput{LogGroupName: st})), "ResourceNotFoundException: The specified log group does not exist."},
		{"protected", second(client.DeleteLogGroup(ctx, &cwl.DeleteLogGroupInput{LogGroupName: a})), "ValidationException: "},
		{"no stream", second(client.GetLogEvents(ctx, &cwl.GetLogEventsInput{LogGroupName: a, LogStreamName: a})), "ResourceNotFoundException: The specified log stream does not exist."},
		{"group's name", second(client.CreateLogGroup(ctx, &cwl.CreateLogGroupInput{LogGroupName: aws.String("a b")})), "InvalidParameterException: 1 validation error detected: Value 'a b' at 'logGroupName' failed to satisfy constraint: "},
		{"key", second(client.CreateLogGroup(ctx, &cwl.CreateLogGroupInput{LogGroupName: st, KmsKeyId: aws.String("arn:aws:kms:eu-central-1:1:key/2")})), "InvalidParameterException: kmsKeyId is not supported: "},
		{"retention", second(client.PutRetentionPolicy(ctx, &cwl.PutRetentionPolicyInput{LogGroupName: a, RetentionInDays: aws.Int32(2)})), "InvalidParameterException: 1 validation error detected: Value '2' at 'retentionInDays' failed"},
		{"order", put(event(now, "a"), event(now-1, "b")), "InvalidParameterException: Log events in a single PutLogEvents request must be in chronological order."},
		{"span", put(event(now-24*3600*1000-1, "a"), event(now, "b")), "InvalidParameterException: The batch of log events in a single PutLogEvents request cannot span more than 24 hours."},
		{"event's size", put(event(now, strings.Repeat("a", 1<<20-25))), "InvalidParameterException: Log event too large: 1048577 bytes exceeds limit of 1048576"},
		{"size", put(event(now, strings.Repeat("a", 1<<19)), event(now, strings.Repeat("a", 1<<19))), "InvalidParameterException: Upload too large: 1048628 bytes exceeds limit of 1048576"},
		{"empty message", put(event(now, "")), "InvalidParameterException: 1 validation error detected: "},
		{"JSON pattern", filter(`{ a = 1 }`), "InvalidParameterException: Invalid filter pattern: a property selector starts with '$.' at position 2"},
		{"pattern's characters", filter(`a.b`), "InvalidParameterException: Invalid character(s) in term 'a.b'"},
		{"quote", filter(`"a`), "InvalidParameterException: Invalid filter pattern: the quote is not closed"},
		{"name and identifier", second(client.GetLogEvents(ctx, &cwl.GetLogEventsInput{LogGroupName: a, LogGroupIdentifier: a, LogStreamName: st})), "InvalidParameterException: Only one of"},
		{"neither", second(client.FilterLogEvents(ctx, &cwl.FilterLogEventsInput{})), "InvalidParameterException: One of"},
		{"other account", second(client.FilterLogEvents(ctx, &cwl.FilterLogEventsInput{LogGroupIdentifier: aws.String("arn:aws:logs:eu-central-1:999999999999:log-group:a")})), "ResourceNotFoundException: "},
		{"token", second(client.FilterLogEvents(ctx, &cwl.FilterLogEventsInput{LogGroupName: a, NextToken: aws.String("x")})), "InvalidParameterException: The specified nextToken is invalid."},
		{"stream token", second(client.GetLogEvents(ctx, &cwl.GetLogEventsInput{LogGroupName: a, LogStreamName: st, NextToken: aws.String("f/1/s")})), "InvalidParameterException: The specified nextToken is invalid."},
		{"order by time", second(client.DescribeLogStreams(ctx, &cwl.DescribeLogStreamsInput{LogGroupName: a, OrderBy: types.OrderByLastEventTime, LogStreamNamePrefix: st})), "InvalidParameterException: Cannot order by LastEventTime with a logStreamNamePrefix."},
		{"tags", second(client.TagLogGroup(ctx, &cwl.TagLogGroupInput{LogGroupName: a, Tags: map[string]string{"aws:x": "y"}})), "InvalidParameterException: aws: prefixed"},
	} {
		if got := problem(c.err); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %s\nwant %s", c.what, got, c.want)
		}
	}
}

func TestPutAndRead(t *testing.T) {
	now := time.Now()
	client, _, _ := serve(t, func() time.Time { return now })
	ctx := t.Context()
	g, st := aws.String("/ecs/web"), aws.String("web/app/1")
	ok[*cwl.CreateLogGroupOutput](t)(client.CreateLogGroup(ctx, &cwl.CreateLogGroupInput{LogGroupName: g, Tags: map[string]string{"a": "b"}}))
	ok[*cwl.CreateLogStreamOutput](t)(client.CreateLogStream(ctx, &cwl.CreateLogStreamInput{LogGroupName: g, LogStreamName: st}))

	// An empty stream has tokens too, and what comes later is behind the forward one.
	empty := ok[*cwl.GetLogEventsOutput](t)(client.GetLogEvents(ctx, &cwl.GetLogEventsInput{LogGroupName: g, LogStreamName: st}))

	var events []types.InputLogEvent
	for i := range 100 {
		events = append(events, types.InputLogEvent{Timestamp: aws.Int64(now.UnixMilli() + int64(i/10)), Message: aws.String(fmt.Sprintf("line %02d", i))})
	}
	put := ok[*cwl.PutLogEventsOutput](t)(client.PutLogEvents(ctx, &cwl.PutLogEventsInput{LogGroupName: g, LogStreamName: st, LogEvents: events}))
	if put.RejectedLogEventsInfo != nil || len(aws.ToString(put.NextSequenceToken)) != 56 {
		t.Errorf("put answers %+v", put)
	}
	lines := func(out *cwl.GetLogEventsOutput) (l []string) {
		for _, e := range out.Events {
			l = append(l, *e.Message)
		}
		return l
	}
	want := func(from, to int) (l []string) {
		for i := from; i < to; i++ {
			l = append(l, fmt.Sprintf("line %02d", i))
		}
		return l
	}
	get := func(token *string, head bool) *cwl.GetLogEventsOutput {
		t.Helper()
		return ok[*cwl.GetLogEventsOutput](t)(client.GetLogEvents(ctx, &cwl.GetLogEventsInput{LogGroupName: g, LogStreamName: st, NextToken: token, StartFromHead: &head, Limit: aws.Int32(30)}))
	}
	// Forward to the end, where the token stays the same, then back to the start.
	out, at := get(empty.NextForwardToken, true), 0
	for len(out.Events) > 0 {
		if got := lines(out); !slices.Equal(got, want(at, min(at+30, 100))) {
			t.Fatalf("at %d: %v", at, got)
		}
		at += len(out.Events)
		next := get(out.NextForwardToken, true)
		if len(next.Events) == 0 && *next.NextForwardToken != *out.NextForwardToken {
			t.Errorf("the end's token becomes %s after %s", *next.NextForwardToken, *out.NextForwardToken)
		}
		if back := get(next.NextBackwardToken, false); len(next.Events) > 0 && !slices.Equal(lines(back), lines(out)) {
			t.Errorf("back from %d: %v", at, lines(back))
		}
		out = next
	}
	if at != 100 {
		t.Errorf("read %d lines forward", at)
	}
	for out, at = get(nil, false), 100; len(out.Events) > 0; out = get(out.NextBackwardToken, false) {
		if got := lines(out); !slices.Equal(got, want(max(at-30, 0), at)) {
			t.Fatalf("back at %d: %v", at, got)
		}
		at -= len(out.Events)
	}
	if at != 0 {
		t.Errorf("%d lines were not read backward", at)
	}

	// Ranges: the end is not in it for one operation, and is for the other.
	in := ok[*cwl.GetLogEventsOutput](t)(client.GetLogEvents(ctx, &cwl.GetLogEventsInput{LogGroupName: g, LogStreamName: st,
		StartTime: aws.Int64(now.UnixMilli() + 1), EndTime: aws.Int64(now.UnixMilli() + 2)}))
	if !slices.Equal(lines(in), want(10, 20)) {
		t.Errorf("get of a range: %v", lines(in))
	}
	f := ok[*cwl.FilterLogEventsOutput](t)(client.FilterLogEvents(ctx, &cwl.FilterLogEventsInput{LogGroupIdentifier: aws.String("arn:aws:logs:eu-central-1:123456789012:log-group:/ecs/web"),
		StartTime: aws.Int64(now.UnixMilli() + 1), EndTime: aws.Int64(now.UnixMilli() + 2), FilterPattern: aws.String(`"line 1" -15 -25`)}))
	if len(f.Events) != 9 || *f.Events[0].Message != "line 10" || f.Events[0].EventId == nil || *f.Events[0].LogStreamName != *st || f.SearchedLogStreams == nil {
		t.Errorf("filter of a range: %d events", len(f.Events))
	}

	// What lists say.
	groups := ok[*cwl.DescribeLogGroupsOutput](t)(client.DescribeLogGroups(ctx, &cwl.DescribeLogGroupsInput{LogGroupNamePrefix: aws.String("/ecs")}))
	if len(groups.LogGroups) != 1 {
		t.Fatalf("%d groups", len(groups.LogGroups))
	}
	if r := groups.LogGroups[0]; *r.StoredBytes != 100*(7+26) || *r.Arn != "arn:aws:logs:eu-central-1:123456789012:log-group:/ecs/web:*" ||
		*r.LogGroupArn+":*" != *r.Arn || r.LogGroupClass != types.LogGroupClassStandard || *r.CreationTime != now.UnixMilli() || r.RetentionInDays != nil || *r.MetricFilterCount != 0 {
		t.Errorf("group %+v", r)
	}
	streams := ok[*cwl.DescribeLogStreamsOutput](t)(client.DescribeLogStreams(ctx, &cwl.DescribeLogStreamsInput{LogGroupName: g, OrderBy: types.OrderByLastEventTime, Descending: aws.Bool(true)}))
	if r := streams.LogStreams[0]; len(streams.LogStreams) != 1 || *r.FirstEventTimestamp != now.UnixMilli() || *r.LastEventTimestamp != now.UnixMilli()+9 ||
		*r.LastIngestionTime != now.UnixMilli() || *r.StoredBytes != 0 || *r.UploadSequenceToken != *put.NextSequenceToken {
		t.Errorf("stream %+v", r)
	}
	arn := groups.LogGroups[0].LogGroupArn
	ok[*cwl.TagResourceOutput](t)(client.TagResource(ctx, &cwl.TagResourceInput{ResourceArn: arn, Tags: map[string]string{"c": "d"}}))
	ok[*cwl.UntagResourceOutput](t)(client.UntagResource(ctx, &cwl.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"a"}}))
	if tags := ok[*cwl.ListTagsForResourceOutput](t)(client.ListTagsForResource(ctx, &cwl.ListTagsForResourceInput{ResourceArn: arn})); len(tags.Tags) != 1 || tags.Tags["c"] != "d" {
		t.Errorf("tags %v", tags.Tags)
	}
}

func TestOldAndNewEventsAreRejected(t *testing.T) {
	now := time.Now()
	var later atomic.Int64 // in ns; the store asks for the time from goroutines of its own
	client, _, _ := serve(t, func() time.Time { return now.Add(time.Duration(later.Load())) })
	ctx := t.Context()
	g := aws.String("g")
	ok[*cwl.CreateLogGroupOutput](t)(client.CreateLogGroup(ctx, &cwl.CreateLogGroupInput{LogGroupName: g}))
	ok[*cwl.CreateLogStreamOutput](t)(client.CreateLogStream(ctx, &cwl.CreateLogStreamInput{LogGroupName: g, LogStreamName: g}))
	put := func(ages ...time.Duration) *types.RejectedLogEventsInfo {
		t.Helper()
		var events []types.InputLogEvent
		for _, a := range ages {
			events = append(events, types.InputLogEvent{Timestamp: aws.Int64(now.Add(-a).UnixMilli()), Message: aws.String(a.String())})
		}
		return ok[*cwl.PutLogEventsOutput](t)(client.PutLogEvents(ctx, &cwl.PutLogEventsInput{LogGroupName: g, LogStreamName: g, LogEvents: events})).RejectedLogEventsInfo
	}
	day := 24 * time.Hour
	is := func(p *int32, want int32) bool { return want < 0 && p == nil || p != nil && *p == want }
	check := func(r *types.RejectedLogEventsInfo, old, expired, ahead int32) {
		t.Helper()
		if r == nil {
			r = &types.RejectedLogEventsInfo{}
		}
		if !is(r.TooOldLogEventEndIndex, old) || !is(r.ExpiredLogEventEndIndex, expired) || !is(r.TooNewLogEventStartIndex, ahead) {
			t.Errorf("rejected %+v, want %d %d %d", r, old, expired, ahead)
		}
	}
	check(put(0, -time.Hour, -2*time.Hour), -1, -1, -1)
	check(put(20*day, 15*day, time.Hour, -3*time.Hour), 2, -1, 3)
	ok[*cwl.PutRetentionPolicyOutput](t)(client.PutRetentionPolicy(ctx, &cwl.PutRetentionPolicyInput{LogGroupName: g, RetentionInDays: aws.Int32(1)}))
	check(put(20*day, 2*day, time.Hour), 1, 2, -1)
	check(put(20*day), 1, 1, -1)
	f := ok[*cwl.FilterLogEventsOutput](t)(client.FilterLogEvents(ctx, &cwl.FilterLogEventsInput{LogGroupName: g}))
	if len(f.Events) != 5 {
		t.Errorf("%d events are stored, want 5", len(f.Events))
	}
	later.Store(int64(2 * day)) // all of it has expired
	if f = ok[*cwl.FilterLogEventsOutput](t)(client.FilterLogEvents(ctx, &cwl.FilterLogEventsInput{LogGroupName: g})); len(f.Events) != 0 {
		t.Errorf("%d events are left after the retention period", len(f.Events))
	}
}

// TestTailFollow polls as `aws logs tail --follow` does, while many streams get
// events with equal times: all come, none twice.
func TestTailFollow(t *testing.T) {
	now := time.Now()
	client, _, store := serve(t, func() time.Time { return now })
	ctx := t.Context()
	scope := state.Scope{Account: wiretest.Account, Region: wiretest.Region}
	sink := logs.NewSink(store)
	var targets []state.LogTarget
	for i := range 20 {
		target := state.LogTarget{Scope: scope, Group: "g", Stream: fmt.Sprintf("s/%d", i), CreateGroup: true}
		if err := sink.Open(ctx, target); err != nil {
			t.Fatal(err)
		}
		targets = append(targets, target)
	}
	in := &cwl.FilterLogEventsInput{LogGroupName: aws.String("g"), Interleaved: aws.Bool(true), StartTime: aws.Int64(now.UnixMilli()), Limit: aws.Int32(7)}
	seen := map[string]bool{}
	atNewest := map[string]bool{} // IDs at the newest time, as the CLI keeps them
	var newest int64
	written := 0
	for round := range 30 {
		for i := range 10 {
			target := targets[(round*7+i*3)%len(targets)]
			at := now.Add(time.Duration(round/5) * time.Millisecond) // rounds share times
			written++
			if err := sink.Put(ctx, target, "c", []state.LogEvent{{Time: at, Message: fmt.Sprint(written)}}, int64(written)); err != nil {
				t.Fatal(err)
			}
		}
		for {
			out := ok[*cwl.FilterLogEventsOutput](t)(client.FilterLogEvents(ctx, in))
			for _, e := range out.Events {
				if atNewest[*e.EventId] {
					continue
				}
				if seen[*e.Message] {
					t.Fatalf("%s came twice", *e.Message)
				}
				seen[*e.Message] = true
				if *e.Timestamp > newest {
					newest, atNewest = *e.Timestamp, map[string]bool{}
				}
				atNewest[*e.EventId] = true
			}
			if in.NextToken = out.NextToken; in.NextToken == nil {
				in.StartTime = &newest
				break
			}
		}
		if len(seen) != written {
			t.Fatalf("round %d: %d of %d lines came", round, len(seen), written)
		}
	}
}

func TestSinkSpeaksLikeAwslogs(t *testing.T) {
	_, _, store := serve(t, time.Now)
	sink := logs.NewSink(store)
	ctx := context.Background()
	target := state.LogTarget{Scope: state.Scope{Account: "1", Region: "r"}, Group: "g", Stream: "s"}
	if err := sink.Open(ctx, target); fmt.Sprint(err) != "failed to create Cloudwatch log stream: ResourceNotFoundException: The specified log group does not exist." {
		t.Errorf("open: %v", err)
	}
	var api smithy.APIError
	if err := sink.Put(ctx, target, "c", nil, 1); !errors.As(err, &api) || api.ErrorCode() != "ResourceNotFoundException" {
		t.Errorf("put: %v", err)
	}
	target.CreateGroup = true
	for range 2 {
		if err := sink.Open(ctx, target); err != nil {
			t.Error(err)
		}
	}
	if g, err := store.Group(logstore.Scope{Account: "1", Region: "r"}, "g"); err != nil || g.Class != "STANDARD" {
		t.Errorf("group %+v, %v", g, err)
	}
}
