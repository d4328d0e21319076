package logs

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cwl "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/berth/berth/api/logs/insights"
	"github.com/berth/berth/logstore"
)

// sealPointer makes the @ptr of an event.
func sealPointer(group, stream string, p logstore.Position) string {
	text := group + "\x00" + stream + "\x00" + p.String()
	sum := sha256.Sum256([]byte("@ptr\x00" + text))
	return base64.RawURLEncoding.EncodeToString(append(sum[:sumLen:sumLen], text...))
}

func openPointer(ptr string) (group, stream string, p logstore.Position, ok bool) {
	b, err := base64.RawURLEncoding.DecodeString(ptr)
	if err != nil || len(b) <= sumLen {
		return
	}
	parts := strings.Split(string(b[sumLen:]), "\x00")
	if len(parts) != 3 {
		return
	}
	p, err = logstore.ParsePosition(parts[2])
	return parts[0], parts[1], p, err == nil && sealPointer(parts[0], parts[1], p) == ptr
}

// GetLogRecord returns all fields of the event that a @ptr means.
func (s *Service) GetLogRecord(ctx context.Context, in *cwl.GetLogRecordInput) (*cwl.GetLogRecordOutput, error) {
	group, stream, at, ok := openPointer(aws.ToString(in.LogRecordPointer))
	if !ok {
		return nil, invalid("The specified logRecordPointer is invalid.")
	}
	p, err := s.store.Read(ctx, scopeOf(ctx), group, logstore.Query{
		Streams: []string{stream}, Start: at.Time, End: at.Time + 1, From: &at, Limit: 1, MaxBytes: maxResponse, Scan: maxScan,
	})
	if err != nil {
		return nil, answer(err)
	}
	if len(p.Events) == 0 || p.Events[0].Position != at {
		return nil, &types.ResourceNotFoundException{Message: aws.String("The specified log record does not exist.")}
	}
	return &cwl.GetLogRecordOutput{LogRecord: insights.Fields(queryEvent(scopeOf(ctx).Account+":"+group, p.Events[0]), pointer)}, nil
}

// fieldSample is how many events GetLogGroupFields looks at: the newest.
const fieldSample = 10_000

// GetLogGroupFields returns the fields of a group's events about a time, and how
// many percent of the events have them.
func (s *Service) GetLogGroupFields(ctx context.Context, in *cwl.GetLogGroupFieldsInput) (*cwl.GetLogGroupFieldsOutput, error) {
	group, err := groupName(ctx, in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	end := s.now()
	start := end.Add(-15 * time.Minute)
	if in.Time != nil {
		at := time.Unix(*in.Time, 0)
		start, end = at.Add(-8*time.Minute), at.Add(8*time.Minute)
	}
	counts, n := map[string]int{}, 0
	for e, err := range s.store.Scan(ctx, scopeOf(ctx), group, logstore.Query{Start: start.UnixMilli(), End: end.UnixMilli() + 1, Backward: true}) {
		if err != nil {
			return nil, answer(err)
		}
		for name := range insights.Fields(queryEvent(scopeOf(ctx).Account+":"+group, e), pointer) {
			counts[name]++
		}
		if n++; n == fieldSample {
			break
		}
	}
	out := &cwl.GetLogGroupFieldsOutput{LogGroupFields: []types.LogGroupField{}}
	for name, c := range counts {
		out.LogGroupFields = append(out.LogGroupFields, types.LogGroupField{Name: &name, Percent: int32((c*100 + n/2) / n)})
	}
	slices.SortFunc(out.LogGroupFields, func(a, b types.LogGroupField) int {
		if a.Percent != b.Percent {
			return int(b.Percent - a.Percent)
		}
		return strings.Compare(*a.Name, *b.Name)
	})
	return out, nil
}
