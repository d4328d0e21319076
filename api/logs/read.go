package logs

import (
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cwl "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/berth/berth/api/logs/pattern"
	"github.com/berth/berth/logstore"
)

// The limits of one response (API_GetLogEvents, API_FilterLogEvents).
const (
	maxEvents   = 10_000
	maxResponse = 1 << 20
	// maxScan is how many bytes a call looks through: with a pattern that matches
	// seldom, its page may be empty, and have a token for the rest, as on AWS.
	maxScan = 64 << 20
)

// GetLogEvents reads one stream, in either direction. Events are always in order
// of time.
func (s *Service) GetLogEvents(ctx context.Context, in *cwl.GetLogEventsInput) (*cwl.GetLogEventsOutput, error) {
	group, err := groupName(ctx, in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	q := logstore.Query{
		Streams: []string{aws.ToString(in.LogStreamName)},
		Start:   aws.ToInt64(in.StartTime), End: before(in.EndTime),
		Backward: !aws.ToBool(in.StartFromHead),
		Limit:    limitOf(in.Limit, maxEvents), MaxBytes: maxResponse, Scan: maxScan,
	}
	if in.NextToken != nil {
		q.Backward, q.From, err = openStreamToken(*in.NextToken)
		if err != nil {
			return nil, err
		}
	}
	p, err := s.store.Read(ctx, scopeOf(ctx), group, q)
	if err != nil {
		return nil, answer(err)
	}
	// The page lies between its first and last event. An empty one is where its
	// token was, so that tokens at either end of a stream stay the same; without
	// one it is at the start of the range, before all that will come.
	from := logstore.Position{Time: q.Start}
	if q.From != nil {
		from = *q.From
	}
	to := from
	if n := len(p.Events); n > 0 {
		if q.Backward {
			slices.Reverse(p.Events)
		}
		from, to = p.Events[0].Position, p.Events[n-1].Position
		to.Seq++
	}
	out := &cwl.GetLogEventsOutput{
		Events:           make([]types.OutputLogEvent, len(p.Events)),
		NextForwardToken: aws.String("f/" + to.String() + "/s"), NextBackwardToken: aws.String("b/" + from.String() + "/s"),
	}
	for i := range p.Events {
		e := &p.Events[i]
		out.Events[i] = types.OutputLogEvent{IngestionTime: &e.Ingested, Message: &e.Message, Timestamp: &e.Time}
	}
	return out, nil
}

// filter compiles a filter pattern; nil is for one that matches all.
func filter(text *string) (func(message string) bool, error) {
	p, err := pattern.Parse(aws.ToString(text))
	if err != nil {
		return nil, invalid("%v", err)
	}
	if p.All() {
		return nil, nil
	}
	return p.Match, nil
}

// openStreamToken reads a token of GetLogEvents: f or b for the direction, and a
// position.
func openStreamToken(token string) (backward bool, from *logstore.Position, err error) {
	rest, forward := strings.CutPrefix(token, "f/")
	if !forward {
		rest, backward = strings.CutPrefix(token, "b/")
	}
	rest, whole := strings.CutSuffix(rest, "/s")
	p, err := logstore.ParsePosition(rest)
	if err != nil || !whole || !forward && !backward {
		return false, nil, invalid("The specified nextToken is invalid.")
	}
	return backward, &p, nil
}

// before is the first time that a time range with that end has not, in ms.
func before(end *int64) int64 {
	if end == nil {
		return math.MaxInt64
	}
	return *end
}

// firstBackward is when startFromHead=false began to work (API_FilterLogEvents).
var firstBackward = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()

// FilterLogEvents searches a group's streams, all of them in one order of time.
func (s *Service) FilterLogEvents(ctx context.Context, in *cwl.FilterLogEventsInput) (*cwl.FilterLogEventsOutput, error) {
	group, err := groupName(ctx, in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	if in.LogStreamNames != nil && in.LogStreamNamePrefix != nil {
		return nil, invalid("Only one of logStreamNames and logStreamNamePrefix can be specified.")
	}
	match, err := filter(in.FilterPattern)
	if err != nil {
		return nil, err
	}
	q := logstore.Query{
		Streams: slices.Compact(slices.Sorted(slices.Values(in.LogStreamNames))), Prefix: aws.ToString(in.LogStreamNamePrefix),
		Start: aws.ToInt64(in.StartTime), End: before(in.EndTime),
		Backward: in.StartFromHead != nil && !*in.StartFromHead,
		Match:    match, Limit: limitOf(in.Limit, maxEvents), MaxBytes: maxResponse, Scan: maxScan,
	}
	if q.End < math.MaxInt64 {
		q.End++ // here, unlike in GetLogEvents, the range has its end
	}
	if q.Backward && in.NextToken == nil && q.Start < firstBackward {
		return nil, invalid("startFromHead can be false only with a startTime on or after January 1, 2024 00:00:00 UTC.")
	}
	if in.NextToken != nil {
		if q.Backward, q.From, err = openGroupToken(group, *in.NextToken); err != nil {
			return nil, err
		}
	}
	p, err := s.store.Read(ctx, scopeOf(ctx), group, q)
	if err != nil {
		return nil, answer(err)
	}
	out := &cwl.FilterLogEventsOutput{
		Events:             make([]types.FilteredLogEvent, len(p.Events)),
		SearchedLogStreams: []types.SearchedLogStream{}, // always empty, since May 2020
	}
	for i := range p.Events {
		e := &p.Events[i]
		out.Events[i] = types.FilteredLogEvent{
			EventId: aws.String(e.ID()), IngestionTime: &e.Ingested, LogStreamName: &e.Stream, Message: &e.Message, Timestamp: &e.Time,
		}
	}
	if p.More {
		out.NextToken = aws.String(sealGroupToken(group, q.Backward, p.Next))
	}
	return out, nil
}
