package logs

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	cwl "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/berth/berth/internal/page"
	"github.com/berth/berth/logstore"
)

// CreateLogStream makes a stream.
func (s *Service) CreateLogStream(ctx context.Context, in *cwl.CreateLogStreamInput) (*cwl.CreateLogStreamOutput, error) {
	return nil, answer(s.store.CreateStream(scopeOf(ctx), aws.ToString(in.LogGroupName), aws.ToString(in.LogStreamName)))
}

// DeleteLogStream deletes a stream and its events.
func (s *Service) DeleteLogStream(ctx context.Context, in *cwl.DeleteLogStreamInput) (*cwl.DeleteLogStreamOutput, error) {
	return nil, answer(s.store.DeleteStream(scopeOf(ctx), aws.ToString(in.LogGroupName), aws.ToString(in.LogStreamName)))
}

// DescribeLogStreams lists a group's streams, by name or by their last event.
func (s *Service) DescribeLogStreams(ctx context.Context, in *cwl.DescribeLogStreamsInput) (*cwl.DescribeLogStreamsOutput, error) {
	group, err := groupName(ctx, in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	prefix, byTime, descending := aws.ToString(in.LogStreamNamePrefix), in.OrderBy == types.OrderByLastEventTime, aws.ToBool(in.Descending)
	if byTime && prefix != "" {
		return nil, invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
	}
	list := fmt.Sprintf("DescribeLogStreams/%s/%s/%t/%t", group, prefix, byTime, descending)
	limit := limitOf(in.Limit, describeLimit)
	var streams []logstore.Stream
	if byTime || descending {
		streams, err = s.store.Streams(scopeOf(ctx), group, prefix)
	} else { // in the order in which they are kept
		behind, e := page.After(list, aws.ToString(in.NextToken))
		if e != nil {
			return nil, invalid("The specified nextToken is invalid.")
		}
		streams, err = s.store.StreamsAfter(scopeOf(ctx), group, prefix, behind, limit+1)
	}
	if err != nil {
		return nil, answer(err)
	}
	key := func(st logstore.Stream) string {
		k := st.Name
		if byTime {
			k = fmt.Sprintf("%020d%s", lastEvent(st), st.Name)
		}
		if descending {
			k = reversed(k)
		}
		return k
	}
	if byTime || descending {
		slices.SortFunc(streams, func(a, b logstore.Stream) int { return cmp.Compare(key(a), key(b)) })
	}
	streams, next, err := cut(streams, key, list, in.NextToken, limit)
	if err != nil {
		return nil, err
	}
	out := &cwl.DescribeLogStreamsOutput{LogStreams: []types.LogStream{}, NextToken: next}
	for _, st := range streams {
		row := types.LogStream{
			Arn: aws.String(groupARN(scopeOf(ctx), group) + ":log-stream:" + st.Name), LogStreamName: &st.Name, CreationTime: &st.Created,
			StoredBytes: aws.Int64(0), // always, since June 2019 (API_LogStream)
		}
		if st.Seq != 0 {
			row.LastIngestionTime, row.UploadSequenceToken = &st.LastIngested, sequenceToken(st.Seq)
		}
		if st.HasEvents {
			row.FirstEventTimestamp, row.LastEventTimestamp = &st.First, &st.Last
		}
		out.LogStreams = append(out.LogStreams, row)
	}
	return out, nil
}

// lastEvent puts streams without events first.
func lastEvent(st logstore.Stream) int64 {
	if !st.HasEvents {
		return 0
	}
	return st.Last
}

// reversed maps strings so that their order is turned round.
func reversed(s string) string {
	b := []byte(s)
	for i := range b {
		b[i] = ^b[i]
	}
	return string(append(b, 0xff)) // a prefix comes after what it begins
}
