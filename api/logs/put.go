package logs

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cwl "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/berth/berth/logstore"
)

// The limits of PutLogEvents (API_PutLogEvents).
const (
	maxUpload     = 1 << 20 // bytes, with eventOverhead for each event
	eventOverhead = 26
	maxSpan       = 24 * time.Hour
	maxAge        = 14 * 24 * time.Hour
	maxAhead      = 2 * time.Hour
)

// PutLogEvents stores a batch of events. The sequence token is not looked at, as
// on AWS since 2023.
func (s *Service) PutLogEvents(ctx context.Context, in *cwl.PutLogEventsInput) (*cwl.PutLogEventsOutput, error) {
	scope, group, stream := scopeOf(ctx), aws.ToString(in.LogGroupName), aws.ToString(in.LogStreamName)
	if _, err := s.store.Stream(scope, group, stream); err != nil {
		return nil, answer(err)
	}
	g, err := s.store.Group(scope, group)
	if err != nil {
		return nil, answer(err)
	}
	events, err := batch(in.LogEvents)
	if err != nil {
		return nil, err
	}
	events, rejected := s.acceptable(events, g)
	if n := len(events); n > 0 && events[n-1].Time-events[0].Time > maxSpan.Milliseconds() {
		return nil, invalid("The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")
	}
	seq, err := s.store.Put(scope, group, stream, events, nil)
	if err != nil {
		return nil, answer(err)
	}
	return &cwl.PutLogEventsOutput{NextSequenceToken: sequenceToken(seq), RejectedLogEventsInfo: rejected}, nil
}

// batch checks size and order.
func batch(in []types.InputLogEvent) ([]logstore.Event, error) {
	events := make([]logstore.Event, len(in))
	total := 0
	for i, e := range in {
		events[i] = logstore.Event{Time: aws.ToInt64(e.Timestamp), Message: aws.ToString(e.Message)}
		size := len(events[i].Message) + eventOverhead
		if size > maxUpload {
			return nil, invalid("Log event too large: %d bytes exceeds limit of %d", size, maxUpload)
		}
		if total += size; i > 0 && events[i].Time < events[i-1].Time {
			return nil, invalid("Log events in a single PutLogEvents request must be in chronological order.")
		}
	}
	if total > maxUpload {
		return nil, invalid("Upload too large: %d bytes exceeds limit of %d", total, maxUpload)
	}
	return events, nil
}

// acceptable leaves the events out that are too old or too new, and says which:
// end indexes are exclusive, the start index is inclusive.
func (s *Service) acceptable(events []logstore.Event, g logstore.Group) ([]logstore.Event, *types.RejectedLogEventsInfo) {
	now := s.now()
	before := func(t time.Time) int { // events are in order
		n := 0
		for n < len(events) && events[n].Time < t.UnixMilli() {
			n++
		}
		return n
	}
	old, expired, ahead := before(now.Add(-maxAge)), 0, before(now.Add(maxAhead).Add(time.Millisecond))
	if g.RetentionDays != 0 {
		expired = before(now.Add(-time.Duration(g.RetentionDays) * 24 * time.Hour))
	}
	if old == 0 && expired == 0 && ahead == len(events) {
		return events, nil
	}
	r := &types.RejectedLogEventsInfo{}
	if old > 0 {
		r.TooOldLogEventEndIndex = aws.Int32(int32(old))
	}
	if expired > 0 {
		r.ExpiredLogEventEndIndex = aws.Int32(int32(expired))
	}
	if ahead < len(events) {
		r.TooNewLogEventStartIndex = aws.Int32(int32(ahead))
	}
	return events[min(max(old, expired), ahead):ahead], r
}

// sequenceToken has the form of AWS's: 56 digits. It means nothing any more.
func sequenceToken(seq uint64) *string { return aws.String(fmt.Sprintf("49%054d", seq)) }
