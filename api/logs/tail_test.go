package logs_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cwl "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/berth/berth/logstore"
	"github.com/berth/berth/wire/wiretest"
)

// noHostPrefix keeps the SDK from asking stream-127.0.0.1.
func noHostPrefix(o *cwl.Options) {
	cwl.WithAPIOptions(func(stack *middleware.Stack) error {
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("NoHostPrefix", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
			return next.HandleInitialize(smithyhttp.DisableEndpointHostPrefix(ctx, true), in)
		}), middleware.Before)
	})(o)
}

func TestLiveTail(t *testing.T) {
	client, _, store := serve(t, time.Now)
	ctx := t.Context()
	scope := logstore.Scope{Account: wiretest.Account, Region: wiretest.Region}
	fill(t, store, []string{"a", "b", "c"}, 3, time.Now())
	start := func(in *cwl.StartLiveTailInput) (*cwl.StartLiveTailEventStream, error) {
		// Each with a client of its own: the SDK's streams of one client race.
		own := client.Options()
		own.Protocol = nil
		out, err := cwl.New(own).StartLiveTail(ctx, in, noHostPrefix)
		if err != nil {
			return nil, err
		}
		s := out.GetStream()
		t.Cleanup(func() { s.Close() })
		return s, nil
	}
	arn := func(g string) string { return "arn:aws:logs:eu-central-1:123456789012:log-group:" + g }
	s, err := start(&cwl.StartLiveTailInput{LogGroupIdentifiers: []string{arn("a"), arn("b")}, LogEventFilterPattern: aws.String("{ $.k = 1 }")})
	if err != nil {
		t.Fatal(err)
	}
	first, isStart := (<-s.Events()).(*types.StartLiveTailResponseStreamMemberSessionStart)
	if !isStart || *first.Value.SessionId == "" || !slices.Equal(first.Value.LogGroupIdentifiers, []string{arn("a"), arn("b")}) {
		t.Fatalf("the first event is %+v, %v", first, s.Err())
	}
	put := func(group, stream string, messages ...string) {
		t.Helper()
		var events []logstore.Event
		for _, m := range messages {
			events = append(events, logstore.Event{Time: 1000, Message: m})
		}
		if _, err := store.Put(scope, group, stream, events, nil); err != nil {
			t.Fatal(err)
		}
	}
	// next returns the first update that has events.
	next := func(s *cwl.StartLiveTailEventStream) types.LiveTailSessionUpdate {
		t.Helper()
		for e := range s.Events() {
			if u, ok := e.(*types.StartLiveTailResponseStreamMemberSessionUpdate); ok && len(u.Value.SessionResults) > 0 {
				return u.Value
			}
		}
		t.Fatalf("the stream ended: %v", s.Err())
		return types.LiveTailSessionUpdate{}
	}
	put("c", "s/c", `{"k": 1}`)
	put("b", "s/b", `{"k": 1, "x": 0}`, `{"k": 2}`, `{"k": 1, "x": 1}`)
	u := next(s)
	if len(u.SessionResults) != 2 || u.SessionMetadata.Sampled || *u.SessionResults[1].Message != `{"k": 1, "x": 1}` || *u.SessionResults[0].LogStreamName != "s/b" ||
		*u.SessionResults[0].Timestamp != 1000 || !strings.HasSuffix(*u.SessionResults[0].LogGroupIdentifier, ":b") {
		t.Errorf("update %+v", u)
	}
	var many []string
	for i := range 2000 {
		many = append(many, fmt.Sprintf(`{"k": 1, "i": %d}`, i))
	}
	put("a", "s/a", many...)
	u = next(s)
	in := slices.IsSortedFunc(u.SessionResults, func(a, b types.LiveTailSessionLogEvent) int {
		return slices.Index(many, *a.Message) - slices.Index(many, *b.Message)
	})
	if len(u.SessionResults) != 500 || !u.SessionMetadata.Sampled || !in {
		t.Errorf("%d of 2000 events, sampled %v, in order %v", len(u.SessionResults), u.SessionMetadata.Sampled, in)
	}

	prefixes, err := start(&cwl.StartLiveTailInput{LogGroupIdentifiers: []string{arn("a")}, LogStreamNamePrefixes: []string{"t/"}})
	if err != nil {
		t.Fatal(err)
	}
	<-prefixes.Events()
	if err := store.CreateStream(scope, "a", "t/1"); err != nil {
		t.Fatal(err)
	}
	put("a", "s/a", "no")
	put("a", "t/1", "yes")
	if u = next(prefixes); len(u.SessionResults) != 1 || *u.SessionResults[0].Message != "yes" {
		t.Errorf("update %+v", u)
	}

	for _, c := range []struct {
		what string
		in   cwl.StartLiveTailInput
		want string
	}{
		{"pattern", cwl.StartLiveTailInput{LogGroupIdentifiers: []string{arn("a")}, LogEventFilterPattern: aws.String("{")}, "InvalidParameterException: If a filter pattern"},
		{"group", cwl.StartLiveTailInput{LogGroupIdentifiers: []string{arn("x")}}, "ResourceNotFoundException: The specified log group does not exist."},
		{"asterisk", cwl.StartLiveTailInput{LogGroupIdentifiers: []string{arn("a:*")}}, "InvalidParameterException: "},
		{"streams of two", cwl.StartLiveTailInput{LogGroupIdentifiers: []string{arn("a"), arn("b")}, LogStreamNames: []string{"s/a"}}, "InvalidParameterException: logStreamNames and"},
		{"both", cwl.StartLiveTailInput{LogGroupIdentifiers: []string{arn("a")}, LogStreamNames: []string{"s/a"}, LogStreamNamePrefixes: []string{"s"}}, "InvalidParameterException: Only one of"},
	} {
		if got := problem(second(start(&c.in))); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %s\nwant %s", c.what, got, c.want)
		}
	}
	for range 13 {
		if _, err = start(&cwl.StartLiveTailInput{LogGroupIdentifiers: []string{arn("a")}}); err != nil {
			t.Fatal(err)
		}
	}
	if got := problem(second(start(&cwl.StartLiveTailInput{LogGroupIdentifiers: []string{arn("a")}}))); !strings.HasPrefix(got, "LimitExceededException: ") {
		t.Errorf("the 16th session: %s", got)
	}
}
