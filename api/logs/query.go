package logs

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	cwl "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/berth/berth/api/logs/insights"
	"github.com/berth/berth/logstore"
)

// The limits of queries (API_StartQuery, API_GetQueryResults).
const (
	maxQueryGroups = 50
	maxQueryRows   = 10_000 // of one answer, and of a query that names no limit
)

// StartQuery starts a Logs Insights query.
func (s *Service) StartQuery(ctx context.Context, in *cwl.StartQueryInput) (*cwl.StartQueryOutput, error) {
	if err := onlyCWLI(in.QueryLanguage); err != nil {
		return nil, err
	}
	groups, err := s.queried(ctx, in)
	if err != nil {
		return nil, err
	}
	start, end := aws.ToInt64(in.StartTime), aws.ToInt64(in.EndTime)
	if end < start {
		return nil, malformed(&insights.SyntaxError{Text: "End time should not be before start time"})
	}
	if _, err := insights.Parse(aws.ToString(in.QueryString), s.now()); err != nil {
		return nil, malformed(err)
	}
	id, err := s.queries.start(scopeOf(ctx), queryRecord{
		Text: aws.ToString(in.QueryString), Groups: groups, Start: start, End: end, Limit: limitOf(in.Limit, maxQueryRows),
	})
	if err != nil {
		return nil, answer(err)
	}
	return &cwl.StartQueryOutput{QueryId: &id}, nil
}

// onlyCWLI refuses the query languages that are not Insights' own.
func onlyCWLI(l types.QueryLanguage) error {
	if l != "" && l != types.QueryLanguageCwli {
		return invalid("queryLanguage %s is not supported: only CWLI, the language of Logs Insights, is.", l)
	}
	return nil
}

// queried returns the names of the groups to query, each of which exists.
func (s *Service) queried(ctx context.Context, in *cwl.StartQueryInput) ([]string, error) {
	given := 0
	groups := slices.Clone(in.LogGroupNames)
	if in.LogGroupName != nil {
		given++
		groups = []string{*in.LogGroupName}
	}
	if len(in.LogGroupNames) > 0 {
		given++
	}
	if len(in.LogGroupIdentifiers) > 0 {
		given++
		groups = nil
		for _, id := range in.LogGroupIdentifiers {
			name, err := groupName(ctx, nil, &id)
			if err != nil {
				return nil, err
			}
			groups = append(groups, name)
		}
	}
	if given != 1 {
		return nil, invalid("Exactly one of logGroupName, logGroupNames, and logGroupIdentifiers must be specified.")
	}
	if len(groups) > maxQueryGroups {
		return nil, invalid("A query can have no more than %d log groups.", maxQueryGroups)
	}
	slices.Sort(groups)
	groups = slices.Compact(groups)
	for _, g := range groups {
		if _, err := s.store.Group(scopeOf(ctx), g); err != nil {
			return nil, &types.ResourceNotFoundException{Message: aws.String(fmt.Sprintf("Log group '%s' does not exist for account ID '%s'", g, scopeOf(ctx).Account))}
		}
	}
	return groups, nil
}

// malformed is AWS's error for a query that cannot be compiled, with the place.
func malformed(err error) error {
	var e *insights.SyntaxError
	if !errors.As(err, &e) {
		return err
	}
	return &types.MalformedQueryException{Message: &e.Text, QueryCompileError: &types.QueryCompileError{
		Message:  &e.Text,
		Location: &types.QueryCompileErrorLocation{StartCharOffset: aws.Int32(int32(e.Start)), EndCharOffset: aws.Int32(int32(e.End))},
	}}
}

// GetQueryResults returns a query's state and, once it is complete, its rows.
func (s *Service) GetQueryResults(ctx context.Context, in *cwl.GetQueryResultsInput) (*cwl.GetQueryResultsOutput, error) {
	q, err := s.queries.get(scopeOf(ctx), aws.ToString(in.QueryId))
	if err != nil {
		return nil, err
	}
	status, found, rows := q.state()
	places := make([]int, len(rows))
	for i := range places {
		places[i] = i
	}
	limit := limitOf(in.MaxItems, maxQueryRows)
	if limit == 0 {
		limit = maxQueryRows
	}
	places, next, err := cut(places, func(i int) string { return fmt.Sprintf("%06d", i) }, "GetQueryResults/"+q.id, in.NextToken, limit)
	if err != nil {
		return nil, err
	}
	out := &cwl.GetQueryResultsOutput{
		NextToken: next, QueryLanguage: types.QueryLanguageCwli, Status: status, Results: [][]types.ResultField{},
		Statistics: &types.QueryStatistics{
			RecordsMatched: found.Matched, RecordsScanned: found.Scanned, BytesScanned: found.Bytes, LogGroupsScanned: float64(len(q.Groups)),
		},
	}
	for _, i := range places {
		row := make([]types.ResultField, len(rows[i]))
		for j := range rows[i] {
			row[j] = types.ResultField{Field: &rows[i][j].Name, Value: &rows[i][j].Value}
		}
		out.Results = append(out.Results, row)
	}
	return out, nil
}

// StopQuery stops a query that has not ended.
func (s *Service) StopQuery(ctx context.Context, in *cwl.StopQueryInput) (*cwl.StopQueryOutput, error) {
	q, err := s.queries.get(scopeOf(ctx), aws.ToString(in.QueryId))
	if err != nil {
		return nil, err
	}
	if !q.stop() {
		return nil, invalid("Query has already ended: %s", q.id)
	}
	return &cwl.StopQueryOutput{Success: true}, nil
}

// DescribeQueries lists queries, the newest first.
func (s *Service) DescribeQueries(ctx context.Context, in *cwl.DescribeQueriesInput) (*cwl.DescribeQueriesOutput, error) {
	out := &cwl.DescribeQueriesOutput{Queries: []types.QueryInfo{}}
	if in.QueryLanguage != "" && in.QueryLanguage != types.QueryLanguageCwli {
		return out, nil
	}
	all, err := s.queries.list(scopeOf(ctx))
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(q *queryRecord) bool {
		return in.LogGroupName != nil && !slices.Contains(q.Groups, *in.LogGroupName) || in.Status != "" && q.Status != in.Status
	})
	key := func(q *queryRecord) string { return reversed(fmt.Sprintf("%020d%s", q.Created, q.id)) }
	slices.SortFunc(all, func(a, b *queryRecord) int { return strings.Compare(key(a), key(b)) })
	list := fmt.Sprintf("DescribeQueries/%s/%s", aws.ToString(in.LogGroupName), in.Status)
	all, next, err := cut(all, key, list, in.NextToken, limitOf(in.MaxResults, 1000))
	if err != nil {
		return nil, err
	}
	out.NextToken = next
	for _, q := range all {
		row := types.QueryInfo{
			QueryId: &q.id, QueryString: &q.Text, CreateTime: &q.Created, Status: q.Status, QueryLanguage: types.QueryLanguageCwli,
			LogGroupName: &q.Groups[0], BytesScanned: &q.Bytes, QueryDuration: &q.Took,
		}
		out.Queries = append(out.Queries, row)
	}
	return out, nil
}

// events reads the groups of a query together, newest first.
func (s *Service) events(ctx context.Context, scope logstore.Scope, groups []string, start, end int64) iter.Seq2[insights.Event, error] {
	return func(yield func(insights.Event, error) bool) {
		scan := func(group string) iter.Seq2[logstore.Stored, error] {
			return s.store.Scan(ctx, scope, group, logstore.Query{Start: start, End: end, Backward: true, Buffer: queryBuffer / len(groups)})
		}
		if len(groups) == 1 {
			log := scope.Account + ":" + groups[0]
			for e, err := range scan(groups[0]) {
				if errors.Is(err, logstore.ErrNoGroup) {
					return
				}
				if !yield(queryEvent(log, e), err) || err != nil {
					return
				}
			}
			return
		}
		type source struct {
			log  string
			next func() (logstore.Stored, error, bool)
			at   logstore.Stored
		}
		var live []*source
		for _, g := range groups {
			next, stop := iter.Pull2(scan(g))
			defer stop()
			live = append(live, &source{log: scope.Account + ":" + g, next: next})
		}
		// step reads on in a source, and drops it at its end.
		step := func(i int) error {
			e, err, ok := live[i].next()
			if !ok || errors.Is(err, logstore.ErrNoGroup) { // deleted meanwhile: it has no events
				live = slices.Delete(live, i, i+1)
				return nil
			}
			live[i].at = e
			return err
		}
		for i := len(live) - 1; i >= 0; i-- {
			if err := step(i); err != nil {
				yield(insights.Event{}, err)
				return
			}
		}
		for len(live) > 0 {
			newest := 0
			for i := range live {
				if live[newest].at.Position.Before(live[i].at.Position) {
					newest = i
				}
			}
			src := live[newest]
			if !yield(queryEvent(src.log, src.at), nil) {
				return
			}
			if err := step(newest); err != nil {
				yield(insights.Event{}, err)
				return
			}
		}
	}
}

// queryBuffer is how many bytes a query holds of the streams that it merges.
const queryBuffer = 8 << 20

// queryEvent is an event as queries see it; log is account:group.
func queryEvent(log string, e logstore.Stored) insights.Event {
	return insights.Event{Time: e.Time, Ingested: e.Ingested, Message: e.Message, Stream: e.Stream, Log: log, Seq: e.Seq}
}

// pointer is the @ptr of an event.
func pointer(e *insights.Event) string {
	_, group, _ := strings.Cut(e.Log, ":")
	return sealPointer(group, e.Stream, logstore.Position{Time: e.Time, Seq: e.Seq})
}
