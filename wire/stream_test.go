package wire_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/berth/berth/wire"
	"github.com/berth/berth/wire/wiretest"
)

// tails answers StartLiveTail according to the filter pattern.
type tails struct{ ended chan error }

type tailEvents = iter.Seq2[types.StartLiveTailResponseStream, error]

func (s *tails) StartLiveTail(ctx context.Context, in *cloudwatchlogs.StartLiveTailInput) (*cloudwatchlogs.StartLiveTailOutput, tailEvents, error) {
	kind := aws.ToString(in.LogEventFilterPattern)
	if kind == "refused" {
		return nil, nil, &types.LimitExceededException{Message: aws.String("too many sessions")}
	}
	return &cloudwatchlogs.StartLiveTailOutput{}, func(yield func(types.StartLiveTailResponseStream, error) bool) {
		start := &types.StartLiveTailResponseStreamMemberSessionStart{
			Value: types.LiveTailSessionStart{SessionId: aws.String("s1"), LogGroupIdentifiers: in.LogGroupIdentifiers}}
		if !yield(start, nil) {
			return
		}
		update := types.StartLiveTailResponseStreamMemberSessionUpdate{Value: types.LiveTailSessionUpdate{
			SessionMetadata: &types.LiveTailSessionMetadata{},
			SessionResults:  []types.LiveTailSessionLogEvent{{Message: aws.String("hello \"<&>\""), Timestamp: aws.Int64(1)}}}}
		if !yield(&update, nil) {
			return
		}
		switch kind {
		case "timeout":
			yield(nil, fmt.Errorf("wrapped: %w", &types.SessionTimeoutException{Message: aws.String("three hours")}))
		case "other":
			yield(nil, &smithy.GenericAPIError{Code: "OtherException", Message: "other"})
		case "broken":
			yield(nil, errors.New("a secret"))
		case "panic":
			panic("a secret")
		case "forever":
			<-ctx.Done()
			s.ended <- ctx.Err()
		}
	}, nil
}

// StartLiveTail by the SDK's own client: what it reads is what was yielded.
func TestStream(t *testing.T) {
	h := &tails{ended: make(chan error, 1)}
	service, err := wire.NewService(wire.Logs, h)
	if err != nil {
		t.Fatal(err)
	}
	_, cfg := wiretest.Serve(t, service)
	// AWS serves streams at stream-logs.<region>.amazonaws.com, and the SDK puts that
	// prefix before any host: here it is an address.
	client := cloudwatchlogs.NewFromConfig(cfg, cloudwatchlogs.WithAPIOptions(func(stack *middleware.Stack) error {
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("NoHostPrefix", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
			return next.HandleInitialize(smithyhttp.DisableEndpointHostPrefix(ctx, true), in)
		}), middleware.Before)
	}))
	start := func(t *testing.T, kind string) (*cloudwatchlogs.StartLiveTailEventStream, error) {
		out, err := client.StartLiveTail(t.Context(), &cloudwatchlogs.StartLiveTailInput{
			LogGroupIdentifiers: []string{"arn:aws:logs:eu-central-1:123456789012:log-group:g"}, LogEventFilterPattern: &kind})
		if err != nil {
			return nil, err
		}
		return out.GetStream(), nil
	}
	read := func(t *testing.T, s *cloudwatchlogs.StartLiveTailEventStream, n int) {
		t.Helper()
		var got []string
		for len(got) < n {
			switch e := (<-s.Events()).(type) {
			case *types.StartLiveTailResponseStreamMemberSessionStart:
				got = append(got, "start "+*e.Value.SessionId)
			case *types.StartLiveTailResponseStreamMemberSessionUpdate:
				got = append(got, "update "+*e.Value.SessionResults[0].Message)
			default:
				t.Fatalf("event %T after %q: %v", e, got, s.Err())
			}
		}
		if !slices.Equal(got, []string{"start s1", `update hello "<&>"`}) {
			t.Errorf("events %q", got)
		}
	}
	codes := map[string]string{"end": "", "timeout": "SessionTimeoutException: three hours", "other": "OtherException: other",
		"broken": "ServiceUnavailableException", "panic": "ServiceUnavailableException"}
	for kind, want := range codes {
		t.Run(kind, func(t *testing.T) {
			s, err := start(t, kind)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			read(t, s, 2)
			if e, more := <-s.Events(); more {
				t.Errorf("event %T after the last", e)
			}
			err = s.Err()
			if want == "" && err != nil && !errors.Is(err, io.EOF) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("ended with %v, want %q", err, want)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("told: %v", err)
			}
		})
	}
	t.Run("refused", func(t *testing.T) {
		var limit *types.LimitExceededException
		if _, err := start(t, "refused"); !errors.As(err, &limit) {
			t.Errorf("answered %v", err)
		}
	})
	t.Run("the client goes", func(t *testing.T) {
		s, err := start(t, "forever")
		if err != nil {
			t.Fatal(err)
		}
		read(t, s, 2)
		s.Close()
		if err := <-h.ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the handler saw %v", err)
		}
	})
}

// A method without the stream, or with one that its operation has not, stops the start.
type noStream struct{}

func (noStream) StartLiveTail(context.Context, *cloudwatchlogs.StartLiveTailInput) (*cloudwatchlogs.StartLiveTailOutput, error) {
	return nil, nil
}

type badStream struct{}

func (badStream) DescribeLogGroups(context.Context, *cloudwatchlogs.DescribeLogGroupsInput) (*cloudwatchlogs.DescribeLogGroupsOutput, tailEvents, error) {
	return nil, nil, nil
}

func TestStreamForm(t *testing.T) {
	for _, impl := range []any{noStream{}, badStream{}} {
		if _, err := wire.NewService(wire.Logs, impl); err == nil || !strings.Contains(err.Error(), "iter.Seq2") {
			t.Errorf("%T: %v", impl, err)
		}
	}
}
